// Box and Boxes: a drag, or two clicks, from corner to corner. Each of several boxes is proposed at once.
import {
  addPoint, boxFrom, imageSpot, isDrag, markerAt, proposalAt, showBand, stageSpot, within,
  type Bench, type Press, type Tool,
} from "./tool";
import type { Spot } from "../viewport";

export function boxTool(bench: Bench, several: boolean): Tool {
  const { view, actions } = bench;
  const { corner } = view.tools;
  let press: Press | null = null;
  let dragging = false;

  const finish = (a: Spot, b: Spot): void => {
    const box = boxFrom(bench, a, b);
    actions.edit.dropCorner();
    if (!box) return;
    if (several) actions.edit.proposeBox([box.x0, box.y0, box.x1, box.y1]);
    else actions.addPrompt(box);
  };
  /** A click: on a marker or a proposal as with the point tool, else the first or second corner. */
  const click = (at: Spot, exclude: boolean): void => {
    if (corner.peek()) return finish(stageSpot(bench, corner.peek()!), at);
    const marker = markerAt(bench, at);
    if (marker !== null) return actions.removePrompt(marker);
    if (exclude) return addPoint(bench, at, 0);
    const proposal = proposalAt(bench, at);
    if (proposal !== null) return actions.keepProposals([proposal]);
    corner.value = within(bench, imageSpot(bench, at));
  };

  return {
    hover(at) {
      if (corner.peek()) return showBand(bench, stageSpot(bench, corner.peek()!), at);
      const marker = markerAt(bench, at);
      view.hoveredPrompt.value = marker;
      view.proposals.hovered.value = marker === null ? proposalAt(bench, at) : null;
    },
    down(next) {
      press = next;
      dragging = false;
    },
    move(at) {
      if (!press || press.secondary) return;
      if (!dragging && !isDrag(press, at)) return;
      if (!dragging) {
        view.hoveredPrompt.value = null;
        view.proposals.hovered.value = null;
      }
      dragging = true;
      const from = corner.peek();
      showBand(bench, from ? stageSpot(bench, from) : press.at, at);
    },
    up(at) {
      const done = press;
      press = null;
      if (!done) return;
      const from = corner.peek();
      if (dragging) return finish(from ? stageSpot(bench, from) : done.at, at);
      if (!isDrag(done, at)) click(done.at, done.secondary || done.alt);
    },
    cancel() {
      press = null;
      actions.edit.dropCorner();
    },
    click: (spot, exclude) => click(stageSpot(bench, spot), exclude),
  };
}

// Point: a click includes or excludes, a drag draws a box; on proposals, a click keeps one.
import type { Spot } from "../viewport";
import {
  addPoint, boxFrom, isDrag, markerAt, proposalAt, showBand, stageSpot,
  type Bench, type Press, type Tool,
} from "./tool";

type Phase =
  | { kind: "pressed"; press: Press; marker: number | null; proposal: string | null }
  | { kind: "box"; start: Spot }
  | { kind: "gather"; start: Spot };
type Drag = "box" | "gather";

export function pointTool(bench: Bench): Tool {
  const { store, view, actions } = bench;
  let phase: Phase | null = null;

  const show = (kind: Drag, start: Spot, at: Spot): void => {
    if (kind === "box") return showBand(bench, start, at);
    const box = boxFrom(bench, start, at);
    view.proposals.band.value =
      box && { from: { x: box.x0, y: box.y0 }, to: { x: box.x1, y: box.y1 } };
  };
  const dragOf = ({ secondary, shift }: Press): Drag | null => {
    if (secondary) return null;
    return shift && view.proposals.shown.peek().length > 0 ? "gather" : "box";
  };
  const release = (): void => {
    phase = null;
    view.rubberBand.value = null;
    view.proposals.band.value = null;
  };

  return {
    hover(at) {
      const marker = markerAt(bench, at);
      view.hoveredPrompt.value = marker;
      view.proposals.hovered.value =
        marker === null && view.mode.peek() === "include" ? proposalAt(bench, at) : null;
    },
    down(press) {
      phase = {
        kind: "pressed",
        press,
        marker: markerAt(bench, press.at),
        proposal: press.exclude ? null : proposalAt(bench, press.at),
      };
    },
    move(at) {
      if (!phase) return;
      if (phase.kind === "pressed") {
        const drag = dragOf(phase.press);
        if (drag === null || !isDrag(phase.press, at)) return;
        view.hoveredPrompt.value = null;
        view.hoveredAnnotation.value = null;
        view.proposals.hovered.value = null;
        const start = phase.press.at;
        phase = drag === "box" ? { kind: "box", start } : { kind: "gather", start };
        return show(drag, start, at);
      }
      show(phase.kind, phase.start, at);
    },
    up(at) {
      const done = phase;
      if (done?.kind === "gather") show("gather", done.start, at);
      const gathered = view.proposals.gathered.peek().map((proposal) => proposal.id);
      release();
      if (!done || !store.image.peek()) return;
      if (done.kind === "gather") return actions.keepProposals(gathered);
      if (done.kind === "box") {
        const box = boxFrom(bench, done.start, at);
        if (box) actions.addPrompt(box);
        return;
      }
      if (isDrag(done.press, at)) return;
      if (done.marker !== null) return actions.removePrompt(done.marker);
      if (done.proposal !== null) return actions.keepProposals([done.proposal]);
      addPoint(bench, done.press.at, done.press.exclude ? 0 : 1);
    },
    canRest: () => phase?.kind === "pressed" && phase.marker === null,
    rest() {
      if (phase?.kind !== "pressed") return;
      const { at } = phase.press;
      release();
      addPoint(bench, at, 0);
    },
    cancel: release,
    click(spot, exclude) {
      const at = stageSpot(bench, spot);
      const marker = markerAt(bench, at);
      if (marker !== null) return actions.removePrompt(marker);
      const proposal = exclude ? null : proposalAt(bench, at);
      if (proposal !== null) return actions.keepProposals([proposal]);
      addPoint(bench, at, exclude ? 0 : 1);
    },
  };
}

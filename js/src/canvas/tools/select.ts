// Select: a click takes the topmost kept mask, a click on it again the one below; a drag moves the picture.
import type { Spot } from "../viewport";
import { imageSpot, isDrag, type Bench, type Press, type Tool } from "./tool";

export function selectTool(bench: Bench): Tool {
  const { store, view, actions, shapes } = bench;
  let press: Press | null = null;
  let last: Spot | null = null;

  const selectAt = (spot: Spot): void => {
    const hits = shapes.hits(store.annotations.peek(), spot.x, spot.y);
    const present = hits.indexOf(view.selected.peek() ?? "");
    actions.edit.select(hits.length === 0 ? null : hits[(present + 1) % hits.length]!);
  };

  return {
    down(next) {
      press = next;
      last = null;
    },
    move(at) {
      if (!press || (!last && !isDrag(press, at))) return;
      const from = last ?? press.at;
      view.panning.value = true;
      actions.panBy(at.x - from.x, at.y - from.y);
      last = at;
    },
    up(at) {
      const done = press;
      press = null;
      view.panning.value = false;
      if (done && !last && !isDrag(done, at)) selectAt(imageSpot(bench, done.at));
    },
    cancel() {
      press = null;
      view.panning.value = false;
    },
    click: (spot) => selectAt(spot),
  };
}

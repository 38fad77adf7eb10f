// Brush and eraser: strokes over the selected kept mask. Alt or the right button do the opposite.
import type { Spot } from "../viewport";
import { imageSpot, type Bench, type Tool } from "./tool";

/** Places of a stroke lie this share of the radius apart, or half a screen pixel. */
const SPACING = 0.2;
export const MAX_STROKE = 1000;

/** The same line in at most so many places: every second one goes until it fits; the ends stay. */
export function thinned(points: readonly Spot[], most = MAX_STROKE): readonly Spot[] {
  let left = points;
  while (left.length > most) left = left.filter((_, i) => i % 2 === 0 || i === left.length - 1);
  return left;
}

export function brushTool(bench: Bench, erases: boolean): Tool {
  const { store, view, actions, shapes } = bench;
  const { stroke, radius } = view.tools;

  const begin = (spot: Spot, opposite: boolean): boolean => {
    if (actions.edit.selected() === null) {
      const id = shapes.hit(store.annotations.peek(), spot.x, spot.y);
      if (id !== null) actions.edit.select(id);
      else actions.edit.tell("Select a kept mask first: click it");
      return false;
    }
    const id = view.selected.peek()!;
    stroke.value = { id, add: erases === opposite, radius: radius.peek(), points: [spot] };
    return true;
  };
  const end = (): void => {
    const done = stroke.peek();
    stroke.value = null;
    if (done) actions.edit.paint({ ...done, points: [...thinned(done.points)] });
  };

  return {
    down(press) {
      begin(imageSpot(bench, press.at), press.secondary || press.alt);
    },
    move(at) {
      const now = stroke.peek();
      if (!now) return;
      const spot = imageSpot(bench, at);
      view.pointer.value = spot;
      const last = now.points[now.points.length - 1]!;
      const spacing = Math.max(now.radius * SPACING, 0.5 / view.viewport.peek().scale);
      if (Math.hypot(spot.x - last.x, spot.y - last.y) < spacing) return;
      stroke.value = { ...now, points: [...now.points, spot] };
    },
    up: end,
    cancel: () => void (stroke.value = null),
    click(spot, exclude) {
      if (begin(spot, exclude)) end();
    },
  };
}

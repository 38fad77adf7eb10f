// Polygon: every click is a corner; a double click, Enter or the first corner closes it.
import type { Spot } from "../viewport";
import { addPoint, imageSpot, stageSpot, within, type Bench, type Press, type Tool } from "./tool";

/** How near the first corner a click closes (CSS pixels). */
export const CLOSE_RADIUS = 9;
const TOUCH_CLOSE_RADIUS = 20;
/** The second click of a double click falls within this of the first (CSS pixels). */
const DOUBLE_RADIUS = 6;
export const MAX_CORNERS = 200;

export function polygonTool(bench: Bench): Tool {
  const { view, actions } = bench;
  const { drawing } = view.tools;
  let press: Press | null = null;

  const addCorner = (spot: Spot): void => {
    const points = drawing.peek()?.points ?? [];
    if (points.length >= MAX_CORNERS) return actions.edit.closeDrawing();
    drawing.value = { kind: "polygon", points: [...points, within(bench, spot)], tip: null };
  };
  const closesAt = (at: Spot, radius: number): boolean => {
    const points = drawing.peek()?.points ?? [];
    if (points.length < 3) return false;
    const first = stageSpot(bench, points[0]!);
    return Math.hypot(first.x - at.x, first.y - at.y) <= radius;
  };

  return {
    hover(at) {
      const now = drawing.peek();
      if (now) drawing.value = { ...now, tip: within(bench, imageSpot(bench, at)) };
    },
    down(next) {
      press = next;
    },
    move(at) {
      const now = drawing.peek();
      if (now && press) drawing.value = { ...now, tip: within(bench, imageSpot(bench, at)) };
    },
    up(at) {
      const done = press;
      press = null;
      if (!done) return;
      if (done.secondary) {
        if (drawing.peek()) actions.edit.dropPoint();
        else addPoint(bench, done.at, 0);
        return;
      }
      if (closesAt(at, done.touch ? TOUCH_CLOSE_RADIUS : CLOSE_RADIUS)) {
        return actions.edit.closeDrawing();
      }
      addCorner(imageSpot(bench, at));
    },
    double() {
      const now = drawing.peek();
      if (!now || now.points.length < 3) return;
      const [a, b] = now.points.slice(-2).map((spot) => stageSpot(bench, spot));
      if (Math.hypot(a!.x - b!.x, a!.y - b!.y) <= DOUBLE_RADIUS) actions.edit.dropPoint();
      actions.edit.closeDrawing();
    },
    // A second finger pinches; the corners so far stay.
    cancel: () => void (press = null),
    click(spot, exclude) {
      if (exclude) return addPoint(bench, stageSpot(bench, spot), 0);
      if (closesAt(stageSpot(bench, spot), CLOSE_RADIUS)) return actions.edit.closeDrawing();
      addCorner(spot);
    },
  };
}

// Lasso: a free line around the thing, made simpler when it closes.
import { simplify } from "../../codecs/simplify";
import type { Spot } from "../viewport";
import { MAX_CORNERS } from "./polygon";
import { addPoint, imageSpot, isDrag, stageSpot, within, type Bench, type Press, type Tool } from "./tool";

/** CSS pixels between two places of the line. */
const STEP = 2;
/** How far the simpler line may leave the drawn one at first, in CSS pixels. */
const SLACK = 0.75;

/** A closed line with at most `most` corners, as near the given one as that allows. */
export function simplerLine(points: readonly Spot[], slack: number, most = MAX_CORNERS): Spot[] {
  const ring = new Float32Array(points.length * 2);
  points.forEach(({ x, y }, i) => ring.set([x, y], 2 * i));
  let simpler = simplify(ring, slack);
  for (let wider = slack; simpler.length > 2 * most; simpler = simplify(ring, wider)) wider *= 1.4;
  const corners: Spot[] = [];
  for (let i = 0; i < simpler.length; i += 2) corners.push({ x: simpler[i]!, y: simpler[i + 1]! });
  return corners;
}

export function lassoTool(bench: Bench): Tool {
  const { view, actions } = bench;
  const { drawing } = view.tools;
  let press: Press | null = null;

  return {
    down(next) {
      press = next;
    },
    move(at) {
      if (!press || press.secondary) return;
      const spot = within(bench, imageSpot(bench, at));
      const now = drawing.peek();
      if (!now) {
        if (!isDrag(press, at)) return;
        const start = within(bench, imageSpot(bench, press.at));
        drawing.value = { kind: "lasso", points: [start, spot], tip: null };
        return;
      }
      const last = stageSpot(bench, now.points[now.points.length - 1]!);
      const next = stageSpot(bench, spot);
      if (Math.hypot(last.x - next.x, last.y - next.y) < STEP) return;
      drawing.value = { ...now, points: [...now.points, spot] };
    },
    up() {
      const done = press;
      press = null;
      const now = drawing.peek();
      if (done?.secondary) return addPoint(bench, done.at, 0);
      if (!now) {
        if (done) actions.edit.tell("Draw around the object in one go");
        return;
      }
      const points = simplerLine(now.points, SLACK / view.viewport.peek().scale);
      drawing.value = { ...now, points };
      actions.edit.closeDrawing();
    },
    cancel() {
      press = null;
      drawing.value = null;
    },
    click: (spot, exclude) => addPoint(bench, stageSpot(bench, spot), exclude ? 0 : 1),
  };
}

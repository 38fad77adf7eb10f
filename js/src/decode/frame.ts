// Prompts as the network's input, and its logits as candidates: in step with segwidget's
// inference/preprocessing.py (`Frame.to_input`), predictor.py (`ranking`) and widget/protocol.py.
import type {
  BoxPrompt, BoxTuple, CandidateItem, CandidatesTrait, FrameTrait, PointPrompt, Prompt,
} from "../host/traits";
import type { Output } from "./wire";

export type Drawn = PointPrompt | BoxPrompt;

/** An answer, best first. */
export interface Answer {
  /** (C, s, s), the padding too: one of them may be given back as a mask prompt. */
  logits: Float32Array;
  /** What the network believes each mask's IoU to be, 0 to 1. */
  iou: number[];
  /** For each the mask token that it comes from. */
  tokens: number[];
  /** The worker's own time, in milliseconds. */
  ms: number;
}

const MAX_PROMPTS = 100;
/** So much beyond an edge is on it; pages and detectors compute edges in floating point. */
const EDGE_TOLERANCE = 1e-3;
const STABILITY_OFFSET = 1;
const BOX_TOP_LEFT = 2;
const BOX_BOTTOM_RIGHT = 3;
const NOT_A_POINT = -1;

/**
 * The prompts, moved onto the edge where they are a rounding error beyond it; null where this page has
 * no answer for them, or where the kernel has an objection to tell.
 */
export function drawnWithin(prompts: readonly Prompt[], region: BoxTuple): Drawn[] | null {
  if (prompts.length === 0 || prompts.length > MAX_PROMPTS) return null;
  const [x0, y0, x1, y1] = region;
  const clipX = (x: number): number => Math.min(Math.max(x, x0), x1);
  const clipY = (y: number): number => Math.min(Math.max(y, y0), y1);
  const near = (x: number, y: number): boolean =>
    Math.abs(x - clipX(x)) <= EDGE_TOLERANCE && Math.abs(y - clipY(y)) <= EDGE_TOLERANCE;
  const drawn: Drawn[] = [];
  let boxes = 0;
  for (const p of prompts) {
    if (p.type === "point") {
      if (!near(p.x, p.y)) return null;
      drawn.push({ type: "point", x: clipX(p.x), y: clipY(p.y), label: p.label });
    } else if (p.type === "box") {
      const box = { x0: clipX(p.x0), y0: clipY(p.y0), x1: clipX(p.x1), y1: clipY(p.y1) };
      if (++boxes > 1 || !near(p.x0, p.y0) || !near(p.x1, p.y1)) return null;
      if (!(box.x0 < box.x1 && box.y0 < box.y1)) return null;
      drawn.push({ type: "box", ...box });
    } else {
      return null;
    }
  }
  return drawn;
}

/**
 * Prompts as the network's points: (T, 2) input pixels with pixel centers at integers, and (T,) labels.
 * Points come first, then the box as two corners; without a box a padding point ends the list.
 */
export function toInput(
  prompts: readonly Drawn[],
  frame: FrameTrait,
): { coords: Float32Array; labels: Float32Array } {
  const corners: [number, number, number][] = [];
  const points: [number, number, number][] = [];
  for (const p of prompts) {
    if (p.type === "point") points.push([p.x, p.y, p.label]);
    else corners.push([p.x0, p.y0, BOX_TOP_LEFT], [p.x1, p.y1, BOX_BOTTOM_RIGHT]);
  }
  const all = [...points, ...corners];
  const count = all.length + (corners.length ? 0 : 1);
  const coords = new Float32Array(2 * count);
  const labels = new Float32Array(count).fill(NOT_A_POINT);
  const f32 = Math.fround; // each step rounds as the kernel's float32 does
  all.forEach(([x, y, label], i) => {
    coords[2 * i] = f32(f32(x - frame.region[0]) * f32(frame.input_scale[0])) - 0.5;
    coords[2 * i + 1] = f32(f32(y - frame.region[1]) * f32(frame.input_scale[1])) - 0.5;
    labels[i] = label;
  });
  return { coords, labels };
}

/**
 * In which order the four masks are shown: for one ambiguous point the three by predicted IoU and behind
 * them the single one ("Segment Anything", section 3), for a richer prompt the single one first.
 */
export function ranking(iou: ArrayLike<number>, ambiguous: boolean): number[] {
  const score = (token: number): number => (Number.isNaN(iou[token]!) ? -Infinity : iou[token]!);
  const three = [1, 2, 3].sort((a, b) => score(b) - score(a) || a - b);
  return ambiguous ? [...three, 0] : [0, ...three];
}

/** What the network put out, in the order in which it is shown. */
export function ranked({ logits, iou, ms }: Output, ambiguous: boolean): Answer {
  const tokens = ranking(iou, ambiguous);
  const size = logits.length / iou.length;
  const ordered = new Float32Array(logits.length);
  tokens.forEach((token, i) => {
    ordered.set(logits.subarray(token * size, (token + 1) * size), i * size);
  });
  // Regression may overshoot what an IoU can be; a network gone wrong scores with NaN.
  const predicted = tokens.map((token) => Math.min(Math.max(iou[token] || 0, 0), 1));
  return { logits: ordered, iou: predicted, tokens, ms };
}

/** The answer as the kernel would send it, for `request`; `image` is the image's own extent. */
export function candidatesOf(
  answer: Answer,
  frame: FrameTrait,
  image: { width: number; height: number },
  request = "",
): CandidatesTrait {
  const [rows, columns] = frame.logits_shape;
  const side = frame.logits_size;
  const count = answer.iou.length;
  const logits = new Float32Array(count * rows * columns);
  const items = answer.iou.map((iou, i) => {
    const from = answer.logits.subarray(i * side * side, (i + 1) * side * side);
    const to = logits.subarray(i * rows * columns, (i + 1) * rows * columns);
    for (let y = 0; y < rows; y++) {
      to.set(from.subarray(y * side, y * side + columns), y * columns);
    }
    return { predicted_iou: rounded(iou, 4), ...measured(to, columns, frame) };
  });
  const [x0, y0, x1, y1] = frame.region;
  const whole = x0 <= 0 && y0 <= 0 && x1 >= image.width && y1 >= image.height;
  return {
    request,
    items,
    tokens: answer.tokens,
    shape: [count, rows, columns],
    scale: frame.logits_scale,
    ...(whole ? {} : { region: frame.region }),
    logits,
    ms: rounded(answer.ms, 1),
    by: "page",
  };
}

/** Stability, area and box of one mask, counted in its low-resolution logits. */
function measured(
  logits: Float32Array,
  columns: number,
  { region, logits_scale: [sx, sy] }: FrameTrait,
): Omit<CandidateItem, "predicted_iou"> {
  let high = 0;
  let low = 0;
  let inside = 0;
  let [left, top, right, bottom] = [columns, Infinity, -1, -1];
  for (let i = 0, y = 0; i < logits.length; y++) {
    for (let x = 0; x < columns; x++, i++) {
      const value = logits[i]!;
      if (!(value > -STABILITY_OFFSET)) continue;
      low++;
      if (value > STABILITY_OFFSET) high++;
      if (value <= 0) continue;
      inside++;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  const [x0, y0, x1, y1] = region;
  // A low-resolution pixel may reach beyond the edge.
  const edge = (from: number, cells: number, scale: number, limit: number): number =>
    rounded(Math.min(from + cells / scale, limit), 3);
  return {
    stability_score: rounded(Math.fround(high / Math.max(low, 1)), 4),
    area: Math.min(nearest(inside / (sx * sy)), (x1 - x0) * (y1 - y0)),
    box:
      inside === 0
        ? [0, 0, 0, 0]
        : [
            edge(x0, left, sx, x1), edge(y0, top, sy, y1),
            edge(x0, right + 1, sx, x1), edge(y0, bottom + 1, sy, y1),
          ],
  };
}

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** The nearest integer, of two equally near ones the even one, as Python rounds. */
function nearest(value: number): number {
  const below = Math.floor(value);
  const half = value - below === 0.5;
  return half ? below + (below % 2) : Math.round(value);
}

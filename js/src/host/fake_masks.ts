// Simple but honest candidates without a network: regions of similar color at four tolerances.
import { encodeLogits } from "../codecs/logits";
import { insideOf, maskFrom, type Mask } from "./fake_editing";
import type { BoxPrompt, BoxTuple, CandidateItem, PointPrompt, Prompt } from "./traits";

export interface Pixels {
  width: number;
  height: number;
  /** RGBA, row by row. */
  data: Uint8ClampedArray;
}

export interface FakeAnswer {
  derived?: (PointPrompt | BoxPrompt)[];
  items: CandidateItem[];
  tokens: number[];
  shape: [number, number, number];
  scale: [number, number];
  logits: Uint8Array;
}

const LONG_SIDE = 256;
/** Of the mask tokens: the single mask, and three for ambiguous prompts. */
const TOLERANCES = [0.17, 0.055, 0.12, 0.24];

/** The picture at the resolution of the logits, colors 0 to 1. */
interface Small {
  width: number;
  height: number;
  scale: number;
  rgb: Float32Array;
}

const shrunk = new WeakMap<Pixels, Small>();

/** Once for each picture. */
function smallOf(pixels: Pixels): Small {
  let made = shrunk.get(pixels);
  if (!made) shrunk.set(pixels, (made = shrink(pixels)));
  return made;
}

function shrink(pixels: Pixels): Small {
  const scale = LONG_SIDE / Math.max(pixels.width, pixels.height);
  const width = Math.max(1, Math.round(pixels.width * scale));
  const height = Math.max(1, Math.round(pixels.height * scale));
  const rgb = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const px = Math.min(pixels.width - 1, Math.floor((x + 0.5) / scale));
      const py = Math.min(pixels.height - 1, Math.floor((y + 0.5) / scale));
      for (let k = 0; k < 3; k++) {
        rgb[(y * width + x) * 3 + k] = pixels.data[(py * pixels.width + px) * 4 + k]! / 255;
      }
    }
  }
  return { width, height, scale, rgb };
}

function distance(small: Small, i: number, color: readonly number[]): number {
  const r = small.rgb[3 * i]! - color[0]!;
  const g = small.rgb[3 * i + 1]! - color[1]!;
  const b = small.rgb[3 * i + 2]! - color[2]!;
  return Math.sqrt((r * r + g * g + b * b) / 3);
}

/** Everything connected to the seed whose color is within the tolerance of the seed's. */
function flood(small: Small, seed: number, tolerance: number, inside: Uint8Array | null): Uint8Array {
  const { width, height } = small;
  const color = [0, 1, 2].map((k) => small.rgb[3 * seed + k]!);
  const mask = new Uint8Array(width * height);
  const queue = [seed];
  mask[seed] = 1;
  while (queue.length > 0) {
    const i = queue.pop()!;
    const x = i % width;
    for (const j of [x > 0 ? i - 1 : -1, x + 1 < width ? i + 1 : -1, i - width, i + width]) {
      if (j < 0 || j >= mask.length || mask[j] || (inside && !inside[j])) continue;
      if (distance(small, j, color) > tolerance) continue;
      mask[j] = 1;
      queue.push(j);
    }
  }
  return mask;
}

/** What differs from the colors along the box's border: an object that fills its box. */
function foreground(small: Small, box: Uint8Array, tolerance: number): Uint8Array {
  const { width } = small;
  const border: number[][] = [];
  box.forEach((on, i) => {
    if (on && !(box[i - 1] && box[i + 1] && box[i - width] && box[i + width])) {
      border.push([0, 1, 2].map((k) => small.rgb[3 * i + k]!));
    }
  });
  const step = Math.max(1, Math.floor(border.length / 48));
  const palette = border.filter((_, i) => i % step === 0);
  return box.map((on, i) => {
    if (!on) return 0;
    return palette.some((color) => distance(small, i, color) < tolerance) ? 0 : 1;
  });
}

/** Smooth signed numbers around a mask's edge: two passes of a 3 x 3 mean. */
function soften(mask: Uint8Array, width: number, height: number): Float32Array {
  let field = Float32Array.from(mask, (on) => (on ? 1 : 0));
  for (let pass = 0; pass < 2; pass++) {
    const next = new Float32Array(field.length);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) {
            const px = Math.min(Math.max(x + dx, 0), width - 1);
            const py = Math.min(Math.max(y + dy, 0), height - 1);
            sum += field[py * width + px]!;
          }
        }
        next[y * width + x] = sum / 9;
      }
    }
    field = next;
  }
  return field.map((value) => (value - 0.5) * 16);
}

/** A handful of places in an area, evenly spread. */
function spread(area: Uint8Array): number[] {
  const all = [...area.keys()].filter((i) => area[i]);
  return Array.from({ length: 11 }, (_, n) => all[Math.floor(((n + 0.5) / 11) * all.length)] ?? 0);
}

function united(masks: readonly Uint8Array[]): Uint8Array {
  return masks[0]!.map((_, i) => (masks.some((mask) => mask[i]) ? 1 : 0));
}

function shrunken({ width, height, on }: Mask, small: Small): Uint8Array {
  return Uint8Array.from({ length: small.width * small.height }, (_, i) => {
    const x = Math.min(width - 1, Math.floor(((i % small.width) + 0.5) / small.scale));
    const y = Math.min(height - 1, Math.floor((Math.floor(i / small.width) + 0.5) / small.scale));
    return on[y * width + x]!;
  });
}

/** What a kernel would say that it made of an outline or a mask: its box, and a few points within. */
function derivedFrom(small: Small, area: Uint8Array): (PointPrompt | BoxPrompt)[] {
  const spots: { x: number; y: number }[] = [];
  area.forEach((on, i) => {
    if (on) spots.push({ x: (i % small.width) / small.scale, y: Math.floor(i / small.width) / small.scale });
  });
  if (spots.length === 0) return [];
  const xs = spots.map(({ x }) => x);
  const ys = spots.map(({ y }) => y);
  const box = { x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys) };
  const points = [0.3, 0.5, 0.7].map((share) => spots[Math.floor(share * spots.length)]!);
  return [
    { type: "box", ...box },
    ...points.map(({ x, y }): PointPrompt => ({ type: "point", x, y, label: 1 })),
  ];
}

/** How strongly colors change across the mask's border, as a score between 0.3 and 0.98. */
function edgeScore(small: Small, mask: Uint8Array): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i + small.width < mask.length; i++) {
    for (const j of [i + 1, i + small.width]) {
      if (mask[i] === mask[j]) continue;
      sum += distance(small, i, [0, 1, 2].map((k) => small.rgb[3 * j + k]!));
      count++;
    }
  }
  return count === 0 ? 0.3 : 0.3 + 0.68 * (1 - Math.exp((-9 * sum) / count));
}

function count(field: Float32Array, level: number): number {
  let n = 0;
  for (const value of field) if (value > level) n++;
  return n;
}

function describe(small: Small, mask: Uint8Array, field: Float32Array, full: Pixels): CandidateItem {
  let x0 = small.width;
  let y0 = small.height;
  let x1 = 0;
  let y1 = 0;
  field.forEach((value, i) => {
    if (value <= 0) return;
    const x = i % small.width;
    const y = Math.floor(i / small.width);
    x0 = Math.min(x0, x);
    y0 = Math.min(y0, y);
    x1 = Math.max(x1, x + 1);
    y1 = Math.max(y1, y + 1);
  });
  const box = [x0, y0, x1, y1].map((v, k) =>
    Math.min(Math.round(v / small.scale), k % 2 === 0 ? full.width : full.height),
  ) as BoxTuple;
  const inside = count(field, 0);
  return {
    predicted_iou: edgeScore(small, mask),
    stability_score: count(field, 1) / Math.max(1, count(field, -1)),
    area: Math.round(inside / (small.scale * small.scale)),
    box: inside > 0 ? box : [0, 0, 0, 0],
  };
}

/** Four candidates, ordered as the kernel does: the single mask last for one point, else first. */
export function answer(pixels: Pixels, prompts: readonly Prompt[]): FakeAnswer {
  const small = smallOf(pixels);
  const { width, height, scale } = small;
  const seedOf = (p: PointPrompt): number =>
    Math.min(height - 1, Math.floor(p.y * scale)) * width +
    Math.min(width - 1, Math.floor(p.x * scale));
  const points = prompts.filter((p): p is PointPrompt => p.type === "point");
  const box = prompts.filter((p): p is BoxPrompt => p.type === "box").at(-1);
  const outline = prompts.find((p) => p.type === "polygon");
  const given = prompts.find((p) => p.type === "mask");
  let inside: Uint8Array | null = null;
  if (outline) inside = insideOf(outline, width, height, scale);
  else if (box) {
    inside = Uint8Array.from({ length: width * height }, (_, i) => {
      const x = (i % width) + 0.5;
      const y = Math.floor(i / width) + 0.5;
      return x > box.x0 * scale && x < box.x1 * scale && y > box.y0 * scale && y < box.y1 * scale ? 1 : 0;
    });
  }
  const seeds = outline ? spread(insideOf({ ...outline, tolerance: 0 }, width, height, scale)) : null;
  const start = given ? shrunken(maskFrom(given.rle), small) : null;
  const found = TOLERANCES.map((tolerance, token) => {
    const mask = start
      ? Uint8Array.from(start)
      : seeds
        ? united(seeds.map((seed) => flood(small, seed, tolerance, inside)))
        : inside
          ? foreground(small, inside, tolerance)
          : new Uint8Array(width * height);
    for (const point of points) {
      const region = flood(small, seedOf(point), point.label ? tolerance : tolerance / 2, inside);
      region.forEach((on, i) => {
        if (on) mask[i] = point.label;
      });
    }
    const field = soften(mask, width, height);
    return { field, token, item: describe(small, mask, field, pixels) };
  });
  const [single, ...three] = found;
  three.sort((a, b) => b.item.predicted_iou - a.item.predicted_iou);
  const ambiguous = prompts.length === 1 && points.length === 1;
  const order = ambiguous ? [...three, single!] : [single!, ...three];
  const logits = new Uint8Array(order.length * width * height);
  order.forEach(({ field }, i) => logits.set(encodeLogits(field), i * width * height));
  const area = start ?? (outline ? inside : null);
  return {
    ...(area ? { derived: derivedFrom(small, area) } : {}),
    items: order.map((f) => f.item),
    tokens: order.map((f) => f.token),
    shape: [order.length, height, width],
    scale: [scale, scale],
    logits,
  };
}

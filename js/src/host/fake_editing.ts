// Work on kept masks for the kernel in the page: painting, tidying, combining, order.
import { boxOfRuns, decodeRle, encodeMask } from "../codecs/rle";
import type { Intent } from "./intents";
import type { AnnotationTrait, PolygonPrompt, RleTrait } from "./traits";

/** A row-major mask. */
export interface Mask {
  width: number;
  height: number;
  on: Uint8Array;
}

export function maskFrom(rle: RleTrait): Mask {
  const { width, height, ends } = decodeRle(rle.size, rle.counts);
  const on = new Uint8Array(width * height);
  for (let run = 1; run < ends.length; run += 2) {
    for (let i = ends[run - 1]!; i < ends[run]!; i++) {
      const x = Math.floor(i / height);
      on[(i - x * height) * width + x] = 1;
    }
  }
  return { width, height, on };
}

export function rleFrom({ width, height, on }: Mask): RleTrait {
  return { size: [height, width], counts: encodeMask(on, width, height) };
}

/** The annotation with another mask; null where nothing is left of it. */
function withMask(annotation: AnnotationTrait, mask: Mask): AnnotationTrait | null {
  const area = mask.on.reduce((sum, value) => sum + value, 0);
  if (area === 0) return null;
  const rle = rleFrom(mask);
  return { ...annotation, rle, area, box: boxOfRuns(decodeRle(rle.size, rle.counts)) };
}

/** Pixels whose middle is within `radius` of the line. */
function paint(mask: Mask, { add, radius, points }: Intent & { op: "paint" }): void {
  points.forEach(([bx, by], i) => {
    const [ax, ay] = points[Math.max(i - 1, 0)]!;
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const from = (a: number, b: number): number => Math.max(0, Math.floor(Math.min(a, b) - radius));
    const to = (a: number, b: number, limit: number): number =>
      Math.min(limit, Math.ceil(Math.max(a, b) + radius));
    for (let y = from(ay, by); y < to(ay, by, mask.height); y++) {
      for (let x = from(ax, bx); x < to(ax, bx, mask.width); x++) {
        const along = length > 0 ? ((x + 0.5 - ax) * (bx - ax) + (y + 0.5 - ay) * (by - ay)) / length : 0;
        const t = Math.min(Math.max(along, 0), 1);
        const off = Math.hypot(x + 0.5 - ax - t * (bx - ax), y + 0.5 - ay - t * (by - ay));
        if (off <= radius) mask.on[y * mask.width + x] = add ? 1 : 0;
      }
    }
  });
}

/** Turns patches of up to `most` pixels over, but no hole at the edge, and not the largest island. */
function dropPatches({ width, height, on }: Mask, value: 0 | 1, most: number): void {
  const seen = new Uint8Array(on.length);
  const patches: number[][] = [];
  for (let start = 0; start < on.length; start++) {
    if (seen[start] || on[start] !== value) continue;
    const patch = [start];
    let edge = false;
    seen[start] = 1;
    for (let n = 0; n < patch.length; n++) {
      const i = patch[n]!;
      const x = i % width;
      const y = Math.floor(i / width);
      edge ||= x === 0 || y === 0 || x === width - 1 || y === height - 1;
      for (const j of [x > 0 ? i - 1 : -1, x + 1 < width ? i + 1 : -1, i - width, i + width]) {
        if (j < 0 || j >= on.length || seen[j] || on[j] !== value) continue;
        seen[j] = 1;
        patch.push(j);
      }
    }
    if (!(value === 0 && edge)) patches.push(patch);
  }
  const largest = Math.max(...patches.map((patch) => patch.length));
  for (const patch of patches) {
    const stays = patch.length > most || (value === 1 && patch.length === largest);
    if (!stays) for (const i of patch) on[i] = 1 - value;
  }
}

/** What an editing intent makes of the annotations, and what the step is called; null for others. */
export function edited(
  annotations: readonly AnnotationTrait[],
  intent: Intent,
  draft: Mask | null,
): { name: string; annotations: AnnotationTrait[] } | null {
  const each = (
    ids: readonly string[], name: string, change: (mask: Mask) => void,
  ): { name: string; annotations: AnnotationTrait[] } => ({
    name,
    annotations: annotations.flatMap((a) => {
      if (!ids.includes(a.id)) return [a];
      const mask = maskFrom(a.rle);
      change(mask);
      return withMask(a, mask) ?? [];
    }),
  });
  switch (intent.op) {
    case "paint":
      return each([intent.id], intent.add ? "paint" : "erase", (mask) => paint(mask, intent));
    case "tidy":
      return each(intent.ids, "tidy", (mask) => {
        dropPatches(mask, 0, intent.holes);
        dropPatches(mask, 1, intent.islands);
      });
    case "combine": {
      if (!draft) return null;
      return each([intent.id], intent.how, ({ on }) => {
        on.forEach((value, i) => {
          const other = draft.on[i]!;
          on[i] = intent.how === "add" ? value | other : intent.how === "subtract" ? value & (1 - other) : value & other;
        });
      });
    }
    case "reorder": {
      const moved = annotations.filter((a) => intent.ids.includes(a.id));
      const rest = annotations.filter((a) => !intent.ids.includes(a.id));
      const at = annotations.findIndex((a) => intent.ids.includes(a.id));
      const place = { front: rest.length, back: 0, forward: at + 1, backward: at - 1 }[intent.to];
      const to = Math.min(Math.max(place, 0), rest.length);
      return { name: "reorder", annotations: [...rest.slice(0, to), ...moved, ...rest.slice(to)] };
    }
    default:
      return null;
  }
}

/** Pixels within an outline (even-odd), on a grid of `scale` samples a pixel. */
export function insideOf(
  { points, tolerance }: PolygonPrompt, width: number, height: number, scale: number,
): Uint8Array {
  const inside = new Uint8Array(width * height);
  const corners = points.map(([x, y]) => [x * scale, y * scale] as const);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let odd = false;
      let nearest = Infinity;
      corners.forEach(([bx, by], i) => {
        const [ax, ay] = corners[(i + corners.length - 1) % corners.length]!;
        const py = y + 0.5;
        const px = x + 0.5;
        if (ay > py !== by > py && px < ((bx - ax) * (py - ay)) / (by - ay) + ax) odd = !odd;
        const length = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
        const t = Math.min(Math.max(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length, 0), 1);
        nearest = Math.min(nearest, Math.hypot(px - ax - t * (bx - ax), py - ay - t * (by - ay)));
      });
      inside[y * width + x] = odd || nearest <= tolerance * scale ? 1 : 0;
    }
  }
  return inside;
}

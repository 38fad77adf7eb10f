// Everything mode of the kernel in the page: regions of similar color at a grid of points.
import { gridAt, maskOf } from "../codecs/logits";
import { decodeRle, encodeMask, type Runs } from "../codecs/rle";
import { answer, type Pixels } from "./fake_masks";
import type { AnnotationTrait, ProposalTrait, RleTrait } from "./traits";

const DUPLICATE = 0.8;
const LEAST_SCORE = 0.5;

export interface FakeProgress {
  done: number;
  total: number;
  found: ProposalTrait[];
}

/** Row by row of `side` points; each step gives all proposals so far. */
export function* proposeAll(pixels: Pixels, side: number): Generator<FakeProgress, void> {
  const { width, height } = pixels;
  const total = side * side;
  let found: ProposalTrait[] = [];
  for (let n = 0; n < total; n++) {
    const x = ((n % side) + 0.5) * (width / side);
    const y = (Math.floor(n / side) + 0.5) * (height / side);
    const { items, shape, scale, logits } = answer(pixels, [{ type: "point", x, y, label: 1 }]);
    items.forEach((item, i) => {
      if (item.predicted_iou < LEAST_SCORE || item.area === 0) return;
      const mask = maskOf(gridAt(logits, shape, scale, i), width, height);
      const rle: RleTrait = { size: [height, width], counts: encodeMask(mask, width, height) };
      if (found.some((other) => iouOf(other.rle, rle) >= DUPLICATE)) return;
      found = [...found, { ...item, id: `p${n}-${i}`, rle, point: [x, y] }];
    });
    if ((n + 1) % side === 0) yield { done: n + 1, total, found };
  }
}

/** The ids of the proposals that duplicate something kept. */
export function takenBy(
  kept: readonly AnnotationTrait[],
  found: readonly ProposalTrait[],
): string[] {
  return found
    .filter((p) => kept.some((a) => iouOf(p.rle, a.rle) >= DUPLICATE))
    .map((p) => p.id);
}

function iouOf(a: RleTrait, b: RleTrait): number {
  if (a.counts === b.counts) return 1;
  const one = decodeRle(a.size, a.counts);
  const two = decodeRle(b.size, b.counts);
  const both = common(one, two);
  const all = areaOf(one) + areaOf(two) - both;
  return all > 0 ? both / all : 0;
}

function areaOf({ ends }: Runs): number {
  let area = 0;
  for (let i = 1; i < ends.length; i += 2) area += ends[i]! - ends[i - 1]!;
  return area;
}

/** Pixels that are inside both. */
function common(a: Runs, b: Runs): number {
  let area = 0;
  let i = 1;
  let j = 1;
  while (i < a.ends.length && j < b.ends.length) {
    const from = Math.max(a.ends[i - 1]!, b.ends[j - 1]!);
    const to = Math.min(a.ends[i]!, b.ends[j]!);
    if (to > from) area += to - from;
    if (a.ends[i]! < b.ends[j]!) i += 2;
    else j += 2;
  }
  return area;
}

// Masks as vector shapes, made once and kept: candidates from logits, annotations from run lengths.
import { contoursOfCoverage, contoursOfLogits, type Ring } from "../codecs/contour";
import { simplify } from "../codecs/simplify";
import { gridOf } from "../codecs/logits";
import { boxOfRuns, contains, coverageOf, decodeRle, type Runs } from "../codecs/rle";
import type {
  AnnotationTrait, BoxTuple, CandidatesTrait, ImageTrait, MaskPrompt, ProposalTrait, RleTrait,
} from "../host/traits";

/** How far a kept outline may leave the pixels' stairs, in pixels of the preview. */
const SMOOTHING = 0.35;
/** A mask prompt is outlined as finely as on a grid of this side. */
const PROMPT_SIDE = 1024;

/** A mask's outline in image pixels; filled by the even-odd rule. */
export interface Shape {
  path: Path2D;
  /** How many corners it has: what it costs to draw. */
  corners: number;
}

function shapeOf(rings: readonly Ring[]): Shape {
  const path = new Path2D();
  let corners = 0;
  for (const ring of rings) {
    path.moveTo(ring[0]!, ring[1]!);
    for (let i = 2; i < ring.length; i += 2) path.lineTo(ring[i]!, ring[i + 1]!);
    path.closePath();
    corners += ring.length / 2;
  }
  return { path, corners };
}

// Keyed by the trait's value, which all views of a widget share: each answer is decoded once.
const candidateShapes = new WeakMap<CandidatesTrait, Map<number, { level: number; shape: Shape }>>();

/** A candidate's outline where its logits cross `level`; the newest level of each is kept. */
export function candidateShape(
  candidates: CandidatesTrait,
  index: number,
  image: ImageTrait,
  level = 0,
): Shape | null {
  let shapes = candidateShapes.get(candidates);
  if (!shapes) candidateShapes.set(candidates, (shapes = new Map()));
  const known = shapes.get(index);
  if (known?.level === level) return known.shape;
  const grid = gridOf(candidates, index);
  if (!grid) return null;
  const shape = shapeOf(contoursOfLogits(grid, image.width, image.height, level));
  shapes.set(index, { level, shape });
  return shape;
}

const promptShapes = new WeakMap<Pick<MaskPrompt, "rle">, Shape>();

/** The outline of a mask prompt or of the truth, made once. */
export function maskShape(prompt: Pick<MaskPrompt, "rle">): Shape {
  let shape = promptShapes.get(prompt);
  if (!shape) {
    const runs = decodeRle(prompt.rle.size, prompt.rle.counts);
    const side = Math.max(1, Math.max(runs.width, runs.height) / PROMPT_SIDE);
    const cell = { width: side, height: side };
    const rings = contoursOfCoverage(coverageOf(runs, boxOfRuns(runs), cell), cell);
    shape = shapeOf(rings.map((ring) => simplify(ring, SMOOTHING * side)));
    promptShapes.set(prompt, shape);
  }
  return shape;
}

/** What has a mask: a kept annotation, or a proposal. */
export interface Masked {
  id: string;
  rle: RleTrait;
  box: BoxTuple;
}

interface Kept {
  counts: string;
  runs: Runs;
  shape: Shape | undefined;
}

/** The shapes of one view's annotations, or of its proposals; a relabel or a hide keeps them. */
export class MaskShapes {
  readonly #kept = new Map<string, Kept>();

  #entry(masked: Masked): Kept {
    const { id, rle } = masked;
    let kept = this.#kept.get(id);
    if (!kept || kept.counts !== rle.counts) {
      kept = { counts: rle.counts, runs: decodeRle(rle.size, rle.counts), shape: undefined };
      this.#kept.set(id, kept);
    }
    return kept;
  }

  /** Whether the shape is at hand, so that asking for it costs nothing. */
  isReady({ id, rle }: Masked): boolean {
    const kept = this.#kept.get(id);
    return kept !== undefined && kept.counts === rle.counts && kept.shape !== undefined;
  }

  shape(masked: Masked, image: ImageTrait): Shape {
    const kept = this.#entry(masked);
    if (kept.shape) return kept.shape;
    // Outlines as fine as the picture on screen; finer ones would show nothing more.
    const cell = {
      width: Math.max(1, image.width / Math.max(1, image.preview_width)),
      height: Math.max(1, image.height / Math.max(1, image.preview_height)),
    };
    const rings = contoursOfCoverage(coverageOf(kept.runs, masked.box, cell), cell);
    const tolerance = SMOOTHING * Math.min(cell.width, cell.height);
    kept.shape = shapeOf(rings.map((ring) => simplify(ring, tolerance)));
    return kept.shape;
  }

  /** The topmost visible annotation under image point (x, y). */
  hit(annotations: readonly AnnotationTrait[], x: number, y: number): string | null {
    return this.hits(annotations, x, y, 1)[0] ?? null;
  }

  /** At most so many visible annotations under image point (x, y), the topmost first. */
  hits(annotations: readonly AnnotationTrait[], x: number, y: number, most = Infinity): string[] {
    const found: string[] = [];
    for (let i = annotations.length - 1; i >= 0 && found.length < most; i--) {
      const annotation = annotations[i]!;
      const [x0, y0, x1, y1] = annotation.box;
      if (!annotation.visible || x < x0 || x > x1 || y < y0 || y > y1) continue;
      if (contains(this.#entry(annotation).runs, x, y)) found.push(annotation.id);
    }
    return found;
  }

  /** The smallest proposal under image point (x, y): what lies inside others can be pointed at, too. */
  smallest(proposals: readonly ProposalTrait[], x: number, y: number): string | null {
    let found: ProposalTrait | null = null;
    for (const proposal of proposals) {
      const [x0, y0, x1, y1] = proposal.box;
      if (x < x0 || x > x1 || y < y0 || y > y1) continue;
      if (found && found.area <= proposal.area) continue;
      if (contains(this.#entry(proposal).runs, x, y)) found = proposal;
    }
    return found?.id ?? null;
  }

  /** Forgets what is no longer in the list. */
  prune(masks: readonly Masked[]): void {
    if (this.#kept.size <= masks.length) return;
    const ids = new Set(masks.map((mask) => mask.id));
    for (const id of this.#kept.keys()) if (!ids.has(id)) this.#kept.delete(id);
  }

  clear(): void {
    this.#kept.clear();
  }
}

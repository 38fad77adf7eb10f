// How kept masks look: the appearance that was chosen, in colors that show on the pixels below.
import { coverageOf, decodeRle } from "../codecs/rle";
import type { AnnotationTrait, ImageTrait } from "../host/traits";
import type { Store } from "../state/store";
import { colorOfId, contrastOn, safeColor, toLab, type Contrast, type Lab } from "./color";
import { keptStyle, type MaskStyle } from "./layers";
import type { Preview } from "./preview";

/** The picture is looked at through a grid of so many cells along its longer side. */
const SIDE = 96;
/** While there is a draft, what is kept steps back so far. */
const QUIET = 0.53;

/** The pixels below a mask, and the colors that were last chosen for them. */
interface Ground {
  counts: string;
  lab: Lab | null;
  chosen?: { color: string; fill: number; contrast: Contrast };
}

interface Grid {
  width: number;
  height: number;
  lab: Lab[];
}

function gridOf(bitmap: ImageBitmap): Grid | null {
  const shrink = SIDE / Math.max(bitmap.width, bitmap.height);
  const width = Math.max(1, Math.round(bitmap.width * shrink));
  const height = Math.max(1, Math.round(bitmap.height * shrink));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const lab = Array.from({ length: width * height }, (_, i) =>
    toLab({ r: data[4 * i]!, g: data[4 * i + 1]!, b: data[4 * i + 2]! }),
  );
  return { width, height, lab };
}

/** The mean color below a mask; null where it covers nothing. */
export function groundBelow(annotation: AnnotationTrait, image: ImageTrait, grid: Grid): Lab | null {
  const cell = { width: image.width / grid.width, height: image.height / grid.height };
  const { rle, box } = annotation;
  const cover = coverageOf(decodeRle(rle.size, rle.counts), box, cell);
  const mean = { lightness: 0, a: 0, b: 0 };
  let total = 0;
  cover.values.forEach((share, i) => {
    const x = cover.column + (i % cover.width);
    const y = cover.row + Math.floor(i / cover.width);
    const lab = x >= 0 && y >= 0 && x < grid.width && y < grid.height ? grid.lab[y * grid.width + x] : null;
    if (share <= 0 || !lab) return;
    total += share;
    mean.lightness += share * lab.lightness;
    mean.a += share * lab.a;
    mean.b += share * lab.b;
  });
  if (total === 0) return null;
  return { lightness: mean.lightness / total, a: mean.a / total, b: mean.b / total };
}

export interface Look {
  /** The color of an annotation: its label's, or its own. */
  colorOf(annotation: { id: string; label: string }): string;
  styleOf(annotation: AnnotationTrait, image: ImageTrait, quiet: boolean): MaskStyle;
}

export function createLook(store: Store, preview: Preview): Look {
  let sampled: { bitmap: ImageBitmap; grid: Grid | null } | null = null;
  let grounds = new Map<string, Ground>();

  /** Measured once for each mask and picture. */
  const groundOf = (annotation: AnnotationTrait, image: ImageTrait): Ground | null => {
    const bitmap = preview.bitmap.peek();
    if (!bitmap) return null;
    if (sampled?.bitmap !== bitmap) {
      sampled = { bitmap, grid: gridOf(bitmap) };
      grounds = new Map();
    }
    if (!sampled.grid) return null;
    const { id, rle } = annotation;
    const known = grounds.get(id);
    if (known?.counts === rle.counts) return known;
    // Those that are gone are forgotten, all at once and seldom.
    if (grounds.size > 2 * store.annotations.peek().length + 64) grounds.clear();
    const ground: Ground = { counts: rle.counts, lab: groundBelow(annotation, image, sampled.grid) };
    grounds.set(id, ground);
    return ground;
  };

  /** Chosen once for each mask, color and opacity, not in each frame. */
  const contrastOf = (ground: Ground | null, color: string, fill: number): Contrast | null => {
    if (!ground?.lab) return null;
    const { chosen } = ground;
    if (chosen?.color === color && chosen.fill === fill) return chosen.contrast;
    const contrast = contrastOn(color, ground.lab, fill);
    ground.chosen = { color, fill, contrast };
    return contrast;
  };

  const look: Look = {
    colorOf: ({ id, label }) =>
      store.appearance.peek().color_by === "object" ? colorOfId(id) : store.colorOf(label),
    styleOf(annotation, image, quiet) {
      const { opacity, show } = store.appearance.peek();
      const color = look.colorOf(annotation);
      const fill = show === "outline" ? 0 : opacity * (quiet ? QUIET : 1);
      const seen = contrastOf(groundOf(annotation, image), color, fill);
      const plain = keptStyle(seen?.line ?? color, quiet);
      return {
        ...plain,
        color: seen?.fill ?? color,
        fill,
        line: quiet ? plain.line : safeColor(seen?.line ?? color),
        width: show === "fill" ? 0 : plain.width,
        ...(seen ? { edge: seen.edge } : {}),
      };
    },
  };
  return look;
}

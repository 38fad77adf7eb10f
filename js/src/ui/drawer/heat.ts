// Numbers as colors, and grids of them on a canvas.
import type { LogitGrid } from "../../codecs/logits";

export type Rgb = readonly [number, number, number];

/** Outside to inside, white where the model is undecided. */
const DIVERGING: readonly Rgb[] = [
  [28, 60, 130], [67, 124, 190], [158, 199, 226], [246, 245, 242], [250, 187, 140], [222, 92, 64], [140, 20, 44],
];
/** Little to much, to be laid over a dark picture. */
const GLOW: readonly Rgb[] = [
  [38, 12, 74], [110, 24, 110], [190, 48, 92], [240, 104, 50], [252, 178, 48], [252, 250, 176],
];

/** The color at `t`, 0 to 1, between evenly spaced stops. */
export function between(stops: readonly Rgb[], t: number): Rgb {
  const last = stops.length - 1;
  const at = Math.min(Math.max(t, 0), 1) * last;
  const low = Math.min(Math.floor(at), last - 1);
  const share = at - low;
  const a = stops[low]!;
  const b = stops[low + 1]!;
  return [0, 1, 2].map((k) => Math.round(a[k]! + share * (b[k]! - a[k]!))) as unknown as Rgb;
}

const table = (stops: readonly Rgb[]): readonly Rgb[] =>
  Array.from({ length: 256 }, (_, i) => between(stops, i / 255));
const DIVERGING_OF_BYTE = table(DIVERGING);
const GLOW_OF_BYTE = table(GLOW);

/** The scale of logits as a CSS gradient, from the lowest to the highest. */
export const DIVERGING_GRADIENT = `linear-gradient(to right, ${DIVERGING.map(([r, g, b]) => `rgb(${r} ${g} ${b})`).join(", ")})`;

const LIMITS = [4, 6, 8, 10, 15, 20, 30];

/** Up to which logit, either way, the colors of these grids should reach: most of what they hold. */
export function limitOf(grids: readonly LogitGrid[]): number {
  const sizes: number[] = [];
  for (const { values } of grids) {
    // Some hundreds of samples say it as well as all.
    const step = Math.max(1, Math.floor(values.length / 997));
    for (let i = 0; i < values.length; i += step) sizes.push(Math.abs(values[i]!));
  }
  sizes.sort((a, b) => a - b);
  const most = sizes[Math.floor(0.98 * (sizes.length - 1))] ?? 0;
  return LIMITS.find((limit) => limit >= most) ?? LIMITS[LIMITS.length - 1]!;
}

function canvasOf(width: number, height: number, pixel: (i: number) => readonly number[]): HTMLCanvasElement | null {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return null;
  const data = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) data.data.set(pixel(i), 4 * i);
  context.putImageData(data, 0, 0);
  return canvas;
}

/** A grid of logits as a small canvas, one pixel for each sample. */
export function logitPicture(grid: LogitGrid, limit: number): HTMLCanvasElement | null {
  return canvasOf(grid.width, grid.height, (i) => {
    const share = (grid.values[i]! / limit + 1) / 2;
    const [r, g, b] = DIVERGING_OF_BYTE[Math.round(255 * Math.min(Math.max(share, 0), 1))]!;
    return [r, g, b, 255];
  });
}

/** Gray pixels of a decoded picture as a glow that is the clearer the brighter they are. */
export function glowOf(bitmap: ImageBitmap): HTMLCanvasElement | null {
  const gray = document.createElement("canvas");
  gray.width = bitmap.width;
  gray.height = bitmap.height;
  const context = gray.getContext("2d");
  if (!context) return null;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, gray.width, gray.height);
  return canvasOf(gray.width, gray.height, (i) => {
    const value = data[4 * i]!;
    return [...GLOW_OF_BYTE[value]!, Math.round(255 * (value / 255) ** 0.7)];
  });
}

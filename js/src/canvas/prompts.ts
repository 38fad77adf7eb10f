// From places on the stage to prompts in the image, and from a place back to the prompt that lies there.
import { boxOfRuns, decodeRle } from "../codecs/rle";
import type { BoxPrompt, BoxTuple, MaskPrompt, PointPrompt, Prompt } from "../host/traits";
import { isInside, toImage, toStage, type Size, type Spot, type Viewport } from "./viewport";

/** A pointer that moved less than this (CSS pixels) clicked; more, and it drew a box. */
export const DRAG_DISTANCE = 4;

/** How near a marker's middle the pointer must be to take it (CSS pixels). */
export const MARKER_RADIUS = 9;

/** As fine as anybody points, and short as text. */
export const hundredths = (value: number): number => Math.round(value * 100) / 100;

const upTo = (limit: number, value: number): number => Math.min(hundredths(value), limit);

/** The point prompt for a place in the image. */
export function pointOn(spot: Spot, image: Size, label: 0 | 1): PointPrompt {
  return {
    type: "point",
    x: upTo(image.width - 0.01, spot.x),
    y: upTo(image.height - 0.01, spot.y),
    label,
  };
}

/** The point prompt for a stage place, or null where that lies outside the image. */
export function pointAt(
  view: Viewport,
  at: Spot,
  image: Size,
  label: 0 | 1,
): PointPrompt | null {
  const spot = toImage(view, at);
  return isInside(spot, image) ? pointOn(spot, image, label) : null;
}

/** The box between two stage places, cut to the image; null where less than a pixel is left. */
export function boxBetween(view: Viewport, a: Spot, b: Spot, image: Size): BoxPrompt | null {
  const p = toImage(view, a);
  const q = toImage(view, b);
  const cut = (value: number, limit: number): number =>
    upTo(limit, Math.min(Math.max(value, 0), limit));
  const box: BoxPrompt = {
    type: "box",
    x0: cut(Math.min(p.x, q.x), image.width),
    y0: cut(Math.min(p.y, q.y), image.height),
    x1: cut(Math.max(p.x, q.x), image.width),
    y1: cut(Math.max(p.y, q.y), image.height),
  };
  return box.x1 - box.x0 >= 1 && box.y1 - box.y0 >= 1 ? box : null;
}

/** The box around a prompt, in image pixels; a point's is the point. */
export function extentOf(prompt: Prompt): BoxTuple {
  switch (prompt.type) {
    case "point":
      return [prompt.x, prompt.y, prompt.x, prompt.y];
    case "box":
      return [prompt.x0, prompt.y0, prompt.x1, prompt.y1];
    case "polygon": {
      const xs = prompt.points.map(([x]) => x);
      const ys = prompt.points.map(([, y]) => y);
      return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    }
    case "mask":
      return extentOfMask(prompt);
  }
}

const maskExtents = new WeakMap<MaskPrompt, BoxTuple>();

/** Once a prompt: a mask is large, and markers are looked for at every move of the pointer. */
function extentOfMask(prompt: MaskPrompt): BoxTuple {
  let extent = maskExtents.get(prompt);
  if (!extent) {
    extent = boxOfRuns(decodeRle(prompt.rle.size, prompt.rle.counts));
    maskExtents.set(prompt, extent);
  }
  return extent;
}

/** Where a prompt's marker sits in the image: a point's own place, else the top right corner. */
export function markerSpot(prompt: Prompt): Spot {
  const [, y0, x1] = extentOf(prompt);
  return prompt.type === "point" ? { x: prompt.x, y: prompt.y } : { x: x1, y: y0 };
}

/** The newest prompt whose marker lies under a stage place. */
export function promptAt(prompts: readonly Prompt[], view: Viewport, at: Spot): number | null {
  for (let i = prompts.length - 1; i >= 0; i--) {
    const marker = toStage(view, markerSpot(prompts[i]!));
    if (Math.hypot(marker.x - at.x, marker.y - at.y) <= MARKER_RADIUS) return i;
  }
  return null;
}

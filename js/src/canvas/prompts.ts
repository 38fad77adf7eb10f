// From places on the stage to prompts in the image, and from a place back to the prompt that lies there.
import type { BoxPrompt, PointPrompt, Prompt } from "../host/traits";
import { isInside, toImage, toStage, type Size, type Spot, type Viewport } from "./viewport";

/** A pointer that moved less than this (CSS pixels) clicked; more, and it drew a box. */
export const DRAG_DISTANCE = 4;

/** How near a marker's middle the pointer must be to take it (CSS pixels). */
export const MARKER_RADIUS = 9;

const hundredths = (value: number, limit: number): number =>
  Math.min(Math.round(value * 100) / 100, limit);

/** The point prompt for a stage place, or null where that lies outside the image. */
export function pointAt(
  view: Viewport,
  at: Spot,
  image: Size,
  label: 0 | 1,
): PointPrompt | null {
  const spot = toImage(view, at);
  if (!isInside(spot, image)) return null;
  return {
    type: "point",
    x: hundredths(spot.x, image.width - 0.01),
    y: hundredths(spot.y, image.height - 0.01),
    label,
  };
}

/** The box between two stage places, cut to the image; null where less than a pixel is left. */
export function boxBetween(view: Viewport, a: Spot, b: Spot, image: Size): BoxPrompt | null {
  const p = toImage(view, a);
  const q = toImage(view, b);
  const cut = (value: number, limit: number): number =>
    hundredths(Math.min(Math.max(value, 0), limit), limit);
  const box: BoxPrompt = {
    type: "box",
    x0: cut(Math.min(p.x, q.x), image.width),
    y0: cut(Math.min(p.y, q.y), image.height),
    x1: cut(Math.max(p.x, q.x), image.width),
    y1: cut(Math.max(p.y, q.y), image.height),
  };
  return box.x1 - box.x0 >= 1 && box.y1 - box.y0 >= 1 ? box : null;
}

/** Where a prompt's marker sits in the image: a point's own place, a box's top right corner. */
export function markerSpot(prompt: Prompt): Spot {
  return prompt.type === "point" ? { x: prompt.x, y: prompt.y } : { x: prompt.x1, y: prompt.y0 };
}

/** The newest prompt whose marker lies under a stage place. */
export function promptAt(prompts: readonly Prompt[], view: Viewport, at: Spot): number | null {
  for (let i = prompts.length - 1; i >= 0; i--) {
    const marker = toStage(view, markerSpot(prompts[i]!));
    if (Math.hypot(marker.x - at.x, marker.y - at.y) <= MARKER_RADIUS) return i;
  }
  return null;
}

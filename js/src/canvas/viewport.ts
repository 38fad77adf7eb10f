// Where the image lies on the stage: pure affine arithmetic, no canvas and no signals.

/** Stage point = image point * scale + offset, in CSS pixels. */
export interface Viewport {
  scale: number;
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

export interface Spot {
  x: number;
  y: number;
}

export const MAX_SCALE = 40;

/** Room between the fitted image and the stage's edge, in CSS pixels. */
const MARGIN = 12;
const NARROW_MARGIN = 6;

export function toStage(view: Viewport, spot: Spot): Spot {
  return { x: spot.x * view.scale + view.x, y: spot.y * view.scale + view.y };
}

export function toImage(view: Viewport, spot: Spot): Spot {
  return { x: (spot.x - view.x) / view.scale, y: (spot.y - view.y) / view.scale };
}

function fitScale(stage: Size, image: Size): number {
  const margin = stage.width < 500 ? NARROW_MARGIN : MARGIN;
  const width = Math.max(stage.width - 2 * margin, 1);
  const height = Math.max(stage.height - 2 * margin, 1);
  return Math.min(width / image.width, height / image.height, MAX_SCALE);
}

/** The whole image, as large as the stage allows, in the middle. */
export function fit(stage: Size, image: Size): Viewport {
  const scale = fitScale(stage, image);
  return {
    scale,
    x: (stage.width - image.width * scale) / 2,
    y: (stage.height - image.height * scale) / 2,
  };
}

/** Keeps the image in sight: an axis that fits is centered, a longer one ends at the stage's edge. */
export function clamp(view: Viewport, stage: Size, image: Size): Viewport {
  const least = Math.min(fitScale(stage, image), 1) / 2;
  const scale = Math.min(Math.max(view.scale, least), MAX_SCALE);
  const axis = (offset: number, extent: number, room: number): number =>
    extent <= room ? (room - extent) / 2 : Math.min(0, Math.max(room - extent, offset));
  return {
    scale,
    x: axis(view.x, image.width * scale, stage.width),
    y: axis(view.y, image.height * scale, stage.height),
  };
}

/** Zooms by `factor`; the image point under `at` (a stage point) stays where it is. */
export function zoomAt(view: Viewport, at: Spot, factor: number, stage: Size, image: Size): Viewport {
  const least = Math.min(fitScale(stage, image), 1) / 2;
  const scale = Math.min(Math.max(view.scale * factor, least), MAX_SCALE);
  const under = toImage(view, at);
  return clamp({ scale, x: at.x - under.x * scale, y: at.y - under.y * scale }, stage, image);
}

export function pan(view: Viewport, dx: number, dy: number, stage: Size, image: Size): Viewport {
  return clamp({ ...view, x: view.x + dx, y: view.y + dy }, stage, image);
}

export function isInside(spot: Spot, image: Size): boolean {
  return spot.x >= 0 && spot.y >= 0 && spot.x < image.width && spot.y < image.height;
}

/** A stage that changed its size keeps a fitted image fitted and any other view centered as it was. */
export function resized(view: Viewport, before: Size, after: Size, image: Size): Viewport {
  const fitted = fit(before, image);
  if (before.width < 1 || Math.abs(view.scale - fitted.scale) < 1e-6) return fit(after, image);
  const dx = (after.width - before.width) / 2;
  const dy = (after.height - before.height) / 2;
  return pan(view, dx, dy, after, image);
}

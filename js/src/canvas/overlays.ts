// What the tools lay over the picture: region, strokes, selection, outlines being drawn, crosshair, cursors.
import { computed, type ReadonlySignal } from "@preact/signals";
import type { BoxTuple, ImageTrait, Prompt } from "../host/traits";
import type { Store } from "../state/store";
import type { Drawing, Stroke } from "../state/tool_state";
import type { ViewState } from "../state/view_state";
import { rgba } from "./color";
import { inImage, onStage, type Frame } from "./layers";
import type { Preview } from "./preview";
import { maskShape, type MaskShapes, type Shape } from "./shapes";
import { LONG_PRESS_MS } from "./pointer";
import { CLOSE_RADIUS } from "./tools/polygon";
import { toStage, type Spot } from "./viewport";

const DARK = "rgba(12, 15, 20, 0.62)";
const WHITE = "#ffffff";
const ACCENT = "#2b62d9";
const BAND = "rgba(88, 140, 255, 0.26)";
const OUTSIDE = "rgba(10, 12, 16, 0.5)";
const TRUTH = "#ffd400";
const RING_RADIUS = 26;

/** Strokes the present path twice, so that it shows on any ground. */
function strokeTwice(frame: Frame, width: number, color: string, unit = 1): void {
  const { context } = frame;
  const dash = context.getLineDash();
  context.setLineDash([]);
  context.strokeStyle = DARK;
  context.lineWidth = (width + 1.75) * unit;
  context.stroke();
  context.setLineDash(dash);
  context.strokeStyle = color;
  context.lineWidth = width * unit;
  context.stroke();
}

function trace(frame: Frame, points: readonly Spot[], closed: boolean): void {
  const { context, view } = frame;
  context.beginPath();
  points.forEach((spot, i) => {
    const { x, y } = toStage(view, spot);
    if (i === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
  if (closed) context.closePath();
}

/** Everything outside of a region is dimmed. */
export function drawRegion(frame: Frame, image: ImageTrait, [x0, y0, x1, y1]: BoxTuple): void {
  const { context, view } = frame;
  inImage(frame);
  context.beginPath();
  context.rect(0, 0, image.width, image.height);
  context.rect(x0, y0, x1 - x0, y1 - y0);
  context.fillStyle = OUTSIDE;
  context.fill("evenodd");
  context.beginPath();
  context.rect(x0, y0, x1 - x0, y1 - y0);
  strokeTwice(frame, 1.25, WHITE, 1 / view.scale);
}

/** A stroke as it will look: the picture as it is below, with the mask's color where it adds. */
export function drawStroke(
  frame: Frame, { points, radius, add }: Stroke, color: string, fill: number,
  bitmap: ImageBitmap | null, image: ImageTrait,
): void {
  const { context } = frame;
  inImage(frame);
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = 2 * radius;
  const path = (): void => {
    context.beginPath();
    const [first, ...rest] = points;
    if (!first) return;
    context.moveTo(first.x, first.y);
    for (const { x, y } of rest.length > 0 ? rest : [{ x: first.x + 1e-3, y: first.y }]) {
      context.lineTo(x, y);
    }
    context.stroke();
  };
  const plain = bitmap && context.createPattern(bitmap, "no-repeat");
  if (plain) {
    plain.setTransform({ a: image.width / bitmap.width, d: image.height / bitmap.height });
    context.strokeStyle = plain;
    path();
  }
  if (add || !plain) {
    context.strokeStyle = add ? rgba(color, fill) : "rgba(255, 255, 255, 0.5)";
    path();
  }
}

/** Around the selected mask: white dashes on the accent color, as nothing else has. */
export function drawSelected(frame: Frame, shape: Shape): void {
  const { context, view } = frame;
  inImage(frame);
  context.lineJoin = "round";
  const unit = 1 / view.scale;
  context.strokeStyle = WHITE;
  context.lineWidth = 4.5 * unit;
  context.stroke(shape.path);
  context.strokeStyle = ACCENT;
  context.lineWidth = 2.75 * unit;
  context.stroke(shape.path);
  context.strokeStyle = WHITE;
  context.lineWidth = 1.5 * unit;
  context.setLineDash([5 * unit, 5 * unit]);
  context.stroke(shape.path);
  context.setLineDash([]);
}

/** The ground truth: a dotted line in a color that no label has by default, and nothing inside. */
export function drawTruth(frame: Frame, shape: Shape): void {
  const { context, view } = frame;
  inImage(frame);
  const unit = 1 / view.scale;
  context.lineJoin = "round";
  context.lineCap = "butt";
  context.strokeStyle = DARK;
  context.lineWidth = 4 * unit;
  context.stroke(shape.path);
  context.strokeStyle = TRUTH;
  context.lineWidth = 2 * unit;
  context.setLineDash([6 * unit, 3 * unit]);
  context.stroke(shape.path);
  context.setLineDash([]);
}

function drawBand(frame: Frame, points: readonly Spot[], tolerance: number, closed: boolean): void {
  const { context, view } = frame;
  onStage(frame);
  context.lineCap = context.lineJoin = "round";
  trace(frame, points, closed);
  context.strokeStyle = BAND;
  context.lineWidth = Math.max(2 * tolerance * view.scale, 3);
  context.stroke();
}

/** An outline or a mask that a draft starts from, and what was derived from it. */
export function drawArea(
  frame: Frame, prompt: Prompt, derived: readonly Prompt[],
): void {
  const { context, view } = frame;
  if (prompt.type === "polygon") {
    const points = prompt.points.map(([x, y]) => ({ x, y }));
    drawBand(frame, points, prompt.tolerance, true);
    trace(frame, points, true);
    context.setLineDash([6, 4]);
    strokeTwice(frame, 1.5, WHITE);
  } else if (prompt.type === "mask") {
    inImage(frame);
    const shape = maskShape(prompt);
    const unit = 1 / view.scale;
    context.setLineDash([]);
    context.strokeStyle = DARK;
    context.lineWidth = 3.25 * unit;
    context.stroke(shape.path);
    context.setLineDash([6 * unit, 4 * unit]);
    context.strokeStyle = WHITE;
    context.lineWidth = 1.5 * unit;
    context.stroke(shape.path);
  }
  context.setLineDash([]);
  onStage(frame);
  for (const made of derived) {
    if (made.type === "box") {
      const { x0, y0, x1, y1 } = made;
      trace(frame, [{ x: x0, y: y0 }, { x: x1, y: y0 }, { x: x1, y: y1 }, { x: x0, y: y1 }], true);
      context.setLineDash([2, 4]);
      context.strokeStyle = "rgba(255, 255, 255, 0.7)";
      context.lineWidth = 1.25;
      context.stroke();
      context.setLineDash([]);
    } else if (made.type === "point") {
      const at = toStage(view, made);
      context.beginPath();
      context.arc(at.x, at.y, 3.5, 0, 2 * Math.PI);
      context.fillStyle = made.label === 0 ? "rgba(200, 30, 58, 0.75)" : "rgba(21, 128, 61, 0.75)";
      context.fill();
      context.strokeStyle = "rgba(255, 255, 255, 0.75)";
      context.lineWidth = 1;
      context.stroke();
    }
  }
}

export function drawDrawing(frame: Frame, { kind, points, tip }: Drawing, tolerance: number): void {
  const { context, view } = frame;
  const line = tip ? [...points, tip] : points;
  drawBand(frame, line, tolerance, kind === "lasso");
  trace(frame, line, false);
  strokeTwice(frame, 1.75, WHITE);
  if (kind === "lasso") return;
  if (line.length > 2) {
    trace(frame, [line[line.length - 1]!, points[0]!], false);
    context.setLineDash([3, 4]);
    context.strokeStyle = "rgba(255, 255, 255, 0.75)";
    context.lineWidth = 1.25;
    context.stroke();
    context.setLineDash([]);
  }
  points.forEach((spot, i) => {
    const at = toStage(view, spot);
    const first = i === 0 && points.length > 2;
    context.beginPath();
    context.arc(at.x, at.y, first ? CLOSE_RADIUS - 3 : 3.5, 0, 2 * Math.PI);
    context.fillStyle = first ? ACCENT : WHITE;
    context.fill();
    context.strokeStyle = first ? WHITE : DARK;
    context.lineWidth = first ? 2 : 1.25;
    context.stroke();
  });
}

function ring(frame: Frame, at: Spot, radius: number, dash: number[]): void {
  const { context } = frame;
  onStage(frame);
  context.beginPath();
  context.arc(at.x, at.y, Math.max(radius, 1.5), 0, 2 * Math.PI);
  context.setLineDash(dash);
  strokeTwice(frame, 1.25, WHITE);
  context.setLineDash([]);
}

function drawCrosshair(frame: Frame, spot: Spot): void {
  const { context, stage, view } = frame;
  const at = toStage(view, spot);
  const x = Math.round(at.x) + 0.5;
  const y = Math.round(at.y) + 0.5;
  onStage(frame);
  context.beginPath();
  for (const [x0, y0, x1, y1] of [
    [0, y, x - 7, y], [x + 7, y, stage.width, y], [x, 0, x, y - 7], [x, y + 7, x, stage.height],
  ] as const) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  strokeTwice(frame, 1, "rgba(255, 255, 255, 0.85)");
  ring(frame, { x, y }, 7, []);
  context.fillStyle = ACCENT;
  context.fillRect(x - 1.5, y - 1.5, 3, 3);
}

/** The growing ring under a resting finger. */
function drawRest(frame: Frame, at: Spot, share: number): void {
  const { context } = frame;
  onStage(frame);
  context.beginPath();
  context.arc(at.x, at.y, RING_RADIUS, 0, 2 * Math.PI);
  context.strokeStyle = "rgba(12, 15, 20, 0.45)";
  context.lineWidth = 6;
  context.stroke();
  context.beginPath();
  context.arc(at.x, at.y, RING_RADIUS, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * share);
  context.strokeStyle = "#fb7185";
  context.lineWidth = 4;
  context.stroke();
}

export interface Overlays {
  /** What they depend on, besides zoom and size. */
  readonly signals: readonly ReadonlySignal<unknown>[];
  paintRegion(frame: Frame, image: ImageTrait): void;
  /** Strokes over kept masks, and the selected one's outline. */
  paintWork(frame: Frame, image: ImageTrait): void;
  /** What a draft's outline or mask prompt looks like. */
  paintAreas(frame: Frame): void;
  /** What is in hand: on top of everything. */
  paintHand(frame: Frame): void;
}

export function createOverlays(
  store: Store, view: ViewState, preview: Preview, shapes: MaskShapes, repaint: () => void,
  still: MediaQueryList, colorOf: (annotation: { id: string; label: string }) => string,
): Overlays {
  const { tools } = view;
  // Only the brush is drawn where the pointer is.
  const brushSpot = computed(() => {
    const paints = tools.tool.value === "brush" || tools.tool.value === "eraser";
    return paints ? view.pointer.value : null;
  });
  const hand = (frame: Frame): void => {
    const tool = tools.tool.peek();
    const drawing = tools.drawing.peek();
    if (drawing) drawDrawing(frame, drawing, tools.tolerance.peek());
    for (const { from, to } of tools.boxes.peek()) {
      onStage(frame);
      trace(frame, [from, { x: to.x, y: from.y }, to, { x: from.x, y: to.y }], true);
      frame.context.setLineDash([6, 4]);
      strokeTwice(frame, 1.5, "rgba(255, 255, 255, 0.8)");
      frame.context.setLineDash([]);
    }
    const corner = tools.corner.peek();
    if (corner) ring(frame, toStage(frame.view, corner), 4, []);
    const crosshair = tools.crosshair.peek();
    if (crosshair) drawCrosshair(frame, crosshair);
    const at = crosshair ?? brushSpot.peek();
    if (at && (tool === "brush" || tool === "eraser") && view.selected.peek() !== null) {
      const dash = tool === "eraser" ? [4, 3] : [];
      ring(frame, toStage(frame.view, at), tools.radius.peek() * frame.view.scale, dash);
    }
    const rest = tools.longPress.peek();
    if (rest) {
      const share = Math.min((performance.now() - rest.started) / LONG_PRESS_MS, 1);
      drawRest(frame, rest.at, still.matches ? 1 : share);
      if (!still.matches) repaint();
    }
  };
  return {
    signals: [
      view.selected, brushSpot, store.region, store.appearance, tools.tool, tools.tolerance,
      tools.radius, tools.drawing, tools.stroke, tools.strokes, tools.boxes, tools.crosshair,
      tools.corner, tools.longPress, view.truthOutline, store.truth_target,
    ],
    paintRegion(frame, image) {
      const region = store.region.peek();
      if (region) drawRegion(frame, image, region);
    },
    paintWork(frame, image) {
      const annotations = store.annotations.peek();
      const live = tools.stroke.peek();
      const { opacity, show } = store.appearance.peek();
      for (const stroke of live ? [...tools.strokes.peek(), live] : tools.strokes.peek()) {
        const annotation = annotations.find((a) => a.id === stroke.id);
        if (!annotation) continue;
        const fill = show === "outline" ? 0.3 : Math.max(opacity, 0.15);
        drawStroke(frame, stroke, colorOf(annotation), fill, preview.bitmap.peek(), image);
      }
      const selected = annotations.find((a) => a.id === view.selected.peek());
      if (selected) drawSelected(frame, shapes.shape(selected, image));
    },
    paintAreas(frame) {
      const target = view.truthOutline.peek() ? store.truth_target.peek() : null;
      if (target) drawTruth(frame, maskShape(target));
      const [first] = store.prompts.peek();
      const derived = store.shown.peek()?.derived ?? [];
      if (first && (first.type === "polygon" || first.type === "mask")) drawArea(frame, first, derived);
    },
    paintHand: hand,
  };
}

// What lies on the stage, from bottom to top: picture, kept masks, proposals, candidate, prompts, bands.
// Every function draws one layer; shapes come in image pixels, line widths in CSS pixels.
import type { BoxTuple, ImageTrait, Prompt } from "../host/traits";
import { inkOn, rgba, safeColor } from "./color";
import { extentOf, markerSpot } from "./prompts";
import type { Shape } from "./shapes";
import { toStage, type Size, type Spot, type Viewport } from "./viewport";

const CASING = "rgba(0, 0, 0, 0.5)";
const INCLUDE = "#15803d";
const EXCLUDE = "#c81e3a";
/** From this zoom on a person wants to see the pixels themselves. */
const PIXELS_FROM = 3;

export type Context = CanvasRenderingContext2D;

export interface Frame {
  context: Context;
  view: Viewport;
  stage: Size;
  ratio: number;
  font: string;
}

export function inImage({ context, view, ratio }: Frame): void {
  const k = view.scale * ratio;
  context.setTransform(k, 0, 0, k, view.x * ratio, view.y * ratio);
}

export function onStage({ context, ratio }: Frame): void {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

export function drawImage(frame: Frame, bitmap: ImageBitmap, image: ImageTrait): void {
  const { context, view } = frame;
  inImage(frame);
  // Where tiles are to come, the preview's pixels are not the image's.
  const coarse = image.tiles !== undefined && image.tiles !== null;
  context.imageSmoothingEnabled =
    coarse || (view.scale * image.width) / bitmap.width <= PIXELS_FROM;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, image.width, image.height);
}

export interface MaskStyle {
  color: string;
  fill: number;
  line: string;
  width: number;
  /** How much wider the dark line below is, by default 1.5. */
  casing?: number;
  /** The color of that line. */
  edge?: string;
  dash?: readonly number[];
}

export const keptStyle = (color: string, quiet: boolean): MaskStyle => ({
  color,
  fill: quiet ? 0.16 : 0.3,
  line: rgba(color, quiet ? 0.75 : 1),
  width: 1.5,
});
export const hoveredStyle = (color: string): MaskStyle => ({
  color,
  fill: 0.5,
  line: "#ffffff",
  width: 2,
});
/** Thin and light: there may be hundreds, and the picture must stay in sight. */
export const proposalStyle = (color: string, quiet: boolean): MaskStyle => ({
  color,
  fill: quiet ? 0.06 : 0.22,
  line: rgba(color, quiet ? 0.5 : 1),
  width: quiet ? 0.75 : 1.25,
  casing: quiet ? 0 : 0.75,
});
export const gatheredStyle = (color: string): MaskStyle => ({
  color,
  fill: 0.45,
  line: "#ffffff",
  width: 1.25,
});
export const candidateStyle = (color: string): MaskStyle => ({
  color,
  fill: 0.48,
  line: "#ffffff",
  width: 1.75,
});

/** What a click would answer: lighter than a candidate, so that nobody takes it for one. */
export const previewStyle = (color: string): MaskStyle => ({
  color,
  fill: 0.3,
  line: rgba("#ffffff", 0.85),
  width: 1.25,
  dash: [5, 4],
});
/** Kept in this page; the kernel has yet to confirm it. */
export const pendingStyle = (color: string): MaskStyle => ({
  color,
  fill: 0.3,
  line: safeColor(color),
  width: 1.5,
  dash: [3, 3],
});

export function drawMask(frame: Frame, shape: Shape, style: MaskStyle): void {
  const { context, view } = frame;
  inImage(frame);
  context.lineJoin = "bevel"; // much cheaper than round ones, and lines this thin look the same
  context.fillStyle = rgba(style.color, style.fill);
  context.fill(shape.path, "evenodd");
  if (style.width <= 0) return;
  const casing = style.casing ?? 1.5;
  if (casing > 0) {
    context.strokeStyle = style.edge ?? CASING;
    context.lineWidth = (style.width + casing) / view.scale;
    context.stroke(shape.path);
  }
  context.strokeStyle = style.line;
  context.lineWidth = style.width / view.scale;
  if (style.dash) context.setLineDash(style.dash.map((length) => length / view.scale));
  context.stroke(shape.path);
  if (style.dash) context.setLineDash([]);
}

/** A hidden annotation that is hovered in the list: its outline only, dashed. */
export function drawGhost(frame: Frame, shape: Shape, color: string): void {
  const { context, view } = frame;
  inImage(frame);
  context.setLineDash([5 / view.scale, 4 / view.scale]);
  context.strokeStyle = CASING;
  context.lineWidth = 3 / view.scale;
  context.stroke(shape.path);
  context.strokeStyle = safeColor(color);
  context.lineWidth = 1.5 / view.scale;
  context.stroke(shape.path);
  context.setLineDash([]);
}

/** A small tag above a mask: what it is and its scores, as text. */
export function drawTag(frame: Frame, box: BoxTuple, text: string, color: string): void {
  const [x0, y0, x1] = box;
  const top = toStage(frame.view, { x: (x0 + x1) / 2, y: y0 });
  pill(frame, text, top.x, top.y - 16, { background: safeColor(color), ink: inkOn(color) });
}

function pill(
  frame: Frame,
  text: string,
  x: number,
  y: number,
  colors: { background: string; ink: string },
): void {
  const { context, stage } = frame;
  onStage(frame);
  context.font = `600 11px ${frame.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const width = context.measureText(text).width + 14;
  const height = 20;
  const cx = Math.min(Math.max(x, width / 2 + 4), stage.width - width / 2 - 4);
  const cy = Math.min(Math.max(y, height / 2 + 4), stage.height - height / 2 - 4);
  context.fillStyle = colors.background;
  context.beginPath();
  context.roundRect(cx - width / 2, cy - height / 2, width, height, 5);
  context.fill();
  context.strokeStyle = "rgba(0, 0, 0, 0.25)";
  context.lineWidth = 1;
  context.stroke();
  context.fillStyle = colors.ink;
  context.fillText(text, cx, cy + 0.5);
}

function dashedRect(frame: Frame, a: Spot, b: Spot, color: string): void {
  const { context } = frame;
  onStage(frame);
  // Half-pixel places keep thin lines crisp.
  const x = Math.round(Math.min(a.x, b.x)) + 0.5;
  const y = Math.round(Math.min(a.y, b.y)) + 0.5;
  const width = Math.round(Math.abs(b.x - a.x));
  const height = Math.round(Math.abs(b.y - a.y));
  context.lineWidth = 3;
  context.strokeStyle = CASING;
  context.strokeRect(x, y, width, height);
  context.lineWidth = 1.5;
  context.setLineDash([6, 4]);
  context.strokeStyle = color;
  context.strokeRect(x, y, width, height);
  context.setLineDash([]);
}

/** A rectangle that follows the pointer; `text` says what it is good for. */
export function drawBand(frame: Frame, a: Spot, b: Spot, text: string): void {
  const { context, view } = frame;
  const from = toStage(view, a);
  const to = toStage(view, b);
  onStage(frame);
  context.fillStyle = "rgba(255, 255, 255, 0.16)";
  context.fillRect(from.x, from.y, to.x - from.x, to.y - from.y);
  dashedRect(frame, from, to, "#ffffff");
  pill(frame, text, (from.x + to.x) / 2, Math.max(from.y, to.y) + 16, {
    background: "rgba(17, 19, 24, 0.86)",
    ink: "#ffffff",
  });
}

export function drawPrompts(frame: Frame, prompts: readonly Prompt[], hovered: number | null): void {
  prompts.forEach((prompt) => {
    if (prompt.type === "box") {
      const a = toStage(frame.view, { x: prompt.x0, y: prompt.y0 });
      const b = toStage(frame.view, { x: prompt.x1, y: prompt.y1 });
      dashedRect(frame, a, b, "#ffffff");
    }
  });
  prompts.forEach((prompt, index) => {
    const at = toStage(frame.view, markerSpot(prompt));
    const over = index === hovered;
    if (prompt.type === "point") {
      const include = prompt.label === 1;
      marker(frame, at, include ? INCLUDE : EXCLUDE, over ? "cross" : include ? "plus" : "minus", over);
    } else if (over) {
      marker(frame, at, "#23262d", "cross", true);
    } else {
      marker(frame, at, "#23262d", "dot", false);
    }
  });
}

type Glyph = "plus" | "minus" | "cross" | "dot";

function marker(frame: Frame, at: Spot, color: string, glyph: Glyph, large: boolean): void {
  const { context } = frame;
  onStage(frame);
  const radius = glyph === "dot" ? 4 : large ? 9 : 7;
  context.beginPath();
  context.arc(at.x, at.y, radius + 1.75, 0, 2 * Math.PI);
  context.fillStyle = "#ffffff";
  context.shadowColor = "rgba(0, 0, 0, 0.55)";
  context.shadowBlur = 4;
  context.fill();
  context.shadowBlur = 0;
  context.shadowColor = "transparent";
  context.beginPath();
  context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
  if (glyph === "dot") return;
  const arm = large ? 3.6 : 3.4;
  context.strokeStyle = "#ffffff";
  context.lineWidth = 1.9;
  context.lineCap = "round";
  context.beginPath();
  if (glyph === "cross") {
    context.moveTo(at.x - arm, at.y - arm);
    context.lineTo(at.x + arm, at.y + arm);
    context.moveTo(at.x + arm, at.y - arm);
    context.lineTo(at.x - arm, at.y + arm);
  } else {
    context.moveTo(at.x - arm, at.y);
    context.lineTo(at.x + arm, at.y);
    if (glyph === "plus") {
      context.moveTo(at.x, at.y - arm);
      context.lineTo(at.x, at.y + arm);
    }
  }
  context.stroke();
}

/** A ring that spreads from the newest prompt while its answer is awaited; `phase` runs 0 to 1. */
export function drawPulse(frame: Frame, prompt: Prompt, phase: number): void {
  const { context } = frame;
  const [x0, y0, x1, y1] = extentOf(prompt);
  const at = toStage(frame.view, { x: (x0 + x1) / 2, y: (y0 + y1) / 2 });
  onStage(frame);
  context.beginPath();
  context.arc(at.x, at.y, 10 + 14 * phase, 0, 2 * Math.PI);
  context.strokeStyle = `rgba(255, 255, 255, ${0.9 * (1 - phase)})`;
  context.lineWidth = 2;
  context.stroke();
}

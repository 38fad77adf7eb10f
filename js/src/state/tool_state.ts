// The tool in hand, its sizes, and what it is drawing. One view's own, never synced.
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Spot } from "../canvas/viewport";
import type { RubberBand } from "./view_state";
import type { Store } from "./store";

export type ToolName =
  | "point" | "box" | "boxes" | "polygon" | "lasso" | "brush" | "eraser" | "select";

/** A line that is being drawn; every place is in image pixels. */
export interface Drawing {
  kind: "polygon" | "lasso";
  points: Spot[];
  /** Where the next corner would lie. */
  tip: Spot | null;
}

/** One stroke over a kept mask. */
export interface Stroke {
  id: string;
  add: boolean;
  /** Image pixels. */
  radius: number;
  points: Spot[];
}

/** A finger that rests: it excludes when `started` is long enough ago. */
export interface LongPress {
  at: Spot;
  /** By `performance.now()`. */
  started: number;
}

export interface Sizes {
  least: number;
  most: number;
}

export interface ToolState {
  readonly tool: Signal<ToolName>;
  /** How far an answer may leave a drawn outline, in image pixels. */
  readonly tolerance: Signal<number>;
  /** The brush's radius in image pixels. */
  readonly radius: Signal<number>;
  readonly toleranceRange: ReadonlySignal<Sizes>;
  readonly radiusRange: ReadonlySignal<Sizes>;
  readonly drawing: Signal<Drawing | null>;
  readonly stroke: Signal<Stroke | null>;
  /** Strokes that the kernel has yet to paint. */
  readonly strokes: Signal<readonly Stroke[]>;
  /** Boxes that the kernel has yet to answer. */
  readonly boxes: Signal<readonly RubberBand[]>;
  /** Where the keyboard points, in image pixels; null while it does not. */
  readonly crosshair: Signal<Spot | null>;
  /** The first corner of a box that is given by two clicks, or by keys. */
  readonly corner: Signal<Spot | null>;
  readonly longPress: Signal<LongPress | null>;
  /** A faint word on the stage; empty for none. */
  readonly hint: Signal<string>;
  readonly lookOpen: Signal<boolean>;
}

/** Nice numbers for an image of this size: tenths below ten pixels, whole ones above. */
export function roundSize(value: number): number {
  return value < 10 ? Math.max(0.5, Math.round(value * 2) / 2) : Math.round(value);
}

export function createToolState(store: Store): ToolState {
  const side = computed(() => {
    const image = store.image.value;
    return image ? Math.max(image.width, image.height) : 1000;
  });
  const range = (most: number): ReadonlySignal<Sizes> =>
    computed(() => ({ least: 0.5, most: Math.max(4, roundSize(side.value * most)) }));
  return {
    tool: signal<ToolName>("point"),
    tolerance: signal(roundSize(side.peek() * 0.012)),
    radius: signal(roundSize(side.peek() * 0.015)),
    toleranceRange: range(0.08),
    radiusRange: range(0.15),
    drawing: signal<Drawing | null>(null),
    stroke: signal<Stroke | null>(null),
    strokes: signal<readonly Stroke[]>([]),
    boxes: signal<readonly RubberBand[]>([]),
    crosshair: signal<Spot | null>(null),
    corner: signal<Spot | null>(null),
    longPress: signal<LongPress | null>(null),
    hint: signal(""),
    lookOpen: signal(false),
  };
}

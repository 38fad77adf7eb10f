// What every tool is: a small state machine that is told of presses, moves and releases.
import type { BoxPrompt } from "../../host/traits";
import type { Actions } from "../../state/actions";
import type { Store } from "../../state/store";
import type { ViewState } from "../../state/view_state";
import { boxBetween, DRAG_DISTANCE, pointAt, promptAt } from "../prompts";
import type { MaskShapes } from "../shapes";
import { toImage, toStage, type Spot } from "../viewport";

/** Fingers tremble more than a mouse (CSS pixels). */
const TOUCH_DRAG_DISTANCE = 9;

export interface Press {
  /** On the stage, in CSS pixels. */
  at: Spot;
  /** It excludes: the right button, Alt, or the mode. */
  exclude: boolean;
  /** The right button, or what stands for it. */
  secondary: boolean;
  alt: boolean;
  shift: boolean;
  touch: boolean;
}

export interface Tool {
  /** The pointer moves with nothing pressed. */
  hover?(at: Spot): void;
  down(press: Press): void;
  move(at: Spot): void;
  up(at: Spot): void;
  double?(at: Spot): void;
  /** A finger has rested where it went down. */
  rest?(): void;
  /** Whether a finger that rests here would do something. */
  canRest?(): boolean;
  /** Lets go of what is being drawn. */
  cancel(): void;
  /** A click at a place in the image, by keys. */
  click(spot: Spot, exclude: boolean): void;
}

/** What tools work with. */
export interface Bench {
  store: Store;
  view: ViewState;
  actions: Actions;
  shapes: MaskShapes;
  proposalShapes: MaskShapes;
}

export function isDrag(press: Press, at: Spot): boolean {
  const limit = press.touch ? TOUCH_DRAG_DISTANCE : DRAG_DISTANCE;
  return Math.hypot(at.x - press.at.x, at.y - press.at.y) > limit;
}

export const imageSpot = ({ view }: Bench, at: Spot): Spot => toImage(view.viewport.peek(), at);
export const stageSpot = ({ view }: Bench, spot: Spot): Spot => toStage(view.viewport.peek(), spot);

export function markerAt({ store, view }: Bench, at: Spot): number | null {
  return promptAt(store.prompts.peek(), view.viewport.peek(), at);
}

/** The proposal that a click there would keep; none while clicks refine a draft. */
export function proposalAt(bench: Bench, at: Spot): string | null {
  const { view, proposalShapes } = bench;
  if (!view.proposals.open.peek()) return null;
  const spot = imageSpot(bench, at);
  return proposalShapes.smallest(view.proposals.shown.peek(), spot.x, spot.y);
}

export function addPoint({ store, view, actions }: Bench, at: Spot, label: 0 | 1): void {
  const image = store.image.peek();
  const point = image && pointAt(view.viewport.peek(), at, image, label);
  if (point) actions.addPrompt(point);
}

export function boxFrom({ store, view }: Bench, a: Spot, b: Spot): BoxPrompt | null {
  const image = store.image.peek();
  return image && boxBetween(view.viewport.peek(), a, b, image);
}

/** Shows the box between two stage places while it is drawn. */
export function showBand(bench: Bench, a: Spot, b: Spot): void {
  const box = boxFrom(bench, a, b);
  bench.view.rubberBand.value =
    box && { from: { x: box.x0, y: box.y0 }, to: { x: box.x1, y: box.y1 } };
}

/** A place in the image, moved into it where it lies outside. */
export function within({ store }: Bench, spot: Spot): Spot {
  const { width, height } = store.image.peek() ?? { width: 0, height: 0 };
  return { x: Math.min(Math.max(spot.x, 0), width), y: Math.min(Math.max(spot.y, 0), height) };
}

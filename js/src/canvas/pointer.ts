// Pointers on the stage: clicks and drags become prompts, other gestures move the picture.
import type { Actions } from "../state/actions";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";
import { boxBetween, DRAG_DISTANCE, pointAt, promptAt } from "./prompts";
import type { AnnotationShapes } from "./shapes";
import { isInside, toImage, type Spot } from "./viewport";

type Gesture =
  | { kind: "press"; start: Spot; exclude: boolean; mayDraw: boolean; marker: number | null }
  | { kind: "box"; start: Spot }
  | { kind: "pan"; last: Spot }
  | { kind: "pinch"; middle: Spot; distance: number }
  /** A gesture that is over, though a finger is still down. */
  | { kind: "spent" };

const WHEEL_STEP = 0.0016;
const PINCH_STEP = 0.01;
const LINE_PX = 16;
const HINT_MS = 1400;

/** Space is down: the next drag moves the picture. Owned by the keyboard, read here. */
export interface HandTool {
  held: boolean;
}

export function attachPointer(
  canvas: HTMLCanvasElement,
  store: Store,
  view: ViewState,
  actions: Actions,
  shapes: AnnotationShapes,
  hand: HandTool,
  signal: AbortSignal,
): void {
  const pointers = new Map<number, Spot>();
  let gesture: Gesture | null = null;
  let hint: ReturnType<typeof setTimeout> | undefined;
  const onMac = /Mac|iP(hone|ad)/.test(navigator.platform);

  const place = (event: MouseEvent): Spot => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const listen = <K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (event: HTMLElementEventMap[K]) => void,
    options: AddEventListenerOptions = {},
  ): void => canvas.addEventListener(type, listener, { ...options, signal });

  const stopDrawing = (): void => {
    view.rubberBand.value = null;
    view.panning.value = false;
  };

  const startPinch = (): void => {
    const [a, b] = [...pointers.values()];
    if (!a || !b) return;
    stopDrawing();
    gesture = {
      kind: "pinch",
      middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
      distance: Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1),
    };
  };

  const hover = (at: Spot): void => {
    const image = store.image.peek();
    if (!image) return;
    const spot = toImage(view.viewport.peek(), at);
    const inside = isInside(spot, image);
    view.pointer.value = inside ? spot : null;
    view.hoveredPrompt.value = promptAt(store.prompts.peek(), view.viewport.peek(), at);
    view.hoveredAnnotation.value =
      inside && view.hoveredPrompt.peek() === null
        ? shapes.hit(store.annotations.peek(), spot.x, spot.y)
        : null;
  };

  const band = (start: Spot, at: Spot): void => {
    const image = store.image.peek();
    if (!image) return;
    const box = boxBetween(view.viewport.peek(), start, at, image);
    view.rubberBand.value = box
      ? { from: { x: box.x0, y: box.y0 }, to: { x: box.x1, y: box.y1 } }
      : null;
  };

  listen("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture?.(event.pointerId);
    const at = place(event);
    pointers.set(event.pointerId, at);
    if (pointers.size === 2) return startPinch();
    if (pointers.size > 2 || !store.image.peek()) return;
    const middle = event.button === 1;
    if (middle || (event.button === 0 && hand.held)) {
      if (middle) event.preventDefault(); // no autoscroll
      gesture = { kind: "pan", last: at };
      view.panning.value = true;
      return;
    }
    if (event.button !== 0 && event.button !== 2) return;
    const secondary = event.button === 2 || (onMac && event.ctrlKey);
    const flipped = event.altKey !== (view.mode.peek() === "exclude");
    gesture = {
      kind: "press",
      start: at,
      exclude: secondary || flipped,
      mayDraw: !secondary,
      marker: promptAt(store.prompts.peek(), view.viewport.peek(), at),
    };
  });

  listen("pointermove", (event) => {
    const at = place(event);
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at);
    if (!gesture) return hover(at);
    switch (gesture.kind) {
      case "press": {
        const moved = Math.hypot(at.x - gesture.start.x, at.y - gesture.start.y);
        if (moved <= DRAG_DISTANCE || !gesture.mayDraw) return;
        view.hoveredAnnotation.value = null;
        view.hoveredPrompt.value = null;
        gesture = { kind: "box", start: gesture.start };
        return band(gesture.start, at);
      }
      case "box":
        return band(gesture.start, at);
      case "pan":
        actions.panBy(at.x - gesture.last.x, at.y - gesture.last.y);
        gesture = { kind: "pan", last: at };
        return;
      case "pinch": {
        const before = gesture;
        startPinch();
        if (gesture.kind !== "pinch") return;
        actions.panBy(gesture.middle.x - before.middle.x, gesture.middle.y - before.middle.y);
        actions.zoomBy(gesture.distance / before.distance, gesture.middle);
      }
    }
  });

  listen("pointerup", (event) => {
    const at = place(event);
    pointers.delete(event.pointerId);
    const done = gesture;
    gesture = pointers.size > 0 ? { kind: "spent" } : null;
    stopDrawing();
    const image = store.image.peek();
    if (!done || !image) return;
    if (done.kind === "press") {
      const moved = Math.hypot(at.x - done.start.x, at.y - done.start.y);
      if (moved > DRAG_DISTANCE) return;
      if (done.marker !== null) return actions.removePrompt(done.marker);
      const point = pointAt(view.viewport.peek(), done.start, image, done.exclude ? 0 : 1);
      if (point) actions.addPrompt(point);
    } else if (done.kind === "box") {
      const box = boxBetween(view.viewport.peek(), done.start, at, image);
      if (box) actions.addPrompt(box);
    }
  });

  listen("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    gesture = pointers.size > 0 ? { kind: "spent" } : null;
    stopDrawing();
  });

  listen("pointerleave", () => {
    if (gesture) return;
    view.pointer.value = null;
    view.hoveredPrompt.value = null;
    view.hoveredAnnotation.value = null;
  });

  listen("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });

  listen(
    "wheel",
    (event) => {
      const zooms = event.ctrlKey || event.metaKey || document.activeElement === canvas;
      const shadow = canvas.getRootNode();
      const focused = shadow instanceof ShadowRoot && shadow.activeElement === canvas;
      if (!zooms && !focused) {
        // The page scrolls on. A word says how to zoom instead.
        view.wheelHint.value = true;
        clearTimeout(hint);
        hint = setTimeout(() => (view.wheelHint.value = false), HINT_MS);
        return;
      }
      event.preventDefault();
      const unit = event.deltaMode === 1 ? LINE_PX : event.deltaMode === 2 ? 400 : 1;
      const dx = event.deltaX * unit;
      const dy = event.deltaY * unit;
      if (!event.ctrlKey && (event.shiftKey || Math.abs(dx) > Math.abs(dy))) {
        actions.panBy(dx !== 0 ? -dx : -dy, 0);
        return;
      }
      const step = event.ctrlKey && event.deltaMode === 0 && Math.abs(dy) < 50 ? PINCH_STEP : WHEEL_STEP;
      actions.zoomBy(Math.exp(-dy * step), place(event));
      hover(place(event));
    },
    { passive: false },
  );
  signal.addEventListener("abort", () => clearTimeout(hint));
}

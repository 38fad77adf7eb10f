// Pointers on the stage: clicks and drags become prompts, other gestures move the picture.
import type { Actions } from "../state/actions";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";
import { boxBetween, DRAG_DISTANCE, pointAt, promptAt } from "./prompts";
import type { MaskShapes } from "./shapes";
import { isInside, toImage, type Spot } from "./viewport";

interface Press {
  kind: "press";
  start: Spot;
  exclude: boolean;
  /** What a drag from here does. */
  drag: "box" | "gather" | null;
  marker: number | null;
  proposal: string | null;
}

type Gesture =
  | Press
  | { kind: "box" | "gather"; start: Spot }
  | { kind: "pan"; last: Spot }
  | { kind: "pinch"; middle: Spot; distance: number }
  /** A gesture that is over, though a finger is still down. */
  | { kind: "spent" };

const WHEEL_STEP = 0.0016;
const PINCH_STEP = 0.01;
const LINE_PX = 16;
const HINT_MS = 1400;

/** What keyboard and pointer share. */
export interface HandTool {
  /** Space is down: the next drag moves the picture. Owned by the keyboard. */
  held: boolean;
  /** Lets go of the box that is being drawn. Owned by the pointer. */
  drop(): void;
}

export function attachPointer(
  canvas: HTMLCanvasElement,
  store: Store,
  view: ViewState,
  actions: Actions,
  shapes: MaskShapes,
  proposalShapes: MaskShapes,
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
    view.proposals.band.value = null;
    view.panning.value = false;
  };

  hand.drop = () => {
    stopDrawing();
    gesture = pointers.size > 0 ? { kind: "spent" } : null;
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
    const prompt = promptAt(store.prompts.peek(), view.viewport.peek(), at);
    const proposal = view.mode.peek() === "include" && prompt === null ? proposalAt(at) : null;
    view.hoveredPrompt.value = prompt;
    view.proposals.hovered.value = proposal;
    view.hoveredAnnotation.value =
      inside && prompt === null && proposal === null
        ? shapes.hit(store.annotations.peek(), spot.x, spot.y)
        : null;
  };

  /** The proposal that a click there would keep; none while clicks refine a draft. */
  const proposalAt = (at: Spot): string | null => {
    if (!view.proposals.open.peek()) return null;
    const spot = toImage(view.viewport.peek(), at);
    return proposalShapes.smallest(view.proposals.shown.peek(), spot.x, spot.y);
  };

  const band = (kind: "box" | "gather", start: Spot, at: Spot): void => {
    const image = store.image.peek();
    if (!image) return;
    const box = boxBetween(view.viewport.peek(), start, at, image);
    const drawn = kind === "box" ? view.rubberBand : view.proposals.band;
    drawn.value = box && { from: { x: box.x0, y: box.y0 }, to: { x: box.x1, y: box.y1 } };
  };

  const leave = (): void => {
    view.hoveredPrompt.value = null;
    view.hoveredAnnotation.value = null;
    view.proposals.hovered.value = null;
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
    const exclude = secondary || flipped;
    const gathers = event.shiftKey && view.proposals.shown.peek().length > 0;
    gesture = {
      kind: "press",
      start: at,
      exclude,
      drag: secondary ? null : gathers ? "gather" : "box",
      marker: promptAt(store.prompts.peek(), view.viewport.peek(), at),
      proposal: exclude ? null : proposalAt(at),
    };
  });

  listen("pointermove", (event) => {
    const at = place(event);
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at);
    if (!gesture) return hover(at);
    switch (gesture.kind) {
      case "press": {
        const moved = Math.hypot(at.x - gesture.start.x, at.y - gesture.start.y);
        if (moved <= DRAG_DISTANCE || gesture.drag === null) return;
        leave();
        gesture = { kind: gesture.drag, start: gesture.start };
        return band(gesture.kind, gesture.start, at);
      }
      case "box":
      case "gather":
        return band(gesture.kind, gesture.start, at);
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
    if (done?.kind === "gather") band("gather", done.start, at);
    const gathered = view.proposals.gathered.peek().map((proposal) => proposal.id);
    stopDrawing();
    const image = store.image.peek();
    if (!done || !image) return;
    if (done.kind === "press") {
      const moved = Math.hypot(at.x - done.start.x, at.y - done.start.y);
      if (moved > DRAG_DISTANCE) return;
      if (done.marker !== null) return actions.removePrompt(done.marker);
      if (done.proposal !== null) return actions.keepProposals([done.proposal]);
      const point = pointAt(view.viewport.peek(), done.start, image, done.exclude ? 0 : 1);
      if (point) actions.addPrompt(point);
    } else if (done.kind === "box") {
      const box = boxBetween(view.viewport.peek(), done.start, at, image);
      if (box) actions.addPrompt(box);
    } else if (done.kind === "gather") {
      actions.keepProposals(gathered);
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
    leave();
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

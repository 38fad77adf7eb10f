// Pointers on the stage: the tool in hand is told of them; two fingers, the wheel and Space move the picture.
import type { Actions } from "../state/actions";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";
import type { MaskShapes } from "./shapes";
import { createTools } from "./tools";
import { isDrag, type Bench, type Press, type Tool } from "./tools/tool";
import { isInside, toImage, type Spot } from "./viewport";

type Gesture =
  | { kind: "tool"; tool: Tool; press: Press; pointer: number }
  | { kind: "pan"; last: Spot }
  | { kind: "pinch"; middle: Spot; distance: number }
  /** A gesture that is over, though a finger is still down. */
  | { kind: "spent" };

const WHEEL_STEP = 0.0016;
const PINCH_STEP = 0.01;
const LINE_PX = 16;
const HINT_MS = 1400;
/** A finger that rests so long excludes. */
export const LONG_PRESS_MS = 500;
/** A touch so soon after the pen is the hand that holds it. */
const PALM_MS = 500;

/** What keyboard and pointer share. */
export interface HandTool {
  /** Space is down: the next drag moves the picture. Owned by the keyboard. */
  held: boolean;
  /** Lets go of what is being drawn. Owned by the pointer. */
  drop(): void;
  /** Clicks with the tool in hand at a place in the image. Owned by the pointer. */
  click(spot: Spot, exclude: boolean): void;
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
  const bench: Bench = { store, view, actions, shapes, proposalShapes };
  const tools = createTools(bench);
  const pointers = new Map<number, Spot>();
  let gesture: Gesture | null = null;
  let hint: ReturnType<typeof setTimeout> | undefined;
  let resting: ReturnType<typeof setTimeout> | undefined;
  let pen: { down: boolean; at: number } = { down: false, at: -Infinity };
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
  const present = (): Tool => tools[view.tools.tool.peek()];

  const stopResting = (): void => {
    clearTimeout(resting);
    view.tools.longPress.value = null;
  };

  /** Lets go of the gesture, whatever it draws. */
  const abandon = (): void => {
    stopResting();
    if (gesture?.kind === "tool") gesture.tool.cancel();
    view.panning.value = false;
    gesture = pointers.size > 0 ? { kind: "spent" } : null;
  };

  hand.drop = abandon;
  hand.click = (spot, exclude) => present().click(spot, exclude);

  const startPinch = (): void => {
    const [a, b] = [...pointers.values()];
    if (!a || !b) return;
    gesture = {
      kind: "pinch",
      middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
      distance: Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1),
    };
  };

  /** A finger, or a pen, that stays where it is excludes after a while. */
  const startResting = (tool: Tool, press: Press): void => {
    if (!press.touch || press.secondary || !tool.canRest?.()) return;
    view.tools.longPress.value = { at: press.at, started: performance.now() };
    resting = setTimeout(() => {
      stopResting();
      gesture = { kind: "spent" };
      tool.rest?.();
    }, LONG_PRESS_MS);
  };

  const hover = (at: Spot): void => {
    const image = store.image.peek();
    if (!image) return;
    const spot = toImage(view.viewport.peek(), at);
    const inside = isInside(spot, image);
    const tool = view.tools.tool.peek();
    view.pointer.value = inside ? spot : null;
    present().hover?.(at);
    const free = view.hoveredPrompt.peek() === null && view.proposals.hovered.peek() === null;
    const paints = (tool === "brush" || tool === "eraser") && view.selected.peek() !== null;
    view.hoveredAnnotation.value =
      inside && free && !paints && !view.tools.drawing.peek()
        ? shapes.hit(store.annotations.peek(), spot.x, spot.y)
        : null;
  };

  /** The hand that holds a pen rests on the screen: while the pen is used, touch means nothing. */
  const isPalm = (event: PointerEvent): boolean =>
    event.pointerType === "touch" && (pen.down || performance.now() - pen.at < PALM_MS);

  listen("pointerdown", (event) => {
    if (isPalm(event)) return event.preventDefault();
    if (event.pointerType === "pen") {
      pen = { down: true, at: performance.now() };
      pointers.clear(); // a palm that came before the pen
      abandon();
    }
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture?.(event.pointerId);
    const at = place(event);
    pointers.set(event.pointerId, at);
    if (pointers.size === 2) {
      abandon();
      return startPinch();
    }
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
    const press: Press = {
      at,
      exclude: secondary || flipped,
      secondary,
      alt: event.altKey,
      shift: event.shiftKey,
      touch: event.pointerType === "touch" || event.pointerType === "pen",
    };
    const tool = present();
    gesture = { kind: "tool", tool, press, pointer: event.pointerId };
    tool.down(press);
    startResting(tool, press);
  });

  listen("pointermove", (event) => {
    if (isPalm(event)) return;
    const at = place(event);
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, at);
    if (!gesture) return hover(at);
    switch (gesture.kind) {
      case "tool":
        if (event.pointerId !== gesture.pointer) return;
        if (view.tools.longPress.peek() && isDrag(gesture.press, at)) stopResting();
        // Fast strokes have more places than frames.
        for (const past of event.getCoalescedEvents?.() ?? []) gesture.tool.move(place(past));
        return gesture.tool.move(at);
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

  const lift = (event: PointerEvent): Gesture | null => {
    if (event.pointerType === "pen") pen = { down: false, at: performance.now() };
    if (!pointers.delete(event.pointerId)) return null;
    stopResting();
    const done = gesture;
    gesture = pointers.size > 0 ? { kind: "spent" } : null;
    view.panning.value = false;
    return done;
  };

  listen("pointerup", (event) => {
    const done = lift(event);
    if (done?.kind === "tool" && done.pointer === event.pointerId) done.tool.up(place(event));
  });

  listen("pointercancel", (event) => {
    const done = lift(event);
    if (done?.kind === "tool") done.tool.cancel();
  });

  listen("dblclick", (event) => present().double?.(place(event)));

  listen("pointerleave", () => {
    if (gesture) return;
    view.pointer.value = null;
    view.hoveredPrompt.value = null;
    view.hoveredAnnotation.value = null;
    view.proposals.hovered.value = null;
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
  signal.addEventListener("abort", () => {
    clearTimeout(hint);
    stopResting();
  });
}

import { LONG_PRESS_MS } from "../src/canvas/pointer";
import type { Prompt } from "../src/host/traits";
import { makeKernel, mountedForEach, settle, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

mountedForEach((mounted, fake) => {
  widget = mounted;
  kernel = fake;
});
afterEach(() => void vi.useRealTimers());

function point(type: string, x: number, y: number, more: PointerEventInit = {}): void {
  const { scale, originX, originY } = widget.canvas.dataset;
  const clientX = x * Number(scale) + Number(originX);
  const clientY = y * Number(scale) + Number(originY);
  widget.canvas.dispatchEvent(
    new PointerEvent(type, {
      bubbles: true, cancelable: true, pointerId: 1, pointerType: "touch", button: 0, clientX, clientY, ...more,
    }),
  );
}
const prompts = (): Prompt[] => kernel.get("prompts");
const pen = { pointerType: "pen", pointerId: 9 };

test("a tap includes, a long press excludes, and the lift after it does nothing more", () => {
  vi.useFakeTimers();
  point("pointerdown", 20, 20);
  vi.advanceTimersByTime(LONG_PRESS_MS - 1);
  point("pointerup", 20, 20);
  expect(prompts().map((p) => p.type === "point" && p.label)).toEqual([1]);
  point("pointerdown", 50, 10);
  vi.advanceTimersByTime(LONG_PRESS_MS);
  expect(prompts().map((p) => p.type === "point" && p.label)).toEqual([1, 0]);
  point("pointerup", 50, 10);
  vi.advanceTimersByTime(LONG_PRESS_MS);
  expect(prompts()).toHaveLength(2);
});

test("a finger that moves draws a box instead, one that trembles does not", () => {
  vi.useFakeTimers();
  point("pointerdown", 20, 20);
  point("pointermove", 20.5, 20.3);
  vi.advanceTimersByTime(100);
  point("pointermove", 40, 40);
  vi.advanceTimersByTime(2 * LONG_PRESS_MS);
  point("pointerup", 40, 40);
  expect(prompts()).toEqual([{ type: "box", x0: 20, y0: 20, x1: 40, y1: 40 }]);
});

test("a second finger ends the waiting", () => {
  vi.useFakeTimers();
  point("pointerdown", 20, 20);
  point("pointerdown", 40, 20, { pointerId: 2 });
  vi.advanceTimersByTime(2 * LONG_PRESS_MS);
  point("pointerup", 40, 20, { pointerId: 2 });
  point("pointerup", 20, 20);
  expect(kernel.sent).toEqual([]);
});

test("a mouse that rests does not exclude", () => {
  vi.useFakeTimers();
  point("pointerdown", 20, 20, { pointerType: "mouse" });
  vi.advanceTimersByTime(3 * LONG_PRESS_MS);
  point("pointerup", 20, 20, { pointerType: "mouse" });
  expect(prompts()).toEqual([{ type: "point", x: 20, y: 20, label: 1 }]);
});

test("while a pen is down, and just after, touch means nothing", () => {
  const clock = vi.spyOn(performance, "now").mockReturnValue(performance.now());
  point("pointerdown", 20, 20, pen);
  point("pointerdown", 50, 40);
  point("pointermove", 52, 42);
  point("pointerup", 52, 42);
  point("pointerup", 20, 20, pen);
  point("pointerdown", 50, 40);
  point("pointerup", 50, 40);
  clock.mockRestore();
  expect(prompts()).toEqual([{ type: "point", x: 20, y: 20, label: 1 }]);
});

test("a palm that came before the pen does not spoil what the pen does", () => {
  point("pointerdown", 50, 40);
  point("pointerdown", 20, 20, pen);
  point("pointermove", 40, 34, pen);
  point("pointerup", 40, 34, pen);
  point("pointerup", 50, 40);
  expect(prompts()).toEqual([{ type: "box", x0: 20, y0: 20, x1: 40, y1: 34 }]);
});

test("a pen that hovers points, as a mouse does", async () => {
  point("pointermove", 20.5, 30.5, { ...pen, buttons: 0 });
  await settle();
  expect(widget.root.querySelector(".sw-coordinates")!.textContent).toBe("20, 30");
});

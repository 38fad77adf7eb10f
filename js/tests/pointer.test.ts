import type { Prompt } from "../src/host/traits";
import { makeKernel, mountedForEach, settle, type Mounted } from "./helpers";

// The simulated page has no layout: the stage measures 640 x 480, and the picture of 64 x 48 fits it.
let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

mountedForEach((mounted, fake) => {
  widget = mounted;
  kernel = fake;
});

/** Image coordinates as the page's. */
function at(x: number, y: number): { clientX: number; clientY: number } {
  const { scale, originX, originY } = widget.canvas.dataset;
  return { clientX: x * Number(scale) + Number(originX), clientY: y * Number(scale) + Number(originY) };
}

function point(type: string, x: number, y: number, more: PointerEventInit = {}): PointerEvent {
  const event = new PointerEvent(type, {
    bubbles: true, cancelable: true, pointerId: 1, button: 0, ...at(x, y), ...more,
  });
  widget.canvas.dispatchEvent(event);
  return event;
}

function click(x: number, y: number, more: PointerEventInit = {}): void {
  point("pointerdown", x, y, more);
  point("pointerup", x, y, more);
}

const prompts = (): Prompt[] => kernel.get("prompts");

test("a left click includes, at the image's coordinates", () => {
  click(20.5, 24);
  expect(prompts()).toEqual([{ type: "point", x: 20.5, y: 24, label: 1 }]);
  expect(kernel.sent).toHaveLength(1);
});

test("right click and Alt+click exclude; the page's menu stays away from the canvas only", () => {
  click(20, 24, { button: 2 });
  click(50, 10, { altKey: true });
  expect(prompts().map((p) => p.type === "point" && p.label)).toEqual([0, 0]);
  const onCanvas = new MouseEvent("contextmenu", { bubbles: true, cancelable: true });
  widget.canvas.dispatchEvent(onCanvas);
  expect(onCanvas.defaultPrevented).toBe(true);
  const elsewhere = new MouseEvent("contextmenu", { bubbles: true, cancelable: true });
  widget.find("tray").dispatchEvent(elsewhere);
  expect(elsewhere.defaultPrevented).toBe(false);
});

test("in exclude mode a tap excludes, and Alt turns it round", () => {
  widget.find("mode-exclude").click();
  click(20, 24);
  click(50, 10, { altKey: true });
  expect(prompts().map((p) => p.type === "point" && p.label)).toEqual([0, 1]);
});

test("a drag draws a box, cut to the image; its size follows the pointer", async () => {
  point("pointerdown", 10, 12);
  point("pointermove", 30, 20);
  point("pointermove", 90, 36);
  expect(prompts()).toEqual([]);
  point("pointerup", 90, 36);
  expect(prompts()).toEqual([{ type: "box", x0: 10, y0: 12, x1: 64, y1: 36 }]);
  expect(kernel.sent).toHaveLength(1);
});

test("a hand that trembles still clicks", () => {
  const down = at(20, 24);
  point("pointerdown", 20, 24);
  point("pointermove", 0, 0, { clientX: down.clientX + 3, clientY: down.clientY + 2 });
  point("pointerup", 0, 0, { clientX: down.clientX + 3, clientY: down.clientY + 2 });
  expect(prompts()).toEqual([{ type: "point", x: 20, y: 24, label: 1 }]);
});

test("a click outside the image does nothing", () => {
  click(-3, 10);
  click(70, 10);
  expect(kernel.sent).toEqual([]);
});

test("a click on a marker takes its prompt away", () => {
  click(20, 24);
  click(50, 10);
  click(20, 24);
  expect(prompts()).toEqual([{ type: "point", x: 50, y: 10, label: 1 }]);
});

test("middle drag and Space+drag move the picture and prompt nothing", () => {
  for (let i = 0; i < 5; i++) widget.find("zoom-in").click();
  point("pointerdown", 30, 20, { button: 1 });
  point("pointermove", 34, 22);
  point("pointerup", 34, 22);
  widget.canvas.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
  point("pointerdown", 30, 20);
  point("pointermove", 40, 30);
  point("pointerup", 40, 30);
  expect(kernel.sent).toEqual([]);
});

test("two fingers zoom and never draw", async () => {
  const before = Number(widget.canvas.dataset["scale"]);
  const touch = (pointerId: number) => ({ pointerId, pointerType: "touch" });
  point("pointerdown", 28, 24, touch(1));
  point("pointerdown", 36, 24, touch(2));
  point("pointermove", 20, 24, touch(1));
  point("pointermove", 44, 24, touch(2));
  point("pointerup", 44, 24, touch(2));
  point("pointerup", 20, 24, touch(1));
  await settle();
  expect(Number(widget.canvas.dataset["scale"])).toBeGreaterThan(before * 2);
  expect(kernel.sent).toEqual([]);
});

describe("the wheel", () => {
  const turn = (more: WheelEventInit = {}): WheelEvent => {
    const event = new WheelEvent("wheel", {
      bubbles: true, cancelable: true, deltaY: -120, ...at(32, 24), ...more,
    });
    // The simulated page leaves out what a wheel event has from its mouse event.
    Object.defineProperties(event, {
      clientX: { value: at(32, 24).clientX },
      clientY: { value: at(32, 24).clientY },
      ctrlKey: { value: more.ctrlKey ?? false },
    });
    widget.canvas.dispatchEvent(event);
    return event;
  };

  test("scrolls the page until the stage has focus, then zooms", async () => {
    const before = Number(widget.canvas.dataset["scale"]);
    expect(turn().defaultPrevented).toBe(false);
    await settle();
    expect(Number(widget.canvas.dataset["scale"])).toBe(before);
    widget.canvas.focus();
    expect(turn().defaultPrevented).toBe(true);
    await settle();
    expect(Number(widget.canvas.dataset["scale"])).toBeGreaterThan(before);
  });

  test("zooms with Ctrl wherever the focus is", () => {
    expect(turn({ ctrlKey: true }).defaultPrevented).toBe(true);
  });
});

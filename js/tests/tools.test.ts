import { simplerLine } from "../src/canvas/tools/lasso";
import { thinned } from "../src/canvas/tools/brush";
import { encodeMask } from "../src/codecs/rle";
import type { Intent } from "../src/host/intents";
import type { AnnotationTrait, Prompt } from "../src/host/traits";
import { HEIGHT, makeKernel, mountedForEach, settle, WIDTH, type Mounted } from "./helpers";

// The stage measures 640 x 480, and the picture of 64 x 48 fits it.
let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

mountedForEach((mounted, fake) => {
  widget = mounted;
  kernel = fake;
});

function at(x: number, y: number): { clientX: number; clientY: number } {
  const { scale, originX, originY } = widget.canvas.dataset;
  return { clientX: x * Number(scale) + Number(originX), clientY: y * Number(scale) + Number(originY) };
}
function point(type: string, x: number, y: number, more: PointerEventInit = {}): void {
  widget.canvas.dispatchEvent(
    new PointerEvent(type, { bubbles: true, cancelable: true, pointerId: 1, button: 0, ...at(x, y), ...more }),
  );
}
function click(x: number, y: number, more: PointerEventInit = {}): void {
  point("pointerdown", x, y, more);
  point("pointerup", x, y, more);
}
function drag(places: [number, number][], more: PointerEventInit = {}): void {
  point("pointerdown", ...places[0]!, more);
  for (const place of places.slice(1)) point("pointermove", ...place, more);
  point("pointerup", ...places.at(-1)!, more);
}
function key(name: string, more: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more });
  widget.canvas.dispatchEvent(event);
  return event;
}
const prompts = (): Prompt[] => kernel.get("prompts");
const intents = (): Intent[] => kernel.sent.filter((one): one is Intent => "op" in one);

/** A kept mask over columns and rows [x0, x1) x [y0, y1). */
function kept(id: string, x0: number, y0: number, x1: number, y1: number): AnnotationTrait {
  const mask = new Uint8Array(WIDTH * HEIGHT);
  for (let y = y0; y < y1; y++) mask.fill(1, y * WIDTH + x0, y * WIDTH + x1);
  return {
    id, label: "car", rle: { size: [HEIGHT, WIDTH], counts: encodeMask(mask, WIDTH, HEIGHT) },
    box: [x0, y0, x1, y1], area: (x1 - x0) * (y1 - y0), predicted_iou: 0.9, stability_score: 0.8, visible: true,
  };
}

describe("box", () => {
  beforeEach(() => void key("b"));

  test("by a drag", () => {
    drag([[10, 12], [20, 20], [40, 36]]);
    expect(prompts()).toEqual([{ type: "box", x0: 10, y0: 12, x1: 40, y1: 36 }]);
  });

  test("by two clicks, and Escape forgets the first", () => {
    click(10, 12);
    expect(prompts()).toEqual([]);
    key("Escape");
    click(20, 12);
    click(40, 36);
    expect(prompts()).toEqual([{ type: "box", x0: 20, y0: 12, x1: 40, y1: 36 }]);
  });

  test("the right button still excludes", () => {
    click(30, 30, { button: 2 });
    expect(prompts()).toEqual([{ type: "point", x: 30, y: 30, label: 0 }]);
  });
});

test("boxes: each one is proposed a mask, and a click on it keeps it", async () => {
  key("B", { shiftKey: true });
  drag([[10, 10], [20, 20], [38, 38]]);
  drag([[40, 4], [50, 10], [60, 14]]);
  expect(intents().map((i) => i.op === "propose_boxes" && i.boxes)).toEqual([
    [[10, 10, 38, 38]], [[40, 4, 60, 14]],
  ]);
  await settle();
  expect(kernel.get("found").length).toBeGreaterThan(0);
  expect(prompts()).toEqual([]);
  click(24, 24);
  expect(kernel.get("annotations")).toHaveLength(1);
});

describe("polygon", () => {
  beforeEach(() => void key("g"));
  const corners: [number, number][] = [[14, 14], [34, 14], [34, 34], [14, 34]];

  test("Enter closes it, with the tolerance of the slider", async () => {
    for (const corner of corners) click(...corner);
    key("]");
    await settle();
    const slider = widget.find("tolerance") as HTMLInputElement;
    expect(key("Enter").defaultPrevented).toBe(true);
    const [prompt] = prompts();
    expect(prompt).toMatchObject({ type: "polygon", points: corners });
    expect(`${prompt!.type === "polygon" && prompt!.tolerance} px`).toBe(slider.getAttribute("aria-valuetext"));
    await settle();
    expect(kernel.get("candidates")!.items[0]!.area).toBeGreaterThan(200);
  });

  test("the first corner closes it", () => {
    for (const corner of corners) click(...corner);
    click(14.3, 14.2);
    expect(prompts()).toMatchObject([{ type: "polygon", points: corners }]);
  });

  test("a double click closes it, without a corner twice", () => {
    for (const corner of corners) click(...corner);
    click(14, 34);
    widget.canvas.dispatchEvent(new MouseEvent("dblclick", { bubbles: true, ...at(14, 34) }));
    expect(prompts()).toMatchObject([{ type: "polygon", points: corners }]);
  });

  test("Backspace takes a corner back, Escape all; two corners are no outline", () => {
    click(14, 14);
    click(34, 14);
    click(50, 40);
    key("Backspace");
    key("Enter");
    expect(prompts()).toEqual([]);
    click(34, 34);
    key("Escape");
    key("Enter");
    expect(prompts()).toEqual([]);
  });

  test("it leads, and the clicks stay: they refine it", () => {
    key("p");
    click(20, 20);
    key("g");
    for (const corner of corners) click(...corner);
    key("Enter");
    expect(prompts().map((p) => p.type)).toEqual(["polygon", "point"]);
  });

  test("corners outside are moved to the edge", () => {
    for (const corner of [[-3, 10], [70, 10], [30, 60]] as [number, number][]) click(...corner);
    key("Enter");
    expect(prompts()).toMatchObject([{ points: [[0, 10], [64, 10], [30, 48]] }]);
  });
});

describe("lasso", () => {
  const circle = (n: number, r: number): [number, number][] =>
    Array.from({ length: n }, (_, i) => [
      32 + r * Math.cos((2 * Math.PI * i) / n), 24 + r * Math.sin((2 * Math.PI * i) / n),
    ]);

  test("a free line becomes an outline of few corners near to it", () => {
    key("l");
    drag(circle(90, 14));
    const [prompt] = prompts();
    if (prompt?.type !== "polygon") throw new Error("an outline was expected");
    expect(prompt.points.length).toBeGreaterThan(8);
    expect(prompt.points.length).toBeLessThan(60);
    for (const [x, y] of prompt.points) expect(Math.hypot(x - 32, y - 24)).toBeCloseTo(14, 0);
  });

  test("never more than 200 corners, however long the line", () => {
    const ragged = circle(3000, 14).map(([x, y], i) => ({ x: x + (i % 2), y }));
    expect(simplerLine(ragged, 0.01).length).toBeLessThanOrEqual(200);
  });

  test("a click draws nothing and says what to do", async () => {
    key("l");
    click(20, 20);
    await settle();
    expect(prompts()).toEqual([]);
    expect(widget.find("hint").textContent).toBe("Draw around the object in one go");
  });
});

describe("brush and eraser", () => {
  beforeEach(async () => {
    kernel.push({ annotations: [kept("a", 10, 10, 20, 20)] });
    await settle();
  });

  test("a stroke is one message, and stays until the kernel has painted it", async () => {
    kernel.held = [];
    key("d"); // the only mask is selected by itself
    drag([[15, 15], [30, 15], [40, 15]]);
    await settle();
    const [stroke] = intents();
    expect(stroke).toMatchObject({ op: "paint", id: "a", add: true });
    expect(intents()).toHaveLength(1);
    if (stroke?.op !== "paint") throw new Error("a stroke was expected");
    expect(stroke.points.at(0)).toEqual([15, 15]);
    expect(stroke.points.at(-1)).toEqual([40, 15]);
    expect(widget.root.dataset["strokes"]).toBe("1");
    kernel.answerNow();
    await settle();
    expect(widget.root.dataset["strokes"]).toBe("0");
    expect(kernel.get("annotations")[0]!.area).toBeGreaterThan(100);
  });

  test("the eraser takes away, Alt and the right button do the opposite", () => {
    key("w");
    click(15, 15);
    click(15, 15, { altKey: true });
    click(15, 15, { button: 2 });
    expect(intents().map((i) => i.op === "paint" && i.add)).toEqual([false, true, true]);
  });

  test("with several masks one is chosen first", () => {
    kernel.push({ annotations: [kept("a", 10, 10, 20, 20), kept("b", 40, 10, 50, 20)] });
    key("d");
    click(45, 15);
    expect(intents()).toEqual([]);
    click(45, 15);
    expect(intents()).toMatchObject([{ op: "paint", id: "b" }]);
  });

  test("[ and ] change the size that is sent", () => {
    key("d");
    click(15, 15);
    key("]");
    click(15, 15);
    key("[");
    key("[");
    click(15, 15);
    const radii = intents().map((i) => (i.op === "paint" ? i.radius : 0));
    expect(radii[1]).toBeGreaterThan(radii[0]!);
    expect(radii[2]).toBeLessThan(radii[0]!);
  });

  test("Escape drops a stroke, and a second finger, too", () => {
    key("d");
    point("pointerdown", 15, 15);
    point("pointermove", 30, 15);
    key("Escape");
    point("pointerup", 30, 15);
    point("pointerdown", 15, 15, { pointerType: "touch" });
    point("pointerdown", 40, 15, { pointerType: "touch", pointerId: 2 });
    point("pointerup", 40, 15, { pointerType: "touch", pointerId: 2 });
    point("pointerup", 15, 15, { pointerType: "touch" });
    expect(intents()).toEqual([]);
  });

  test("a long stroke is thinned, its ends stay", () => {
    const long = Array.from({ length: 5000 }, (_, i) => ({ x: i, y: 0 }));
    const short = thinned(long);
    expect(short.length).toBeLessThanOrEqual(1000);
    expect([short[0]!.x, short.at(-1)!.x]).toEqual([0, 4999]);
  });
});

describe("selection", () => {
  beforeEach(async () => {
    kernel.push({ annotations: [kept("low", 10, 10, 40, 40), kept("high", 20, 20, 30, 30)] });
    await settle();
    key("v");
  });
  const selected = async (): Promise<string | undefined> => {
    await settle();
    return widget.root.dataset["selected"];
  };

  test("a click takes the topmost, another the one below, one beside them none", async () => {
    click(25, 25);
    expect(await selected()).toBe("high");
    expect(widget.find("live").textContent).toBe("Selected car, 1 of 2");
    click(25, 25);
    expect(await selected()).toBe("low");
    click(25, 25);
    expect(await selected()).toBe("high");
    click(60, 5);
    expect(await selected()).toBe("");
  });

  test("the list selects, too, and shows it; Escape deselects", async () => {
    widget.all("select-row")[1]!.click();
    expect(await selected()).toBe("low");
    expect(widget.all("annotation-row")[1]!.dataset["selected"]).toBe("true");
    expect(widget.all("select-row")[1]!.getAttribute("aria-pressed")).toBe("true");
    key("Escape");
    expect(await selected()).toBe("");
    expect(widget.all("selection-bar")).toHaveLength(0);
  });

  test("what is deleted is no longer selected", async () => {
    click(25, 25);
    key("Delete");
    expect(intents()).toEqual([{ op: "delete", ids: ["high"] }]);
    expect(await selected()).toBe("");
  });

  test("the bar's actions", async () => {
    click(25, 25);
    await settle();
    widget.find("order-back").click();
    expect(kernel.get("annotations").map((a) => a.id)).toEqual(["high", "low"]);
    widget.find("tidy").click();
    await settle();
    widget.find("tidy-apply").click();
    widget.find("start-from").click();
    expect(intents().slice(1)).toEqual([
      { op: "tidy", ids: ["high"], holes: 100, islands: 100 }, { op: "start_from", id: "high" },
    ]);
    expect(prompts()).toMatchObject([{ type: "mask" }]);
    await settle();
    expect(widget.find("tool-point").getAttribute("aria-pressed")).toBe("true");
  });

  test("a draft can be combined with the selected mask", async () => {
    click(12, 12);
    await settle();
    expect(widget.all("combine")).toHaveLength(0);
    key("p");
    click(2, 2);
    await settle();
    widget.find("combine-subtract").click();
    const { request } = kernel.get("candidates") ?? { request: "" };
    expect(intents().at(-1)).toMatchObject({ op: "combine", id: "low", how: "subtract", picked: 0 });
    expect(request).toBe("");
    expect(prompts()).toEqual([]);
  });

  test("a drag moves the picture", async () => {
    for (let i = 0; i < 5; i++) widget.find("zoom-in").click();
    await settle();
    const before = Number(widget.canvas.dataset["originX"]);
    const from = at(30, 20);
    point("pointerdown", 30, 20);
    point("pointermove", 0, 0, { clientX: from.clientX + 30, clientY: from.clientY });
    point("pointerup", 0, 0, { clientX: from.clientX + 30, clientY: from.clientY });
    await settle();
    expect(Number(widget.canvas.dataset["originX"])).toBeCloseTo(before + 30, 3);
    expect(await selected()).toBe("");
  });
});

describe("the region", () => {
  test("R says so where the whole picture is in sight", async () => {
    key("r");
    await settle();
    expect(intents()).toEqual([]);
    expect(widget.find("hint").textContent).toMatch(/whole picture is in sight/);
  });

  test("R asks for what is in sight and a margin; R again, Escape or the chip leaves", async () => {
    for (let i = 0; i < 4; i++) widget.find("zoom-in").click();
    key("r");
    const [focus] = intents();
    if (focus?.op !== "focus_region") throw new Error("a region was expected");
    const [x0, y0, x1, y1] = focus.box;
    const scale = 10 * 1.25 ** 4 * (456 / 480);
    expect(x1 - x0).toBeGreaterThanOrEqual((1.2 * 640) / scale - 1);
    expect(x1 - x0).toBeLessThanOrEqual((1.2 * 640) / scale + 2);
    expect(x0).toBeGreaterThan(0);
    expect(y1).toBeLessThan(48);
    expect(y0).toBeGreaterThan(0);
    await settle();
    expect(widget.find("region-chip").textContent).toContain(`Region ${x1 - x0} × ${y1 - y0} · Esc leaves`);
    key("r");
    await settle();
    expect(kernel.get("region")).toBeNull();
    key("r");
    key("Escape");
    expect(kernel.get("region")).toBeNull();
    key("r");
    await settle();
    widget.find("leave-region").click();
    expect(intents().map((i) => i.op)).toEqual([
      "focus_region", "leave_region", "focus_region", "leave_region", "focus_region", "leave_region",
    ]);
  });
});

// Everything mode: what is shown, pointed at, gathered and kept; on a red square on blue.
import { encodeMask } from "../src/codecs/rle";
import { colorOfId } from "../src/canvas/color";
import type { BoxTuple, ProposalTrait } from "../src/host/traits";
import { gatheredBy, stepFrom } from "../src/state/proposals";
import { HEIGHT, makeKernel, mountedForEach, settle, WIDTH, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

mountedForEach((mounted, fake) => {
  widget = mounted;
  kernel = fake;
});

function proposal(id: string, box: BoxTuple, score: number): ProposalTrait {
  const mask = new Uint8Array(WIDTH * HEIGHT);
  for (let y = box[1]; y < box[3]; y++) mask.fill(1, y * WIDTH + box[0], y * WIDTH + box[2]);
  return {
    id, box, predicted_iou: score, stability_score: 0.97, point: [box[0] + 0.5, box[1] + 0.5],
    area: (box[2] - box[0]) * (box[3] - box[1]),
    rle: { size: [HEIGHT, WIDTH], counts: encodeMask(mask, WIDTH, HEIGHT) },
  };
}

const WHOLE = proposal("whole", [0, 0, 64, 48], 0.99);
const LARGE = proposal("large", [4, 4, 40, 40], 0.9);
const SMALL = proposal("small", [10, 10, 20, 20], 0.7);
const CORNER = proposal("corner", [56, 40, 64, 48], 0.8);

async function show(...proposals: ProposalTrait[]): Promise<void> {
  kernel.find(proposals);
  await settle();
}

function point(type: string, x: number, y: number, more: PointerEventInit = {}): void {
  const { scale, originX, originY } = widget.canvas.dataset;
  const clientX = x * Number(scale) + Number(originX);
  const clientY = y * Number(scale) + Number(originY);
  widget.canvas.dispatchEvent(
    new PointerEvent(type, { bubbles: true, cancelable: true, pointerId: 1, button: 0, clientX, clientY, ...more }),
  );
}

function click(x: number, y: number, more: PointerEventInit = {}): void {
  point("pointerdown", x, y, more);
  point("pointerup", x, y, more);
}

function key(name: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true });
  widget.canvas.dispatchEvent(event);
  return event;
}

function slide(value: number): void {
  const slider = widget.find("score-slider") as HTMLInputElement;
  slider.value = String(value);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

function proposals(): ProposalTrait[] {
  return kernel.get("found").filter((p) => !kernel.get("taken").includes(p.id));
}
const live = (): string | null => widget.find("live").textContent;
const sentKeeps = () => kernel.sent.filter((s) => "op" in s && s.op === "keep_proposals");

test("the button starts a run, shows how far it is, and the proposals as they come", async () => {
  kernel.held = [];
  widget.find("everything").click();
  await settle();
  expect(live()).toBe("Looking for everything");
  expect(widget.all("everything")).toHaveLength(0);
  expect(widget.find("cancel-everything").getAttribute("aria-label")).toBe("Stop looking: 0 found so far");
  kernel.answerNow();
  await settle();
  const bar = widget.find("everything-progress").querySelector("[role=progressbar]")!;
  expect(Number(bar.getAttribute("aria-valuenow"))).toBeGreaterThan(0);
  expect(Number(bar.getAttribute("aria-valuenow"))).toBeLessThan(100);
  expect(proposals().length).toBeGreaterThan(0);
  expect(key("e").defaultPrevented).toBe(false);
  while (kernel.held.length > 0) kernel.answerNow();
  await settle();
  const count = proposals().length;
  expect(count).toBe(2); // the square, and what is around it
  expect(live()).toBe("2 proposals");
  expect(widget.find("proposal-count").textContent).toBe("2");
  expect(widget.all("everything-progress")).toHaveLength(0);
  expect(widget.all("everything")).toHaveLength(1);
});

test("a run that is stopped leaves what it has found", async () => {
  kernel.held = [];
  key("e");
  kernel.answerNow();
  const found = proposals();
  await settle();
  expect(key("Escape").defaultPrevented).toBe(true);
  kernel.answerNow();
  await settle();
  expect(kernel.get("everything_run").state).toBe("cancelled");
  expect(proposals()).toEqual(found);
  expect(live()).toMatch(/^Stopped with \d+ proposals?$/);
  key("Escape");
  await settle();
  expect(proposals()).toEqual([]);
  expect(widget.all("proposals")).toHaveLength(0);
  expect(widget.all("tray")).toHaveLength(1);
});

test("a click keeps the proposal under the current label; undo brings it back", async () => {
  key("e");
  await settle();
  const square = proposals().find((p) => p.area < 1000)!;
  widget.all("label-chip")[1]!.click();
  click(24, 24);
  await settle();
  expect(sentKeeps()).toEqual([{ op: "keep_proposals", ids: [square.id], label: "person" }]);
  expect(kernel.get("annotations").map((a) => [a.label, a.area])).toEqual([["person", square.area]]);
  expect(kernel.get("prompts")).toEqual([]);
  expect(proposals()).toHaveLength(1);
  widget.find("undo").click();
  await settle();
  expect(proposals().map((p) => p.id)).toContain(square.id);
  expect(kernel.get("annotations")).toEqual([]);
});

test("of several under the pointer the smallest is meant", async () => {
  await show(WHOLE, SMALL, LARGE);
  point("pointermove", 15, 15);
  await settle();
  expect(widget.canvas.dataset["cursor"]).toBe("pointer");
  for (const [x, y] of [[15, 15], [30, 30], [60, 44]] as const) click(x, y);
  expect(sentKeeps().map((s) => "ids" in s && s.ids)).toEqual([["small"], ["large"], ["whole"]]);
});

test("a click beside them, with Alt, or with the right button prompts as ever", async () => {
  await show(SMALL, CORNER);
  click(50, 10);
  expect(kernel.get("prompts")).toEqual([{ type: "point", x: 50, y: 10, label: 1 }]);
  kernel.send({ op: "clear" });
  await settle();
  click(15, 15, { altKey: true });
  kernel.send({ op: "clear" });
  await settle();
  click(15, 15, { button: 2 });
  expect(kernel.get("prompts")).toEqual([{ type: "point", x: 15, y: 15, label: 0 }]);
  expect(sentKeeps()).toEqual([]);
});

test("while there is a draft, clicks refine it, and the tray shows its candidates", async () => {
  await show(SMALL, LARGE);
  expect(widget.all("tray")).toHaveLength(0);
  click(50, 10);
  await settle();
  expect(widget.all("tray")).toHaveLength(1);
  click(15, 15);
  expect(kernel.get("prompts")).toHaveLength(2);
  expect(sentKeeps()).toEqual([]);
  await settle();
  key("Escape");
  await settle();
  expect(widget.all("proposals")).toHaveLength(1);
  click(15, 15);
  expect(sentKeeps()).toHaveLength(1);
});

test("Shift and drag keeps what lies in the box by half or more", async () => {
  await show(WHOLE, LARGE, SMALL, CORNER);
  point("pointerdown", 2, 2, { shiftKey: true });
  point("pointermove", 30, 34, { shiftKey: true });
  point("pointermove", 33, 42, { shiftKey: true });
  expect(sentKeeps()).toEqual([]);
  point("pointerup", 33, 42, { shiftKey: true });
  expect(sentKeeps()).toEqual([{ op: "keep_proposals", ids: ["large", "small"], label: "car" }]);
  expect(kernel.get("prompts")).toEqual([]);
  expect(kernel.get("annotations")).toHaveLength(2);
  expect(kernel.get("history").undo).toBe("keep 2 masks");
  kernel.sent.length = 0;
  point("pointerdown", 42, 2, { shiftKey: true });
  point("pointermove", 50, 20, { shiftKey: true });
  point("pointerup", 50, 20, { shiftKey: true });
  expect(kernel.sent).toEqual([]); // nothing lies in there
});

test("Escape lets go of the box that is being drawn, and of nothing else", async () => {
  await show(SMALL, CORNER);
  point("pointerdown", 2, 2, { shiftKey: true });
  point("pointermove", 30, 34, { shiftKey: true });
  key("Escape");
  point("pointermove", 40, 40, { shiftKey: true });
  point("pointerup", 40, 40, { shiftKey: true });
  expect(kernel.sent).toEqual([]);
  point("pointerdown", 30, 2);
  point("pointermove", 40, 34);
  key("Escape");
  point("pointerup", 40, 34);
  expect(kernel.sent).toEqual([]);
  key("Escape");
  expect(kernel.sent).toEqual([{ op: "clear_proposals" }]);
});

test("without proposals Shift and drag draws a box, as without Shift", () => {
  point("pointerdown", 10, 12, { shiftKey: true });
  point("pointermove", 30, 20, { shiftKey: true });
  point("pointerup", 30, 36, { shiftKey: true });
  expect(kernel.get("prompts")).toEqual([{ type: "box", x0: 10, y0: 12, x1: 30, y1: 36 }]);
});

test("the slider filters what is shown, hit and kept, and sends nothing", async () => {
  await show(SMALL, LARGE, CORNER);
  const slider = widget.find("score-slider") as HTMLInputElement;
  expect([slider.min, slider.max, slider.value]).toEqual(["0.7", "0.9", "0.7"]);
  slide(0.8);
  await settle();
  expect(kernel.sent).toEqual([]);
  expect(widget.find("proposal-count").textContent).toBe("2 of 3");
  expect(widget.find("score-least").textContent).toBe("≥ 0.80");
  expect(slider.getAttribute("aria-valuetext")).toBe("at least 0.80: 2 proposals");
  click(15, 15); // the small one is filtered out, the large one is there
  widget.find("keep-shown").click();
  expect(sentKeeps().map((s) => "ids" in s && s.ids)).toEqual([["large"], ["corner"]]);
  kernel.send({ op: "undo" });
  await settle();
  expect(widget.find("proposal-count").textContent).toBe("1 of 2");
  slide(0.7);
  await show(SMALL, CORNER, proposal("late", [0, 0, 4, 4], 0.5));
  expect(widget.find("proposal-count").textContent).toBe("3"); // all means all, also what comes later
});

test("a score counts as it reads", async () => {
  await show(LARGE, { ...SMALL, predicted_iou: 0.8796 });
  slide(0.88);
  await settle();
  expect(widget.find("proposal-count").textContent).toBe("2");
});

test("keys go through the proposals in reading order and keep them", async () => {
  await show(WHOLE, CORNER, SMALL);
  key("ArrowRight");
  await settle();
  expect(live()).toBe("Proposal 1 of 3, predicted IoU 0.70, 100 pixels");
  key("ArrowLeft");
  await settle();
  expect(live()).toBe("Proposal 3 of 3, predicted IoU 0.80, 64 pixels");
  key("Enter");
  await settle();
  expect(sentKeeps().map((s) => "ids" in s && s.ids)).toEqual([["corner"]]);
  expect(live()).toBe("Kept as car");
  key("ArrowRight");
  await settle();
  expect(live()).toBe("Proposal 2 of 2, predicted IoU 0.99, 3072 pixels"); // the first was pointed at
});

test("a proposal out of sight comes into sight when keys reach it", async () => {
  await show(SMALL, CORNER);
  for (let i = 0; i < 12; i++) widget.find("zoom-in").click();
  await settle();
  key("ArrowLeft");
  await settle();
  const { scale, originX, originY } = widget.canvas.dataset;
  const x = 60 * Number(scale) + Number(originX);
  const y = 44 * Number(scale) + Number(originY);
  expect(x).toBeGreaterThan(0);
  expect(x).toBeLessThan(640);
  expect(y).toBeGreaterThan(0);
  expect(y).toBeLessThan(480);
  expect(live()).toContain("Proposal 2 of 2");
});

test("a thousand proposals are found under the pointer at once", async () => {
  const many = Array.from({ length: 1000 }, (_, i) => {
    const x = i % 50;
    const y = Math.floor(i / 50) * 2;
    return proposal(`p${i}`, [x, y, x + 4, y + 2 + (i % 7)], 0.9);
  });
  await show(...many);
  expect(widget.find("proposal-count").textContent).toBe("1000");
  click(0.5, 0.5);
  expect(sentKeeps().map((s) => "ids" in s && s.ids)).toEqual([["p0"]]);
});

test("what a band gathers, whichever way it is drawn", () => {
  const all = [WHOLE, LARGE, SMALL, CORNER];
  const ids = (x0: number, y0: number, x1: number, y1: number): string[] =>
    gatheredBy({ from: { x: x0, y: y0 }, to: { x: x1, y: y1 } }, all).map((p) => p.id);
  expect(ids(0, 0, 64, 48)).toEqual(["whole", "large", "small", "corner"]);
  expect(ids(20, 20, 10, 15)).toEqual(["small"]);
  expect(ids(10, 10, 20, 14)).toEqual([]);
  expect(ids(64, 48, 23, 0)).toEqual(["whole", "corner"]);
});

test("steps wrap around, and nothing is the next of nothing", () => {
  expect(stepFrom(null, 1, [])).toBeNull();
  expect(stepFrom("gone", -1, [SMALL, CORNER])?.proposal.id).toBe("corner");
  expect(stepFrom("corner", 1, [CORNER, SMALL])?.proposal.id).toBe("small");
});

test("colors are the id's own, valid, and mostly different", () => {
  const colors = Array.from({ length: 200 }, (_, i) => colorOfId(`proposal-${i}`));
  expect(colors.every((color) => /^#[0-9a-f]{6}$/.test(color))).toBe(true);
  expect(new Set(colors).size).toBeGreaterThan(120);
  expect(colorOfId("a")).toBe(colorOfId("a"));
});

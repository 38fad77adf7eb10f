import { encodeMask } from "../src/codecs/rle";
import { tellTruth } from "../src/host/fake_truth";
import type { Prompt } from "../src/host/traits";
import { curveInWords } from "../src/state/truth";
import { promptRange } from "../src/ui/Truth";
import { HEIGHT, makeKernel, mountOn, settle, SQUARE, WIDTH, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

beforeEach(async () => {
  kernel = makeKernel();
  widget = mountOn(kernel);
  await settle();
});
afterEach(() => widget.close());

const point = (x: number, y: number): Prompt => ({ type: "point", x, y, label: 1 });
const square = (from: number, to: number) => {
  const on = new Uint8Array(WIDTH * HEIGHT);
  for (let y = from; y < to; y++) on.fill(1, y * WIDTH + from, y * WIDTH + to);
  return { size: [HEIGHT, WIDTH] as [number, number], counts: encodeMask(on, WIDTH, HEIGHT) };
};
const tell = (from = SQUARE.from, to = SQUARE.to) => tellTruth(kernel, square(from, to));
const status = (): string => widget.find("true-iou").textContent!;

test("without truth nothing is shown", async () => {
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  await settle();
  for (const part of ["true-iou", "truth", "truth-curve"]) expect(widget.all(part)).toHaveLength(0);
});

test("the status line says the picked candidate's true IoU beside the predicted one", async () => {
  const stop = tell();
  await settle();
  expect(widget.all("true-iou")).toHaveLength(0); // no draft yet
  expect(widget.find("truth").textContent).toContain("1 mask is known");
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  await settle();
  const scores = kernel.get("truth_scores")!;
  expect(Math.min(...scores.iou)).toBeGreaterThan(0.9); // it is the square, to its edges
  stop();
  const iou = [0.11, 0.52, 0.93, 0.4]; // as if they differed
  kernel.push({ truth_scores: { ...scores, iou } });
  for (const picked of [0, 1, 2]) {
    kernel.set({ picked });
    await settle();
    expect(status()).toContain(`true IoU ${iou[picked]!.toFixed(2)}`);
    const { predicted_iou } = kernel.get("candidates")!.items[picked]!;
    expect(status()).toContain(`predicted ${predicted_iou.toFixed(2)}`);
  }
});

test("scores of another answer are not passed off as this one's", async () => {
  tell();
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  await settle();
  const scores = kernel.get("truth_scores")!;
  kernel.push({ truth_scores: { ...scores, request: "r0" } });
  await settle();
  expect(status()).toContain("true IoU –");
  expect(widget.find("true-iou").dataset["iou"]).toBe("");
});

test("a moved threshold is no part of the number, and it says so", async () => {
  tell();
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  await settle();
  expect(status()).not.toContain("threshold");
  const slider = widget.find("threshold") as HTMLInputElement;
  slider.value = "1.5";
  slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
  await settle();
  expect(status()).toContain("at threshold 0");
});

test("the curve has a point for each answer, and a name that says its numbers", async () => {
  tell();
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  kernel.set({ prompts: [point(20, 20), point(24, 24)], request: "r2" });
  await settle();
  expect(widget.all("truth-point")).toHaveLength(2);
  const curve = widget.find("truth-curve");
  expect(curve.getAttribute("role")).toBe("img");
  const { curve: points } = kernel.get("truth_scores")!;
  expect(curve.getAttribute("aria-label")).toBe(curveInWords(points));
  expect(curveInWords(points)).toContain(`after 2 prompts ${points[1]![1].toFixed(2)}`);
  // A better answer lies higher.
  const heights = widget.all("truth-point").map((dot) => Number(dot.getAttribute("cy")));
  expect(Math.sign(heights[0]! - heights[1]!)).toBe(Math.sign(points[1]![1] - points[0]![1]));
  kernel.set({ prompts: [], request: "r3" });
  await settle();
  expect(widget.all("truth-curve")).toHaveLength(0);
});

test("where the truth has nothing, it says so", async () => {
  tell(40, 44);
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  await settle();
  expect(status()).toBe("no truth here");
  expect(widget.find("live").textContent).toBe("No mask of the truth is here");
});

test("each answer's true IoU is said once", async () => {
  tell();
  kernel.set({ prompts: [point(20, 20)], request: "r1" });
  await settle();
  const [first] = kernel.get("truth_scores")!.iou;
  expect(widget.find("live").textContent).toContain(`True IoU ${first!.toFixed(2)}, predicted`);
  kernel.set({ picked: 1 });
  await settle();
  expect(widget.find("live").textContent).toContain(`True IoU ${first!.toFixed(2)}`);
});

test("the outline is a switch, off until it is switched on", async () => {
  tell();
  await settle();
  const toggle = widget.find("truth-outline");
  expect(toggle.getAttribute("role")).toBe("switch");
  expect(toggle.getAttribute("aria-checked")).toBe("false");
  toggle.click();
  await settle();
  expect(toggle.getAttribute("aria-checked")).toBe("true");
  expect(toggle.tabIndex).toBe(0);
});

test("a short draft leaves room on the axis, and a long one fits", () => {
  expect(promptRange([])).toEqual([1, 5]);
  expect(promptRange([[1, 0.5, 0.5]])).toEqual([1, 5]);
  expect(promptRange([[3, 0.5, 0.5], [30, 0.9, 0.9]])).toEqual([3, 30]);
});

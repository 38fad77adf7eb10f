import { gridOf } from "../src/codecs/logits";
import type { Prompt, Traits } from "../src/host/traits";
import { createStore } from "../src/state/store";
import { areaAt, resetThreshold, thresholdInWords } from "../src/state/threshold";
import { createViewState } from "../src/state/view_state";
import { formatThreshold } from "../src/ui/ThresholdSlider";
import { IMAGE, makeKernel, mountOn, settle, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

async function mount(): Promise<void> {
  kernel = makeKernel();
  widget = mountOn(kernel);
  await settle();
}
afterEach(() => widget?.close());

const point = (x: number, y: number, label: 0 | 1 = 1): Prompt => ({ type: "point", x, y, label });
const click = { prompts: [point(20, 20)], request: "test-1" };

async function draft(values: Partial<Traits> = click): Promise<void> {
  kernel.set(values);
  await settle();
}

function press(name: string): void {
  widget.canvas.dispatchEvent(
    new KeyboardEvent("keydown", { key: name, code: `Digit${name}`, bubbles: true, cancelable: true }),
  );
}

function slide(value: number): void {
  const slider = widget.find("threshold") as HTMLInputElement;
  slider.value = String(value);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

const cards = () => [0, 1, 2, 3].map((i) => widget.find(`candidate-${i}`));
const area = (i: number) =>
  widget.find(`candidate-${i}`).querySelector("[data-testid=candidate-area]")!.textContent!;

test("one click has three cards and behind them the single mask's, which key 4 picks", async () => {
  await mount();
  await draft();
  expect(cards().map((card) => card.classList.contains("sw-card-single"))).toEqual([false, false, false, true]);
  expect(cards().map((card) => card.dataset["token"]).sort()).toEqual(["0", "1", "2", "3"]);
  expect(widget.find("candidate-3").textContent).toContain("single");
  expect(widget.find("candidate-3").getAttribute("aria-label")).toMatch(/^Candidate 4, the single mask: predicted IoU/);
  expect(widget.root.querySelector<HTMLElement>(".sw-cards")!.dataset["single"]).toBe("last");
  press("4");
  await settle();
  expect(kernel.get("picked")).toBe(3);
  expect(widget.find("candidate-3").getAttribute("aria-checked")).toBe("true");
});

test("a richer prompt has the single mask first", async () => {
  await mount();
  await draft({ prompts: [point(20, 20), point(50, 40, 0)], request: "test-2" });
  expect(cards().map((card) => card.classList.contains("sw-card-single"))).toEqual([true, false, false, false]);
  expect(widget.root.querySelector<HTMLElement>(".sw-cards")!.dataset["single"]).toBe("first");
  expect(widget.find("candidate-0").getAttribute("aria-checked")).toBe("true");
});

test("an answer without tokens has plain cards", async () => {
  await mount();
  await draft();
  const { tokens: _, ...plain } = kernel.get("candidates")!;
  kernel.push({ candidates: plain });
  await settle();
  expect(widget.root.querySelector(".sw-card-single")).toBeNull();
  expect(widget.root.querySelector<HTMLElement>(".sw-cards")!.dataset["single"]).toBe("none");
});

test("the threshold changes the picked mask's area and outline, and goes along when it is kept", async () => {
  await mount();
  expect((widget.find("threshold") as HTMLInputElement).disabled).toBe(true);
  await draft();
  const before = [0, 1, 2, 3].map(area);
  slide(2.5);
  await settle();
  expect(widget.root.dataset["threshold"]).toBe("2.5");
  expect(widget.find("threshold-reset").textContent).toBe("+2.5");
  expect(widget.find("threshold").getAttribute("aria-valuetext")).toBe("stricter by 2.5");
  const after = [0, 1, 2, 3].map(area);
  expect(after[0]).not.toBe(before[0]);
  expect(after.slice(1)).toEqual(before.slice(1));
  expect(widget.find("candidate-0").getAttribute("aria-label")).toContain(
    `${areaAt(kernel.get("candidates")!, 0, IMAGE, 2.5)} pixels`,
  );
  widget.find("keep").click();
  await settle();
  expect(kernel.sent.at(-1)).toEqual({ op: "keep", request: "test-1", picked: 0, threshold: 2.5 });
  expect(widget.root.dataset["threshold"]).toBe("0");
});

test("at 0 nothing is said of the threshold", async () => {
  await mount();
  await draft();
  slide(1);
  slide(0);
  widget.find("keep").click();
  expect(kernel.sent.at(-1)).toEqual({ op: "keep", request: "test-1", picked: 0 });
});

test("a double click or the figure beside it goes back to 0", async () => {
  await mount();
  await draft();
  slide(-1.3);
  await settle();
  expect(widget.find("threshold-reset").textContent).toBe("−1.3");
  widget.find("threshold").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
  await settle();
  expect(widget.root.dataset["threshold"]).toBe("0");
  slide(0.7);
  await settle();
  widget.find("threshold-reset").click();
  await settle();
  expect((widget.find("threshold") as HTMLInputElement).value).toBe("0");
});

test("refining goes on with the threshold; a new draft starts at 0", () => {
  const fake = makeKernel();
  const store = createStore(fake);
  const view = createViewState(store);
  const stop = resetThreshold(store, view);
  fake.set(click);
  view.threshold.value = 1.5;
  fake.set({ prompts: [point(20, 20), point(40, 40, 0)], request: "test-2" });
  expect(view.threshold.value).toBe(1.5);
  fake.set({ prompts: [point(50, 40)], request: "test-3" }); // another thing, without a step between
  expect(view.threshold.value).toBe(0);
  view.threshold.value = -2;
  fake.send({ op: "clear" });
  expect(view.threshold.value).toBe(0);
  stop();
  store.dispose();
});

test("an area is counted where the logits are above the threshold, within the image", () => {
  const fake = makeKernel();
  fake.set(click);
  const candidates = fake.get("candidates")!;
  const { values, scale } = gridOf(candidates, 1)!;
  for (const threshold of [-3, -0.5, 0.5, 3]) {
    const inside = values.filter((v) => v > threshold).length;
    expect(areaAt(candidates, 1, IMAGE, threshold)).toBe(
      Math.min(Math.round(inside / (scale[0] * scale[1])), IMAGE.width * IMAGE.height),
    );
  }
  expect(areaAt(candidates, 1, IMAGE, 0)).toBe(candidates.items[1]!.area);
  expect(areaAt(candidates, 1, IMAGE, -99)).toBe(IMAGE.width * IMAGE.height);
  expect(areaAt({ ...candidates, region: [0, 0, 10, 10] }, 1, IMAGE, -99)).toBe(100);
  expect(areaAt(candidates, 9, IMAGE, 1)).toBe(0);
});

test("thresholds in words and figures", () => {
  expect([0, 0.1, -4].map(thresholdInWords)).toEqual([
    "as the model draws it", "stricter by 0.1", "looser by 4.0",
  ]);
  expect([0, 2, -0.5].map(formatThreshold)).toEqual(["0", "+2.0", "−0.5"]);
});

test("the preferred level is set, and the present click's pick follows", async () => {
  await mount();
  await draft();
  const level = widget.find("level") as HTMLSelectElement;
  expect(level.value).toBe("best");
  level.value = "whole";
  level.dispatchEvent(new Event("change", { bubbles: true }));
  await settle();
  expect(kernel.get("level")).toBe("whole");
  const { items, tokens } = kernel.get("candidates")!;
  const largest = items
    .map((item, i) => ({ i, area: tokens![i] === 0 ? -1 : item.area }))
    .reduce((a, b) => (b.area > a.area ? b : a)).i;
  expect(kernel.get("picked")).toBe(largest);
  kernel.push({ level: "subpart" }); // the kernel remembers something else
  await settle();
  expect((widget.find("level") as HTMLSelectElement).value).toBe("subpart");
});

test("a preferred level leaves the pick of a clear prompt alone", async () => {
  await mount();
  await draft({ prompts: [point(20, 20), point(25, 25)], request: "test-2" });
  const level = widget.find("level") as HTMLSelectElement;
  level.value = "part";
  level.dispatchEvent(new Event("change", { bubbles: true }));
  await settle();
  expect(kernel.sent.at(-1)).toEqual({ level: "part" });
  expect(kernel.get("picked")).toBe(0);
});

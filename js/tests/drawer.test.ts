import { inflateSync } from "node:zlib";
import { bytesOf } from "../src/codecs/bytes";
import { fakeInsight, plainPng } from "../src/host/fake_insight";
import type { InsightTrait, Prompt } from "../src/host/traits";
import { between, limitOf } from "../src/ui/drawer/heat";
import { axisStart } from "../src/ui/drawer/ScoresView";
import { byToken } from "../src/ui/drawer/TokensView";
import { makeKernel, mountOn, settle, squarePixels, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

async function mount(more: { standalone?: boolean } = {}): Promise<void> {
  kernel = Object.assign(makeKernel(), more);
  widget = mountOn(kernel);
  await settle();
}
afterEach(() => widget?.close());

const point: Prompt = { type: "point", x: 20, y: 20, label: 1 };
const draft = { prompts: [point], request: "test-1" };
const asked = (): string[] =>
  kernel.sent.flatMap((message) => ("op" in message && message.op === "insight" ? [message.kind] : []));
const missing = (): string => widget.find("lesson-missing").textContent!;

async function open(tab: string): Promise<void> {
  if (widget.find("drawer").dataset["open"] === "false") widget.find("drawer-handle").click();
  await settle();
  widget.find(`tab-${tab}`).click();
  await settle();
}

test("the drawer is closed until it is opened, and stays as it was left", async () => {
  await mount();
  expect(widget.find("drawer-handle").getAttribute("aria-expanded")).toBe("false");
  expect(widget.all("lesson")).toHaveLength(0);
  await open("tokens");
  expect(widget.find("lesson").dataset["tab"]).toBe("tokens");
  // The tray goes away while proposals are judged, and comes back.
  kernel.find([{ id: "p", rle: { size: [48, 64], counts: "0" }, box: [0, 0, 1, 1], area: 1, predicted_iou: 1, stability_score: 1, point: [0, 0] }]);
  await settle();
  expect(widget.all("tray")).toHaveLength(0);
  kernel.set(draft);
  await settle();
  expect(widget.find("lesson").dataset["tab"]).toBe("tokens");
  widget.find("drawer-handle").click();
  await settle();
  expect(widget.all("lesson")).toHaveLength(0);
});

test("five tabs, each with one sentence; arrows go through them and pick no candidate", async () => {
  await mount();
  kernel.set(draft);
  await open("scores");
  const tabs = [...widget.root.querySelectorAll<HTMLElement>("[role=tab]")];
  expect(tabs.map((tab) => tab.textContent)).toEqual(["Scores", "Logits", "Tokens", "Embedding", "Attention"]);
  for (const tab of tabs) {
    tab.click();
    await settle();
    const text = widget.find("lesson").querySelector(".sw-sentence")!.textContent!;
    expect(text.endsWith(".") || text.endsWith(").")).toBe(true);
    expect(text.match(/\. /g)).toBeNull();
    expect(tab.getAttribute("aria-selected")).toBe("true");
  }
  const arrow = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true });
  tabs[4]!.dispatchEvent(arrow);
  await settle();
  expect(arrow.defaultPrevented).toBe(true);
  expect(widget.find("lesson").dataset["tab"]).toBe("scores");
  expect(kernel.get("picked")).toBe(0);
});

test("without a draft each view says kindly what to do", async () => {
  await mount();
  for (const tab of ["scores", "logits", "tokens", "attention"]) {
    await open(tab);
    expect(missing()).toContain("Click a thing");
  }
  expect(asked()).toEqual([]);
});

test("scores: a dot for each candidate, the picked one marked, and what was kept", async () => {
  await mount();
  kernel.set(draft);
  await open("scores");
  expect(widget.all("scatter-dot")).toHaveLength(4);
  const picked = () => widget.all("scatter-dot").filter((dot) => dot.dataset["picked"]).map((d) => d.textContent);
  expect(picked()).toEqual(["1"]);
  expect(widget.find("scatter").querySelectorAll("rect")).toHaveLength(1); // the single mask
  kernel.set({ picked: 2 });
  await settle();
  expect(picked()).toEqual(["3"]);
  widget.find("keep").click();
  await settle();
  expect(widget.all("scatter-dot")).toHaveLength(0);
  expect(widget.find("scatter").querySelectorAll(".sw-dot-kept")).toHaveLength(1);
  expect(widget.find("scatter").getAttribute("aria-label")).toContain("1 kept");
});

test("logits: a map with a scale, whose mark follows the threshold", async () => {
  await mount();
  kernel.set(draft);
  await open("logits");
  const map = widget.find("logit-map") as HTMLCanvasElement;
  expect(map.width / map.height).toBeCloseTo(64 / 48, 2);
  const mark = () => widget.root.querySelector<HTMLElement>(".sw-colorbar i")!.style.left;
  expect(mark()).toBe("50%");
  const slider = widget.find("threshold") as HTMLInputElement;
  slider.value = "2";
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await settle();
  expect(parseFloat(mark())).toBeGreaterThan(55);
  expect(widget.find("lesson").textContent).toContain("threshold +2.0");
});

test("tokens: four maps in the decoder's order, and a click picks", async () => {
  await mount();
  kernel.set(draft);
  await open("tokens");
  const tiles = widget.all("token");
  expect(tiles.map((tile) => tile.textContent!.replace(/\d\.\d\d$/, ""))).toEqual([
    "single mask", "mask 1", "mask 2", "mask 3",
  ]);
  expect(widget.all("token-map")).toHaveLength(4);
  tiles[0]!.click();
  await settle();
  expect(kernel.get("picked")).toBe(3);
  expect(widget.all("token")[0]!.getAttribute("aria-pressed")).toBe("true");
});

test("the embedding is asked for once, when it is looked at", async () => {
  await mount();
  kernel.set(draft);
  await settle();
  expect(asked()).toEqual([]);
  await open("embedding");
  expect(asked()).toEqual(["pca"]);
  expect(widget.find("pca").getAttribute("aria-label")).toContain("embedding");
  expect(widget.find("lesson").textContent).toContain("48 × 36 patches");
  kernel.set({ prompts: [point, { ...point, x: 40 }], request: "test-2" });
  await settle();
  expect(asked()).toEqual(["pca"]);
  // Another model: what the last one showed is gone, and asked for anew.
  kernel.push({ insight: null });
  await settle();
  expect(asked()).toEqual(["pca", "pca"]);
});

test("attention is asked for each draft, when the kernel knows it", async () => {
  await mount();
  await open("attention");
  kernel.held = [];
  kernel.set(draft);
  await settle();
  expect(asked()).toEqual([]);
  kernel.answerNow();
  await settle();
  expect(asked()).toEqual(["attention"]);
  expect(widget.all("attention-map").map((map) => map.getAttribute("aria-label"))).toEqual(
    ["IoU", "single mask", "mask 1", "mask 2", "mask 3", "included point"].map((t) => `Attention of the token ${t}`),
  );
  expect(widget.find("attention").dataset["fresh"]).toBe("true");
  kernel.held = [];
  kernel.set({ prompts: [point, { ...point, x: 40 }], request: "test-2" });
  await settle();
  expect(widget.find("attention").dataset["fresh"]).toBe("false"); // the last one stays, faintly
  kernel.answerNow();
  await settle();
  expect(asked()).toEqual(["attention", "attention"]);
  expect(widget.find("attention").dataset["fresh"]).toBe("true");
});

test("two views with different tabs do not ask each other's pictures away", async () => {
  await mount();
  kernel.set(draft);
  await open("embedding");
  const first = widget;
  widget = mountOn(kernel);
  await settle();
  await open("attention");
  expect(asked()).toEqual(["pca", "attention"]);
  expect(first.all("pca")).toHaveLength(1);
  expect(widget.all("attention-map")).toHaveLength(6);
  first.close();
});

test("what the kernel cannot show is said in its words, as text", async () => {
  await mount();
  await open("embedding");
  const evil = "<img src=x onerror=alert(1)> is not of the SAM architecture.";
  kernel.push({
    insight: { kind: "pca", request: "", width: 0, height: 0, region: [0, 0, 0, 0], pictures: [], message: evil },
  });
  await settle();
  expect(missing()).toBe(evil);
  expect(widget.root.querySelector("img")).toBeNull();
});

test("a page without a kernel says so and asks nobody", async () => {
  await mount({ standalone: true });
  kernel.set(draft);
  for (const tab of ["embedding", "attention"]) {
    await open(tab);
    expect(missing()).toContain("this page has none");
  }
  expect(asked()).toEqual([]);
  await open("scores");
  expect(widget.all("scatter-dot")).toHaveLength(4);
  kernel.push({ insight: fakeInsight(squarePixels(), "pca", [], "") }); // as it may have been saved
  await open("embedding");
  expect(widget.all("pca")).toHaveLength(1);
});

test("colors lie between their stops, and the scale reaches most of the numbers", () => {
  const stops = [[0, 0, 0], [100, 200, 50], [255, 255, 255]] as const;
  expect(between(stops, 0)).toEqual([0, 0, 0]);
  expect(between(stops, 0.25)).toEqual([50, 100, 25]);
  expect(between(stops, 1)).toEqual([255, 255, 255]);
  expect([between(stops, -3), between(stops, 7)]).toEqual([[0, 0, 0], [255, 255, 255]]);
  const grid = (size: number) => ({
    values: Float32Array.from({ length: 900 }, (_, i) => (i < 890 ? size : 500)), width: 30, height: 30, scale: [1, 1] as const,
  });
  expect([1, 5, -9, 99].map((size) => limitOf([grid(size)]))).toEqual([4, 6, 10, 30]);
  expect(limitOf([])).toBe(4);
});

test("the axes begin below all scores, and tokens are put in order", () => {
  expect(axisStart([0.93, 0.99])).toBe(0.8);
  expect(axisStart([0.41, 0.9])).toBeCloseTo(0.3, 6);
  expect(axisStart([0, NaN])).toBe(0);
  const item = { predicted_iou: 1, stability_score: 1, area: 1, box: [0, 0, 1, 1] as [number, number, number, number] };
  expect(byToken({ items: [item, item, item, item], tokens: [2, 3, 1, 0] })).toEqual([3, 2, 0, 1]);
  expect(byToken({ items: [item, item] })).toEqual([0, 1]);
});

test("the fake kernel's pictures are PNG files", () => {
  const file = bytesOf(plainPng(3, 2, 1, Uint8Array.of(1, 2, 3, 4, 5, 6)));
  expect([...file.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  const at = file.findIndex((_, i) => String.fromCharCode(...file.subarray(i, i + 4)) === "IDAT");
  const length = new DataView(file.buffer).getUint32(at - 4);
  expect([...inflateSync(file.subarray(at + 4, at + 4 + length))]).toEqual([0, 1, 2, 3, 0, 4, 5, 6]);
  const insight: InsightTrait = fakeInsight(squarePixels(), "attention", [], "r");
  expect(insight.message).toContain("no draft");
});

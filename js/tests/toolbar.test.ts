import { createLook, groundBelow } from "../src/canvas/look";
import { toLab } from "../src/canvas/color";
import { encodeMask } from "../src/codecs/rle";
import { createStore } from "../src/state/store";
import { makeKernel, mountOn, settle, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

beforeEach(async () => {
  kernel = makeKernel();
  widget = mountOn(kernel);
  await settle();
});
afterEach(() => widget.close());

function key(target: HTMLElement, name: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}
const bar = (): HTMLElement => widget.root.querySelector<HTMLElement>("[aria-label='Segmentation tools']")!;

test("a toolbar is one stop of Tab, and arrows go through it", async () => {
  const stops = () => [...bar().querySelectorAll<HTMLElement>("button")].filter((b) => b.tabIndex === 0);
  expect(stops()).toEqual([widget.find("tool-point")]);
  widget.find("tool-point").focus();
  expect(key(widget.find("tool-point"), "ArrowRight").defaultPrevented).toBe(true);
  expect(document.activeElement).toBe(widget.find("tool-box"));
  expect(stops()).toEqual([widget.find("tool-box")]);
  key(widget.find("tool-box"), "End");
  expect(document.activeElement).toBe(widget.find("keys"));
  key(widget.find("keys"), "ArrowRight");
  expect(document.activeElement).toBe(widget.find("tool-point"));
});

test("arrows in the toolbar leave candidates alone", async () => {
  kernel.set({ prompts: [{ type: "point", x: 20, y: 20, label: 1 }], request: "t" });
  await settle();
  widget.find("undo").focus();
  key(widget.find("undo"), "ArrowRight");
  expect(kernel.get("picked")).toBe(0);
});

test("choosing a tool says so and gives the keys to the stage", async () => {
  widget.find("tool-lasso").click();
  await settle();
  expect(widget.find("tool-lasso").getAttribute("aria-pressed")).toBe("true");
  expect(widget.find("live").textContent).toBe("Lasso tool");
  expect(document.activeElement).toBe(widget.canvas);
  expect(widget.find("tool-lasso").dataset["keys"]).toBe("L");
});

test("without a kernel there are point and box, and no look", async () => {
  widget.close();
  kernel = Object.assign(makeKernel(), { standalone: true });
  widget = mountOn(kernel);
  await settle();
  const tools = [...bar().querySelectorAll<HTMLElement>("[data-testid^='tool-']")];
  expect(tools.map((tool) => tool.dataset["testid"])).toEqual(["tool-point", "tool-box"]);
  expect(widget.all("look")).toHaveLength(0);
});

test("the look panel sends what is chosen and closes by Escape", async () => {
  widget.find("look").click();
  await settle();
  widget.find("look-outline").click();
  widget.find("look-object").click();
  widget.find("protect").click();
  expect(kernel.sent).toEqual([
    { appearance: { opacity: 0.3, show: "outline", color_by: "label" } },
    { appearance: { opacity: 0.3, show: "outline", color_by: "object" } },
    { protect: true },
  ]);
  await settle();
  expect(widget.find("protect").getAttribute("aria-checked")).toBe("true");
  expect((widget.find("look-opacity") as HTMLInputElement).disabled).toBe(true);
  key(widget.find("look-outline"), "ArrowLeft");
  expect(kernel.get("appearance").show).toBe("fill");
  key(widget.find("look-panel"), "Escape");
  await settle();
  expect(widget.all("look-panel")).toHaveLength(0);
  expect(document.activeElement).toBe(widget.canvas);
});

test("the sheet shows remapped keys, and they work", async () => {
  kernel.push({ keymap: { brush: ["F2"] } });
  key(widget.canvas, "?");
  await settle();
  expect(widget.find("key-sheet").textContent).toContain("BrushF2");
  key(widget.canvas, "F2");
  await settle();
  expect(widget.find("tool-brush").getAttribute("aria-pressed")).toBe("true");
  expect(widget.find("tool-brush").dataset["keys"]).toBe("F2");
});

test("the mean color below a mask is that of the pixels it covers", () => {
  const image = kernel.get("image")!;
  const [red, blue] = [toLab({ r: 220, g: 40, b: 40 }), toLab({ r: 30, g: 60, b: 140 })];
  // Half as fine as the image: red in columns and rows 8 to 16.
  const lab = Array.from({ length: 32 * 24 }, (_, i) => {
    const [x, y] = [i % 32, Math.floor(i / 32)];
    return x >= 8 && x < 16 && y >= 8 && y < 16 ? red : blue;
  });
  const grid = { width: 32, height: 24, lab };
  const on = new Uint8Array(64 * 48);
  for (let y = 16; y < 32; y++) on.fill(1, y * 64 + 16, y * 64 + 32);
  const annotation = {
    id: "a", label: "car", rle: { size: [48, 64] as [number, number], counts: encodeMask(on, 64, 48) },
    box: [16, 16, 32, 32] as [number, number, number, number], area: 256, predicted_iou: 1, stability_score: 1,
    visible: true,
  };
  const ground = groundBelow(annotation, image, grid)!;
  expect(ground.lightness).toBeCloseTo(red.lightness, 4);
  expect(ground.a).toBeCloseTo(red.a, 4);
});

test("outline, fill and color by object are what masks are drawn with", () => {
  const store = createStore(kernel);
  const look = createLook(store, { bitmap: { peek: () => null } } as never);
  const annotation = { id: "a", label: "car" } as never;
  const style = () => look.styleOf(annotation, kernel.get("image")!, false);
  expect(style()).toMatchObject({ color: "#e4572e", fill: 0.3, width: 1.5 });
  kernel.push({ appearance: { opacity: 0.6, show: "outline", color_by: "label" } });
  expect(style()).toMatchObject({ fill: 0, width: 1.5 });
  kernel.push({ appearance: { opacity: 0.6, show: "fill", color_by: "object" } });
  expect(style()).toMatchObject({ fill: 0.6, width: 0 });
  expect(style().color).not.toBe("#e4572e");
  store.dispose();
});

import { cropFor } from "../src/ui/Thumbnail";
import { formatArea, formatMs, formatScore } from "../src/ui/format";
import type { AnnotationTrait, CandidatesTrait } from "../src/host/traits";
import { LABELS, makeKernel, mountOn, settle, type Mounted } from "./helpers";

const EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&amp;';

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

async function mount(labels = LABELS): Promise<void> {
  kernel = makeKernel(labels);
  widget = mountOn(kernel);
  await settle();
}
afterEach(() => widget.close());

const draft = { prompts: [{ type: "point", x: 20, y: 20, label: 1 } as const], request: "test-1" };

function key(target: HTMLElement, name: string, more: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", {
    key: name, code: /^\d$/.test(name) ? `Digit${name}` : "", bubbles: true, cancelable: true, ...more,
  });
  target.dispatchEvent(event);
  return event;
}

function annotation(id: string, more: Partial<AnnotationTrait> = {}): AnnotationTrait {
  return {
    id, label: "car", rle: { size: [48, 64], counts: "0" }, box: [0, 0, 1, 1], area: 12,
    predicted_iou: 0.9, stability_score: 0.8, visible: true, ...more,
  };
}

test("the tray shows every candidate with its scores, the picked one marked", async () => {
  await mount();
  kernel.set(draft);
  await settle();
  const items = kernel.get("candidates")!.items;
  expect(widget.all("candidate-iou").map((e) => e.textContent)).toEqual(
    items.map((item) => item.predicted_iou.toFixed(2)),
  );
  const checked = () => [0, 1, 2].map((i) => widget.find(`candidate-${i}`).getAttribute("aria-checked"));
  expect(checked()).toEqual(["true", "false", "false"]);
  key(widget.canvas, "2");
  await settle();
  expect(checked()).toEqual(["false", "true", "false"]);
  expect(kernel.get("picked")).toBe(1);
});

test("the root says which answer is painted, and whether one is awaited", async () => {
  await mount();
  kernel.held = [];
  kernel.set(draft);
  await settle();
  expect(widget.root.dataset["busy"]).toBe("true");
  expect(widget.root.dataset["request"]).toBe("");
  kernel.answerNow();
  await settle();
  expect(widget.root.dataset["busy"]).toBe("false");
  expect(widget.root.dataset["request"]).toBe("test-1");
  expect(widget.find("live").textContent).toMatch(/^4 candidates, best 0\.\d\d$/);
});

test("Enter keeps, the list shows it, and the live region says it", async () => {
  await mount();
  kernel.set(draft);
  await settle();
  expect(key(widget.canvas, "Enter").defaultPrevented).toBe(true);
  await settle();
  expect(widget.all("annotation-row")).toHaveLength(1);
  expect(widget.find("annotation-count").textContent).toBe("1");
  expect(widget.find("live").textContent).toBe("Kept as car");
  expect(widget.find("undo").getAttribute("aria-label")).toBe("Undo keep car");
});

test("keys that are not the widget's pass untouched", async () => {
  await mount();
  const passed: string[] = [];
  const listen = (event: KeyboardEvent): void => void passed.push(event.key);
  document.addEventListener("keydown", listen);
  for (const event of [
    key(widget.canvas, "s", { ctrlKey: true }), key(widget.canvas, "Tab"), key(widget.canvas, "a"),
    key(widget.canvas, "Enter"), key(widget.canvas, "Escape"),
  ]) {
    expect(event.defaultPrevented).toBe(false);
  }
  document.removeEventListener("keydown", listen);
  expect(passed).toEqual(["s", "Tab", "a", "Enter", "Escape"]);
});

test("what takes the focus keeps the notebook's shortcuts away, but lets its chords through", async () => {
  await mount();
  kernel.set(draft);
  kernel.push({ annotations: [annotation("a")] });
  await settle();
  const focusable = widget.root.querySelectorAll("button, input, select, canvas[tabindex]");
  expect(focusable.length).toBeGreaterThan(15);
  for (const element of focusable) {
    expect(element.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  }
  const seen: boolean[] = [];
  const listen = (): void =>
    void seen.push(widget.canvas.hasAttribute("data-lm-suppress-shortcuts"));
  document.addEventListener("keydown", listen, { capture: true });
  key(widget.canvas, "s", { ctrlKey: true });
  key(widget.canvas, "z", { ctrlKey: true });
  document.removeEventListener("keydown", listen, { capture: true });
  expect(seen).toEqual([false, true]);
  await new Promise((done) => setTimeout(done, 5));
  expect(widget.canvas.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
});

test("names full of HTML are text wherever they show", async () => {
  await mount([{ name: EVIL, color: 'red;background:url("x")' }]);
  kernel.push({
    image: { ...kernel.get("image")!, name: EVIL },
    annotations: [annotation("a", { label: EVIL })],
    notice: { id: "n", level: "error", code: "x", message: EVIL, request: "" },
    status: { ...kernel.get("status"), state: "failed", model: EVIL, message: EVIL },
    history: { undo: EVIL, redo: null },
  });
  kernel.set(draft);
  await settle();
  expect(widget.root.querySelector("img, script")).toBeNull();
  expect((window as unknown as { hacked?: number }).hacked).toBeUndefined();
  expect(widget.find("label-chip").textContent).toContain(EVIL);
  expect(widget.find("notice").textContent).toContain(EVIL);
  expect(widget.find("keep").textContent).toContain(EVIL);
  expect(widget.find("annotation-row").querySelector("option")!.textContent).toBe(EVIL);
  expect(widget.root.outerHTML).not.toContain("url(");
});

test("a label chosen by its chip or by Shift and digit", async () => {
  await mount();
  widget.all("label-chip")[1]!.click();
  expect(kernel.get("label")).toBe("person");
  key(widget.canvas, "!", { code: "Digit1", shiftKey: true });
  expect(kernel.get("label")).toBe("car");
});

test("a new label from the small field; Escape leaves without one", async () => {
  await mount();
  widget.find("add-label").click();
  await settle();
  const field = widget.find("label-input") as HTMLInputElement;
  field.value = "tree";
  key(field, "Enter");
  await settle();
  expect(widget.all("label-chip").map((chip) => chip.textContent)).toEqual(["car1", "person2", "tree3"]);
  widget.find("add-label").click();
  await settle();
  (widget.find("label-input") as HTMLInputElement).value = "nothing";
  key(widget.find("label-input"), "Escape");
  await settle();
  expect(widget.all("label-input")).toHaveLength(0);
  expect(kernel.get("labels")).toHaveLength(3);
});

test("rows hide, relabel and delete", async () => {
  await mount();
  kernel.push({ annotations: [annotation("a"), annotation("b")] });
  await settle();
  expect(widget.all("annotation-row").map((row) => row.dataset["id"])).toEqual(["b", "a"]);
  widget.find("toggle-visible").click();
  expect(kernel.sent.at(-1)).toEqual({ op: "show", ids: ["b"], visible: false });
  const select = widget.find("relabel") as HTMLSelectElement;
  select.value = "person";
  select.dispatchEvent(new Event("change", { bubbles: true }));
  expect(kernel.sent.at(-1)).toEqual({ op: "relabel", ids: ["b"], label: "person" });
  widget.find("toggle-all").click();
  expect(kernel.sent.at(-1)).toEqual({ op: "show", ids: ["a"], visible: false });
  widget.find("delete").click();
  await settle();
  expect(widget.all("annotation-row").map((row) => row.dataset["id"])).toEqual(["a"]);
});

test("of a thousand annotations only the rows in sight exist", async () => {
  await mount();
  kernel.push({ annotations: Array.from({ length: 1000 }, (_, i) => annotation(`a${i}`)) });
  await settle();
  expect(widget.find("annotation-count").textContent).toBe("1000");
  const rows = widget.all("annotation-row");
  expect(rows.length).toBeGreaterThan(5);
  expect(rows.length).toBeLessThan(60);
  expect(rows[0]!.getAttribute("aria-setsize")).toBe("1000");
});

test("a notice is dismissed by the kernel", async () => {
  await mount();
  kernel.push({ notice: { id: "n7", level: "error", code: "x", message: "No.", request: "" } });
  await settle();
  expect(widget.find("notice").getAttribute("role")).toBe("alert");
  widget.find("dismiss").click();
  await settle();
  expect(kernel.sent).toEqual([{ op: "dismiss", id: "n7" }]);
  expect(widget.all("notice")).toHaveLength(0);
});

test("a button that cannot act stays focusable and does nothing", async () => {
  await mount();
  const keep = widget.find("keep") as HTMLButtonElement;
  expect(keep.disabled).toBe(false);
  expect(keep.getAttribute("aria-disabled")).toBe("true");
  keep.click();
  widget.find("undo").click();
  expect(kernel.sent).toEqual([]);
});

test("two views of one model stay in step", async () => {
  await mount();
  const second = mountOn(kernel);
  kernel.set(draft);
  await settle();
  second.find("candidate-2").click();
  await settle();
  expect(widget.find("candidate-2").getAttribute("aria-checked")).toBe("true");
  second.close();
  key(widget.canvas, "Enter");
  await settle();
  expect(widget.all("annotation-row")).toHaveLength(1);
});

test("the crop holds all candidates, and goes closer to one that would be lost", () => {
  const item = (x0: number, y0: number, x1: number, y1: number) =>
    ({ predicted_iou: 1, stability_score: 1, area: 1, box: [x0, y0, x1, y1] }) as CandidatesTrait["items"][number];
  const image = { width: 1000, height: 750 };
  const alike = { items: [item(300, 300, 500, 450), item(320, 320, 480, 430)] } as CandidatesTrait;
  expect(cropFor(alike, 0, image)).toEqual(cropFor(alike, 1, image));
  const unlike = { items: [item(0, 0, 1000, 750), item(700, 500, 740, 530)] } as CandidatesTrait;
  const close = cropFor(unlike, 1, image);
  expect(close.width).toBeLessThan(150);
  expect(close.x).toBeLessThan(700);
  expect(close.x + close.width).toBeGreaterThan(740);
});

test("numbers as people read them", () => {
  expect([999, 12_430, 151_000, 3_200_000].map(formatArea)).toEqual(["999 px", "12.4k px", "151k px", "3.2M px"]);
  expect(formatScore(0.934)).toBe("0.93");
  expect(formatScore(NaN)).toBe("–");
  expect([41.7, 1290].map(formatMs)).toEqual(["42 ms", "1.3 s"]);
});

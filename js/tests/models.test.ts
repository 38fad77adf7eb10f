import type { DownloadTrait, ModelTrait } from "../src/host/traits";
import { formatBytes, percentOf, question, stage, whereabouts } from "../src/state/models";
import { makeKernel, mountOn, settle, type Mounted } from "./helpers";

const EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&amp;';

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

async function mount(): Promise<void> {
  kernel = makeKernel();
  widget = mountOn(kernel);
  await settle();
}
afterEach(() => widget?.close());

function key(name: string, more: KeyboardEventInit = {}): KeyboardEvent {
  const target = document.activeElement ?? widget.canvas;
  const event = new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  return event;
}

async function open(): Promise<void> {
  widget.find("model-button").focus();
  widget.find("model-button").click();
  await settle();
}
const entry = (name: string): HTMLElement =>
  widget.all("model-entry").find((one) => one.dataset["name"] === name)!;
const place = (name: string): string | null | undefined =>
  entry(name).querySelector("[data-testid=model-place]")?.textContent;
const focused = (): string | undefined => (document.activeElement as HTMLElement).dataset["item"];
const live = (): string | null => widget.find("live").textContent;

test("the menu says of each model where it is and on which terms, the present one ticked", async () => {
  await mount();
  expect(widget.all("model-menu")).toHaveLength(0);
  expect(widget.find("model-button").getAttribute("aria-expanded")).toBe("false");
  await open();
  expect(widget.find("model-button").getAttribute("aria-expanded")).toBe("true");
  expect(widget.find("model-menu").getAttribute("role")).toBe("menu");
  expect(place("embedded")).toBe("in the package");
  expect(place("vit_b")).toBe("on this computer");
  expect(place("mobile_sam")).toBe("41 MB download");
  expect(place("vit_h")).toBe("not available");
  expect(entry("medsam").textContent).toContain("375 MB · Apache-2.0, CC-BY-4.0");
  const ticked = widget.all("model-entry").filter((one) => one.getAttribute("aria-checked") === "true");
  expect(ticked.map((one) => one.dataset["name"])).toEqual(["embedded"]);
  expect(focused()).toBe("entry embedded");
});

test("a model that is here is used at once, and the stage has the keys again", async () => {
  await mount();
  await open();
  entry("vit_b").click();
  await settle();
  expect(kernel.sent).toEqual([{ op: "use_model", name: "vit_b" }]);
  expect(widget.all("model-menu")).toHaveLength(0);
  expect(document.activeElement).toBe(widget.canvas);
  expect(widget.find("model-button").textContent).toContain("vit_b");
  expect(live()).toBe("SAM ViT-B answers now");
});

test("nothing is fetched before it has been asked for", async () => {
  await mount();
  await open();
  entry("mobile_sam").click();
  await settle();
  expect(kernel.sent).toEqual([]);
  expect(widget.find("model-question").getAttribute("aria-label")).toBe(
    "Download 41 MB? Its licence is Apache-2.0.",
  );
  expect(focused()).toBe("download-model");
  widget.find("not-now").click();
  await settle();
  expect(widget.all("model-question")).toHaveLength(0);
  expect(focused()).toBe("entry mobile_sam");
  expect(kernel.sent).toEqual([]);
});

test("a download shows how far it is, in the menu and in the status line, and is then used", async () => {
  await mount();
  await open();
  entry("mobile_sam").click();
  await settle();
  widget.find("download-model").click();
  await settle();
  expect(kernel.sent).toEqual([{ op: "download_model", name: "mobile_sam" }]);
  expect(live()).toBe("Downloading MobileSAM");
  expect(place("mobile_sam")).toBe("downloading");
  expect(focused()).toBe("entry mobile_sam");
  kernel.models.arrive(0.42);
  await settle();
  expect(widget.find("download-percent").textContent).toBe("42%");
  const bar = widget.find("download-line").querySelector("[role=progressbar]")!;
  expect(bar.getAttribute("aria-label")).toBe("Downloading MobileSAM");
  expect(bar.getAttribute("aria-valuenow")).toBe("42");
  expect(live()).toBe("MobileSAM: 25 percent");
  kernel.models.arrive(0.42, "Trying again: the line is bad.");
  await settle();
  expect(widget.find("model-download").textContent).toContain("Trying again: the line is bad.");
  kernel.models.arrive(1);
  await settle();
  expect(widget.all("download-line")).toHaveLength(0);
  expect(place("mobile_sam")).toBe("on this computer");
  expect(entry("mobile_sam").getAttribute("aria-checked")).toBe("true");
  expect(live()).toBe("MobileSAM answers now");
  expect(focused()).toBe("entry mobile_sam");
});

test("a download is cancelled from the menu, and gone on with", async () => {
  await mount();
  await open();
  entry("mobile_sam").click();
  await settle();
  widget.find("download-model").click();
  kernel.models.arrive(0.5);
  await settle();
  entry("mobile_sam").click(); // leads to the button that stops it
  expect(focused()).toBe("cancel-download");
  widget.find("cancel-download").click();
  await settle();
  expect(kernel.sent.at(-1)).toEqual({ op: "cancel_download" });
  expect(live()).toBe("Download cancelled");
  expect(widget.all("download-line")).toHaveLength(0);
  expect(widget.find("model-menu").contains(document.activeElement)).toBe(true);
  entry("mobile_sam").click();
  await settle();
  expect(widget.find("model-question").getAttribute("aria-label")).toBe(
    "Go on with the download? 20 MB of 41 MB are here. Its licence is Apache-2.0.",
  );
  expect(widget.find("download-model").textContent).toBe("Go on");
});

test("a download is cancelled from the status line while the menu is closed", async () => {
  await mount();
  kernel.send({ op: "download_model", name: "mobile_sam" });
  await settle();
  widget.find("cancel-download-line").click();
  await settle();
  expect(kernel.sent.at(-1)).toEqual({ op: "cancel_download" });
  expect(document.activeElement).toBe(widget.canvas);
  expect(kernel.get("download").state).toBe("idle");
});

test("a download that fails is a notice, and the model stays", async () => {
  await mount();
  await open();
  kernel.send({ op: "download_model", name: "mobile_sam" });
  kernel.models.fail("127.0.0.1 answers 404 (it has no such file).");
  await settle();
  expect(widget.find("notice").textContent).toContain("answers 404");
  expect(place("mobile_sam")).toBe("41 MB download");
  expect(entry("embedded").getAttribute("aria-checked")).toBe("true");
});

test("while one model is fetched, no other one can be", async () => {
  await mount();
  kernel.send({ op: "download_model", name: "mobile_sam" });
  await open();
  entry("medsam").click();
  await settle();
  expect(widget.find("model-question").textContent).toContain("MobileSAM is being downloaded.");
  const sent = kernel.sent.length;
  widget.find("download-model").click();
  expect(kernel.sent).toHaveLength(sent);
});

test("a model that cannot be had says why, and does nothing", async () => {
  await mount();
  await open();
  const off = entry("vit_h");
  expect(off.getAttribute("aria-disabled")).toBe("true");
  expect(off.textContent).toContain("SEGWIDGET_OFFLINE");
  expect(off.getAttribute("aria-label")).toContain("SEGWIDGET_OFFLINE");
  off.click();
  await settle();
  expect(kernel.sent).toEqual([]);
  expect(widget.all("model-question")).toHaveLength(0);
});

test("the arrows go round, and through an open question", async () => {
  await mount();
  await open();
  key("ArrowUp");
  expect(focused()).toBe("entry medsam");
  key("ArrowDown");
  expect(focused()).toBe("entry embedded");
  key("End");
  expect(focused()).toBe("entry medsam");
  key("Home");
  key("ArrowDown");
  expect(focused()).toBe("entry mobile_sam");
  (document.activeElement as HTMLElement).click();
  await settle();
  expect(focused()).toBe("download-model");
  expect(key("ArrowDown").defaultPrevented).toBe(true);
  expect(focused()).toBe("not-now");
  key("ArrowDown");
  expect(focused()).toBe("entry vit_b");
});

test("Escape closes the question, then the menu; the focus goes back to where it was", async () => {
  await mount();
  await open();
  entry("mobile_sam").click();
  await settle();
  key("Escape");
  await settle();
  expect(widget.all("model-question")).toHaveLength(0);
  expect(focused()).toBe("entry mobile_sam");
  key("Escape");
  await settle();
  expect(widget.all("model-menu")).toHaveLength(0);
  expect(document.activeElement).toBe(widget.find("model-button"));
});

test("M opens and closes it from the stage, and the stage's keys rest meanwhile", async () => {
  await mount();
  kernel.set({ prompts: [{ type: "point", x: 20, y: 20, label: 1 }], request: "test-1" });
  widget.canvas.focus();
  key("m");
  await settle();
  expect(focused()).toBe("entry embedded");
  const sent = kernel.sent.length;
  for (const name of ["2", "Backspace", "e", "f"]) key(name);
  expect(kernel.sent).toHaveLength(sent);
  expect(kernel.get("picked")).toBe(0);
  expect(key("s", { ctrlKey: true }).defaultPrevented).toBe(false);
  key("m");
  await settle();
  expect(widget.all("model-menu")).toHaveLength(0);
  expect(document.activeElement).toBe(widget.canvas);
});

test("a press beside the menu closes it, and so does the focus that leaves", async () => {
  await mount();
  await open();
  widget.canvas.dispatchEvent(new Event("pointerdown", { bubbles: true, composed: true }));
  await settle();
  expect(widget.all("model-menu")).toHaveLength(0);
  await open();
  widget.find("undo").focus();
  await settle();
  expect(widget.all("model-menu")).toHaveLength(0);
  await open();
  widget.find("model-button").click();
  await settle();
  expect(widget.all("model-menu")).toHaveLength(0);
});

test("every item keeps the notebook's shortcuts away", async () => {
  await mount();
  await open();
  entry("mobile_sam").click();
  await settle();
  for (const item of widget.find("model-menu").querySelectorAll("[data-item]")) {
    expect(item.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
    expect(item.getAttribute("role")).toMatch(/^menuitem(radio)?$/);
  }
});

test("names and summaries are text, never markup", async () => {
  await mount();
  const evil: ModelTrait = {
    name: EVIL, title: EVIL, bytes: 5, licence: EVIL, packaged: false, cached: false,
    summary: EVIL, usable: true, reason: "",
  };
  kernel.push({
    models: [evil, { ...evil, name: "off", usable: false, reason: EVIL }],
    download: { name: EVIL, done: 1, total: 5, state: "running", message: EVIL },
  });
  await open();
  expect(widget.root.querySelectorAll("img, script")).toHaveLength(0);
  expect(entry(EVIL).textContent).toContain(EVIL);
  expect(widget.find("model-download").textContent).toContain(EVIL);
  expect("hacked" in window).toBe(false);
});

test("two views of one model see the same download", async () => {
  await mount();
  const second = mountOn(kernel);
  kernel.send({ op: "download_model", name: "mobile_sam" });
  kernel.models.arrive(0.3);
  await settle();
  expect(second.find("download-line").textContent).toContain("30%");
  second.find("model-button").click();
  await settle();
  expect(second.all("model-menu")).toHaveLength(1);
  expect(widget.all("model-menu")).toHaveLength(0);
  second.close();
});

test("sizes and stages as people read them", () => {
  expect([999, 12_345, 11_522_096, 375_042_383, 2_564_550_879].map(formatBytes)).toEqual([
    "999 bytes", "12 kB", "12 MB", "375 MB", "2.56 GB",
  ]);
  const download: DownloadTrait = { name: "a", done: 0, total: 0, state: "running", message: "" };
  expect(percentOf(download)).toBe(0);
  expect(percentOf({ ...download, done: 999, total: 1000 })).toBe(99);
  expect(percentOf({ ...download, done: 2000, total: 1000 })).toBe(100);
  expect(stage({ ...download, done: 1000, total: 1000 })).toBe("Checking the file…");
  const mine: ModelTrait = {
    name: "mine.pth", title: "mine.pth", bytes: 3e6, licence: "", packaged: false, cached: true,
    summary: "", usable: true, reason: "",
  };
  expect(whereabouts(mine)).toBe("on this computer");
  expect(question({ ...mine, cached: false }, download)).toBe("Download 3 MB?");
});

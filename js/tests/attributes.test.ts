import { verbFor } from "../src/canvas/keyboard";
import { ROWS, withHotkeys } from "../src/canvas/keys";
import type { AnnotationTrait, AttributeTrait, LabelTrait } from "../src/host/traits";
import { makeKernel, mountOn, settle, type Mounted } from "./helpers";

const EVIL = '<img src=x onerror="window.hacked=1">';
const ATTRIBUTES: AttributeTrait[] = [
  { name: EVIL, kind: "text" },
  { name: "doors", kind: "number" },
  { name: "state", kind: "choice", choices: ["new", EVIL] },
  { name: "crowd", kind: "tag" },
  { name: "flags", kind: "tag", choices: ["blurred", "cut off"] },
];
const LABELS: LabelTrait[] = [
  { name: "car", color: "#e4572e", hotkey: "b", attributes: ATTRIBUTES },
  { name: "person", color: "#2e86de", hotkey: "1" },
  { name: "tree", color: "#2ede86" },
];

let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

function annotation(id: string, more: Partial<AnnotationTrait> = {}): AnnotationTrait {
  return {
    id, label: "car", rle: { size: [48, 64], counts: "0" }, box: [0, 0, 1, 1], area: 12,
    predicted_iou: 0.9, stability_score: 0.8, visible: true, ...more,
  };
}

beforeEach(async () => {
  kernel = makeKernel(LABELS);
  widget = mountOn(kernel);
  kernel.push({
    annotations: [
      annotation("a", { attributes: { [EVIL]: EVIL, doors: 4, state: "new", flags: ["cut off"] } }),
      annotation("b", { label: "person" }),
    ],
  });
  await settle();
});
afterEach(() => widget.close());

async function select(id: string): Promise<void> {
  const row = widget.all("annotation-row").find((one) => one.dataset["id"] === id)!;
  row.querySelector<HTMLElement>('[data-testid="select-row"]')!.click();
  await settle();
}

function key(target: HTMLElement, name: string, more: KeyboardEventInit = {}): void {
  const code = /^\d$/.test(name) ? `Digit${name}` : "";
  target.dispatchEvent(
    new KeyboardEvent("keydown", { key: name, code, bubbles: true, cancelable: true, ...more }),
  );
}

const fields = (): HTMLInputElement[] => widget.all("attribute") as HTMLInputElement[];
const change = (field: HTMLElement): boolean => field.dispatchEvent(new Event("change", { bubbles: true }));

test("a label's own key chooses it and is shown in its chip, before any other verb", async () => {
  expect(widget.all("label-chip").map((chip) => chip.querySelector("kbd")?.textContent)).toEqual(["B", "1", "3"]);
  key(widget.canvas, "1");
  await settle();
  expect(kernel.get("label")).toBe("person");
  key(widget.canvas, "B"); // caps lock
  await settle();
  expect(kernel.get("label")).toBe("car");
  expect(widget.root.querySelector('[data-testid="tool-box"][aria-checked="true"]')).toBeNull();
});

test("a digit of a label picks candidates while there are some; with Shift it is the label's", () => {
  const context = {
    focus: "stage", hasCandidates: true, hasPrompts: true, candidateCount: 3, labelCount: 3, keysOpen: false,
    running: false, hasProposals: false, proposalsOpen: false, onProposal: false, drawing: false,
    crosshair: false, hasSelection: false, hasRegion: false, sized: false, standalone: false,
  } as const;
  const rows = withHotkeys(ROWS, LABELS);
  const press = { key: "1", code: "Digit1", ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };
  expect(verbFor(press, context, rows)).toEqual({ verb: "pick", index: 0 });
  expect(verbFor({ ...press, key: "!", shiftKey: true }, context, rows)).toEqual({ verb: "label", index: 1 });
  expect(rows.filter(({ keys }) => keys.includes("b")).map(({ name }) => name)).toEqual(["hotkey"]);
  expect(verbFor({ ...press, key: "b", code: "" }, { ...context, focus: "text" }, rows)).toBeNull();
  expect(withHotkeys(ROWS, [{ name: "car", color: "#fff" }])).toBe(ROWS);
});

test("the editor has a field for each attribute by its kind, and text stays text", async () => {
  expect(widget.all("attributes")).toHaveLength(0);
  await select("a");
  expect(fields().map(({ tagName, type }) => `${tagName} ${type}`)).toEqual([
    "INPUT text", "INPUT number", "SELECT select-one", "INPUT checkbox", "INPUT checkbox", "INPUT checkbox",
  ]);
  expect(fields().slice(0, 3).map(({ value }) => value)).toEqual([EVIL, "4", "new"]);
  expect(fields().slice(3).map(({ checked }) => checked)).toEqual([false, false, true]);
  const editor = widget.find("attributes");
  expect(editor.querySelector("img")).toBeNull();
  expect(editor.textContent).toContain(EVIL);
  await select("b"); // whose label has none
  expect(widget.all("attributes")).toHaveLength(0);
});

test("each change is one message with one value, and can be taken back", async () => {
  await select("a");
  const [text, doors, state, crowd, blurred] = fields();
  const sent = (): unknown => kernel.sent.at(-1);
  const values = (now: object): object => ({ op: "set_attributes", ids: ["a"], values: now });
  text!.focus();
  text!.value = "x";
  key(text!, "Enter");
  expect(sent()).toEqual(values({ [EVIL]: "x" }));
  doors!.focus();
  doors!.value = "2.5";
  doors!.blur();
  expect(sent()).toEqual(values({ doors: 2.5 }));
  state!.value = "";
  change(state!);
  expect(sent()).toEqual(values({ state: null }));
  crowd!.checked = true;
  change(crowd!);
  expect(sent()).toEqual(values({ crowd: true }));
  blurred!.checked = true;
  change(blurred!);
  expect(sent()).toEqual(values({ flags: ["blurred", "cut off"] }));
  await settle();
  expect(kernel.get("annotations")[0]!.attributes).toEqual({
    [EVIL]: "x", doors: 2.5, crowd: true, flags: ["blurred", "cut off"],
  });
  const count = kernel.sent.length;
  text!.focus();
  text!.value = "never";
  key(text!, "Escape");
  expect(text!.value).toBe("x");
  expect(kernel.sent).toHaveLength(count);
});

test("a mask can be a part of another one", async () => {
  await select("a");
  const parent = widget.find("parent") as HTMLSelectElement;
  expect([...parent.options].map(({ text }) => text)).toEqual(["–", "person 2"]);
  parent.value = "b";
  change(parent);
  expect(kernel.sent.at(-1)).toEqual({ op: "set_parent", ids: ["a"], parent: "b" });
  await settle();
  expect((widget.find("parent") as HTMLSelectElement).value).toBe("b");
});

test("what is typed or chosen outlasts what comes meanwhile, but not a refusal", async () => {
  await select("a");
  const send = kernel.send.bind(kernel);
  const late: (() => void)[] = [];
  vi.spyOn(kernel, "send").mockImplementation((intent) => void late.push(() => send(intent)));
  const [text, , , , blurred, cutOff] = fields();
  blurred!.checked = true;
  change(blurred!);
  await settle();
  cutOff!.checked = false;
  change(cutOff!);
  text!.focus();
  text!.value = "half";
  text!.dispatchEvent(new Event("input", { bubbles: true }));
  late.shift()!();
  await settle();
  expect(text!.value).toBe("half");
  expect(fields().slice(4).map(({ checked }) => checked)).toEqual([true, false]);
  late.shift()!();
  await settle();
  expect(kernel.get("annotations")[0]!.attributes!["flags"]).toEqual(["blurred"]);
  text!.blur();
  expect(late).toHaveLength(1);
  kernel.push({ notice: { id: "n", level: "error", code: "x", message: "No.", request: "" } });
  await settle();
  expect(text!.value).toBe(EVIL);
});

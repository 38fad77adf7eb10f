import { verbFor, type KeyContext, type KeyPress } from "../src/canvas/keyboard";
import { capsOf, sheetOf } from "../src/canvas/key_sheet";
import { remapped, ROWS, spelled } from "../src/canvas/keys";

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({
  key, code: /^\d$/.test(key) ? `Digit${key}` : "",
  ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more,
});
const idle: KeyContext = {
  focus: "stage", hasCandidates: false, hasPrompts: false, candidateCount: 0, labelCount: 4, keysOpen: false,
  running: false, hasProposals: false, proposalsOpen: false, onProposal: false,
  drawing: false, crosshair: false, hasSelection: false, hasRegion: false, sized: false, standalone: false,
};
const drafting: KeyContext = { ...idle, hasCandidates: true, hasPrompts: true, candidateCount: 3 };

test("every name is one word, and every key is spelled in the one way", () => {
  for (const { name, keys } of ROWS) {
    expect(name).toMatch(/^[a-zA-Z]+[0-9]?$/);
    for (const key of keys) expect(spelled(key)).toBe(key);
  }
});

test("each tool has its key, in either case; several boxes need Shift", () => {
  const tool = (key: string, more = {}) => verbFor(press(key, more), idle);
  const expected = { p: "point", b: "box", g: "polygon", l: "lasso", d: "brush", w: "eraser", v: "select" };
  for (const [key, name] of Object.entries(expected)) {
    expect(tool(key)).toEqual({ verb: "tool", tool: name });
    expect(tool(key.toUpperCase())).toEqual({ verb: "tool", tool: name }); // caps lock
  }
  expect(tool("B", { shiftKey: true })).toEqual({ verb: "tool", tool: "boxes" });
});

test("without a kernel there are no keys for what needs one", () => {
  const alone = { ...idle, standalone: true, hasSelection: true, hasCandidates: true };
  for (const key of ["g", "l", "d", "w", "v", "e", "r", "a", "s", ".", ",", "t", "m", "Home"]) {
    expect(verbFor(press(key), alone)).toBeNull();
  }
  expect(verbFor(press("b"), alone)).toEqual({ verb: "tool", tool: "box" });
});

test("Escape goes from what is nearest at hand to what is farthest", () => {
  let context: KeyContext = {
    ...drafting, keysOpen: true, drawing: true, running: true, crosshair: true, hasSelection: true,
    hasProposals: true, hasRegion: true,
  };
  const order: [keyof KeyContext, string][] = [
    ["keysOpen", "closeKeys"], ["drawing", "cancelDrawing"], ["hasPrompts", "clear"],
    ["running", "cancelEverything"], ["crosshair", "crosshair"], ["hasSelection", "deselect"],
    ["hasProposals", "clearProposals"], ["hasRegion", "leaveRegion"],
  ];
  for (const [what, verb] of order) {
    expect(verbFor(press("Escape"), context)).toEqual({ verb });
    context = { ...context, [what]: false };
  }
  expect(verbFor(press("Escape"), context)).toBeNull();
});

test("with the crosshair arrows move it, Enter clicks and B sets corners; digits still pick", () => {
  const crossing = { ...drafting, crosshair: true };
  expect(verbFor(press("ArrowLeft"), crossing)).toEqual({ verb: "moveCrosshair", dx: -2, dy: 0 });
  expect(verbFor(press("ArrowDown", { shiftKey: true }), crossing)).toEqual({ verb: "moveCrosshair", dx: 0, dy: 20 });
  expect(verbFor(press("Enter"), crossing)).toEqual({ verb: "click" });
  expect(verbFor(press("Enter", { shiftKey: true }), crossing)).toEqual({ verb: "clickExclude" });
  expect(verbFor(press("b"), crossing)).toEqual({ verb: "corner" });
  expect(verbFor(press("k"), crossing)).toEqual({ verb: "keep" });
  expect(verbFor(press("2"), crossing)).toEqual({ verb: "pick", index: 1 });
  expect(verbFor(press("Enter"), { ...crossing, focus: "button" })).toBeNull();
  expect(verbFor(press("ArrowLeft"), { ...crossing, focus: "choice" })).toEqual({ verb: "pickBy", index: -1 });
});

test("A draft and a selected mask can be combined, and only then", () => {
  expect(verbFor(press("a"), drafting)).toBeNull();
  expect(verbFor(press("a"), { ...drafting, hasSelection: true })).toEqual({ verb: "combine", how: "add" });
  expect(verbFor(press("Delete"), { ...idle, hasSelection: true })).toEqual({ verb: "removeSelected" });
  expect(verbFor(press("Delete"), { ...drafting, hasSelection: true })).toEqual({ verb: "removeLast" });
});

test("a given key replaces the usual ones and is taken from whatever had it", () => {
  const rows = remapped({ keep: ["f"], undo: ["u", "Ctrl+z"] });
  expect(verbFor(press("f"), drafting, rows)).toEqual({ verb: "keep" });
  expect(verbFor(press("f"), idle, rows)).toBeNull(); // not "fit" behind one's back
  expect(verbFor(press("0"), idle, rows)).toEqual({ verb: "fit" });
  expect(verbFor(press("k"), drafting, rows)).toBeNull();
  expect(verbFor(press("Enter"), drafting, rows)).toBeNull();
  expect(verbFor(press("u"), idle, rows)).toEqual({ verb: "undo" });
  expect(verbFor(press("z", { metaKey: true }), idle, rows)).toEqual({ verb: "undo" });
});

test("keys that verbs share stay shared", () => {
  const rows = remapped({ keep: ["Enter", "q"] });
  expect(verbFor(press("Enter"), { ...drafting, drawing: true, hasPrompts: false }, rows)).toEqual({ verb: "closeOutline" });
  expect(verbFor(press("q"), drafting, rows)).toEqual({ verb: "keep" });
});

test("given chords work in any spelling and with signs", () => {
  expect(spelled("shift+ctrl+Z")).toBe("Ctrl+Shift+z");
  expect(spelled("Cmd++")).toBe("Ctrl++");
  const rows = remapped({ zoomIn: ["Alt+ArrowUp"], fit: ["#"], label2: ["y"] });
  expect(verbFor(press("ArrowUp", { altKey: true }), idle, rows)).toEqual({ verb: "zoomIn" });
  expect(verbFor(press("#", { shiftKey: true, code: "Digit3" }), { ...idle, labelCount: 0 }, rows)).toBeNull();
  expect(verbFor(press("#", { code: "Backslash" }), idle, rows)).toEqual({ verb: "fit" });
  expect(verbFor(press("y"), drafting, rows)).toEqual({ verb: "label", index: 1 });
});

test("an unknown verb changes nothing", () => {
  expect(remapped({ fly: ["k"] })).toBe(ROWS);
});

describe("the sheet", () => {
  const lineOf = (rows: readonly (typeof ROWS)[number][], does: string) =>
    sheetOf(rows, ROWS).flatMap((sheet) => sheet.lines).filter((line) => line.does === does).at(-1);

  test("has every verb that has words, each once, under its group", () => {
    const lines = sheetOf(ROWS, ROWS).flatMap((sheet) => sheet.lines.map((line) => `${sheet.group}: ${line.does}`));
    for (const { does, group } of ROWS) if (does) expect(lines).toContain(`${group}: ${does}`);
    expect(sheetOf(ROWS, ROWS).map((sheet) => sheet.group)).toHaveLength(6);
  });

  test("shows keys as caps, many of a kind on one line", () => {
    expect(capsOf("Ctrl+Shift+z")).toEqual(["Ctrl", "Shift", "Z"]);
    expect(capsOf("Ctrl++")).toEqual(["Ctrl", "+"]);
    expect(lineOf(ROWS, "Pick a candidate")!.ways).toEqual([["1 … 4"]]);
    expect(lineOf(ROWS, "Move the crosshair")!.ways).toEqual([["Arrows"]]);
    expect(lineOf(ROWS, "Redo")!.ways).toEqual([["Ctrl", "Shift", "Z"], ["Ctrl", "Y"]]);
  });

  test("shows what was remapped, and leaves out what has no key any more", () => {
    const rows = remapped({ keep: ["q"], fit: [], help: ["F1"], pick1: ["y"] });
    expect(lineOf(rows, "Keep under the current label")!.ways).toEqual([["Q"]]);
    expect(lineOf(rows, "Fit the picture")).toBeUndefined();
    expect(lineOf(rows, "This sheet")!.ways).toEqual([["F1"]]);
    expect(lineOf(rows, "Pick a candidate")!.ways).toEqual([["Y"], ["2"], ["3"], ["4"]]);
  });
});

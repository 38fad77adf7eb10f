import { verbFor, type KeyContext, type KeyPress } from "../src/canvas/keyboard";

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({
  key, code: /^\d$/.test(key) ? `Digit${key}` : "",
  ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more,
});
const drafting: KeyContext = {
  focus: "stage", hasCandidates: true, hasPrompts: true, candidateCount: 3, labelCount: 4, keysOpen: false,
  running: false, hasProposals: false, proposalsOpen: false, onProposal: false,
  drawing: false, crosshair: false, hasSelection: false, hasRegion: false, sized: false, standalone: false,
};
const idle: KeyContext = { ...drafting, hasCandidates: false, hasPrompts: false, candidateCount: 0 };

test("digits pick candidates while there are some, and labels otherwise", () => {
  expect(verbFor(press("2"), drafting)).toEqual({ verb: "pick", index: 1 });
  expect(verbFor(press("2"), idle)).toEqual({ verb: "label", index: 1 });
  expect(verbFor(press("4"), drafting)).toBeNull();
  expect(verbFor(press("9"), idle)).toBeNull();
});

test("Shift and a digit always choose a label, whatever sign the layout makes of it", () => {
  const bang = press("!", { code: "Digit1", shiftKey: true });
  expect(verbFor(bang, drafting)).toEqual({ verb: "label", index: 0 });
  expect(verbFor(bang, idle)).toEqual({ verb: "label", index: 0 });
});

test("M opens the models, in either case, but not while one types", () => {
  expect(verbFor(press("m"), idle)).toEqual({ verb: "toggleModels" });
  expect(verbFor(press("M", { shiftKey: true }), drafting)).toEqual({ verb: "toggleModels" });
  expect(verbFor(press("m"), { ...idle, focus: "text" })).toBeNull();
  expect(verbFor(press("m", { ctrlKey: true }), idle)).toBeNull();
});

test("undo and redo with Ctrl or Cmd", () => {
  expect(verbFor(press("z", { ctrlKey: true }), idle)).toEqual({ verb: "undo" });
  expect(verbFor(press("z", { metaKey: true }), idle)).toEqual({ verb: "undo" });
  expect(verbFor(press("Z", { ctrlKey: true, shiftKey: true }), idle)).toEqual({ verb: "redo" });
  expect(verbFor(press("y", { ctrlKey: true }), idle)).toEqual({ verb: "redo" });
});

test.each([
  ["Ctrl+S", press("s", { ctrlKey: true })],
  ["Cmd+S", press("s", { metaKey: true })],
  ["Tab", press("Tab")],
  ["Shift+Tab", press("Tab", { shiftKey: true })],
  ["Ctrl+F", press("f", { ctrlKey: true })],
  ["Ctrl+1", press("1", { ctrlKey: true })],
  ["Ctrl++", press("+", { ctrlKey: true })],
  ["Ctrl+Enter", press("Enter", { ctrlKey: true })],
  ["Shift+Enter", press("Enter", { shiftKey: true })],
  ["Alt+1", press("1", { altKey: true })],
  ["Alt+ArrowLeft", press("ArrowLeft", { altKey: true })],
  ["a letter", press("a")],
  ["F5", press("F5")],
])("%s is left alone", (_, key) => {
  expect(verbFor(key, drafting)).toBeNull();
});

test("without a draft, its keys are left alone", () => {
  for (const key of ["Enter", "Escape", "Backspace", "Delete", "ArrowLeft", "ArrowRight"]) {
    expect(verbFor(press(key), idle)).toBeNull();
  }
});

test("the draft's keys", () => {
  expect(verbFor(press("Enter"), drafting)).toEqual({ verb: "keep" });
  expect(verbFor(press("Escape"), drafting)).toEqual({ verb: "clear" });
  expect(verbFor(press("Backspace"), drafting)).toEqual({ verb: "removeLast" });
  expect(verbFor(press("ArrowLeft"), drafting)).toEqual({ verb: "pickBy", index: -1 });
});

test("Enter presses a focused button itself; a chosen candidate it keeps", () => {
  expect(verbFor(press("Enter"), { ...drafting, focus: "button" })).toBeNull();
  expect(verbFor(press("Enter"), { ...drafting, focus: "choice" })).toEqual({ verb: "keep" });
});

test("a text field gets every key", () => {
  for (const key of ["1", "f", "Enter", "Escape", "Backspace", "ArrowLeft"]) {
    expect(verbFor(press(key), { ...drafting, focus: "text" })).toBeNull();
  }
  expect(verbFor(press("z", { ctrlKey: true }), { ...drafting, focus: "text" })).toBeNull();
});

test("Escape closes the sheet of keys before it drops a draft", () => {
  expect(verbFor(press("Escape"), { ...drafting, keysOpen: true })).toEqual({ verb: "closeKeys" });
});

const proposing: KeyContext = { ...idle, hasProposals: true, proposalsOpen: true };

test("E looks for everything, once at a time", () => {
  expect(verbFor(press("e"), idle)).toEqual({ verb: "everything" });
  expect(verbFor(press("E"), drafting)).toEqual({ verb: "everything" });
  expect(verbFor(press("e"), { ...idle, running: true })).toBeNull();
  expect(verbFor(press("e", { ctrlKey: true }), idle)).toBeNull();
});

test("Escape drops the draft, then stops the run, then drops the proposals", () => {
  const all = { ...drafting, running: true, hasProposals: true };
  expect(verbFor(press("Escape"), all)).toEqual({ verb: "clear" });
  expect(verbFor(press("Escape"), { ...all, hasPrompts: false })).toEqual({ verb: "cancelEverything" });
  expect(verbFor(press("Escape"), proposing)).toEqual({ verb: "clearProposals" });
});

test("arrows go through the proposals, and Enter keeps the one that is pointed at", () => {
  expect(verbFor(press("ArrowRight"), proposing)).toEqual({ verb: "stepProposal", index: 1 });
  expect(verbFor(press("ArrowLeft"), proposing)).toEqual({ verb: "stepProposal", index: -1 });
  expect(verbFor(press("Enter"), proposing)).toBeNull();
  expect(verbFor(press("Enter"), { ...proposing, onProposal: true })).toEqual({ verb: "keepProposal" });
  expect(verbFor(press("Enter"), { ...proposing, onProposal: true, focus: "button" })).toBeNull();
  expect(verbFor(press("ArrowRight"), { ...proposing, focus: "choice" })).toBeNull();
  expect(verbFor(press("ArrowRight"), { ...drafting, proposalsOpen: true })).toEqual({ verb: "pickBy", index: 1 });
});

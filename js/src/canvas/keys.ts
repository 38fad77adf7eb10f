// The table of keys: each verb, its keys, when it means something, and what the sheet says of it.
import type { LabelTrait } from "../host/traits";
import type { KeyContext, KeyVerb } from "./keyboard";

export type Group = "Prompts" | "Tools" | "Candidates and labels" | "Kept masks" | "View" | "Keyboard only";

export interface Row {
  /** What Python calls it in `keymap`. */
  name: string;
  /** Such as "k", "Shift+Enter" or "Ctrl+z", where Ctrl is also the Mac's ⌘. */
  keys: readonly string[];
  verb: KeyVerb;
  when?: (context: KeyContext) => boolean;
  group: Group;
  /** Empty where another row of the sheet says it. */
  does: string;
}

const PAN_STEP = 48;
const CROSS_STEP = 2;
const CROSS_LEAP = 20;

const onStage = (c: KeyContext): boolean => c.focus === "stage";
const crossing = (c: KeyContext): boolean => c.crosshair && onStage(c);
const kernel = (c: KeyContext): boolean => !c.standalone;
const selecting = (c: KeyContext): boolean => c.hasSelection && kernel(c);
const reordering = (c: KeyContext): boolean => selecting(c) && c.focus !== "choice";
const combining = (c: KeyContext): boolean => selecting(c) && c.hasCandidates;

const row = (
  group: Group, name: string, keys: string[], does: string, verb: KeyVerb, when?: Row["when"],
): Row => ({ group, name, keys, does, verb, ...(when ? { when } : {}) });

const arrow = (key: string, dx: number, dy: number): Row[] => [
  row("Keyboard only", `cross${key}`, [`Arrow${key}`], "", {
    verb: "moveCrosshair", dx: dx * CROSS_STEP, dy: dy * CROSS_STEP,
  }, crossing),
  row("Keyboard only", `leap${key}`, [`Shift+Arrow${key}`], "", {
    verb: "moveCrosshair", dx: dx * CROSS_LEAP, dy: dy * CROSS_LEAP,
  }, crossing),
  row("View", `pan${key}`, [`Shift+Arrow${key}`], "", {
    verb: "pan", dx: -dx * PAN_STEP, dy: -dy * PAN_STEP,
  }),
];

/** In order: of several verbs that a key could mean, the first that means something now is taken. */
export const ROWS: readonly Row[] = [
  // Escape goes from what is nearest at hand to what is farthest.
  row("View", "closeKeys", ["Escape"], "", { verb: "closeKeys" }, (c) => c.keysOpen),
  row("Prompts", "cancelDrawing", ["Escape"], "", { verb: "cancelDrawing" }, (c) => c.drawing),
  row("Prompts", "discard", ["Escape"], "Discard the draft, then the selection, the proposals, the region",
    { verb: "clear" }, (c) => c.hasPrompts),
  row("Tools", "cancelEverything", ["Escape"], "", { verb: "cancelEverything" }, (c) => c.running),
  row("Keyboard only", "leaveCrosshair", ["Escape"], "", { verb: "crosshair" }, (c) => c.crosshair),
  row("Kept masks", "deselect", ["Escape"], "", { verb: "deselect" }, (c) => c.hasSelection),
  row("Tools", "clearProposals", ["Escape"], "", { verb: "clearProposals" }, (c) => c.hasProposals),
  row("View", "leaveRegion", ["Escape"], "", { verb: "leaveRegion" }, (c) => c.hasRegion),

  row("Keyboard only", "crosshair", ["c"], "Crosshair on or off", { verb: "crosshair" }),
  ...arrow("Left", -1, 0), ...arrow("Right", 1, 0), ...arrow("Up", 0, -1), ...arrow("Down", 0, 1),
  row("Keyboard only", "click", ["Enter"], "Click: include, or the tool's corner", { verb: "click" }, crossing),
  row("Keyboard only", "clickExclude", ["Shift+Enter"], "Click: exclude", { verb: "clickExclude" }, crossing),
  row("Keyboard only", "corner", ["b"], "First corner of a box, then the other", { verb: "corner" }, crossing),
  row("Keyboard only", "where", ["h"], "Say where the crosshair is", { verb: "where" }),

  row("Prompts", "closeOutline", ["Enter"], "Close the outline", { verb: "closeOutline" }, (c) => c.drawing && onStage(c)),
  row("Prompts", "dropCorner", ["Backspace", "Delete"], "", { verb: "dropPoint" }, (c) => c.drawing),
  row("Prompts", "keep", ["Enter", "k"], "Keep under the current label", { verb: "keep" }, (c) => c.hasPrompts),
  row("Tools", "keepProposal", ["Enter"], "", { verb: "keepProposal" }, (c) => c.onProposal && onStage(c)),
  row("Prompts", "removeLast", ["Backspace", "Delete"], "Remove the last prompt or corner",
    { verb: "removeLast" }, (c) => c.hasPrompts),
  row("Prompts", "undo", ["Ctrl+z"], "Undo", { verb: "undo" }),
  row("Prompts", "redo", ["Ctrl+Shift+z", "Ctrl+y"], "Redo", { verb: "redo" }),
  row("Prompts", "mode", ["x"], "Clicks exclude, or include again", { verb: "mode" }),

  ...[1, 2, 3, 4].map((n) =>
    row("Candidates and labels", `pick${n}`, [`${n}`], "", { verb: "pick", index: n - 1 }, (c) => c.hasCandidates)),
  row("Candidates and labels", "previous", ["ArrowLeft"], "Previous candidate, or proposal",
    { verb: "pickBy", index: -1 }, (c) => c.hasCandidates),
  row("Candidates and labels", "next", ["ArrowRight"], "Next candidate, or proposal",
    { verb: "pickBy", index: 1 }, (c) => c.hasCandidates),
  row("Tools", "previousProposal", ["ArrowLeft"], "", { verb: "stepProposal", index: -1 },
    (c) => c.proposalsOpen && onStage(c)),
  row("Tools", "nextProposal", ["ArrowRight"], "", { verb: "stepProposal", index: 1 },
    (c) => c.proposalsOpen && onStage(c)),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((n) => [
    row("Candidates and labels", `label${n}`, [`${n}`], "", { verb: "label", index: n - 1 }, (c) => !c.hasCandidates),
    row("Candidates and labels", `label${n}`, [`Shift+${n}`], "", { verb: "label", index: n - 1 }),
  ]),

  row("Kept masks", "add", ["a"], "Add the draft to the selected mask", { verb: "combine", how: "add" }, combining),
  row("Kept masks", "subtract", ["s"], "Take the draft off it", { verb: "combine", how: "subtract" }, combining),
  row("Kept masks", "intersect", ["n"], "Leave of it what the draft covers", { verb: "combine", how: "intersect" }, combining),
  row("Kept masks", "selectNext", ["."], "Select the next", { verb: "selectBy", index: 1 }, kernel),
  row("Kept masks", "selectPrevious", [","], "Select the one before", { verb: "selectBy", index: -1 }, kernel),
  row("Kept masks", "startFrom", ["t"], "Start a draft from it", { verb: "startFrom" }, selecting),
  row("Kept masks", "front", ["Home"], "To the front", { verb: "reorder", to: "front" }, reordering),
  row("Kept masks", "forward", ["PageUp"], "Forward", { verb: "reorder", to: "forward" }, reordering),
  row("Kept masks", "backward", ["PageDown"], "Backward", { verb: "reorder", to: "backward" }, reordering),
  row("Kept masks", "back", ["End"], "To the back", { verb: "reorder", to: "back" }, reordering),
  row("Kept masks", "remove", ["Delete", "Backspace"], "Delete it", { verb: "removeSelected" },
    (c) => selecting(c) && !c.hasPrompts),

  row("Tools", "point", ["p"], "Point", { verb: "tool", tool: "point" }),
  row("Tools", "box", ["b"], "Box", { verb: "tool", tool: "box" }),
  row("Tools", "boxes", ["Shift+b"], "Several boxes", { verb: "tool", tool: "boxes" }, kernel),
  row("Tools", "polygon", ["g"], "Polygon", { verb: "tool", tool: "polygon" }, kernel),
  row("Tools", "lasso", ["l"], "Lasso", { verb: "tool", tool: "lasso" }, kernel),
  row("Tools", "brush", ["d"], "Brush", { verb: "tool", tool: "brush" }, kernel),
  row("Tools", "eraser", ["w"], "Eraser", { verb: "tool", tool: "eraser" }, kernel),
  row("Tools", "select", ["v"], "Select", { verb: "tool", tool: "select" }, kernel),
  row("Tools", "smaller", ["["], "Smaller brush or tolerance", { verb: "resize", index: -1 }, (c) => c.sized),
  row("Tools", "larger", ["]"], "Larger brush or tolerance", { verb: "resize", index: 1 }, (c) => c.sized),
  row("Tools", "everything", ["e"], "Propose masks for everything", { verb: "everything" },
    (c) => !c.running && kernel(c)),

  row("View", "zoomIn", ["+", "="], "Zoom in", { verb: "zoomIn" }),
  row("View", "zoomOut", ["-", "_"], "Zoom out", { verb: "zoomOut" }),
  row("View", "fit", ["f", "0"], "Fit the picture", { verb: "fit" }),
  row("View", "region", ["r"], "Look closer: embed what is in sight on its own", { verb: "region" }, kernel),
  row("View", "models", ["m"], "Choose a model", { verb: "toggleModels" }, kernel),
  row("View", "help", ["?"], "This sheet", { verb: "toggleKeys" }),
];

/** The table in which labels' own keys come first: each is taken from every other verb. */
export function withHotkeys(rows: readonly Row[], labels: readonly LabelTrait[]): readonly Row[] {
  const own = labels.flatMap(({ hotkey }, index): Row[] => {
    if (!hotkey) return [];
    const verb: KeyVerb = { verb: "label", index };
    // Digits pick candidates while there are some; with Shift they are the label's nevertheless.
    if (!/^[0-9]$/.test(hotkey)) return [row("Candidates and labels", "hotkey", [hotkey], "", verb)];
    return [
      row("Candidates and labels", "hotkey", [hotkey], "", verb, (c) => !c.hasCandidates),
      row("Candidates and labels", "hotkey", [`Shift+${hotkey}`], "", verb),
    ];
  });
  if (own.length === 0) return rows;
  const taken = new Set(own.filter((one) => !one.when).flatMap((one) => one.keys));
  return [...own, ...rows.map((one) => ({ ...one, keys: one.keys.filter((chord) => !taken.has(chord)) }))];
}

export interface Press {
  key: string;
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** A chord in one spelling: modifiers in a fixed order, letters small. */
export function spelled(chord: string): string {
  const plus = chord.endsWith("+"); // the key is itself a plus
  const parts = (plus ? chord.slice(0, -1) : chord).split("+").filter(Boolean);
  const key = plus ? "+" : (parts.pop() ?? "");
  const has = (name: string): boolean => parts.some((part) => part.toLowerCase() === name);
  const name = key.length === 1 ? key.toLowerCase() : key;
  const ctrl = has("ctrl") || has("cmd") || has("meta");
  return `${ctrl ? "Ctrl+" : ""}${has("alt") ? "Alt+" : ""}${has("shift") ? "Shift+" : ""}${name}`;
}

/**
 * The chords that a press may mean, the exact one first. Signs may need Shift on one keyboard and not
 * on another, and digits are signs there; letters mean the same with caps lock.
 */
export function chordsOf(press: Press): string[] {
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(press.code)?.[1];
  const own = press.key.length === 1 ? press.key.toLowerCase() : press.key;
  const modifiers =
    (press.ctrlKey || press.metaKey ? "Ctrl+" : "") + (press.altKey ? "Alt+" : "");
  const shift = press.shiftKey ? "Shift+" : "";
  const chords = digit ? [`${modifiers}${shift}${digit}`] : [];
  chords.push(`${modifiers}${shift}${own}`);
  if (press.shiftKey && own.length === 1 && modifiers === "") chords.push(own);
  return [...new Set(chords)];
}

/**
 * The table with keys that were given to verbs. A given key is taken from every other verb, save those
 * that share it anyway: Enter closes an outline and keeps a draft.
 */
export function remapped(given: Readonly<Record<string, readonly string[]>>): readonly Row[] {
  const names = Object.keys(given).filter((name) => ROWS.some((r) => r.name === name));
  if (names.length === 0) return ROWS;
  const shared = (name: string, chord: string): boolean =>
    ROWS.some((r) => r.name === name && r.keys.includes(chord));
  const taken = new Map<string, string[]>();
  for (const name of names) {
    for (const chord of given[name]!.map(spelled)) {
      if (!shared(name, chord)) taken.set(chord, [...(taken.get(chord) ?? []), name]);
    }
  }
  const seen = new Set<string>();
  const rows: Row[] = [];
  for (const one of ROWS) {
    if (!names.includes(one.name)) {
      rows.push({ ...one, keys: one.keys.filter((chord) => !taken.has(chord)) });
      continue;
    }
    if (seen.has(one.name)) continue;
    seen.add(one.name);
    // A verb that had several rows means something wherever one of them did.
    const all = ROWS.filter((r) => r.name === one.name);
    const { when: _, ...plain } = one;
    const always = all.some((r) => !r.when);
    rows.push({
      ...plain,
      keys: given[one.name]!.map(spelled),
      ...(always ? {} : { when: (c: KeyContext) => all.some((r) => r.when!(c)) }),
    });
  }
  // Given keys come first, so that nothing stands before them.
  return [...rows.filter((r) => seen.has(r.name)), ...rows.filter((r) => !seen.has(r.name))];
}

// The table of keys as people read it: grouped, several keys for one thing on one line.
import type { Group, Row } from "./keys";

export interface Line {
  does: string;
  /** Each way as its keys: `["Ctrl", "Z"]`. */
  ways: string[][];
}

export interface Sheet {
  group: Group;
  lines: Line[];
}

const POINTER: Record<Group, Line[]> = {
  Prompts: [
    { does: "Include", ways: [["Click"], ["Tap"]] },
    { does: "Exclude", ways: [["Right click"], ["Alt", "Click"], ["Long press"]] },
    { does: "Box", ways: [["Drag"]] },
  ],
  Tools: [
    { does: "Keep a proposal", ways: [["Click"], ["← →", "Enter"]] },
    { does: "Keep all proposals in a box", ways: [["Shift", "Drag"]] },
    { does: "Brush as eraser, eraser as brush", ways: [["Right drag"], ["Alt", "Drag"]] },
  ],
  "Candidates and labels": [],
  "Kept masks": [],
  View: [
    { does: "Move the picture", ways: [["Space", "Drag"], ["Two fingers"]] },
    { does: "Zoom", ways: [["Wheel"], ["Pinch"]] },
  ],
  "Keyboard only": [],
};

/** Rows that are shown as one, and what their keys are called when nobody has changed them. */
const FAMILIES: readonly { names: RegExp; does: string; usual: string[][] }[] = [
  { names: /^pick\d$/, does: "Pick a candidate", usual: [["1 … 4"]] },
  { names: /^label\d$/, does: "Choose a label; with Shift while there are candidates", usual: [["1 … 9"], ["Shift", "1 … 9"]] },
  { names: /^pan/, does: "Move the picture", usual: [["Shift", "Arrows"]] },
  { names: /^cross(Left|Right|Up|Down)$/, does: "Move the crosshair", usual: [["Arrows"]] },
  { names: /^leap/, does: "Move it in leaps", usual: [["Shift", "Arrows"]] },
];

const SIGNS: Record<string, string> = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", "-": "−",
  PageUp: "Page ↑", PageDown: "Page ↓",
};

/** `"Ctrl+z"` as the caps to press: `["Ctrl", "Z"]`. */
export function capsOf(chord: string): string[] {
  const parts = chord.endsWith("+") ? [...chord.slice(0, -1).split("+").filter(Boolean), "+"] : chord.split("+");
  return parts.map((part) => SIGNS[part] ?? (part.length === 1 ? part.toUpperCase() : part));
}

export function sheetOf(rows: readonly Row[], usual: readonly Row[]): Sheet[] {
  const sheets = Object.entries(POINTER).map(([group, lines]): Sheet => ({
    group: group as Group, lines: [...lines],
  }));
  const add = (group: Group, line: Line): void => {
    if (line.ways.length > 0) sheets.find((s) => s.group === group)?.lines.push(line);
  };
  // In the table's own order, whatever was given new keys.
  const names = [...new Set(usual.map((row) => row.name))];
  const shown = new Set<RegExp>();
  for (const name of names) {
    const mine = rows.filter((row) => row.name === name);
    const first = usual.find((row) => row.name === name)!;
    const family = FAMILIES.find(({ names: pattern }) => pattern.test(name));
    const keysOf = (all: readonly Row[]): string[] => [...new Set(all.flatMap((row) => row.keys))];
    if (!family) {
      // Keys that only repeat another one are not worth a cap.
      const keys = keysOf(mine).filter((key) => !["=", "_", "Delete"].includes(key) || keysOf(mine).length === 1);
      if (first.does) add(first.group, { does: first.does, ways: keys.map(capsOf) });
      continue;
    }
    if (shown.has(family.names)) continue;
    shown.add(family.names);
    const now = rows.filter((row) => family.names.test(row.name));
    const before = usual.filter((row) => family.names.test(row.name));
    const same = keysOf(now).join() === keysOf(before).join();
    add(first.group, { does: family.does, ways: same ? family.usual : keysOf(now).map(capsOf) });
  }
  return sheets.filter((sheet) => sheet.lines.length > 0);
}

// Keys to verbs. A pure table: what is not in it belongs to the page and the notebook.
import type { Actions } from "../state/actions";
import type { Store } from "../state/store";

export interface KeyPress {
  key: string;
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
  altKey: boolean;
}

/** Where the key was pressed: a text field types, a button presses itself with Enter and Space. */
export type Focus = "stage" | "button" | "choice" | "text";

export interface KeyContext {
  focus: Focus;
  hasCandidates: boolean;
  hasPrompts: boolean;
  candidateCount: number;
  labelCount: number;
  running: boolean;
  hasProposals: boolean;
  /** Arrows and Enter are the proposals': some are shown, and there is no draft. */
  proposalsOpen: boolean;
  /** One of them is pointed at. */
  onProposal: boolean;
  keysOpen: boolean;
}

export type KeyVerb =
  | { verb: "undo" | "redo" | "keep" | "clear" | "removeLast" | "fit" | "zoomIn" | "zoomOut" }
  | { verb: "toggleKeys" | "closeKeys" | "toggleModels" }
  | { verb: "everything" | "cancelEverything" | "clearProposals" | "keepProposal" }
  | { verb: "pick" | "pickBy" | "label" | "stepProposal"; index: number }
  | { verb: "pan"; dx: number; dy: number };

const PAN_STEP = 48;

const PAN: Record<string, [number, number]> = {
  ArrowLeft: [PAN_STEP, 0],
  ArrowRight: [-PAN_STEP, 0],
  ArrowUp: [0, PAN_STEP],
  ArrowDown: [0, -PAN_STEP],
};

/** The verb for a key press, or null: then the event is left alone, untouched. */
export function verbFor(press: KeyPress, context: KeyContext): KeyVerb | null {
  if (context.focus === "text" || press.altKey) return null;
  if (press.ctrlKey || press.metaKey) {
    const key = press.key.toLowerCase();
    if (key === "z") return { verb: press.shiftKey ? "redo" : "undo" };
    if (key === "y" && !press.shiftKey) return { verb: "redo" };
    return null;
  }
  if (press.key === "Escape" && context.keysOpen) return { verb: "closeKeys" };

  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(press.code)?.[1] ?? /^[1-9]$/.exec(press.key)?.[0];
  if (digit) {
    const index = Number(digit) - 1;
    if (!press.shiftKey && context.hasCandidates) {
      return index < context.candidateCount ? { verb: "pick", index } : null;
    }
    return index < context.labelCount ? { verb: "label", index } : null;
  }
  if (press.shiftKey) {
    const step = PAN[press.key];
    if (step) return { verb: "pan", dx: step[0], dy: step[1] };
  }
  switch (press.key) {
    case "Enter":
      if (press.shiftKey || context.focus === "button") return null;
      if (context.hasPrompts) return { verb: "keep" };
      return context.onProposal && context.focus === "stage" ? { verb: "keepProposal" } : null;
    case "Escape":
      if (context.hasPrompts) return { verb: "clear" };
      if (context.running) return { verb: "cancelEverything" };
      return context.hasProposals ? { verb: "clearProposals" } : null;
    case "Backspace":
    case "Delete":
      return context.hasPrompts ? { verb: "removeLast" } : null;
    case "ArrowLeft":
    case "ArrowRight": {
      const index = press.key === "ArrowLeft" ? -1 : 1;
      if (context.hasCandidates) return { verb: "pickBy", index };
      return context.proposalsOpen && context.focus === "stage" ? { verb: "stepProposal", index } : null;
    }
    case "e":
    case "E":
      return context.running ? null : { verb: "everything" };
    case "f":
    case "F":
    case "0":
      return { verb: "fit" };
    case "+":
    case "=":
      return { verb: "zoomIn" };
    case "-":
    case "_":
      return { verb: "zoomOut" };
    case "m":
    case "M":
      return { verb: "toggleModels" };
    case "?":
      return { verb: "toggleKeys" };
    default:
      return null;
  }
}

export function perform(verb: KeyVerb, actions: Actions, store: Store, keys: { value: boolean }): void {
  switch (verb.verb) {
    case "undo": return actions.undo();
    case "redo": return actions.redo();
    case "keep": return actions.keep();
    case "clear": return actions.clear();
    case "removeLast": return actions.removeLastPrompt();
    case "fit": return actions.fit();
    case "zoomIn": return actions.zoomIn();
    case "zoomOut": return actions.zoomOut();
    case "pick": return actions.pick(verb.index);
    case "pickBy": return actions.pickBy(verb.index);
    case "pan": return actions.panBy(verb.dx, verb.dy);
    case "everything": return actions.everything();
    case "cancelEverything": return actions.cancelEverything();
    case "clearProposals": return actions.clearProposals();
    case "stepProposal": return actions.stepProposal(verb.index);
    case "keepProposal": return actions.keepPointedProposal();
    case "toggleModels": return actions.toggleModels();
    case "toggleKeys": keys.value = !keys.value; return;
    case "closeKeys": keys.value = false; return;
    case "label": {
      const label = store.labels.peek()[verb.index];
      if (label) actions.chooseLabel(label.name);
    }
  }
}

/** The table that people read; the sheet behind `?` shows it. */
export const KEY_TABLE: readonly { keys: string[]; does: string }[] = [
  { keys: ["Click"], does: "Include this point" },
  { keys: ["Right click", "Alt+Click"], does: "Exclude this point" },
  { keys: ["Drag"], does: "Draw a box" },
  { keys: ["1", "2", "3"], does: "Pick a candidate" },
  { keys: ["←", "→"], does: "Previous or next candidate" },
  { keys: ["Enter"], does: "Keep under the current label" },
  { keys: ["Esc"], does: "Discard the draft, then the proposals" },
  { keys: ["Backspace"], does: "Remove the last prompt" },
  { keys: ["E"], does: "Propose masks for everything" },
  { keys: ["Click", "← → Enter"], does: "Keep a proposal" },
  { keys: ["Shift+Drag"], does: "Keep all proposals in a box" },
  { keys: ["Ctrl+Z", "Ctrl+Shift+Z"], does: "Undo, redo" },
  { keys: ["Shift+1 … 9"], does: "Choose a label" },
  { keys: ["M"], does: "Choose a model" },
  { keys: ["+", "−", "F"], does: "Zoom in, out, fit" },
  { keys: ["Space+Drag", "Shift+Arrows"], does: "Move the picture" },
];

// Keys to verbs, and verbs to what they do. What is not in the table belongs to the page and the notebook.
import type { Actions } from "../state/actions";
import type { Combination, Place } from "../state/editing";
import type { Store } from "../state/store";
import type { ToolName } from "../state/tool_state";
import type { ViewState } from "../state/view_state";
import { chordsOf, ROWS, type Press, type Row } from "./keys";
import type { HandTool } from "./pointer";

export type KeyPress = Press;

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
  /** An outline or a box has been begun. */
  drawing: boolean;
  crosshair: boolean;
  hasSelection: boolean;
  hasRegion: boolean;
  /** The tool in hand has a size. */
  sized: boolean;
  standalone: boolean;
}

export type KeyVerb =
  | { verb: "undo" | "redo" | "keep" | "clear" | "removeLast" | "fit" | "zoomIn" | "zoomOut" | "mode" }
  | { verb: "toggleKeys" | "closeKeys" | "toggleModels" | "region" | "leaveRegion" }
  | { verb: "everything" | "cancelEverything" | "clearProposals" | "keepProposal" }
  | { verb: "cancelDrawing" | "closeOutline" | "dropPoint" | "deselect" | "startFrom" | "removeSelected" }
  | { verb: "crosshair" | "click" | "clickExclude" | "corner" | "where" }
  | { verb: "pick" | "pickBy" | "label" | "stepProposal" | "selectBy" | "resize"; index: number }
  | { verb: "pan" | "moveCrosshair"; dx: number; dy: number }
  | { verb: "tool"; tool: ToolName }
  | { verb: "combine"; how: Combination }
  | { verb: "reorder"; to: Place };

/** Whether there is such a candidate, or such a label. */
function exists(verb: KeyVerb, context: KeyContext): boolean {
  if (verb.verb === "pick") return verb.index < context.candidateCount;
  return verb.verb !== "label" || verb.index < context.labelCount;
}

/** The verb for a key press, or null: then the event is left alone, untouched. */
export function verbFor(
  press: KeyPress,
  context: KeyContext,
  rows: readonly Row[] = ROWS,
): KeyVerb | null {
  if (context.focus === "text") return null;
  // A focused button takes Enter itself.
  if (context.focus === "button" && press.key === "Enter") return null;
  for (const chord of chordsOf(press)) {
    const found = rows.find((row) => row.keys.includes(chord) && (row.when?.(context) ?? true));
    if (found) return exists(found.verb, context) ? found.verb : null;
  }
  return null;
}

export function perform(
  verb: KeyVerb,
  actions: Actions,
  store: Store,
  view: ViewState,
  hand: HandTool,
): void {
  const { edit } = actions;
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
    case "toggleKeys": view.keysOpen.value = !view.keysOpen.peek(); return;
    case "closeKeys":
      view.keysOpen.value = false;
      view.tools.lookOpen.value = false;
      return;
    case "mode":
      edit.use("point");
      actions.toggleMode();
      view.announcement.value = view.mode.peek() === "exclude" ? "Clicks exclude" : "Clicks include";
      return;
    case "cancelDrawing":
      hand.drop();
      return edit.cancelDrawing();
    case "closeOutline": return edit.closeDrawing();
    case "dropPoint":
      if (view.tools.drawing.peek()) return edit.dropPoint();
      return edit.dropCorner();
    case "deselect": return edit.select(null);
    case "startFrom": return edit.startFrom();
    case "removeSelected": return edit.removeSelected();
    case "selectBy": return edit.selectBy(verb.index);
    case "resize": return edit.resize(verb.index > 0 ? 1 : -1);
    case "tool": return edit.use(verb.tool);
    case "combine": return edit.combine(verb.how);
    case "reorder": return edit.reorder(verb.to);
    case "region": return edit.toggleRegion();
    case "leaveRegion": return edit.leaveRegion();
    case "crosshair": return edit.toggleCrosshair();
    case "moveCrosshair": return edit.moveCrosshair(verb.dx, verb.dy);
    case "where": return edit.sayWhere();
    case "click":
    case "clickExclude": {
      const at = view.tools.crosshair.peek();
      const excludes = (verb.verb === "clickExclude") !== (view.mode.peek() === "exclude");
      if (at) hand.click(at, excludes);
      return;
    }
    case "corner": return edit.boxCorner();
    case "label": {
      const label = store.labels.peek()[verb.index];
      if (label) actions.chooseLabel(label.name);
    }
  }
}

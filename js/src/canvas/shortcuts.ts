// Listens for keys inside the widget and nowhere else; takes the ones it uses, leaves the others alone.
import type { Actions } from "../state/actions";
import type { Store } from "../state/store";
import type { ToolName } from "../state/tool_state";
import type { ViewState } from "../state/view_state";
import { perform, verbFor, type Focus, type KeyVerb } from "./keyboard";
import { remapped, withHotkeys } from "./keys";
import type { HandTool } from "./pointer";

/** JupyterLab and Notebook leave keys alone while the focused element itself carries this. */
export const SUPPRESS = "data-lm-suppress-shortcuts";

const SIZED: readonly ToolName[] = ["polygon", "lasso", "brush", "eraser"];

function focusOf(target: EventTarget | null): Focus {
  if (target instanceof HTMLCanvasElement) return "stage";
  if (target instanceof HTMLElement) {
    if (target.matches("input, textarea, select")) return "text";
    if (target.getAttribute("role") === "radio") return "choice";
  }
  return "button";
}

export function attachShortcuts(
  root: HTMLElement,
  store: Store,
  view: ViewState,
  actions: Actions,
  hand: HandTool,
  signal: AbortSignal,
): void {
  const { tools } = view;
  const verbOf = (event: KeyboardEvent, target: EventTarget | null): KeyVerb | null =>
    event.isComposing
      ? null
      : verbFor(event, {
          focus: focusOf(target),
          hasCandidates: store.shown.peek() !== null,
          hasPrompts: store.prompts.peek().length > 0,
          candidateCount: store.shown.peek()?.items.length ?? 0,
          labelCount: store.labels.peek().length,
          running: view.proposals.running.peek(),
          hasProposals: store.proposals.peek().length > 0,
          proposalsOpen: view.proposals.open.peek(),
          onProposal: view.proposals.hovered.peek() !== null && view.proposals.open.peek(),
          keysOpen: view.keysOpen.peek() || tools.lookOpen.peek(),
          drawing: tools.drawing.peek() !== null || tools.corner.peek() !== null,
          crosshair: tools.crosshair.peek() !== null,
          hasSelection: view.selected.peek() !== null,
          hasRegion: store.region.peek() !== null,
          sized: SIZED.includes(tools.tool.peek()),
          standalone: store.host.standalone === true,
        }, withHotkeys(remapped(store.keymap.peek()), store.labels.peek()));

  // The notebook may listen on the document before the event reaches this widget, and its switch is an
  // attribute, all keys or none. So for a chord that is not ours (Ctrl+S) the switch is off for as long
  // as the event travels: the notebook saves itself as ever.
  let restore = (): void => {};
  window.addEventListener(
    "keydown",
    (event) => {
      restore();
      const target = event.composedPath()[0];
      if (!(target instanceof HTMLElement) || !root.contains(target)) return;
      const chord = (event.ctrlKey || event.metaKey) && event.key.length === 1;
      if (!chord || !target.hasAttribute(SUPPRESS)) return;
      if (focusOf(target) === "text" || verbOf(event, target)) return;
      target.removeAttribute(SUPPRESS);
      restore = () => target.setAttribute(SUPPRESS, "true");
      setTimeout(restore, 0);
    },
    { capture: true, signal },
  );

  root.addEventListener(
    "keydown",
    (event) => {
      const focus = focusOf(event.target);
      if (event.key === " " && focus === "stage" && !event.ctrlKey && !event.metaKey) {
        hand.held = true;
        root.dataset["hand"] = "true";
        event.preventDefault(); // the page must not scroll
        event.stopPropagation();
        return;
      }
      const drawing = view.rubberBand.peek() ?? view.proposals.band.peek() ?? tools.stroke.peek();
      if (event.key === "Escape" && drawing) {
        hand.drop();
        actions.edit.cancelDrawing();
        event.preventDefault();
        event.stopPropagation();
        return;
      }
      const verb = verbOf(event, event.target);
      if (!verb) return;
      event.preventDefault();
      event.stopPropagation();
      perform(verb, actions, store, view, hand);
    },
    { signal },
  );

  const dropHand = (): void => {
    hand.held = false;
    delete root.dataset["hand"];
  };
  root.addEventListener("keyup", (event) => event.key === " " && dropHand(), { signal });
  root.addEventListener("focusout", dropHand, { signal });
}

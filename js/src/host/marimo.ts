// marimo runs the cells that read a widget again when the page writes one of its traits. What is kept
// goes as a message and comes back as the kernel's own trait: the page writes nothing, no cell would run.

import type { SegmenterModel } from "./anywidget";

/** What intents change and other cells read. */
const READ = ["change:annotations", "change:labels"] as const;

/** Written as it is: it is small, and the kernel takes it from no page. */
const NUDGE = "history";

export const inMarimo = (): boolean =>
  typeof customElements !== "undefined" && customElements.get("marimo-anywidget") !== undefined;

/**
 * Returns what to call with each intent: when its effect has come back, cells that read it run again.
 * A change that no page has asked for is Python's own, and needs no waking.
 */
export function wakingReaders(model: SegmenterModel): () => void {
  let waiting = false;
  const changed = (): void => {
    waiting = false;
    for (const name of READ) model.off(name, changed);
    model.set(NUDGE, model.get(NUDGE));
    model.save_changes();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    for (const name of READ) model.on(name, changed);
  };
}

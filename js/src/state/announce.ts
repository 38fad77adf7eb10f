// Turns changes on screen into short sentences for the live region.
import { effect } from "@preact/signals";
import type { Store } from "./store";
import type { ViewState } from "./view_state";

export function announceChanges(store: Store, view: ViewState): () => void {
  let request = "";
  let known: Set<string> | null = null;
  const stopAnswers = effect(() => {
    const shown = store.shown.value;
    if (!shown || shown.request === request) return;
    request = shown.request;
    const count = shown.items.length;
    const best = Math.max(...shown.items.map((item) => item.predicted_iou));
    view.announcement.value =
      count === 0
        ? "No candidate"
        : `${count} ${count === 1 ? "candidate" : "candidates"}, best ${best.toFixed(2)}`;
  });
  const stopKeeps = effect(() => {
    const annotations = store.annotations.value;
    const before = known;
    known = new Set(annotations.map((a) => a.id));
    if (!before) return;
    const added = annotations.filter((a) => !before.has(a.id));
    const removed = [...before].filter((id) => !known!.has(id)).length;
    if (added.length === 1) view.announcement.value = `Kept as ${added[0]!.label}`;
    else if (added.length > 1) view.announcement.value = `${added.length} annotations added`;
    else if (removed > 0) {
      view.announcement.value = `${removed} ${removed === 1 ? "annotation" : "annotations"} removed`;
    }
  });
  let state = store.everything_run.peek().state;
  const stopRuns = effect(() => {
    const run = store.everything_run.value;
    if (run.state === state) return;
    state = run.state;
    const count = `${run.found} ${run.found === 1 ? "proposal" : "proposals"}`;
    if (state === "running") view.announcement.value = "Looking for everything";
    else if (state === "done") view.announcement.value = count;
    else if (state === "cancelled") view.announcement.value = `Stopped with ${count}`;
    else if (state === "idle") view.announcement.value = "Proposals cleared";
  });
  return () => {
    stopAnswers();
    stopKeeps();
    stopRuns();
  };
}

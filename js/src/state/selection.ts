// Selects what the kernel asks for: a click in a gallery, say, opens an image with one of its masks.
import { effect, untracked } from "@preact/signals";
import type { Actions } from "./actions";
import type { Store } from "./store";

export function followSelection(store: Store, actions: Actions): () => void {
  return effect(() => {
    const id = store.selection.value;
    // Traits of one message come one after another: the mask may not be there yet.
    if (!id || !store.annotations.value.some((a) => a.id === id)) return;
    untracked(() => {
      actions.edit.select(id);
      try {
        store.host.send({ op: "selected", id });
      } catch {
        // the connection is closed: nobody is there who would select it again
      }
    });
  });
}

// Selects what the kernel asks for: a click in a gallery, say, opens an image with one of its masks.
import { effect, untracked } from "@preact/signals";
import { sendIfOpen } from "../host/host";
import type { Actions } from "./actions";
import type { Store } from "./store";

export function followSelection(store: Store, actions: Actions): () => void {
  return effect(() => {
    const id = store.selection.value;
    // Traits of one message come one after another: the mask may not be there yet.
    if (!id || !store.annotations.value.some((a) => a.id === id)) return;
    untracked(() => {
      actions.edit.select(id);
      sendIfOpen(store.host, { op: "selected", id });
    });
  });
}

// The picture itself: the image trait's bytes, decoded off the main thread.
import { effect, signal, type ReadonlySignal } from "@preact/signals";
import { bytesOf } from "../codecs/bytes";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";
import { createTiles, type Tiles } from "./tiles";

export interface Preview {
  readonly bitmap: ReadonlySignal<ImageBitmap | null>;
  /** What is finer than the bitmap, where the image is. */
  readonly tiles: Tiles;
  dispose(): void;
}

export function createPreview(store: Store, view: ViewState): Preview {
  const bitmap = signal<ImageBitmap | null>(null);
  const tiles = createTiles(store);
  let turn = 0;

  const show = (next: ImageBitmap | null): void => {
    bitmap.peek()?.close();
    bitmap.value = next;
  };

  const stop = effect(() => {
    const image = store.image.value;
    const mine = ++turn;
    if (!image) {
      show(null);
      return;
    }
    const bytes = bytesOf(image.data);
    if (bytes.length === 0 || typeof createImageBitmap !== "function") {
      show(null);
      return;
    }
    createImageBitmap(new Blob([bytes], { type: image.mime })).then(
      (decoded) => {
        // A newer image may have arrived, or the view may have closed, while this one was decoded.
        if (mine === turn) show(decoded);
        else decoded.close();
      },
      () => {
        if (mine !== turn) return;
        show(null);
        view.localNotice.value = {
          id: "local-image",
          level: "error",
          code: "image_not_decoded",
          message: `The browser could not read the preview of "${image.name}" (${image.mime}). Run the cell again.`,
          request: "",
        };
      },
    );
  });

  return {
    bitmap,
    tiles,
    dispose() {
      stop();
      tiles.dispose();
      turn++;
      show(null);
    },
  };
}

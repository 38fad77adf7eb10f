// Thin adapter: an anywidget model seen as a `Host`.
import type { AnyModel } from "@anywidget/types";
import type { ReadonlySignal } from "@preact/signals";
import type { Host } from "./host";
import { inMarimo, wakingReaders } from "./marimo";
import type { Delivery, Intent } from "./intents";
import { DEFAULT_TRAITS, type Traits } from "./traits";

export type SegmenterModel = AnyModel<Record<string, unknown>>;

export function hostOf(model: SegmenterModel, connected?: ReadonlySignal<boolean>): Host {
  const wake = inMarimo() ? wakingReaders(model) : undefined;
  return {
    ...(connected && { connected }),
    get<K extends keyof Traits>(name: K): Traits[K] {
      const value = model.get(name) as Traits[K] | undefined;
      return value === undefined ? DEFAULT_TRAITS[name] : value;
    },
    set(values: Partial<Traits>): void {
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      model.save_changes();
    },
    on(name: keyof Traits, listener: () => void): () => void {
      // A function of its own: removing it must not remove another view's listener.
      const heard = (): void => listener();
      model.on(`change:${name}`, heard);
      return () => model.off(`change:${name}`, heard);
    },
    send(intent: Intent): void {
      wake?.();
      model.send(intent);
    },
    onDelivery(listener): () => void {
      const heard = (content: unknown, buffers: readonly DataView[]): void => {
        if (isDelivery(content)) listener(content, buffers ?? []);
      };
      model.on("msg:custom", heard);
      return () => model.off("msg:custom", heard);
    },
  };
}

function isDelivery(content: unknown): content is Delivery {
  const op = (content as Partial<Delivery> | null)?.op;
  return op === "part" || op === "tile";
}

// What the front end asks of the program around it, whichever notebook that is.
import type { ReadonlySignal } from "@preact/signals";
import type { Delivery, Intent } from "./intents";
import type { Traits } from "./traits";

export interface Host {
  /** The trait's value, or its default where the kernel has not set one. */
  get<K extends keyof Traits>(name: K): Traits[K];
  /** Sets traits and sends them together, once. Throws where the connection is closed. */
  set(values: Partial<Traits>): void;
  /** Calls `listener` after every change of the trait, from either side; returns the way to stop. */
  on(name: keyof Traits, listener: () => void): () => void;
  /** Sends an intent. Throws where the connection is closed. */
  send(intent: Intent): void;
  /** Calls `listener` with every delivery and its bytes; returns the way to stop. */
  onDelivery(listener: (delivery: Delivery, buffers: readonly DataView[]) => void): () => void;
  /** Whether a kernel is at the other end; one always is where this is left out. */
  readonly connected?: ReadonlySignal<boolean>;
  /** There is no kernel behind it: only what the page can do itself is offered. */
  readonly standalone?: boolean;
  /** Where parts come from without a kernel: their bytes, as `PartTrait.encoding` says. */
  part?(key: string): Promise<ArrayBuffer>;
}

/** Sends what is of no use without a kernel; whether it was sent, which it is not where the connection is closed. */
export function sendIfOpen(host: Host, intent: Intent): boolean {
  try {
    host.send(intent);
    return true;
  } catch {
    return false;
  }
}

// Whether a kernel is at the other end of a view. Jupyter marks, by a class, the views of models whose
// kernel is gone or never was: a notebook that was opened to be read, a page that nbconvert has made.
import { signal, type ReadonlySignal } from "@preact/signals";

const GONE = "jupyter-widgets-disconnected";

export interface Connection {
  readonly connected: ReadonlySignal<boolean>;
  stop(): void;
}

/** Looks at the element that Jupyter gives a view; elsewhere, nothing marks it, and it is connected. */
export function watchConnection(el: HTMLElement): Connection {
  const here = (): boolean => !el.classList.contains(GONE);
  const connected = signal(here());
  const observer = new MutationObserver(() => {
    connected.value = here();
  });
  observer.observe(el, { attributes: true, attributeFilter: ["class"] });
  return { connected, stop: () => observer.disconnect() };
}

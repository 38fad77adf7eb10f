// A toolbar is one stop of Tab: the arrow keys go from button to button inside it.
import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

const ITEMS = "button, select, input";

/** Keeps one control of the bar reachable by Tab; the listener belongs on the bar's keydown. */
export function useRoving(bar: RefObject<HTMLElement>): (event: KeyboardEvent) => void {
  const items = (): HTMLElement[] =>
    [...(bar.current?.querySelectorAll<HTMLElement>(ITEMS) ?? [])].filter(
      (item) => getComputedStyle(item).display !== "none",
    );
  const settle = (chosen?: HTMLElement): void => {
    const all = items();
    const current = chosen ?? all.find((item) => item.tabIndex === 0) ?? all[0];
    for (const item of all) item.tabIndex = item === current ? 0 : -1;
  };
  // On every render: buttons come and go.
  useLayoutEffect(() => settle());
  useLayoutEffect(() => {
    const home = bar.current;
    if (!home) return undefined;
    const onFocus = (event: FocusEvent): void => {
      if (event.target instanceof HTMLElement && event.target.matches(ITEMS)) settle(event.target);
    };
    // Parts of the bar are drawn on their own.
    const observer = new MutationObserver(() => settle());
    observer.observe(home, { childList: true, subtree: true });
    home.addEventListener("focusin", onFocus);
    return () => {
      observer.disconnect();
      home.removeEventListener("focusin", onFocus);
    };
  }, []);

  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const at = event.target;
    if (!(at instanceof HTMLElement) || !at.matches(ITEMS)) return;
    const slides = at.matches("input[type=range]");
    const all = items();
    const index = all.indexOf(at);
    const next =
      event.key === "ArrowRight" && !slides ? all[(index + 1) % all.length]
      : event.key === "ArrowLeft" && !slides ? all[(index - 1 + all.length) % all.length]
      : event.key === "Home" && !slides ? all[0]
      : event.key === "End" && !slides ? all[all.length - 1]
      : undefined;
    if (!next || index < 0) return;
    event.preventDefault();
    event.stopPropagation();
    next.focus({ preventScroll: true });
  };
}

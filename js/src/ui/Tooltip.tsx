// One tooltip for the whole widget: any element with data-tip has it, after a short rest or on focus.
import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useWidget } from "./context";
import { Kbd } from "./controls";

const REST_MS = 420;
const GAP = 6;

interface Tip {
  text: string;
  keys: string[];
  target: HTMLElement;
}

export function Tooltip(): JSX.Element {
  const { root } = useWidget();
  const tip = useSignal<Tip | null>(null);
  const bubble = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    const control = new AbortController();
    const { signal } = control;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const targetOf = (event: Event): HTMLElement | null =>
      event.target instanceof Element ? event.target.closest<HTMLElement>("[data-tip]") : null;
    const show = (target: HTMLElement): void => {
      const text = target.dataset["tip"];
      if (!text) return;
      const keys = (target.dataset["keys"] ?? "").split("|").map((k) => k.trim()).filter(Boolean);
      tip.value = { text, keys, target };
    };
    const hide = (): void => {
      clearTimeout(timer);
      tip.value = null;
    };
    root.addEventListener(
      "pointerover",
      (event) => {
        const target = targetOf(event);
        if (target === tip.peek()?.target) return;
        hide();
        if (target && event.pointerType !== "touch") timer = setTimeout(() => show(target), REST_MS);
      },
      { signal },
    );
    root.addEventListener("pointerleave", hide, { signal });
    root.addEventListener("pointerdown", hide, { signal });
    root.addEventListener("keydown", hide, { signal });
    root.addEventListener("focusout", hide, { signal });
    root.addEventListener(
      "focusin",
      (event) => {
        const target = targetOf(event);
        if (target?.matches(":focus-visible")) show(target);
      },
      { signal },
    );
    return () => {
      hide();
      control.abort();
    };
  }, [root]);

  const shown = tip.value;
  useLayoutEffect(() => {
    const box = bubble.current;
    if (!box || !shown) return undefined;
    const home = root.getBoundingClientRect();
    const at = shown.target.getBoundingClientRect();
    const width = box.offsetWidth;
    const height = box.offsetHeight;
    const middle = at.left - home.left + at.width / 2 - width / 2;
    const below = at.bottom - home.top + GAP;
    const fitsBelow = below + height <= home.height;
    box.style.left = `${Math.max(4, Math.min(middle, home.width - width - 4))}px`;
    box.style.top = `${fitsBelow ? below : at.top - home.top - height - GAP}px`;
    // What it explains may turn into something else under the resting pointer.
    const change = new MutationObserver(() => (tip.value = null));
    change.observe(shown.target, { attributes: true, attributeFilter: ["data-tip"] });
    return () => change.disconnect();
  }, [shown]);

  return (
    <div ref={bubble} class="sw-tip" role="tooltip" hidden={!shown}>
      {shown?.text}
      {shown?.keys.map((way) => (
        <span key={way} class="sw-tip-keys">
          {way.split(" ").length > 1 && /^(Ctrl|Shift|Alt|⌘|⇧)/.test(way) ? (
            way.split(" ").map((key) => <Kbd key={key}>{key}</Kbd>)
          ) : (
            <Kbd>{way}</Kbd>
          )}
        </span>
      ))}
    </div>
  );
}

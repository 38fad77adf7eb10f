// Light or dark, by what lies behind the widget: works in hosts that this project has never heard of.
import { luminance, type Rgb } from "../canvas/color";
import type { Signal } from "@preact/signals";

function opaqueColor(element: Element): Rgb | null {
  const found = /rgba?\(([^)]+)\)/.exec(getComputedStyle(element).backgroundColor);
  const [r, g, b, a] = (found?.[1] ?? "").split(/[\s,/]+/).map(Number);
  if (r === undefined || g === undefined || b === undefined || Number.isNaN(r)) return null;
  return a === undefined || a > 0.5 ? { r, g, b } : null;
}

/** What an element lies in, also where that is another tree: marimo keeps widgets in shadow roots. */
function surrounding(element: Element): Element | null {
  if (element.parentElement) return element.parentElement;
  const tree = element.getRootNode();
  return tree instanceof ShadowRoot ? tree.host : null;
}

/** The host's theme variable first, then whatever is painted behind, then what is wished for. */
export function isDark(root: HTMLElement): boolean {
  const probe = document.createElement("div");
  probe.className = "sw-theme-probe";
  root.append(probe);
  let color = opaqueColor(probe);
  probe.remove();
  for (let at = surrounding(root); at && !color; at = surrounding(at)) color = opaqueColor(at);
  if (color) return luminance(color) < 0.3;
  // Colab's output frames are see-through, and say their theme in an attribute.
  const named = document.documentElement.getAttribute("theme");
  return named ? named === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function followTheme(root: HTMLElement, dark: Signal<boolean>, signal: AbortSignal): void {
  const look = (): void => {
    dark.value = isDark(root);
    root.dataset["theme"] = dark.value ? "dark" : "light";
  };
  const observer = new MutationObserver(look);
  const watched = { attributes: true, attributeFilter: ["class", "style", "theme", "data-theme", "data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind"] };
  observer.observe(document.documentElement, watched);
  observer.observe(document.body, watched);
  // Theme style sheets load after the attribute changes; and none may be named above.
  const sheets = new MutationObserver(look);
  sheets.observe(document.head, { childList: true });
  // Anywhere in the page: JupyterLab puts its theme's sheet into the body.
  document.addEventListener("load", look, { capture: true, signal });
  // A widget that is drawn before it is in the page has nothing behind it yet.
  const placed = new ResizeObserver(look);
  placed.observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", look, { signal });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    sheets.disconnect();
    placed.disconnect();
  });
  look();
}

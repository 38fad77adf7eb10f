// The front end as a library: give it a host and an element, get back the way to take it down.
import { effect } from "@preact/signals";
import { render } from "preact";
import { createPreview } from "./canvas/preview";
import { MaskShapes } from "./canvas/shapes";
import { createEngine, type Engine } from "./decode/engine";
import type { Host } from "./host/host";
import { createActions } from "./state/actions";
import { announceChanges } from "./state/announce";
import { announceModels } from "./state/models";
import { announceTruth } from "./state/truth";
import { createHoverPreview } from "./state/hover";
import { followSelection } from "./state/selection";
import { createStore } from "./state/store";
import { resetThreshold } from "./state/threshold";
import { createViewState } from "./state/view_state";
import { App } from "./ui/App";
import { WidgetContext, type Widget } from "./ui/context";
import { followTheme } from "./ui/theme";

const LEAST_HEIGHT = 160;

/** `answering` is given by a host that answers prompts with it, so that nobody asks twice. */
export function mountSegmenter(host: Host, element: HTMLElement, answering?: Engine): () => void {
  const root = document.createElement("div");
  root.className = "segwidget";
  root.dataset["testid"] = "segwidget-root";
  element.append(root);

  const control = new AbortController();
  const store = createStore(host);
  const view = createViewState(store);
  const engine = answering ?? createEngine(store, host);
  const actions = createActions(store, view, answering ? undefined : engine);
  const preview = createPreview(store, view);
  const hover = createHoverPreview(store, view, engine);
  const shapes = new MaskShapes();
  const proposalShapes = new MaskShapes();
  followTheme(root, view.dark, control.signal);
  // For tests and measurements in the browser: what the page itself answers.
  Object.defineProperty(root, "segwidget", { value: { engine } });

  const stops = [
    announceChanges(store, view),
    announceModels(store, view),
    announceTruth(store, view),
    resetThreshold(store, view),
    followSelection(store, actions),
    effect(() => {
      // What automation waits for: the kernel knows what the page shows.
      root.dataset["busy"] = String(store.unconfirmed.value);
      root.dataset["state"] = store.status.value.state;
      root.dataset["mode"] = view.mode.value;
      root.dataset["decoder"] = engine.state.value;
      root.dataset["connected"] = String(host.connected?.value ?? true);
    }),
    effect(() => {
      const height = Number(store.height.value);
      root.style.setProperty("--sw-height", `${Math.max(LEAST_HEIGHT, height || 540)}px`);
      const image = store.image.value;
      root.style.setProperty("--sw-aspect", image ? String(image.height / image.width) : "0.6");
    }),
  ];

  const widget: Widget = {
    root, store, view, actions, preview, hover, shapes, proposalShapes,
    focusStage: () =>
      root.querySelector<HTMLElement>("canvas.sw-canvas")?.focus({ preventScroll: true }),
  };
  render(
    <WidgetContext.Provider value={widget}>
      <App />
    </WidgetContext.Provider>,
    root,
  );

  return () => {
    control.abort();
    render(null, root);
    for (const stop of stops) stop();
    actions.dispose();
    view.proposals.dispose();
    preview.dispose();
    hover.dispose();
    engine.dispose();
    shapes.clear();
    proposalShapes.clear();
    store.dispose();
    root.remove();
  };
}

// The stage: the canvas, and what floats over it.
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { cursorOf } from "../canvas/cursor";
import { fit, resized } from "../canvas/viewport";
import { createPainter } from "../canvas/painter";
import { attachPointer, type HandTool } from "../canvas/pointer";
import { attachShortcuts } from "../canvas/shortcuts";
import { useWidget } from "./context";
import { PictureIcon } from "./icons";
import { StageOverlay } from "./StageOverlay";

function Progress(): JSX.Element | null {
  const { store } = useWidget();
  const { state, progress } = store.status.value;
  const working = state === "loading" || state === "embedding" || store.waiting.value;
  if (!working) return null;
  const known = state === "loading" && progress !== null;
  return (
    <div
      class={`sw-progress ${known ? "" : "sw-progress-unknown"}`}
      role="progressbar"
      aria-label={state === "ready" ? "Waiting for candidates" : state}
      aria-valuenow={known ? Math.round(progress * 100) : undefined}
    >
      <span style={known ? { width: `${Math.round(progress * 100)}%` } : undefined} />
    </div>
  );
}

/** What the picture shows, for who cannot see it. */
function useDescription(): string {
  const { store, view } = useWidget();
  const image = store.image.value;
  if (!image) return "No picture yet";
  const proposals = view.proposals.open.value
    ? ` ${view.proposals.shown.value.length} proposals: arrow keys go through them, Enter keeps one.`
    : "";
  return (
    `${image.name || "Picture"}, ${image.width} by ${image.height} pixels, ` +
    `${store.annotations.value.length} annotations. Click to include, right click to exclude, drag for a box. ` +
    "Press C for a crosshair that the arrow keys move, question mark for all keys." +
    proposals
  );
}

export function Stage(): JSX.Element {
  const widget = useWidget();
  const { root, store, view, actions, preview, hover, shapes, proposalShapes } = widget;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);

  useLayoutEffect(() => {
    const area = frame.current!;
    const surface = canvas.current!;
    const control = new AbortController();
    const hand: HandTool = { held: false, drop: () => {}, click: () => {} };
    const painter = createPainter(
      surface, root, store, view, actions, preview, hover, shapes, proposalShapes,
    );
    attachPointer(
      surface, store, view, actions, shapes, proposalShapes, hand, control.signal,
    );
    attachShortcuts(root, store, view, actions, hand, control.signal);
    const measure = (): void => {
      const before = view.stage.peek();
      const after = { width: area.clientWidth, height: area.clientHeight };
      // Hidden, as in a windowed notebook out of sight: it comes back as it was.
      if (after.width === 0 || after.height === 0) return;
      if (before.width === after.width && before.height === after.height) return;
      view.stage.value = after;
      const image = store.image.peek();
      if (image && after.width > 0) {
        view.viewport.value = resized(view.viewport.peek(), before, after, image);
      }
    };
    const observer = new ResizeObserver(measure);
    observer.observe(area);
    measure();
    // A cell scrolled out of a windowed notebook and back has lost its pixels.
    const seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) painter.repaint();
    });
    seen.observe(surface);
    return () => {
      control.abort();
      observer.disconnect();
      seen.disconnect();
      painter.dispose();
    };
  }, [widget]);

  const image = store.image.value;
  const size = image ? `${image.width}x${image.height}` : "";
  useLayoutEffect(() => {
    if (image && view.stage.peek().width > 0) view.viewport.value = fit(view.stage.peek(), image);
  }, [size]);

  const cursor = cursorOf(view, store);
  const failed = store.status.value.state === "failed";
  return (
    <div class="sw-stage" ref={frame}>
      <canvas
        ref={canvas}
        class="sw-canvas"
        tabIndex={0}
        role="application"
        aria-label={useDescription()}
        data-testid="segwidget-canvas"
        data-lm-suppress-shortcuts="true"
        data-cursor={cursor}
      />
      <Progress />
      {!image && (
        <div class="sw-empty">
          <PictureIcon />
          <p>{failed ? store.status.value.message : store.status.value.message || "No picture yet"}</p>
        </div>
      )}
      <StageOverlay />
      <div class={`sw-hint ${view.wheelHint.value ? "sw-shown" : ""}`} aria-hidden="true">
        Click the picture, then the wheel zooms
      </div>
    </div>
  );
}

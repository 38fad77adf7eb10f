// Paints the stage when something changed, once a frame, and says when an answer is on screen.
import { effect } from "@preact/signals";
import type { ImageTrait } from "../host/traits";
import type { Actions } from "../state/actions";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";
import { KeptLayer } from "./kept_layer";
import * as layers from "./layers";
import type { Preview } from "./preview";
import { candidateShape, type AnnotationShapes } from "./shapes";

const PULSE_MS = 900;

export interface Painter {
  repaint(): void;
  dispose(): void;
}

export function createPainter(
  canvas: HTMLCanvasElement,
  root: HTMLElement,
  store: Store,
  view: ViewState,
  actions: Actions,
  preview: Preview,
  shapes: AnnotationShapes,
): Painter {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let scheduled = 0;
  let font = "sans-serif";

  const repaint = (): void => {
    if (scheduled === 0) scheduled = requestAnimationFrame(paint);
  };

  const kept = new KeptLayer(store, shapes, repaint);

  function paint(now: number): void {
    scheduled = 0;
    const stage = view.stage.peek();
    const image = store.image.peek();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(stage.width * ratio));
    const height = Math.max(1, Math.round(stage.height * ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      font = getComputedStyle(canvas).fontFamily || font;
    }
    const context = canvas.getContext("2d");
    if (context) {
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      const frame: layers.Frame = { context, view: view.viewport.peek(), stage, ratio, font };
      if (image) paintImage(frame, image, now);
    }
    publish(image);
  }

  function paintImage(frame: layers.Frame, image: ImageTrait, now: number): void {
    const bitmap = preview.bitmap.peek();
    if (bitmap) layers.drawImage(frame, bitmap, image);
    const candidates = store.shown.peek();
    kept.paint(frame, image, candidates !== null);
    if (candidates) {
      const index = view.hoveredCandidate.peek() ?? store.picked.peek();
      const shape = candidateShape(candidates, index, image);
      if (shape) layers.drawMask(frame, shape, layers.candidateStyle(store.currentLabel.peek().color));
    }
    paintHovered(frame, image);
    const prompts = store.prompts.peek();
    layers.drawPrompts(frame, prompts, view.hoveredPrompt.peek());
    const newest = prompts[prompts.length - 1];
    if (newest && store.waiting.peek()) {
      layers.drawPulse(frame, newest, still.matches ? 0.3 : (now % PULSE_MS) / PULSE_MS);
      if (!still.matches) repaint();
    }
    const band = view.rubberBand.peek();
    if (band) layers.drawRubberBand(frame, band.from, band.to, image);
  }

  function paintHovered(frame: layers.Frame, image: ImageTrait): void {
    const id = view.hoveredAnnotation.peek();
    const annotation = id === null ? undefined : store.annotations.peek().find((a) => a.id === id);
    if (!annotation) return;
    const color = store.colorOf(annotation.label);
    const shape = shapes.shape(annotation, image);
    if (annotation.visible) layers.drawMask(frame, shape, layers.hoveredStyle(color));
    else layers.drawGhost(frame, shape, color);
    layers.drawTag(frame, annotation, color);
  }

  /** Marks on the elements what is on screen now: who waits for a picture need not guess. */
  function publish(image: ImageTrait | null): void {
    const at = view.viewport.peek();
    canvas.dataset["scale"] = String(at.scale);
    canvas.dataset["originX"] = String(at.x);
    canvas.dataset["originY"] = String(at.y);
    const painted = image && preview.bitmap.peek() ? "true" : "false";
    root.dataset["painted"] = painted;
    const shown = store.shown.peek();
    root.dataset["request"] = shown?.request ?? "";
    if (shown && view.lastAnswer.peek()?.request !== shown.request) {
      const sent = actions.sentAt(shown.request);
      view.lastAnswer.value = {
        request: shown.request,
        kernelMs: shown.ms,
        totalMs: sent === undefined ? null : performance.now() - sent,
      };
    }
  }

  const stop = effect(() => {
    for (const changed of [
      store.image, store.prompts, store.picked, store.shown, store.waiting, store.annotations,
      store.labels, store.currentLabel, view.viewport, view.stage, view.rubberBand,
      view.hoveredCandidate, view.hoveredAnnotation, view.hoveredPrompt, preview.bitmap,
    ]) {
      void changed.value;
    }
    repaint();
  });
  const stopPruning = effect(() => shapes.prune(store.annotations.value));

  return {
    repaint,
    dispose() {
      stop();
      stopPruning();
      cancelAnimationFrame(scheduled);
      kept.dispose();
      shapes.clear();
      // A canvas of no size gives its memory back at once.
      canvas.width = 0;
      canvas.height = 0;
    },
  };
}

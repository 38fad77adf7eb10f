// Paints the stage when something changed, once a frame, and says when an answer is on screen.
import { effect } from "@preact/signals";
import type { ImageTrait, ProposalTrait } from "../host/traits";
import type { Actions } from "../state/actions";
import type { HoverPreview } from "../state/hover";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view_state";
import { formatArea, formatScore } from "../ui/format";
import { colorOfId } from "./color";
import * as layers from "./layers";
import { createLook } from "./look";
import { createOverlays } from "./overlays";
import { MaskLayer } from "./mask_layer";
import type { Preview } from "./preview";
import { candidateShape, type MaskShapes } from "./shapes";

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
  hover: HoverPreview,
  shapes: MaskShapes,
  proposalShapes: MaskShapes,
): Painter {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let scheduled = 0;
  let font = "sans-serif";

  const repaint = (): void => {
    if (scheduled === 0) scheduled = requestAnimationFrame(paint);
  };

  const kept = new MaskLayer(shapes, repaint);
  const proposed = new MaskLayer(proposalShapes, repaint);
  const look = createLook(store, preview);
  const overlays = createOverlays(store, view, preview, shapes, repaint, still, look.colorOf);

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
    if (bitmap) {
      layers.drawImage(frame, bitmap, image);
      preview.tiles.draw(frame, image);
    }
    const candidates = store.shown.peek();
    const quiet = store.prompts.peek().length > 0;
    paintKept(frame, image, candidates !== null);
    paintPending(frame, image);
    overlays.paintRegion(frame, image);
    overlays.paintWork(frame, image);
    paintProposals(frame, image, quiet);
    const pointed = hover.candidates.peek();
    if (pointed && !candidates && !quiet) {
      const shape = candidateShape(pointed, hover.index.peek(), image);
      if (shape) layers.drawMask(frame, shape, layers.previewStyle(store.currentLabel.peek().color));
    }
    if (candidates) {
      const index = view.hoveredCandidate.peek() ?? store.picked.peek();
      const shape = candidateShape(candidates, index, image, view.threshold.peek());
      if (shape) layers.drawMask(frame, shape, layers.candidateStyle(store.currentLabel.peek().color));
    }
    paintHovered(frame, image);
    const prompts = store.prompts.peek();
    overlays.paintAreas(frame);
    layers.drawPrompts(frame, prompts, view.hoveredPrompt.peek());
    const newest = prompts[prompts.length - 1];
    if (newest && store.waiting.peek()) {
      layers.drawPulse(frame, newest, still.matches ? 0.3 : (now % PULSE_MS) / PULSE_MS);
      if (!still.matches) repaint();
    }
    paintBands(frame, image);
    overlays.paintHand(frame);
  }

  function paintKept(frame: layers.Frame, image: ImageTrait, quiet: boolean): void {
    const annotations = store.annotations.peek();
    kept.paint(
      frame,
      image,
      annotations.filter((a) => a.visible),
      (a) => look.styleOf(a, image, quiet),
      [annotations, store.labels.peek(), store.appearance.peek(), preview.bitmap.peek(), quiet],
    );
  }

  function paintPending(frame: layers.Frame, image: ImageTrait): void {
    for (const { label, candidates, picked, threshold } of store.local.pending.peek()) {
      const shape = candidateShape(candidates, picked, image, threshold);
      if (shape) layers.drawMask(frame, shape, layers.pendingStyle(store.colorOf(label)));
    }
  }

  /** All proposals, and on top of them those that a click or a band would keep. */
  function paintProposals(frame: layers.Frame, image: ImageTrait, quiet: boolean): void {
    const { shown, gathered, hovered } = view.proposals;
    const proposals = shown.peek();
    const styleOf = ({ id }: ProposalTrait): layers.MaskStyle =>
      layers.proposalStyle(colorOfId(id), quiet);
    proposed.paint(frame, image, proposals, styleOf, [proposals, quiet]);
    for (const proposal of gathered.peek()) {
      const shape = proposalShapes.shape(proposal, image);
      layers.drawMask(frame, shape, layers.gatheredStyle(colorOfId(proposal.id)));
    }
    const pointed = proposals.find((p) => p.id === hovered.peek());
    if (!pointed || quiet) return;
    const color = colorOfId(pointed.id);
    layers.drawMask(frame, proposalShapes.shape(pointed, image), layers.hoveredStyle(color));
    const scores = `IoU ${formatScore(pointed.predicted_iou)} · stability ${formatScore(pointed.stability_score)}`;
    layers.drawTag(frame, pointed.box, `${scores} · ${formatArea(pointed.area)}`, color);
  }

  function paintBands(frame: layers.Frame, image: ImageTrait): void {
    const band = view.rubberBand.peek();
    if (band) {
      const { from, to } = band;
      const width = Math.round(Math.min(Math.abs(to.x - from.x), image.width));
      const height = Math.round(Math.min(Math.abs(to.y - from.y), image.height));
      layers.drawBand(frame, from, to, `${width} × ${height}`);
    }
    const net = view.proposals.band.peek();
    if (net) {
      const count = view.proposals.gathered.peek().length;
      layers.drawBand(frame, net.from, net.to, count === 0 ? "Nothing to keep" : `Keep ${count}`);
    }
  }

  function paintHovered(frame: layers.Frame, image: ImageTrait): void {
    const id = view.hoveredAnnotation.peek();
    const annotation = id === null ? undefined : store.annotations.peek().find((a) => a.id === id);
    if (!annotation) return;
    const color = look.colorOf(annotation);
    const shape = shapes.shape(annotation, image);
    if (annotation.visible) layers.drawMask(frame, shape, layers.hoveredStyle(color));
    else layers.drawGhost(frame, shape, color);
    const name =
      annotation.label.length > 32 ? `${annotation.label.slice(0, 31)}…` : annotation.label;
    const text = `${name}  ${formatScore(annotation.predicted_iou)}`;
    layers.drawTag(frame, annotation.box, text, color);
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
    root.dataset["preview"] = String(hover.candidates.peek() !== null);
    root.dataset["pending"] = String(store.local.pending.peek().length);
    root.dataset["threshold"] = String(view.threshold.peek());
    root.dataset["proposals"] = String(view.proposals.shown.peek().length);
    root.dataset["selected"] = view.selected.peek() ?? "";
    root.dataset["strokes"] = String(view.tools.strokes.peek().length);
    root.dataset["pointed"] = view.proposals.hovered.peek() ?? "";
    if (shown && view.lastAnswer.peek()?.request !== shown.request) {
      const sent = actions.sentAt(shown.request);
      view.lastAnswer.value = {
        request: shown.request,
        ownMs: shown.ms,
        by: shown.by ?? "kernel",
        totalMs: sent === undefined ? null : performance.now() - sent,
      };
    }
  }

  const stop = effect(() => {
    for (const changed of [
      store.image, store.prompts, store.picked, store.shown, store.waiting, store.annotations,
      store.labels, store.currentLabel, view.viewport, view.stage, view.rubberBand,
      view.hoveredCandidate, view.hoveredAnnotation, view.hoveredPrompt, preview.bitmap, preview.tiles.arrived,
      view.proposals.shown, view.proposals.hovered, view.proposals.band, store.local.pending,
      hover.candidates, hover.index, view.threshold, ...overlays.signals,
    ]) {
      void changed.value;
    }
    repaint();
  });
  const stopPruning = effect(() => shapes.prune(store.annotations.value));
  const stopPruningProposals = effect(() => proposalShapes.prune(store.proposals.value));

  return {
    repaint,
    dispose() {
      stop();
      stopPruning();
      stopPruningProposals();
      cancelAnimationFrame(scheduled);
      kept.dispose();
      proposed.dispose();
      shapes.clear();
      proposalShapes.clear();
      // A canvas of no size gives its memory back at once.
      canvas.width = 0;
      canvas.height = 0;
    },
  };
}

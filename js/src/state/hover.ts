// The live preview: what a click under the pointer would answer, before anybody clicks.
import { effect, signal, type ReadonlySignal } from "@preact/signals";
import { pointOn } from "../canvas/prompts";
import { pickFor } from "./level";
import type { CandidatesTrait, PointPrompt } from "../host/traits";
import type { Spot } from "../canvas/viewport";
import type { Store } from "./store";
import type { ViewState } from "./view_state";

/** What answers the pointer in this page. */
export interface PreviewDecoder {
  readonly state: ReadonlySignal<string>;
  /** The candidates, or null where it cannot answer. It rejects where a newer place came between. */
  preview(point: PointPrompt): Promise<CandidatesTrait> | null;
}

export interface HoverPreview {
  /** The answer to the place last pointed at. */
  readonly candidates: ReadonlySignal<CandidatesTrait | null>;
  /** Which of them a click would pick. */
  readonly index: ReadonlySignal<number>;
  dispose(): void;
}

export function createHoverPreview(
  store: Store,
  view: ViewState,
  decoder: PreviewDecoder | undefined,
): HoverPreview {
  const candidates = signal<CandidatesTrait | null>(null);
  const index = signal(0);
  let frame = 0;
  let running = false;
  let turn = 0;

  /** Where a plain click would ask for a new thing; null where it would do something else. */
  const wanted = (): Spot | null => {
    if (!view.pointer.value || decoder?.state.value !== "ready") return null;
    if (!view.previews.value || view.mode.value !== "include") return null;
    if (view.tools.tool.value !== "point" || view.tools.crosshair.value) return null;
    if (view.rubberBand.value || view.panning.value || store.prompts.value.length > 0) return null;
    if (view.proposals.open.value || view.hoveredPrompt.value !== null) return null;
    return view.pointer.value;
  };

  const look = (): void => {
    frame = 0;
    const spot = wanted();
    const image = store.image.peek();
    if (!spot || !image || running) return;
    const asked = decoder!.preview(pointOn(spot, image, 1));
    if (!asked) return;
    running = true;
    const mine = turn;
    asked
      .then(
        (found) => {
          if (mine !== turn) return;
          candidates.value = found;
          index.value = pickFor(store.level.peek(), found);
        },
        () => {},
      )
      .finally(() => {
        running = false;
        // The pointer has moved on meanwhile: the newest place wins.
        const now = view.pointer.peek();
        if (now && (now.x !== spot.x || now.y !== spot.y)) schedule();
      });
  };

  const schedule = (): void => {
    if (frame === 0) frame = requestAnimationFrame(look);
  };

  const stop = effect(() => {
    if (wanted()) return schedule();
    turn++;
    cancelAnimationFrame(frame);
    frame = 0;
    candidates.value = null;
  });

  return {
    candidates,
    index,
    dispose() {
      stop();
      turn++;
      cancelAnimationFrame(frame);
    },
  };
}

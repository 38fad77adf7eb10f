// The draft's threshold: where its outline cuts the logits. It starts at the model's own 0 each time.
import { effect } from "@preact/signals";
import type { CandidatesTrait, ImageTrait, Prompt } from "../host/traits";
import { gridOf } from "../codecs/logits";
import type { Store } from "./store";
import type { ViewState } from "./view_state";

/** As far as the slider goes, in logits, either way. */
export const THRESHOLD_LIMIT = 4;
export const THRESHOLD_STEP = 0.1;

/** What a slider's value does to the mask, in words. */
export function thresholdInWords(threshold: number): string {
  if (threshold === 0) return "as the model draws it";
  return `${threshold > 0 ? "stricter" : "looser"} by ${Math.abs(threshold).toFixed(1)}`;
}

function sameStart(a: readonly Prompt[], b: readonly Prompt[]): boolean {
  return a[0] === b[0] || JSON.stringify(a[0]) === JSON.stringify(b[0]);
}

/** Every new draft starts at 0; one that is refined goes on with its threshold. */
export function resetThreshold(store: Store, view: ViewState): () => void {
  let before = store.prompts.peek();
  return effect(() => {
    const prompts = store.prompts.value;
    if (prompts.length === 0 || !sameStart(before, prompts)) view.threshold.value = 0;
    before = prompts;
  });
}

/** A candidate's pixels at a threshold, counted in its logits as the kernel counts them. */
export function areaAt(
  candidates: CandidatesTrait,
  index: number,
  image: ImageTrait | null,
  threshold: number,
): number {
  const item = candidates.items[index];
  const grid = threshold === 0 ? null : gridOf(candidates, index);
  if (!item || !grid) return item?.area ?? 0;
  let inside = 0;
  for (const value of grid.values) if (value > threshold) inside++;
  const [x0, y0, x1, y1] = grid.region ?? [0, 0, image?.width ?? Infinity, image?.height ?? Infinity];
  return Math.min(Math.round(inside / (grid.scale[0] * grid.scale[1])), (x1 - x0) * (y1 - y0));
}

// What the ground truth says of the answer on screen, as numbers and as words.
import { effect } from "@preact/signals";
import type { TruthScoresTrait } from "../host/traits";
import { formatScore } from "../ui/format";
import type { Store } from "./store";
import type { ViewState } from "./view_state";

export interface Judged {
  /** Of the picked candidate. */
  iou: number;
  predicted: number;
  /** The label of the mask that it was compared with; null where the truth has nothing there. */
  label: string | null;
}

/** The picked candidate beside the truth; null without truth, and while the comparison is awaited. */
export function judged(store: Store): Judged | null {
  const scores = store.truth_scores.value;
  const shown = store.shown.value;
  if (!scores || !shown || scores.request !== shown.request) return null;
  const picked = Math.min(store.picked.value, shown.items.length - 1);
  const iou = scores.iou[picked];
  const predicted = shown.items[picked]?.predicted_iou;
  if (iou === undefined || predicted === undefined) return null;
  return { iou, predicted, label: store.truth_target.value?.label ?? null };
}

/** More numbers in one sentence nobody can follow. */
const MOST_SPOKEN = 8;

/** The curve as a sentence, for those who hear it. */
export function curveInWords(curve: TruthScoresTrait["curve"]): string {
  if (curve.length === 0) return "No answer yet";
  const told = curve.slice(-MOST_SPOKEN).map(([count, iou, predicted]) => {
    const prompts = `${count} ${count === 1 ? "prompt" : "prompts"}`;
    return `after ${prompts} ${formatScore(iou)}, predicted ${formatScore(predicted)}`;
  });
  return `True IoU ${told.join("; ")}`;
}

/** Says each answer's true IoU once, beside what the model believes. */
export function announceTruth(store: Store, view: ViewState): () => void {
  let told = "";
  return effect(() => {
    const found = judged(store);
    const request = store.truth_scores.value?.request ?? "";
    if (!found || request === told) return;
    told = request;
    view.announcement.value =
      found.label === null
        ? "No mask of the truth is here"
        : `True IoU ${formatScore(found.iou)}, predicted ${formatScore(found.predicted)}`;
  });
}

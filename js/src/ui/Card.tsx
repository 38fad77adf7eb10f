// One candidate: its picture, its scores, and its key.
import type { JSX } from "preact";
import type { CandidatesTrait } from "../host/traits";
import { areaAt } from "../state/threshold";
import { Kbd } from "./controls";
import { useWidget } from "./context";
import { formatArea, formatScore } from "./format";
import { CheckIcon } from "./icons";
import { Thumbnail } from "./Thumbnail";

/** The mask token that answers clear prompts; the other three are for ambiguous ones. */
export const SINGLE_TOKEN = 0;

interface CardProps {
  candidates: CandidatesTrait;
  index: number;
  picked: boolean;
}

export function Card({ candidates, index, picked }: CardProps): JSX.Element {
  const { store, view, actions } = useWidget();
  const item = candidates.items[index]!;
  const single = candidates.tokens?.[index] === SINGLE_TOKEN;
  // Only the picked one follows the threshold: it is what would be kept.
  const threshold = picked ? view.threshold.value : 0;
  const area = areaAt(candidates, index, store.image.value, threshold);
  const preview = (on: boolean) => () => {
    if (on) view.hoveredCandidate.value = index;
    else if (view.hoveredCandidate.peek() === index) view.hoveredCandidate.value = null;
  };
  return (
    <button
      type="button"
      role="radio"
      class={`sw-card ${single ? "sw-card-single" : ""}`}
      aria-checked={picked}
      aria-label={
        `Candidate ${index + 1}${single ? ", the single mask" : ""}: ` +
        `predicted IoU ${formatScore(item.predicted_iou)}, ` +
        `stability ${formatScore(item.stability_score)}, ${area} pixels`
      }
      tabIndex={picked ? 0 : -1}
      data-testid={`candidate-${index}`}
      data-token={candidates.tokens?.[index]}
      data-tip={
        single ? "The one mask that the model gives where a prompt is clear" : undefined
      }
      data-lm-suppress-shortcuts="true"
      onClick={() => actions.pick(index)}
      onPointerEnter={preview(true)}
      onPointerLeave={preview(false)}
    >
      <span class="sw-card-picture">
        <Thumbnail candidates={candidates} index={index} threshold={threshold} />
        <Kbd>{index + 1}</Kbd>
        {picked && (
          <span class="sw-card-mark">
            <CheckIcon />
          </span>
        )}
      </span>
      <span class="sw-card-text">
        <span class="sw-score">
          <b data-testid="candidate-iou">{formatScore(item.predicted_iou)}</b>
          <small>IoU</small>
          {single && <small class="sw-single-word">single</small>}
        </span>
        <span class="sw-meter">
          <i style={{ width: `${Math.round(Math.min(Math.max(item.predicted_iou, 0), 1) * 100)}%` }} />
        </span>
        <small class="sw-detail" data-testid="candidate-stability">
          <span class="sw-long">Stability</span>
          <span class="sw-short">Stab.</span> {formatScore(item.stability_score)}
        </small>
        <small class="sw-detail" data-testid="candidate-area">
          <span class="sw-long">Area</span> {formatArea(area)}
        </small>
      </span>
    </button>
  );
}

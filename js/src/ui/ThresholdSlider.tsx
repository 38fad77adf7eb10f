// Moves the draft's outline along its logits: stricter or looser than the model draws it.
import type { JSX } from "preact";
import { THRESHOLD_LIMIT, THRESHOLD_STEP, thresholdInWords } from "../state/threshold";
import { Button } from "./controls";
import { useWidget } from "./context";

/** As short as a figure in a row can be, with a real minus. */
export function formatThreshold(threshold: number): string {
  if (threshold === 0) return "0";
  return `${threshold > 0 ? "+" : "−"}${Math.abs(threshold).toFixed(1)}`;
}

export function ThresholdSlider(): JSX.Element {
  const { store, view, focusStage } = useWidget();
  const threshold = view.threshold.value;
  const ready = store.shown.value !== null;
  const at = 50 + (50 * threshold) / THRESHOLD_LIMIT;
  const reset = (): void => {
    view.threshold.value = 0;
  };
  return (
    <div class="sw-slider sw-threshold" data-testid="threshold-row" data-ready={ready}>
      <span aria-hidden="true">looser</span>
      <span class="sw-threshold-track">
        <input
          type="range"
          min={-THRESHOLD_LIMIT}
          max={THRESHOLD_LIMIT}
          step={THRESHOLD_STEP}
          value={threshold}
          disabled={!ready}
          aria-label="Threshold of the mask's outline: looser or stricter"
          aria-valuetext={thresholdInWords(threshold)}
          style={{ "--sw-from": `${Math.min(at, 50)}%`, "--sw-to": `${Math.max(at, 50)}%` }}
          data-testid="threshold"
          data-tip="Cuts the mask stricter or looser; double click for the model's own"
          data-lm-suppress-shortcuts="true"
          onInput={(event) => {
            // Steps of a tenth are not exact in binary.
            view.threshold.value = Math.round(10 * Number(event.currentTarget.value)) / 10;
          }}
          onDblClick={reset}
          // The next key is Enter, to keep.
          onPointerUp={focusStage}
        />
      </span>
      <span aria-hidden="true">stricter</span>
      <Button
        label={`Threshold ${formatThreshold(threshold)}: back to 0`}
        tip="Back to 0, as the model draws it"
        class="sw-small sw-threshold-value"
        testid="threshold-reset"
        disabled={threshold === 0}
        onPress={() => {
          reset();
          focusStage();
        }}
      >
        {formatThreshold(threshold)}
      </Button>
    </div>
  );
}

// The picked candidate's logits, and where the threshold cuts them.
import type { JSX } from "preact";
import { gridOf } from "../../codecs/logits";
import { useWidget } from "../context";
import { formatThreshold } from "../ThresholdSlider";
import { DIVERGING_GRADIENT, limitOf } from "./heat";
import { LogitMap } from "./LogitMap";
import { NoDraft } from "./Missing";

export function LogitsView(): JSX.Element {
  const { store, view } = useWidget();
  const shown = store.shown.value;
  const index = Math.min(store.picked.value, (shown?.items.length ?? 1) - 1);
  const grid = shown && gridOf(shown, index);
  if (!shown || !grid) return <NoDraft />;
  const limit = limitOf([grid]);
  const threshold = view.threshold.value;
  return (
    <>
      <LogitMap
        candidates={shown}
        index={index}
        limit={limit}
        threshold={threshold}
        testid="logit-map"
      />
      <div class="sw-colorbar" aria-hidden="true">
        <span class="sw-colorbar-scale" style={{ background: DIVERGING_GRADIENT }}>
          <i style={{ left: `${50 + (50 * threshold) / limit}%` }} />
        </span>
        <span class="sw-colorbar-words">
          <span>−{limit} outside</span>
          <span>threshold {formatThreshold(threshold)}</span>
          <span>inside +{limit}</span>
        </span>
      </div>
    </>
  );
}

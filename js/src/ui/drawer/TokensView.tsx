// The four tokens side by side, in the decoder's own order.
import type { JSX } from "preact";
import { gridOf } from "../../codecs/logits";
import type { CandidatesTrait } from "../../host/traits";
import { SINGLE_TOKEN } from "../Card";
import { useWidget } from "../context";
import { formatScore } from "../format";
import { limitOf } from "./heat";
import { LogitMap } from "./LogitMap";
import { NoDraft } from "./Missing";

/** The candidates' places, in the order of their tokens. */
export function byToken({ items, tokens }: Pick<CandidatesTrait, "items" | "tokens">): number[] {
  return items.map((_, index) => index).sort((a, b) => (tokens?.[a] ?? a) - (tokens?.[b] ?? b));
}

export function TokensView(): JSX.Element {
  const { store, view, actions } = useWidget();
  const shown = store.shown.value;
  const grids = (shown?.items ?? []).flatMap((_, i) => gridOf(shown!, i) ?? []);
  if (!shown || grids.length === 0) return <NoDraft />;
  const limit = limitOf(grids);
  const picked = Math.min(store.picked.value, shown.items.length - 1);
  return (
    <div class="sw-tiles" data-columns="2">
      {byToken(shown).map((index) => {
        const token = shown.tokens?.[index];
        const name =
          token === undefined ? `mask ${index + 1}` : token === SINGLE_TOKEN ? "single mask" : `mask ${token}`;
        const score = formatScore(shown.items[index]!.predicted_iou);
        return (
          <button
            key={index}
            type="button"
            class="sw-tile"
            aria-pressed={index === picked}
            data-tip="Pick this one"
            data-testid="token"
            data-lm-suppress-shortcuts="true"
            onClick={() => actions.pick(index)}
          >
            <LogitMap
              candidates={shown}
              index={index}
              limit={limit}
              threshold={index === picked ? view.threshold.value : 0}
              small
              testid="token-map"
            />
            <span class="sw-tile-text">
              {name}
              <b>{score}</b>
            </span>
          </button>
        );
      })}
    </div>
  );
}

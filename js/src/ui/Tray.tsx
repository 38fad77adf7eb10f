// The candidate tray: every candidate with its picture and scores, the picked one marked.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { safeColor } from "../canvas/color";
import type { CandidatesTrait } from "../host/traits";
import { Button, Kbd, Swatch } from "./controls";
import { useWidget } from "./context";
import { formatArea, formatScore } from "./format";
import { CandidatesIcon, CheckIcon } from "./icons";
import { Thumbnail } from "./Thumbnail";

function Card(props: { candidates: CandidatesTrait; index: number; picked: boolean }): JSX.Element {
  const { candidates, index, picked } = props;
  const { view, actions } = useWidget();
  const item = candidates.items[index]!;
  const preview = (on: boolean) => () => {
    if (on) view.hoveredCandidate.value = index;
    else if (view.hoveredCandidate.peek() === index) view.hoveredCandidate.value = null;
  };
  return (
    <button
      type="button"
      role="radio"
      class="sw-card"
      aria-checked={picked}
      aria-label={
        `Candidate ${index + 1}: predicted IoU ${formatScore(item.predicted_iou)}, ` +
        `stability ${formatScore(item.stability_score)}, ${item.area} pixels`
      }
      tabIndex={picked ? 0 : -1}
      data-testid={`candidate-${index}`}
      data-lm-suppress-shortcuts="true"
      onClick={() => actions.pick(index)}
      onPointerEnter={preview(true)}
      onPointerLeave={preview(false)}
    >
      <span class="sw-card-picture">
        <Thumbnail candidates={candidates} index={index} />
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
        </span>
        <span class="sw-meter">
          <i style={{ width: `${Math.round(Math.min(Math.max(item.predicted_iou, 0), 1) * 100)}%` }} />
        </span>
        <small class="sw-detail" data-testid="candidate-stability">
          <span class="sw-long">Stability</span>
          <span class="sw-short">Stab.</span> {formatScore(item.stability_score)}
        </small>
        <small class="sw-detail">
          <span class="sw-long">Area</span> {formatArea(item.area)}
        </small>
      </span>
    </button>
  );
}

function Placeholder(): JSX.Element {
  const { store } = useWidget();
  const waiting = store.waiting.value;
  return (
    <div class={`sw-placeholder ${waiting ? "sw-waiting" : ""}`}>
      <CandidatesIcon />
      {waiting ? (
        <p>Looking for candidates…</p>
      ) : !store.image.value ? (
        <p>Candidates appear here</p>
      ) : (
        <p>
          <b>Click an object</b> or drag a box around it
        </p>
      )}
    </div>
  );
}

export function Tray(): JSX.Element {
  const { store, view, actions, focusStage } = useWidget();
  const group = useRef<HTMLDivElement>(null);
  const shown = store.shown.value;
  const count = shown?.items.length ?? 0;
  const picked = Math.min(store.picked.value, Math.max(count - 1, 0));
  const label = store.currentLabel.value;
  const settled = store.settled.value;

  const onKey = (event: KeyboardEvent): void => {
    // Up and down move like left and right inside the group; those two are the widget's own keys.
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && !event.shiftKey) {
      event.preventDefault();
      event.stopPropagation();
      actions.pickBy(step);
    }
    if (!event.key.startsWith("Arrow")) return;
    requestAnimationFrame(() =>
      group.current?.querySelector<HTMLElement>("[aria-checked=true]")?.focus({ preventScroll: true }),
    );
  };

  return (
    <section
      class="sw-section sw-tray"
      aria-label="Candidates"
      data-testid="tray"
      aria-busy={store.waiting.value}
      onPointerLeave={() => (view.hoveredCandidate.value = null)}
    >
      <header class="sw-heading">
        <h3>Candidates</h3>
        <span class="sw-heading-note">{store.waiting.value && count > 0 ? "updating…" : ""}</span>
      </header>
      {shown && count > 0 ? (
        <div
          ref={group}
          class={`sw-cards ${store.waiting.value ? "sw-waiting" : ""}`}
          role="radiogroup"
          aria-label="Candidate masks"
          data-count={count}
          onKeyDown={onKey}
        >
          {shown.items.map((_, index) => (
            <Card key={index} candidates={shown} index={index} picked={index === picked} />
          ))}
        </div>
      ) : (
        <Placeholder />
      )}
      <div class="sw-decide">
        <Button
          label={`Keep as ${label.name}`}
          tip=""
          class="sw-primary"
          testid="keep"
          disabled={!settled || count === 0}
          onPress={() => {
            actions.keep();
            focusStage();
          }}
        >
          <Swatch color={safeColor(label.color)} />
          <span class="sw-ellipsis">
            Keep as <b>{label.name}</b>
          </span>
          <Kbd>↵</Kbd>
        </Button>
        <Button
          label="Discard the draft"
          keys="Esc"
          class="sw-quiet"
          testid="discard"
          disabled={store.prompts.value.length === 0}
          onPress={() => {
            actions.clear();
            focusStage();
          }}
        >
          Discard
        </Button>
      </div>
    </section>
  );
}

// The candidate tray: every candidate with its picture and scores, the picked one marked.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { safeColor } from "../canvas/color";
import { Card, SINGLE_TOKEN } from "./Card";
import { Button, Kbd, Swatch } from "./controls";
import { useWidget } from "./context";
import { Drawer } from "./Drawer";
import { CandidatesIcon } from "./icons";
import { LevelChoice } from "./LevelChoice";
import { ThresholdSlider } from "./ThresholdSlider";
import { Truth } from "./Truth";

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

/** Where the single mask's card is: in front for clear prompts, else behind the three. */
function placeOf(tokens: readonly number[] | undefined): "first" | "last" | "none" {
  const at = tokens?.indexOf(SINGLE_TOKEN) ?? -1;
  return at < 0 ? "none" : at === 0 ? "first" : "last";
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
        <span class="sw-spring" />
        <LevelChoice />
      </header>
      {shown && count > 0 ? (
        <div
          ref={group}
          class={`sw-cards ${store.waiting.value ? "sw-waiting" : ""}`}
          role="radiogroup"
          aria-label="Candidate masks"
          data-count={count}
          data-single={placeOf(shown.tokens)}
          onKeyDown={onKey}
        >
          {shown.items.map((_, index) => (
            <Card key={index} candidates={shown} index={index} picked={index === picked} />
          ))}
        </div>
      ) : (
        <Placeholder />
      )}
      <ThresholdSlider />
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
      <Truth />
      <Drawer />
    </section>
  );
}

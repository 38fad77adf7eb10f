// What everything mode has found: how far it is, how many are shown, and what to do with them.
import type { JSX } from "preact";
import { safeColor } from "../canvas/color";
import { Button, Kbd, Swatch } from "./controls";
import { useWidget } from "./context";
import { formatScore } from "./format";

const plural = (count: number): string => (count === 1 ? "proposal" : "proposals");

function Progress(): JSX.Element {
  const { store } = useWidget();
  const { done, total, found } = store.everything_run.value;
  const share = total > 0 ? Math.round((100 * done) / total) : 0;
  return (
    <div class="sw-run" data-testid="everything-progress">
      <div
        class="sw-bar"
        role="progressbar"
        aria-label="Looking for everything"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={share}
      >
        <i style={{ width: `${share}%` }} />
      </div>
      <small>
        {total > 0 ? `${done} of ${total} points` : "Getting ready…"}
        <span class="sw-spring" />
        {found} found
      </small>
    </div>
  );
}

/** Filters in the page alone: nothing is sent. */
function ScoreSlider(): JSX.Element {
  const { store, view } = useWidget();
  const { least, range, shown } = view.proposals;
  const { from, to } = range.value;
  const value = Math.min(Math.max(least.value, from), to);
  return (
    <label class="sw-slider" data-tip="Show only proposals of at least this predicted IoU">
      <span>Score</span>
      <input
        type="range"
        min={from}
        max={to}
        step={0.01}
        value={value}
        disabled={from === to}
        aria-label="Least predicted IoU of the proposals that are shown"
        aria-valuetext={`at least ${formatScore(value)}: ${shown.value.length} ${plural(shown.value.length)}`}
        data-testid="score-slider"
        data-lm-suppress-shortcuts="true"
        onInput={(event) => {
          const chosen = Number(event.currentTarget.value);
          // At its lower end it hides nothing, also of what is still to come.
          least.value = chosen <= range.peek().from ? 0 : chosen;
        }}
      />
      <output class="sw-number" data-testid="score-least">
        {store.proposals.value.length > 0 ? `≥ ${formatScore(value)}` : ""}
      </output>
    </label>
  );
}

export function Proposals(): JSX.Element {
  const { store, view, actions, focusStage } = useWidget();
  const all = store.proposals.value.length;
  const shown = view.proposals.shown.value.length;
  const running = view.proposals.running.value;
  const label = store.currentLabel.value;
  return (
    <section class="sw-section sw-proposals" aria-label="Proposals" data-testid="proposals">
      <header class="sw-heading">
        <h3>Proposals</h3>
        <span class="sw-count" data-testid="proposal-count">
          {shown === all ? all : `${shown} of ${all}`}
        </span>
      </header>
      <ScoreSlider />
      {/* One place for both, so that nothing moves under the pointer when a run ends. */}
      <div class="sw-slot">
        {running ? (
          <Progress />
        ) : (
          <p class="sw-advice">
            <b>Click one</b> to keep it, or <Kbd>Shift</Kbd> drag around several.
          </p>
        )}
      </div>
      <div class="sw-decide">
        <Button
          label={`Keep all ${shown} shown as ${label.name}`}
          tip="Keep all that are shown"
          class="sw-primary"
          testid="keep-shown"
          disabled={shown === 0}
          onPress={() => {
            actions.keepShownProposals();
            focusStage();
          }}
        >
          <Swatch color={safeColor(label.color)} />
          <span class="sw-ellipsis">
            Keep {shown} as <b>{label.name}</b>
          </span>
        </Button>
        <Button
          label={running ? "Stop looking" : "Clear the proposals"}
          keys="Esc"
          class="sw-quiet"
          testid={running ? "stop-everything" : "clear-proposals"}
          onPress={() => {
            if (running) actions.cancelEverything();
            else actions.clearProposals();
            focusStage();
          }}
        >
          {running ? "Stop" : "Clear"}
        </Button>
      </div>
    </section>
  );
}

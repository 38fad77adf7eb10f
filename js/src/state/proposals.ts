// What a view does with the proposals of everything mode: filters, hovers and gathers them. Never synced.
import { computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { ProposalTrait } from "../host/traits";
import type { RubberBand } from "./view_state";
import type { Store } from "./store";

/** So much of a proposal's box must lie in a rubber band for the band to gather it. */
const GATHERED = 0.5;

/** Reading order goes by so many lines over the picture. */
const LINES = 12;

export interface ProposalState {
  /** Scores below this are not shown; 0 shows all. */
  readonly least: Signal<number>;
  /** Between which scores, in hundredths, `least` makes a difference. */
  readonly range: ReadonlySignal<{ from: number; to: number }>;
  /** What is left of the proposals, the largest first, so that small ones are drawn on top. */
  readonly shown: ReadonlySignal<readonly ProposalTrait[]>;
  readonly hovered: Signal<string | null>;
  readonly band: Signal<RubberBand | null>;
  /** What the band gathers. */
  readonly gathered: ReadonlySignal<readonly ProposalTrait[]>;
  /** They can be pointed at: there are some, and no draft that clicks would refine. */
  readonly open: ReadonlySignal<boolean>;
  readonly running: ReadonlySignal<boolean>;
  dispose(): void;
}

/** A score as people read it: what shows as 0.88 is at least 0.88. */
export const inHundredths = (score: number): number => Math.round(score * 100) / 100;

export function createProposalState(store: Store): ProposalState {
  const least = signal(0);
  const hovered = signal<string | null>(null);
  const band = signal<RubberBand | null>(null);
  const bySize = computed(() => [...store.proposals.value].sort((a, b) => b.area - a.area));
  const shown = computed(() =>
    bySize.value.filter((p) => inHundredths(p.predicted_iou) >= least.value),
  );
  const range = computed(() => {
    const scores = store.proposals.value.map((p) => inHundredths(p.predicted_iou));
    return scores.length === 0
      ? { from: 0, to: 1 }
      : { from: Math.min(...scores), to: Math.max(...scores) };
  });
  const running = computed(() => store.everything_run.value.state === "running");
  const stop = effect(() => {
    if (!shown.value.some((p) => p.id === hovered.value)) hovered.value = null;
  });
  return {
    least,
    range,
    shown,
    hovered,
    band,
    gathered: computed(() => (band.value ? gatheredBy(band.value, shown.value) : [])),
    open: computed(() => shown.value.length > 0 && store.prompts.value.length === 0),
    running,
    dispose: stop,
  };
}

/** The proposals that lie in a band at least by half. */
export function gatheredBy(
  { from, to }: RubberBand,
  proposals: readonly ProposalTrait[],
): ProposalTrait[] {
  const x0 = Math.min(from.x, to.x);
  const x1 = Math.max(from.x, to.x);
  const y0 = Math.min(from.y, to.y);
  const y1 = Math.max(from.y, to.y);
  return proposals.filter(({ box }) => {
    const width = Math.min(box[2], x1) - Math.max(box[0], x0);
    const height = Math.min(box[3], y1) - Math.max(box[1], y0);
    const all = (box[2] - box[0]) * (box[3] - box[1]);
    return width > 0 && height > 0 && width * height >= GATHERED * all;
  });
}

/** The next proposal in reading order, for who steps through them by keys; wraps around. */
export function stepFrom(
  id: string | null,
  step: number,
  proposals: readonly ProposalTrait[],
): { proposal: ProposalTrait; place: number } | null {
  const line = Math.max(1, ...proposals.map(({ box }) => box[3])) / LINES;
  const lineOf = ({ box }: ProposalTrait): number => Math.floor((box[1] + box[3]) / 2 / line);
  const ordered = [...proposals].sort(
    (a, b) => lineOf(a) - lineOf(b) || a.box[0] + a.box[2] - b.box[0] - b.box[2],
  );
  const at = ordered.findIndex((p) => p.id === id);
  const start = at < 0 && step < 0 ? 0 : at;
  const place = (start + step + ordered.length) % ordered.length;
  const proposal = ordered[place];
  return proposal ? { proposal, place } : null;
}

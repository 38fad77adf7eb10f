// The kernel's traits as signals, and what follows from them. Nothing here belongs to one view.
import { batch, computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Host } from "../host/host";
import { DEFAULT_TRAITS, type CandidatesTrait, type LabelTrait, type ProposalTrait, type Traits } from "../host/traits";

type TraitSignals = { readonly [K in keyof Traits]: Signal<Traits[K]> };

export interface Store extends TraitSignals {
  readonly host: Host;
  /** The newest candidates that answer prompts of this draft; an answer to an older request is ignored. */
  readonly shown: ReadonlySignal<CandidatesTrait | null>;
  /** The draft's prompts wait for an answer. */
  readonly waiting: ReadonlySignal<boolean>;
  /** What is on screen answers the newest prompts, so that it may be kept. */
  readonly settled: ReadonlySignal<boolean>;
  /** What everything mode has found and is not kept. */
  readonly proposals: ReadonlySignal<readonly ProposalTrait[]>;
  readonly currentLabel: ReadonlySignal<LabelTrait>;
  readonly colorOf: (label: string) => string;
  dispose(): void;
}

/** The color of an annotation whose label is no longer in the list. */
const ORPHAN_COLOR = "#8a8f98";

export function createStore(host: Host): Store {
  const names = Object.keys(DEFAULT_TRAITS) as (keyof Traits)[];
  const traits = {} as { [K in keyof Traits]: Signal<Traits[K]> };
  const mirror = <K extends keyof Traits>(name: K): (() => void) => {
    const mirrored = signal(host.get(name));
    (traits as Record<string, unknown>)[name] = mirrored;
    return host.on(name, () => {
      mirrored.value = host.get(name);
    });
  };
  const stops = names.map((name) => mirror(name));

  const shown = signal<CandidatesTrait | null>(null);
  // Traits of one message arrive one after another in any order, so this looks at all of them each time.
  stops.push(
    effect(() => {
      const answer = traits.candidates.value;
      const request = traits.request.value;
      batch(() => {
        if (answer === null || traits.prompts.value.length === 0) shown.value = null;
        else if (answer.request === request) shown.value = answer;
      });
    }),
  );

  // A request that failed stays so when its notice has been read and dismissed.
  const failed = signal("");
  stops.push(
    effect(() => {
      const request = traits.notice.value?.request;
      if (request) failed.value = request;
    }),
  );
  const waiting = computed(() => {
    const request = traits.request.value;
    if (traits.prompts.value.length === 0) return false;
    return (
      traits.candidates.value?.request !== request && failed.value !== request
    );
  });
  const settled = computed(
    () => shown.value !== null && shown.value.request === traits.request.value,
  );
  const proposals = computed(() => {
    const taken = new Set(traits.taken.value);
    return taken.size === 0 ? traits.found.value : traits.found.value.filter((p) => !taken.has(p.id));
  });
  const colors = computed(() => new Map(traits.labels.value.map((l) => [l.name, l.color])));
  const currentLabel = computed<LabelTrait>(() => {
    const name = traits.label.value;
    const labels = traits.labels.value;
    return (
      labels.find((l) => l.name === name) ??
      labels[0] ?? { name: name || "object", color: ORPHAN_COLOR }
    );
  });

  return {
    ...(traits as TraitSignals),
    host,
    shown,
    waiting,
    settled,
    proposals,
    currentLabel,
    colorOf: (label) => colors.value.get(label) ?? ORPHAN_COLOR,
    dispose() {
      for (const stop of stops) stop();
    },
  };
}

// The kernel's traits as signals, and what follows from them. Nothing here belongs to one view.
import { batch, computed, effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { Host } from "../host/host";
import { DEFAULT_TRAITS, type CandidatesTrait, type LabelTrait, type Prompt, type ProposalTrait, type Traits } from "../host/traits";

type TraitSignals = { readonly [K in keyof Traits]: ReadonlySignal<Traits[K]> };

/** A draft that the kernel does not know of yet, since it has not caught up with what was kept. */
export interface Ahead {
  prompts: Prompt[];
  request: string;
  picked: number;
}

/** A mask that was kept in this page; the kernel has yet to confirm it. */
export interface PendingKeep {
  id: string;
  label: string;
  candidates: CandidatesTrait;
  picked: number;
  threshold: number;
}

/** What this page knows and the kernel does not. The draft's traits below are seen through it. */
export interface Local {
  readonly ahead: Signal<Ahead | null>;
  /** This page's own answer, under the request that it answers. */
  readonly answer: Signal<CandidatesTrait | null>;
  readonly pending: Signal<readonly PendingKeep[]>;
}

export interface Store extends TraitSignals {
  readonly host: Host;
  readonly local: Local;
  /** The newest candidates that answer prompts of this draft; an answer to an older request is ignored. */
  readonly shown: ReadonlySignal<CandidatesTrait | null>;
  /** The draft's prompts wait for an answer, by this page or by the kernel. */
  readonly waiting: ReadonlySignal<boolean>;
  /** The kernel has yet to answer, or to confirm what was kept. */
  readonly unconfirmed: ReadonlySignal<boolean>;
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

  const local: Local = {
    ahead: signal<Ahead | null>(null),
    answer: signal<CandidatesTrait | null>(null),
    pending: signal<readonly PendingKeep[]>([]),
  };
  const prompts = computed(() => local.ahead.value?.prompts ?? traits.prompts.value);
  const request = computed(() => local.ahead.value?.request ?? traits.request.value);
  const picked = computed(() => local.ahead.value?.picked ?? traits.picked.value);

  const shown = signal<CandidatesTrait | null>(null);
  // Traits of one message arrive one after another in any order, so this looks at all of them each time.
  stops.push(
    effect(() => {
      const wanted = request.value;
      // The kernel's answer before the page's own: it is what will be kept.
      const answers = [traits.candidates.value, local.answer.value];
      batch(() => {
        if (prompts.value.length === 0) shown.value = null;
        else if (answers[0] === null && answers[1] === null) shown.value = null;
        else shown.value = answers.find((answer) => answer?.request === wanted) ?? shown.peek();
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
  const unconfirmed = computed(() => {
    if (local.pending.value.length > 0) return true;
    if (prompts.value.length === 0) return false;
    const wanted = request.value;
    return traits.candidates.value?.request !== wanted && failed.value !== wanted;
  });
  const waiting = computed(() => {
    const wanted = request.value;
    if (prompts.value.length === 0 || local.answer.value?.request === wanted) return false;
    return traits.candidates.value?.request !== wanted && failed.value !== wanted;
  });
  const settled = computed(() => shown.value !== null && shown.value.request === request.value);
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
    local,
    prompts,
    request,
    picked,
    shown,
    waiting,
    unconfirmed,
    settled,
    proposals,
    currentLabel,
    colorOf: (label) => colors.value.get(label) ?? ORPHAN_COLOR,
    dispose() {
      for (const stop of stops) stop();
    },
  };
}

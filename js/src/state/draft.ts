// The draft, answered by this page where it can, by the kernel where it must, and kept in either case.
//
// While kernel and page keep step, the draft's prompts are traits and the page's own answer only comes
// sooner. When something is kept before the kernel has answered, the kernel is behind: from then on the
// draft lives in the page (`Ahead`) until the kernel has confirmed all that was kept.
import { batch, effect } from "@preact/signals";
import type { Intent } from "../host/intents";
import type { CandidatesTrait, Prompt, Traits } from "../host/traits";
import { isAmbiguous, pickFor } from "./level";
import type { Store } from "./store";

/** What answers prompts in this page. */
export interface PageDecoder {
  /** The candidates, or null where it cannot answer. It rejects where a newer question came between. */
  answer(prompts: readonly Prompt[], picks: readonly number[]): Promise<CandidatesTrait> | null;
}

export interface Draft {
  /** Asks about new prompts. */
  ask(prompts: Prompt[]): void;
  pick(index: number): void;
  /** Keeps the page's own answer, whether or not the kernel is there; false where there is none. */
  keep(threshold: number): boolean;
  /** Takes a prompt back that the kernel does not know of; false where there is none. */
  undo(): boolean;
  /** Drops a draft that the kernel does not know of; false where there is none. */
  clear(): boolean;
  /** When the given request left this view, by `performance.now()`. */
  sentAt(request: string): number | undefined;
  dispose(): void;
}

export interface DraftMessages {
  set(values: Partial<Traits>): void;
  send(intent: Intent): void;
}

/** 128 random bits in hex; randomUUID is missing on plain http pages, where many hubs live. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function createDraft(
  store: Store,
  viewId: string,
  { set, send }: DraftMessages,
  decoder: PageDecoder | undefined,
): Draft {
  const { ahead, answer, pending } = store.local;
  let counter = 0;
  let began = 0;
  let sent: { request: string; at: number } | undefined;
  // The picks that led to the present prompts, one for each but the last.
  let picks: { prompts: readonly Prompt[]; picks: number[] } = { prompts: [], picks: [] };

  const newRequest = (): string => {
    const request = `${viewId}-${++counter}`;
    sent = { request, at: performance.now() };
    return request;
  };

  const picksFor = (prompts: readonly Prompt[]): number[] => {
    const before = store.prompts.peek();
    const grew =
      before.length > 0 &&
      prompts.length === before.length + 1 &&
      before.every((prompt, i) => prompt === prompts[i]);
    const known = picks.prompts === before ? picks.picks : before.slice(1).map(() => 0);
    return grew ? [...known, store.picked.peek()] : prompts.slice(1).map(() => 0);
  };

  const answerHere = (prompts: Prompt[], request: string): void => {
    const promise = decoder?.answer(prompts, picks.picks);
    promise?.then(
      (found) => {
        if (store.request.peek() !== request) return;
        if (store.candidates.peek()?.request === request) return; // the kernel was quicker
        batch(() => {
          answer.value = { ...found, request };
          const present = ahead.peek();
          if (present && isAmbiguous(prompts)) {
            ahead.value = { ...present, picked: pickFor(store.level.peek(), found) };
          }
        });
      },
      () => {}, // a newer question came between, or the kernel will answer
    );
  };

  const behind = (): boolean => pending.peek().length > 0;

  const ask = (prompts: Prompt[]): void => {
    const next = picksFor(prompts);
    if (store.prompts.peek().length === 0) began = performance.now();
    const request = newRequest();
    picks = { prompts, picks: next };
    if (behind()) ahead.value = { prompts, request, picked: 0 };
    else set({ prompts, request });
    answerHere(prompts, request);
  };

  // The kernel has caught up: what is drafted meanwhile becomes traits again.
  const stopCatchingUp = effect(() => {
    const kept = new Set(store.annotations.value.map((annotation) => annotation.id));
    const refused = store.notice.value?.request;
    const waiting = pending.value;
    const left = waiting.filter(({ id }) => !kept.has(id) && id !== refused);
    if (left.length === waiting.length) return;
    batch(() => {
      pending.value = left;
      const draft = ahead.peek();
      if (left.length > 0 || !draft) return;
      ahead.value = null;
      const { prompts, request } = draft;
      if (prompts.length > 0) set({ prompts, request });
    });
  });

  return {
    ask,
    pick(index) {
      const draft = ahead.peek();
      if (draft) ahead.value = { ...draft, picked: index };
      else set({ picked: index });
    },
    keep(threshold) {
      const request = store.request.peek();
      const shown = store.shown.peek();
      if (shown?.by !== "page" || shown.request !== request) return false;
      const id = newId();
      const prompts = store.prompts.peek();
      const picked = store.picked.peek();
      const label = store.currentLabel.peek().name;
      const seconds = Math.round(performance.now() - began) / 1000;
      const led = picks.prompts === prompts ? picks.picks : prompts.slice(1).map(() => 0);
      send({ op: "keep_draft", id, request: id, prompts, picks: led, picked, label, threshold, seconds });
      batch(() => {
        pending.value = [...pending.peek(), { id, label, candidates: shown, picked, threshold }];
        const first = ahead.peek() === null;
        ahead.value = { prompts: [], request: newRequest(), picked: 0 };
        answer.value = null;
        // Notebooks hold trait updates back while the kernel works, and merge them: an older draft
        // must not arrive after this.
        if (first) set({ prompts: [], request: ahead.value.request });
      });
      return true;
    },
    undo() {
      const draft = ahead.peek();
      if (!draft || draft.prompts.length === 0) return false;
      ask(draft.prompts.slice(0, -1));
      return true;
    },
    clear() {
      const draft = ahead.peek();
      if (!draft || draft.prompts.length === 0) return false;
      ahead.value = { prompts: [], request: newRequest(), picked: 0 };
      return true;
    },
    sentAt: (request) => (sent?.request === request ? sent.at : undefined),
    dispose: () => stopCatchingUp(),
  };
}

// A kernel in the page, for the demo and the tests: it speaks the protocol and computes real masks.
import { gridAt, maskOf } from "../codecs/logits";
import { encodeMask } from "../codecs/rle";
import { proposeAll, takenBy, type FakeProgress } from "./fake_everything";
import { answer, type Pixels } from "./fake_masks";
import { FAKE_MODELS, FakeModels } from "./fake_models";
import type { Host } from "./host";
import {
  DEFAULT_TRAITS, type AnnotationTrait, type CandidatesTrait, type Intent, type LabelTrait,
  type Delivery, type NoticeTrait, type Prompt, type ProposalTrait, type Traits,
} from "./traits";

interface Snapshot {
  prompts: Prompt[];
  picked: number;
  candidates: CandidatesTrait | null;
  annotations: AnnotationTrait[];
  labels: LabelTrait[];
  label: string;
}

type Deliver = (delivery: Delivery, buffers: readonly DataView[]) => void;

export interface FakeKernelOptions {
  pixels: Pixels;
  image: Traits["image"];
  labels?: LabelTrait[];
  /** How long an answer takes, in milliseconds; 0 answers within the call. */
  delay?: number;
  /** Points along each side of the grid of everything mode. */
  grid?: number;
}

const COLORS = ["#e4572e", "#2e86de", "#29a36a", "#c850c0", "#d99e0b", "#12a4b4"];

export class FakeKernel implements Host {
  /** Everything that the browser sent, oldest first: what the tests look at. */
  readonly sent: (Partial<Traits> | Intent)[] = [];
  /** No answers any more, as from a kernel that died. */
  dead = false;
  /** Answers wait until `answerNow`, so that a test decides about their order. */
  held: (() => void)[] | null = null;

  /** The menu's models: a test lets their bytes arrive. */
  readonly models: FakeModels;

  readonly #traits: Traits;
  readonly #listeners = new Map<keyof Traits, Set<() => void>>();
  readonly #receivers = new Set<Deliver>();
  readonly #pixels: Pixels;
  readonly #delay: number;
  readonly #grid: number;
  #past: { name: string; state: Snapshot }[] = [];
  #future: { name: string; state: Snapshot }[] = [];
  #run: Generator<FakeProgress, void> | null = null;
  #count = 0;

  constructor({ pixels, image, labels, delay = 0, grid = 12 }: FakeKernelOptions) {
    this.#pixels = pixels;
    this.#delay = delay;
    this.models = new FakeModels(this, delay);
    this.#grid = grid;
    const known = labels ?? [{ name: "object", color: COLORS[0]! }];
    this.#traits = {
      ...structuredClone(DEFAULT_TRAITS),
      image,
      labels: known,
      label: known[0]?.name ?? "",
      status: { state: "ready", model: "embedded", device: "page", message: "", progress: null },
      model: "embedded",
      models: structuredClone(FAKE_MODELS),
    };
  }

  get<K extends keyof Traits>(name: K): Traits[K] {
    return this.#traits[name];
  }

  on(name: keyof Traits, listener: () => void): () => void {
    let listeners = this.#listeners.get(name);
    if (!listeners) this.#listeners.set(name, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  onDelivery(listener: Deliver): () => void {
    this.#receivers.add(listener);
    return () => this.#receivers.delete(listener);
  }

  /** From the kernel's side: bytes that were asked for. */
  deliver(delivery: Delivery, buffers: readonly DataView[]): void {
    for (const receive of [...this.#receivers]) receive(delivery, buffers);
  }

  /** How many listeners are left: a closed view must leave none. */
  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, this.#receivers.size);
  }

  /** From the kernel's side: several traits in one message. */
  push(values: Partial<Traits>): void {
    const changed = (Object.keys(values) as (keyof Traits)[]).filter(
      (name) => this.#traits[name] !== values[name],
    );
    Object.assign(this.#traits, values);
    for (const name of changed) {
      for (const listener of [...(this.#listeners.get(name) ?? [])]) listener();
    }
  }

  set(values: Partial<Traits>): void {
    this.sent.push(values);
    const before = this.#snapshot();
    this.push(values);
    if (this.dead) return;
    if (values.prompts) {
      const last = values.prompts[values.prompts.length - 1];
      const grew = values.prompts.length >= before.prompts.length;
      this.#remember(grew ? (last?.type ?? "prompts") : "remove prompt", before);
      this.#predict(values.prompts, values.request ?? "");
    } else if (values.picked !== undefined) {
      this.#remember(`pick ${values.picked + 1}`, before);
    } else if (values.label !== undefined) {
      this.#remember(`label ${values.label}`, before);
    }
  }

  send(intent: Intent): void {
    this.sent.push(intent);
    if (this.dead) return;
    if (intent.op === "undo") return this.#travel(this.#past, this.#future);
    if (intent.op === "redo") return this.#travel(this.#future, this.#past);
    if (intent.op === "dismiss") return this.push({ notice: null });
    if (this.models.perform(intent)) return;
    if (intent.op === "everything") return this.#everything();
    if (intent.op === "cancel_everything") return this.#endRun("cancelled");
    if (intent.op === "clear_proposals") {
      this.push({ found: [], taken: [] });
      return this.#endRun("idle");
    }
    const before = this.#snapshot();
    const { annotations, labels } = this.#traits;
    const all = (change: (a: AnnotationTrait) => AnnotationTrait, ids: string[]): void =>
      this.push({ annotations: annotations.map((a) => (ids.includes(a.id) ? change(a) : a)) });
    switch (intent.op) {
      case "keep":
        return this.#keep(intent.request, intent.picked, before);
      case "keep_draft":
        return this.#keepDraft(intent, before);
      case "keep_proposals":
        return this.#keepProposals(intent.ids, intent.label ?? this.#traits.label, before);
      case "clear":
        this.push({ prompts: [], candidates: null, picked: 0 });
        return this.#remember("discard", before);
      case "delete":
        this.push({ annotations: annotations.filter((a) => !intent.ids.includes(a.id)) });
        return this.#remember("delete", before);
      case "relabel":
        all((a) => ({ ...a, label: intent.label }), intent.ids);
        return this.#remember(`relabel to ${intent.label}`, before);
      case "show":
        all((a) => ({ ...a, visible: intent.visible }), intent.ids);
        return this.#remember(intent.visible ? "show" : "hide", before);
      case "add_label": {
        const color = COLORS[labels.length % COLORS.length]!;
        this.push({ labels: [...labels, { name: intent.name, color }], label: intent.name });
        return this.#remember(`add label ${intent.name}`, before);
      }
    }
  }

  /** As if a run had found these. */
  find(found: ProposalTrait[]): void {
    this.push({ found, everything_run: { state: "done", done: 1, total: 1, found: found.length } });
    this.#propose();
  }

  /** Lets the held answers go, in the given order (oldest first without one). */
  answerNow(order?: number[]): void {
    const held = this.held ?? [];
    this.held = [];
    for (const i of order ?? held.keys()) held[i]?.();
  }

  #snapshot(): Snapshot {
    const { prompts, picked, candidates, annotations, labels, label } = this.#traits;
    return { prompts, picked, candidates, annotations, labels, label };
  }

  #remember(name: string, state: Snapshot): void {
    this.#past.push({ name, state });
    this.#future = [];
    this.#tellHistory();
  }

  #tellHistory(): void {
    this.#propose();
    this.push({
      history: { undo: this.#past.at(-1)?.name ?? null, redo: this.#future.at(-1)?.name ?? null },
    });
  }

  #travel(from: { name: string; state: Snapshot }[], to: { name: string; state: Snapshot }[]): void {
    const step = from.pop();
    if (!step) return;
    to.push({ name: step.name, state: this.#snapshot() });
    const request = `kernel-${++this.#count}`;
    const { candidates, prompts } = step.state;
    this.push({ ...step.state, request, candidates: candidates && { ...candidates, request } });
    if (prompts.length > 0 && !candidates) this.#predict(prompts, request);
    this.#tellHistory();
  }

  #predict(prompts: Prompt[], request: string): void {
    const run = (): void => {
      if (prompts.length === 0) return this.push({ candidates: null, picked: 0 });
      const started = performance.now();
      const found = answer(this.#pixels, prompts);
      // Nested in a larger buffer, as a message from a notebook's server is.
      const wire = new Uint8Array(found.logits.length + 8);
      wire.set(found.logits, 8);
      const logits = new DataView(wire.buffer, 8, found.logits.length);
      const ms = performance.now() - started;
      if (this.#traits.request === request) this.push({ picked: 0 });
      this.push({ candidates: { ...found, logits, request, ms } });
    };
    if (this.held) this.held.push(run);
    else if (this.#delay > 0) setTimeout(run, this.#delay);
    else run();
  }

  #keepDraft(draft: Intent & { op: "keep_draft" }, before: Snapshot): void {
    const found = answer(this.#pixels, draft.prompts);
    const item = found.items[draft.picked];
    if (!item) return;
    const { width, height } = this.#pixels;
    const grid = gridAt(found.logits, found.shape, found.scale, draft.picked);
    const mask = maskOf(grid, width, height, draft.threshold);
    const kept: AnnotationTrait = {
      ...item,
      id: draft.id,
      label: draft.label,
      rle: { size: [height, width], counts: encodeMask(mask, width, height) },
      visible: true,
    };
    // First of all what can be taken back: whoever hears of the mask may do so at once.
    this.#remember(`keep ${draft.label}`, before);
    this.push({ annotations: [...this.#traits.annotations, kept], prompts: [], candidates: null, picked: 0 });
  }

  #keep(request: string, picked: number, before: Snapshot): void {
    const { candidates, annotations, label } = this.#traits;
    const item = candidates?.items[picked];
    if (!candidates || candidates.request !== request || !item) {
      const notice: NoticeTrait = {
        id: `notice-${++this.#count}`, level: "error", code: "nothing_to_keep", request: "",
        message: "The candidates changed before this one was kept. Look at the new ones and keep again.",
      };
      return this.push({ notice });
    }
    const { width, height } = this.#pixels;
    const bytes = candidates.logits as DataView;
    const quantized = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const mask = maskOf(gridAt(quantized, candidates.shape, candidates.scale, picked), width, height);
    const kept: AnnotationTrait = {
      ...item,
      id: `a${++this.#count}`,
      label,
      rle: { size: [height, width], counts: encodeMask(mask, width, height) },
      area: mask.reduce((sum, on) => sum + on, 0),
      visible: true,
    };
    this.push({ annotations: [...annotations, kept], prompts: [], candidates: null, picked: 0 });
    this.#remember(`keep ${label}`, before);
  }

  #everything(): void {
    if (this.#run) return;
    const run = (this.#run = proposeAll(this.#pixels, this.#grid));
    const everything_run = { state: "running", done: 0, total: 0, found: 0 } as const;
    this.push({ found: [], taken: [], everything_run });
    const step = (): void => {
      if (this.#run !== run) return;
      const next = run.next();
      if (next.done) return this.#endRun("done");
      const { done, total, found } = next.value;
      this.push({ found, everything_run: { state: "running", done, total, found: found.length } });
      this.#propose();
      later();
    };
    const later = (): void => {
      if (this.held) this.held.push(step);
      else if (this.#delay > 0) setTimeout(step, this.#delay);
      else step();
    };
    later();
  }

  #endRun(state: Traits["everything_run"]["state"]): void {
    if (!this.#run && state === "cancelled") return;
    this.#run = null;
    const found = this.#traits.found.length;
    this.push({ everything_run: { ...this.#traits.everything_run, state, found } });
  }

  /** What is proposed follows from what was found and what is kept. */
  #propose(): void {
    const { found, annotations } = this.#traits;
    const taken = takenBy(annotations, found);
    if (taken.length > 0 || this.#traits.taken.length > 0) this.push({ taken });
  }

  #keepProposals(ids: string[], label: string, before: Snapshot): void {
    const kept = this.#traits.found
      .filter((p) => ids.includes(p.id))
      .map(({ point: _, ...p }): AnnotationTrait => ({ ...p, id: `a${++this.#count}`, label, visible: true }));
    this.push({ annotations: [...this.#traits.annotations, ...kept] });
    this.#remember(kept.length === 1 ? `keep ${label}` : `keep ${kept.length} masks`, before);
  }
}

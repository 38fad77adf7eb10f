// A session without a kernel: traits, and the steps on a draft and on what is kept, each of which can be
// undone. Who answers prompts is up to its heirs.
import { gridOf, maskOf } from "../codecs/logits";
import { boxOfRuns, decodeRle, encodeMask } from "../codecs/rle";
import type { Host } from "./host";
import type { Delivery, Intent } from "./intents";
import {
  DEFAULT_TRAITS, type AnnotationTrait, type AttributeValue, type CandidatesTrait, type LabelTrait, type NoticeTrait, type Prompt, type Traits,
} from "./traits";

interface Snapshot {
  prompts: Prompt[];
  picked: number;
  candidates: CandidatesTrait | null;
  annotations: AnnotationTrait[];
  labels: LabelTrait[];
  label: string;
  picks: readonly number[];
}

interface Step {
  name: string;
  before: Snapshot;
}

/** A draft that is to be kept. */
export interface Kept {
  id: string;
  candidates: CandidatesTrait;
  picked: number;
  label: string;
  threshold?: number | undefined;
}

type Deliver = (delivery: Delivery, buffers: readonly DataView[]) => void;

const COLORS = [
  "#e5484d", "#2f7fe8", "#1f9d55", "#b558d9", "#d9730d", "#0d9aa8",
  "#d6409f", "#7d8b10", "#7166ea", "#a8743f", "#6f8191", "#c4527c",
];

export abstract class LocalSession implements Host {
  protected readonly traits: Traits;
  /** What was picked of each answer but the last, as the dialogue needs it. */
  protected picks: readonly number[] = [];
  readonly #listeners = new Map<keyof Traits, Set<() => void>>();
  readonly #receivers = new Set<Deliver>();
  #past: Step[] = [];
  #future: Step[] = [];
  #count = 0;

  constructor(traits: Partial<Traits>) {
    this.traits = { ...structuredClone(DEFAULT_TRAITS), ...traits };
  }

  /** Answers prompts, now or later, by `push({ candidates })` under that request. */
  protected abstract ask(prompts: Prompt[], picks: readonly number[], request: string): void;

  /** The candidates that a page has drafted and shows; null where they are not to be had. */
  protected drafted(draft: Intent & { op: "keep_draft" }): CandidatesTrait | null {
    const same = JSON.stringify(draft.prompts) === JSON.stringify(this.traits.prompts);
    return same ? this.traits.candidates : null;
  }

  /** After each step, whichever way it went. */
  protected settled(): void {}

  get<K extends keyof Traits>(name: K): Traits[K] {
    return this.traits[name];
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

  /** Bytes that were asked for. */
  deliver(delivery: Delivery, buffers: readonly DataView[]): void {
    for (const receive of [...this.#receivers]) receive(delivery, buffers);
  }

  /** How many listeners are left: a closed view must leave none. */
  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, this.#receivers.size);
  }

  /** Several traits in one message. */
  push(values: Partial<Traits>): void {
    const changed = (Object.keys(values) as (keyof Traits)[]).filter(
      (name) => this.traits[name] !== values[name],
    );
    Object.assign(this.traits, values);
    for (const name of changed) {
      for (const listener of [...(this.#listeners.get(name) ?? [])]) listener();
    }
  }

  set(values: Partial<Traits>): void {
    const { prompts, request = "" } = values;
    if (prompts) {
      this.#setPrompts(values, prompts);
      if (prompts.length > 0) this.ask(prompts, this.picks, request);
    } else if (values.picked !== undefined && values.picked !== this.traits.picked) {
      this.step(`pick ${values.picked + 1}`, values);
    } else if (values.label !== undefined && values.label !== this.traits.label) {
      this.step(`label ${values.label}`, values);
    } else this.push(values);
  }

  send(intent: Intent): void {
    const { annotations, labels } = this.traits;
    const each = (ids: string[], change: Partial<AnnotationTrait>): Partial<Traits> => ({
      annotations: annotations.map((a) => (ids.includes(a.id) ? { ...a, ...change } : a)),
    });
    switch (intent.op) {
      case "undo":
        return this.#travel(this.#past, this.#future);
      case "redo":
        return this.#travel(this.#future, this.#past);
      case "dismiss":
        return this.push({ notice: null });
      case "selected":
        return this.push({ selection: "" });
      case "decoder":
        return; // there is one, or there is none
      case "keep":
        return this.#keepShown(intent);
      case "keep_draft": {
        const candidates = this.drafted(intent);
        return candidates ? this.keep({ ...intent, candidates }) : this.#refuse(intent.id);
      }
      case "clear":
        return this.step("discard", { prompts: [], candidates: null, picked: 0 });
      case "delete":
        return this.step("delete", { annotations: annotations.filter((a) => !intent.ids.includes(a.id)) });
      case "relabel":
        return this.step(`relabel to ${intent.label}`, each(intent.ids, { label: intent.label }));
      case "show":
        return this.step(intent.visible ? "show" : "hide", each(intent.ids, { visible: intent.visible }));
      case "set_attributes": {
        const described = annotations.map((a) => {
          if (!intent.ids.includes(a.id)) return a;
          const all = Object.entries({ ...a.attributes, ...intent.values });
          const attributes = Object.fromEntries(all.filter(([, value]) => value !== null));
          return { ...a, attributes: attributes as Record<string, AttributeValue> };
        });
        return this.step("describe", { annotations: described });
      }
      case "set_parent":
        return this.step("parent", each(intent.ids, { parent: intent.parent }));
      case "add_label": {
        const used = new Set(labels.map(({ color }) => color));
        const color = COLORS.find((c) => !used.has(c)) ?? COLORS[labels.length % COLORS.length]!;
        const added = [...labels, { name: intent.name, color }];
        return this.step(`add label ${intent.name}`, { labels: added, label: intent.name });
      }
      default:
        this.notify("info", "no_kernel", "This page has no kernel, and so cannot do that.");
    }
  }

  /** One step that can be taken back. */
  protected step(name: string, values: Partial<Traits>): void {
    this.#past.push({ name, before: this.#snapshot() });
    this.#future = [];
    // First of all what can be taken back: whoever hears of the rest may do so at once.
    this.push({ ...this.#history(), ...values });
    this.settled();
  }

  protected keep({ id, candidates, picked, label, threshold = 0 }: Kept): void {
    const annotation = this.#annotationOf({ id, candidates, picked, label, threshold });
    if (!annotation) return this.#refuse(id);
    const annotations = [...this.traits.annotations, annotation];
    this.picks = [];
    this.step(`keep ${label}`, { annotations, prompts: [], candidates: null, picked: 0 });
  }

  protected notify(level: NoticeTrait["level"], code: string, message: string, request = ""): void {
    this.push({ notice: { id: this.newId("notice"), level, code, message, request } });
  }

  protected newId(kind: string): string {
    return `${kind}-${++this.#count}`;
  }

  #setPrompts(values: Partial<Traits>, prompts: Prompt[]): void {
    const { prompts: before, picked } = this.traits;
    if (before.length === 0 && prompts.length === 0) return this.push(values);
    const grew = prompts.length === before.length + 1;
    const refines = grew && before.length > 0 && JSON.stringify(prompts.slice(0, -1)) === JSON.stringify(before);
    const picks = refines ? [...this.picks, picked] : prompts.slice(1).map(() => 0);
    const gone = prompts.length === 0 ? { candidates: null } : {};
    const name = prompts.length >= before.length ? prompts.at(-1)!.type : "remove prompt";
    this.step(name, { picked: 0, ...values, ...gone });
    this.picks = picks;
  }

  #keepShown({ request, picked, threshold }: Intent & { op: "keep" }): void {
    const { candidates, label } = this.traits;
    if (candidates?.request !== request) return this.#refuse("");
    this.keep({ id: this.newId("a"), candidates, picked, label, threshold });
  }

  #refuse(request: string): void {
    const message = "The candidates changed before this one was kept. Look at the new ones and keep again.";
    this.notify("error", "nothing_to_keep", message, request);
  }

  #annotationOf({ id, candidates, picked, label, threshold }: Kept): AnnotationTrait | null {
    const { image } = this.traits;
    const item = candidates.items[picked];
    const grid = gridOf(candidates, picked);
    if (!image || !item || !grid) return null;
    const mask = maskOf(grid, image.width, image.height, threshold);
    const area = mask.reduce((sum, on) => sum + on, 0);
    if (area === 0) return null;
    const size: [number, number] = [image.height, image.width];
    const counts = encodeMask(mask, image.width, image.height);
    const box = boxOfRuns(decodeRle(size, counts));
    const { predicted_iou, stability_score } = item;
    return { id, label, rle: { size, counts }, box, area, predicted_iou, stability_score, visible: true };
  }

  #snapshot(): Snapshot {
    const { prompts, picked, candidates, annotations, labels, label } = this.traits;
    return { prompts, picked, candidates, annotations, labels, label, picks: this.picks };
  }

  #history(): Pick<Traits, "history"> {
    const [undo, redo] = [this.#past.at(-1)?.name ?? null, this.#future.at(-1)?.name ?? null];
    return { history: { undo, redo } };
  }

  #travel(from: Step[], to: Step[]): void {
    const step = from.pop();
    if (!step) return;
    to.push({ name: step.name, before: this.#snapshot() });
    const { picks, ...state } = step.before;
    const request = this.newId("kernel");
    const candidates = state.candidates && { ...state.candidates, request };
    this.picks = picks;
    this.push({ ...state, request, candidates });
    if (state.prompts.length > 0 && !candidates) this.ask(state.prompts, picks, request);
    this.push(this.#history());
    this.settled();
  }
}

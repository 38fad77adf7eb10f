// A kernel in the page, for the demo and the tests: it speaks the protocol and computes real masks.
import { gridAt, gridOf, maskOf } from "../codecs/logits";
import { edited, rleFrom, type Mask } from "./fake_editing";
import { proposeAll, takenBy, type FakeProgress } from "./fake_everything";
import { fakeInsight } from "./fake_insight";
import { answer, type Pixels } from "./fake_masks";
import { FAKE_MODELS, FakeModels } from "./fake_models";
import { fakeTile } from "./fake_tiles";
import type { Intent } from "./intents";
import { LocalSession } from "./local_session";
import type {
  AnnotationTrait, BoxTuple, CandidatesTrait, LabelTrait, Prompt, ProposalTrait, Traits,
} from "./traits";

export interface FakeKernelOptions {
  pixels: Pixels;
  image: Traits["image"];
  labels?: LabelTrait[];
  /** How long an answer takes, in milliseconds; 0 answers within the call. */
  delay?: number;
  /** Points along each side of the grid of everything mode. */
  grid?: number;
}

export class FakeKernel extends LocalSession {
  /** Everything that the browser sent, oldest first: what the tests look at. */
  readonly sent: (Partial<Traits> | Intent)[] = [];
  /** No answers any more, as from a kernel that died. */
  dead = false;
  /** Answers wait until `answerNow`, so that a test decides about their order. */
  held: (() => void)[] | null = null;

  /** The menu's models: a test lets their bytes arrive. */
  readonly models: FakeModels;

  readonly #pixels: Pixels;
  readonly #delay: number;
  readonly #grid: number;
  #run: Generator<FakeProgress, void> | null = null;

  constructor({ pixels, image, labels, delay = 0, grid = 12 }: FakeKernelOptions) {
    const known = labels ?? [{ name: "object", color: "#e4572e" }];
    super({
      image,
      labels: known,
      label: known[0]?.name ?? "",
      status: { state: "ready", model: "embedded", device: "page", message: "", progress: null },
      model: "embedded",
      models: structuredClone(FAKE_MODELS),
    });
    this.#pixels = pixels;
    this.#delay = delay;
    this.models = new FakeModels(this, delay);
    this.#grid = grid;
  }

  override set(values: Partial<Traits>): void {
    this.sent.push(values);
    if (this.dead) this.push(values);
    else super.set(values);
  }

  override send(intent: Intent): void {
    this.sent.push(intent);
    if (this.dead || this.models.perform(intent)) return;
    switch (intent.op) {
      case "everything":
        return this.#everything();
      case "cancel_everything":
        return this.#endRun("cancelled");
      case "clear_proposals":
        this.push({ found: [], taken: [] });
        return this.#endRun("idle");
      case "keep_proposals":
        return this.#keepProposals(intent.ids, intent.label ?? this.traits.label);
      case "insight": {
        const { prompts, request } = this.traits;
        return this.push({ insight: fakeInsight(this.#pixels, intent.kind, prompts, request) });
      }
      case "tile": {
        const { tiles } = this.traits.image ?? {};
        if (!tiles) return;
        const { level, column, row } = intent;
        void fakeTile(this.#pixels, tiles, level, column, row).then((made) =>
          this.deliver(made.delivery, made.buffers),
        );
        return;
      }
      case "start_from": {
        const from = this.traits.annotations.find((a) => a.id === intent.id);
        if (from) super.set({ prompts: [{ type: "mask", rle: from.rle }], request: this.newId("kernel") });
        return;
      }
      case "propose_boxes":
        return this.#proposeBoxes(intent.boxes);
      case "focus_region":
        return this.#look(intent.box);
      case "leave_region":
        return this.#look(null);
      default: {
        const made = edited(this.traits.annotations, intent, this.#draftMask(intent));
        if (!made) return super.send(intent);
        // The draft has done its work.
        const done = intent.op === "combine" ? { prompts: [], candidates: null, picked: 0 } : {};
        this.#later(() => this.step(made.name, { annotations: made.annotations, ...done }));
      }
    }
  }

  #later(run: () => void): void {
    if (this.held) this.held.push(run);
    else if (this.#delay > 0) setTimeout(run, this.#delay);
    else run();
  }

  #draftMask(intent: Intent): Mask | null {
    const { candidates } = this.traits;
    if (intent.op !== "combine" || candidates?.request !== intent.request) return null;
    const grid = gridOf(candidates, intent.picked);
    const { width, height } = this.#pixels;
    return grid && { width, height, on: maskOf(grid, width, height, intent.threshold ?? 0) };
  }

  /** A region is embedded first, and the draft is answered anew. */
  #look(region: BoxTuple | null): void {
    const { status, prompts } = this.traits;
    this.push({ status: { ...status, state: "embedding" } });
    this.#later(() => {
      this.push({ region, status: { ...this.traits.status, state: "ready" } });
      if (prompts.length > 0) super.set({ prompts, request: this.newId("kernel") });
    });
  }

  #proposeBoxes(boxes: BoxTuple[]): void {
    this.#later(() => {
      const { width, height } = this.#pixels;
      const found = boxes.flatMap(([x0, y0, x1, y1]): ProposalTrait[] => {
        const given = answer(this.#pixels, [{ type: "box", x0, y0, x1, y1 }]);
        const best = given.items[0];
        if (!best || best.area === 0) return [];
        const on = maskOf(gridAt(given.logits, given.shape, given.scale, 0), width, height);
        const point: [number, number] = [(x0 + x1) / 2, (y0 + y1) / 2];
        return [{ ...best, id: this.newId("p"), rle: rleFrom({ width, height, on }), point }];
      });
      this.find([...this.traits.found, ...found]);
    });
  }

  /** As if a run had found these. */
  find(found: ProposalTrait[]): void {
    this.push({ found, everything_run: { state: "done", done: 1, total: 1, found: found.length } });
    this.settled();
  }

  /** Lets the held answers go, in the given order (oldest first without one). */
  answerNow(order?: number[]): void {
    const held = this.held ?? [];
    this.held = [];
    for (const i of order ?? held.keys()) held[i]?.();
  }

  protected ask(prompts: Prompt[], _picks: readonly number[], request: string): void {
    const run = (): void => {
      const found = { ...this.#answer(prompts), request };
      if (this.traits.request === request) this.push({ picked: 0 });
      this.push({ candidates: found });
    };
    if (this.held) this.held.push(run);
    else if (this.#delay > 0) setTimeout(run, this.#delay);
    else run();
  }

  /** A page that is ahead keeps what this kernel has never been asked. */
  protected override drafted({ prompts }: Intent & { op: "keep_draft" }): CandidatesTrait {
    return this.#answer(prompts);
  }

  #answer(prompts: Prompt[]): CandidatesTrait {
    const started = performance.now();
    const found = answer(this.#pixels, prompts);
    // Nested in a larger buffer, as a message from a notebook's server is.
    const wire = new Uint8Array(found.logits.length + 8);
    wire.set(found.logits, 8);
    const logits = new DataView(wire.buffer, 8, found.logits.length);
    return { ...found, logits, request: "", ms: performance.now() - started };
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
      this.settled();
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
    const found = this.traits.found.length;
    this.push({ everything_run: { ...this.traits.everything_run, state, found } });
  }

  /** What is proposed follows from what was found and what is kept. */
  protected override settled(): void {
    const { found, annotations } = this.traits;
    const taken = takenBy(annotations, found);
    if (taken.length > 0 || this.traits.taken.length > 0) this.push({ taken });
  }

  #keepProposals(ids: string[], label: string): void {
    const kept = this.traits.found
      .filter((p) => ids.includes(p.id))
      .map(({ point: _, ...p }): AnnotationTrait => ({ ...p, id: this.newId("a"), label, visible: true }));
    const name = kept.length === 1 ? `keep ${label}` : `keep ${kept.length} masks`;
    this.step(name, { annotations: [...this.traits.annotations, ...kept] });
  }
}

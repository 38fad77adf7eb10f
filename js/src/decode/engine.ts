// Answers prompts in this page: brings what is needed, keeps one question under way and the newest of
// those that wait, and says when it cannot, so that the kernel serves.
import { effect, signal, untracked, type ReadonlySignal } from "@preact/signals";
import { sendIfOpen, type Host } from "../host/host";
import type { CandidatesTrait, DecoderTrait, PartTrait, PointPrompt, Prompt } from "../host/traits";
import type { Store } from "../state/store";
import { Dialogue } from "./dialogue";
import { candidatesOf, drawnWithin, ranked, toInput, type Answer, type Drawn } from "./frame";
import type { Life } from "./life";
import { PartLoader } from "./parts";
import { runnerFor, type Browser } from "./runner";
import { thisBrowser } from "./spawn";
import type { HalfTensor } from "./wire";

export interface Engine {
  readonly state: ReadonlySignal<"off" | "loading" | "ready" | "failed">;
  /** Of the worker; 1 until it is there. */
  readonly threads: number;
  /**
   * The candidates; null where the kernel must answer. Of several that wait, the newest is answered and
   * the others reject with `Superseded`. Any other rejection means: the kernel must answer.
   */
  answer(prompts: readonly Prompt[], picks: readonly number[]): Promise<CandidatesTrait> | null;
  /** The answer to a single point, when no `answer` is waited for. */
  preview(point: PointPrompt): Promise<CandidatesTrait> | null;
  dispose(): void;
}

/** Something newer was asked before this was answered. */
export class Superseded extends Error {
  override readonly name = "Superseded";
}

interface Job {
  prompts: Drawn[];
  picks: readonly number[];
  preview: boolean;
  resolve(candidates: CandidatesTrait): void;
  reject(error: Error): void;
}

/** Where prompts are answered: a worker that has the image. */
interface Seat {
  trait: DecoderTrait;
  life: Life;
  image: { tensors: HalfTensor[] };
  dialogue: Dialogue;
}

/** Each has a megabyte or two. */
const MAX_EMBEDDINGS = 3;

export function createEngine(store: Store, host: Host, browser: Browser = thisBrowser()): Engine {
  const state = signal<"off" | "loading" | "ready" | "failed">("off");
  const loader = new PartLoader(host);
  const waiting: { answer?: Job | undefined; preview?: Job | undefined } = {};
  const embeddings = new Map<string, Uint8Array>();
  let running: Job | undefined;
  let seat: Seat | undefined;
  let threads = 1;
  let painted: Promise<void> | undefined;
  let leave = (): void => {};

  /** Brings an embedding, or finds it again: of the image, say, when its region has been left. */
  const embedding = async (part: PartTrait): Promise<Uint8Array> => {
    const bytes = embeddings.get(part.key) ?? (await loader.load(part, false));
    embeddings.delete(part.key);
    embeddings.set(part.key, bytes);
    for (const oldest of embeddings.keys()) {
      if (embeddings.size <= MAX_EMBEDDINGS) break;
      embeddings.delete(oldest);
    }
    return bytes;
  };

  /** Nobody sits here any more, and what was asked will not be answered from here. */
  const rise = (next: "off" | "loading" | "failed"): void => {
    seat = undefined;
    state.value = next;
    const reason = new Error("This page does not decode any more; the kernel must answer.");
    for (const job of [waiting.answer, waiting.preview, running]) job?.reject(reason);
    waiting.answer = waiting.preview = running = undefined;
  };

  const askNetwork = async (
    at: Seat,
    prompts: readonly Drawn[],
    mask: Float32Array | null,
  ): Promise<Answer> => {
    // Between the steps of a dialogue, something newer goes before.
    if (waiting.answer) throw new Superseded();
    const { trait, life, image } = at;
    const question = { image: trait.embedding.key, ...toInput(prompts, trait.frame), mask };
    const output = await life.run(question).catch(async (e: Error) => {
      if (e.name !== "Missing") throw e;
      await life.image(trait.embedding.key, image, true);
      return life.run(question);
    });
    return ranked(output, prompts.length === 1 && prompts[0]!.type === "point" && !mask);
  };

  /** Keeps a worker with the image at hand until `left`, or until there is none to be had. */
  const follow = async (trait: DecoderTrait, left: () => boolean): Promise<void> => {
    await (painted ??= browser.idle());
    if (!(await browser.supported())) throw new Error("The page may run no workers or no wasm.");
    if (left()) return;
    const runner = runnerFor(trait, browser);
    runner.join(loader);
    leave = () => {
      runner.leave(loader);
      loader.drop(trait.embedding);
    };
    while (!left()) {
      const [life, bytes] = await Promise.all([runner.alive(), embedding(trait.embedding)]);
      const image = { tensors: tensorsOf(trait, bytes) };
      try {
        await life.image(trait.embedding.key, image);
      } catch {
        await life.ended;
        continue;
      }
      if (left()) return;
      threads = life.threads;
      const taken: Seat = {
        trait, life, image,
        dialogue: new Dialogue((prompts, mask) => askNetwork(taken, prompts, mask)),
      };
      seat = taken;
      state.value = "ready";
      await life.ended;
      if (!left()) rise("loading");
    }
  };

  const pump = (): void => {
    const job = waiting.answer ?? waiting.preview;
    if (running || !seat || !job) return;
    if (job === waiting.answer) waiting.answer = undefined;
    else waiting.preview = undefined;
    running = job;
    const { trait, dialogue } = seat;
    const { prompts, picks } = job;
    const found = job.preview ? dialogue.glance(prompts[0]!) : dialogue.answer(prompts, picks);
    const done = (): void => {
      if (running === job) running = undefined;
      pump();
    };
    found.then(
      (answer) => {
        const [, , width, height] = trait.frame.region;
        job.resolve(candidatesOf(answer, trait.frame, store.image.peek() ?? { width, height }));
        done();
      },
      (e: Error) => {
        job.reject(e);
        done();
      },
    );
  };

  const enqueue = (
    given: readonly Prompt[],
    picks: readonly number[],
    preview: boolean,
  ): Promise<CandidatesTrait> | null => {
    const prompts = seat ? drawnWithin(given, seat.trait.frame.region) : null;
    if (!prompts) return null;
    return new Promise((resolve, reject) => {
      const place = preview ? "preview" : "answer";
      waiting[place]?.reject(new Superseded());
      waiting[place] = { prompts, picks, preview, resolve, reject };
      pump();
    });
  };

  // The kernel makes what a page needs once one says that it would answer: exporting graphs and packing
  // an embedding would be in vain where no page ever looks, or where it runs no workers. A message that
  // is lost does no harm: the kernel answers, and the next view asks again.
  let asked = false;
  let disposed = false;
  const askForParts = async (): Promise<void> => {
    await (painted ??= browser.idle());
    if (disposed || store.decoder.peek() || !(await browser.supported()) || disposed) return;
    sendIfOpen(host, { op: "decoder" });
  };
  const stopAsking = effect(() => {
    if (asked || host.standalone || host.connected?.value === false) return;
    asked = true;
    void askForParts();
  });

  let followed = "";
  let turn = 0;
  const change = (trait: DecoderTrait | null): void => {
    const mine = ++turn;
    leave();
    leave = () => {};
    rise(trait ? "loading" : "off");
    if (!trait) return;
    follow(trait, () => mine !== turn).catch(() => {
      if (mine === turn) rise("failed");
    });
  };
  const stop = effect(() => {
    const trait = store.decoder.value;
    const content = JSON.stringify(trait);
    if (content === followed) return;
    followed = content;
    untracked(() => change(trait));
  });

  return {
    state,
    get threads() {
      return threads;
    },
    answer: (prompts, picks) => enqueue(prompts, picks, false),
    preview: (point) => enqueue([point], [], true),
    dispose() {
      disposed = true;
      stopAsking();
      stop();
      change(null);
      loader.dispose();
    },
  };
}

function tensorsOf(trait: DecoderTrait, bytes: Uint8Array): HalfTensor[] {
  let at = 0;
  return trait.tensors.map(({ name, shape }) => {
    const length = 2 * shape.reduce((product, side) => product * side, 1);
    const halves = bytes.slice(at, at + length);
    if (halves.length < length) throw new Error(`The embedding is too short for ${name}.`);
    at += length;
    return { name, shape, halves };
  });
}

// A page without a kernel: prompts are answered by the page's own decoder, and the session is its own.
import { effect } from "@preact/signals";
import type { Engine } from "../decode/engine";
import { isAmbiguous, pickFor } from "../state/level";
import { LocalSession } from "./local_session";
import type { Prompt, Traits } from "./traits";

interface Question {
  prompts: Prompt[];
  picks: readonly number[];
  request: string;
}

export class Standalone extends LocalSession {
  readonly standalone = true;
  #engine: Pick<Engine, "answer" | "state"> | undefined;
  /** The newest question, until it is asked. */
  #waiting: Question | undefined;

  /** `parts` hands over what the decoder is made of, as `PartTrait.encoding` says. */
  constructor(
    traits: Partial<Traits>,
    private readonly parts: (key: string) => Promise<ArrayBuffer>,
  ) {
    super(traits);
  }

  part(key: string): Promise<ArrayBuffer> {
    return this.parts(key);
  }

  /** From now on, this one answers; returns the way to stop. */
  answerWith(engine: Pick<Engine, "answer" | "state">): () => void {
    this.#engine = engine;
    return effect(() => {
      const state = engine.state.value;
      const model = this.traits.model;
      const say = (word: Traits["status"]["state"], message: string): void =>
        this.push({ status: { state: word, model, device: "page", message, progress: null } });
      if (state === "ready") say("ready", "");
      else if (state === "loading") say("loading", "Unpacking the model …");
      else say("failed", "This browser runs no model, so there are no new masks");
      this.#askEngine();
    });
  }

  protected ask(prompts: Prompt[], picks: readonly number[], request: string): void {
    this.#waiting = { prompts, picks, request };
    this.#askEngine();
  }

  #askEngine(): void {
    const question = this.#waiting;
    const state = this.#engine?.state.peek();
    if (!question || !this.#engine || state === "loading") return;
    this.#waiting = undefined;
    const { prompts, picks, request } = question;
    const failed = (): void => {
      if (request === this.traits.request) {
        this.notify("error", "no_kernel", "This page could not answer that. Load it anew.", request);
      }
    };
    const answer = this.#engine.answer(prompts, picks);
    if (!answer) return failed();
    answer.then(
      (found) => {
        if (request !== this.traits.request) return;
        const picked = isAmbiguous(prompts) ? pickFor(this.traits.level, found) : 0;
        this.push({ picked, candidates: { ...found, request } });
      },
      (e: Error) => {
        if (e.name !== "Superseded") failed();
      },
    );
  }
}

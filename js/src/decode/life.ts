// One life of a worker: questions with their answers, until it ends.
import type { HalfTensor, Output, Question, Reply } from "./wire";

/** What is needed of a worker. */
export interface WorkerLike {
  postMessage(question: Question & { id: number }): void;
  onmessage: ((event: MessageEvent<Reply>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  terminate(): void;
}

type Content<Op extends Question["op"]> = Omit<Extract<Question, { op: Op }>, "op">;
type Answered = Reply & { ok: true };

interface Waiting {
  resolve(reply: Answered): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

const SILENCE_MS = 30_000;
/** Compiling fourteen megabytes of wasm may take its time. */
const START_SILENCE_MS = 90_000;

/** The worker has forgotten the image, which must be sent again. */
export class Missing extends Error {
  override readonly name = "Missing";
}

export class Life {
  threads = 1;
  /** Resolves when it is over, for whatever reason. */
  readonly ended: Promise<void>;
  private readonly waiting = new Map<number, Waiting>();
  private readonly images = new Map<string, Promise<unknown>>();
  private counter = 0;
  private end: () => void = () => {};
  private over: Error | undefined;

  constructor(private readonly worker: WorkerLike) {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
    worker.onerror = (event) => {
      event.preventDefault(); // dealt with here, so it is no error of the page
      this.die(event.message || "It has stopped.");
    };
    worker.onmessageerror = () => this.die("A message could not be read.");
    worker.onmessage = ({ data }) => this.hear(data);
  }

  async start(content: Content<"start">): Promise<void> {
    const { threads } = await this.ask({ op: "start", ...content }, START_SILENCE_MS);
    this.threads = threads ?? 1;
  }

  /** Sends an image, unless another widget has sent it; `again` where the worker has forgotten it. */
  async image(
    image: string,
    content: { tensors: HalfTensor[] },
    again = false,
  ): Promise<void> {
    let sending = again ? undefined : this.images.get(image);
    if (!sending) {
      sending = this.ask({ op: "image", image, ...content }, SILENCE_MS);
      this.images.set(image, sending);
    }
    await sending;
  }

  /** Rejects with an error named "Missing" where the image is not there any more. */
  async run(content: Content<"run">): Promise<Output> {
    const { output } = await this.ask({ op: "run", ...content }, SILENCE_MS);
    return output!;
  }

  die(reason: string): void {
    if (this.over) return;
    this.over = new Error(`The page's decoder has ended: ${reason}`);
    this.worker.terminate();
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(this.over);
    }
    this.waiting.clear();
    this.end();
  }

  private hear(reply: Reply): void {
    const waiting = this.waiting.get(reply.id);
    if (!waiting) return;
    this.waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    if (reply.ok) return waiting.resolve(reply);
    if (reply.missing) return waiting.reject(new Missing(reply.error));
    waiting.reject(new Error(reply.error));
    // Once wasm has aborted, nothing that it says can be trusted; a new worker is quickly there.
    this.die(reply.error);
  }

  private ask(question: Question, patience: number): Promise<Answered> {
    return new Promise((resolve, reject) => {
      if (this.over) return reject(this.over);
      const id = ++this.counter;
      const timer = setTimeout(() => this.die("It does not answer."), patience);
      this.waiting.set(id, { resolve, reject, timer });
      try {
        this.worker.postMessage({ ...question, id });
      } catch (e) {
        this.die(String(e));
      }
    });
  }
}

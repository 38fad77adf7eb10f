// A worker that is kept going, shared by all widgets of the page that answer with the same graphs.
//
// Each widget may have loaded this code anew, and so has classes of its own: what is shared is used by
// its methods, and errors are told apart by their names.
import type { DecoderTrait, PartTrait } from "../host/traits";
import { Life, type WorkerLike } from "./life";
import { threadsHere } from "./spawn";

/** Someone who can bring parts; rejects with an error named "Gone" when it cannot any more. */
export interface Supplier {
  load(part: PartTrait, keep: boolean): Promise<Bytes>;
}

/** What the browser allows and makes; tests have one of their own. */
export interface Browser {
  /** Workers, wasm and unpacking are allowed; asked before anything is brought. */
  supported(): Promise<boolean>;
  createWorker(script: Uint8Array<ArrayBuffer>): WorkerLike;
  /** Resolves when the page has nothing better to do. */
  idle(): Promise<void>;
  /** What all widgets of the page share. */
  readonly runners: Map<string, Runner>;
}

/** A cell that is run again finds its worker again. */
const IDLE_MS = 30_000;
const MAX_DEATHS = 2;

type Bytes = Uint8Array<ArrayBuffer>;

export class Runner {
  private readonly suppliers = new Set<Supplier>();
  private life: Promise<Life> | undefined;
  private deaths = 0;
  private failure: Error | undefined;
  private closing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly trait: DecoderTrait,
    private readonly browser: Browser,
    private readonly closed: () => void,
  ) {}

  join(supplier: Supplier): void {
    clearTimeout(this.closing);
    this.suppliers.add(supplier);
  }

  leave(supplier: Supplier): void {
    if (!this.suppliers.delete(supplier) || this.suppliers.size > 0) return;
    this.closing = setTimeout(() => {
      this.closed();
      void this.life?.then(
        (life) => life.die("Nobody uses it."),
        () => {},
      );
    }, IDLE_MS);
  }

  /** The present life, or a new one; rejects after the second death. */
  alive(): Promise<Life> {
    if (this.failure) return Promise.reject(this.failure);
    this.life ??= this.begin().catch((e: unknown) => {
      this.life = undefined;
      throw e;
    });
    return this.life;
  }

  private async begin(): Promise<Life> {
    const parts = await Promise.all(programOf(this.trait).map((part) => this.bring(part)));
    const [script, wasm, decode, prepare, refine] = parts as [Bytes, Bytes, Bytes, Bytes, Bytes];
    const content = { wasm, decode, prepare, refine, threads: threadsHere() };
    for (;;) {
      const life = new Life(this.browser.createWorker(script));
      try {
        await life.start(content);
      } catch (e) {
        life.die(String(e));
        this.bury(e as Error);
        if (this.failure) throw this.failure;
        continue;
      }
      void life.ended.then(() => {
        this.life = undefined;
        this.bury(new Error("The page's decoder has ended twice."));
      });
      return life;
    }
  }

  private bury(reason: Error): void {
    if (++this.deaths >= MAX_DEATHS) this.failure = reason;
  }

  private async bring(part: PartTrait): Promise<Bytes> {
    for (const supplier of this.suppliers) {
      try {
        return await supplier.load(part, true);
      } catch (e) {
        if ((e as Error).name !== "Gone") throw e;
      }
    }
    throw new Error("The widget that asked for the decoder is closed.");
  }
}

const programOf = ({ script, wasm, decode, prepare, refine }: DecoderTrait): PartTrait[] =>
  [script, wasm, decode, prepare, refine];

/** The runner for these graphs that the page has already, or a new one. */
export function runnerFor(trait: DecoderTrait, browser: Browser): Runner {
  const key = programOf(trait).map((part) => part.key).join(" ");
  let runner = browser.runners.get(key);
  if (!runner) {
    runner = new Runner(trait, browser, () => browser.runners.delete(key));
    browser.runners.set(key, runner);
  }
  return runner;
}

// A kernel that hands out parts when it is told to, and a browser whose workers are plain objects.
import { gzipSync } from "node:zlib";
import type { WorkerLike } from "../src/decode/life";
import type { Browser } from "../src/decode/runner";
import type { Output, Question, Reply } from "../src/decode/wire";
import type { Host } from "../src/host/host";
import type { Delivery, Intent } from "../src/host/intents";
import { DEFAULT_TRAITS, type DecoderTrait, type PartTrait, type Traits } from "../src/host/traits";

type Heard = (delivery: Delivery, buffers: readonly DataView[]) => void;
type Asked = Extract<Intent, { op: "part" }>;

/** Lets everything go on that waits for nothing but its turn. */
export async function turns(count = 40): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

export class PartsHost implements Host {
  /** What was asked and not yet answered. */
  asked: Asked[] = [];
  /** Everything that was ever asked. */
  readonly log: Asked[] = [];
  /** How often the page has said that it would answer. */
  wanted = 0;
  closed = false;
  connected?: NonNullable<Host["connected"]>;
  standalone?: boolean;
  /** Answers at once. */
  prompt = false;
  readonly traits: Traits = { ...DEFAULT_TRAITS };
  private readonly stored = new Map<string, Uint8Array>();
  private readonly heard = new Set<Heard>();
  private readonly watchers = new Map<string, Set<() => void>>();

  constructor(readonly pieceSize = 100) {}

  /** A part of the kernel's. */
  put(key: string, bytes: Uint8Array, encoding: PartTrait["encoding"] = "gzip"): PartTrait {
    const packed = encoding === "gzip" ? new Uint8Array(gzipSync(bytes)) : bytes;
    this.stored.set(key, packed);
    return { key, bytes: packed.length, unpacked: bytes.length, encoding };
  }

  get<K extends keyof Traits>(name: K): Traits[K] {
    return this.traits[name];
  }
  set(values: Partial<Traits>): void {
    Object.assign(this.traits, values);
    for (const name of Object.keys(values)) for (const f of this.watchers.get(name) ?? []) f();
  }
  on(name: keyof Traits, listener: () => void): () => void {
    const all = this.watchers.get(name) ?? new Set();
    this.watchers.set(name, all.add(listener));
    return () => all.delete(listener);
  }
  send(intent: Intent): void {
    if (this.closed) throw new Error("closed");
    if (intent.op === "decoder") this.wanted++;
    if (intent.op !== "part") return;
    this.asked.push(intent);
    this.log.push(intent);
    if (this.prompt) queueMicrotask(() => this.deliver());
  }
  onDelivery(listener: Heard): () => void {
    this.heard.add(listener);
    return () => this.heard.delete(listener);
  }

  /** Answers one of the asked pieces, the oldest if nothing else is said. */
  deliver(which = 0): void {
    const [asked] = this.asked.splice(which, 1);
    if (!asked) return;
    const { key, piece } = asked;
    const bytes = this.stored.get(key);
    const pieces = bytes ? Math.max(1, Math.ceil(bytes.length / this.pieceSize)) : 0;
    const error = bytes ? {} : { error: "This part is not here." };
    this.tell({ op: "part", key, piece, pieces, ...error }, bytes && this.piece(bytes, piece));
  }
  tell(delivery: Delivery, buffer?: DataView): void {
    for (const listener of this.heard) listener(delivery, buffer ? [buffer] : []);
  }
  /** A view with an offset, as notebooks hand them over. */
  private piece(bytes: Uint8Array, piece: number): DataView {
    const part = bytes.subarray(piece * this.pieceSize, (piece + 1) * this.pieceSize);
    const message = new Uint8Array(part.length + 13);
    message.set(part, 13);
    return new DataView(message.buffer, 13, part.length);
  }
}

export class FakeWorker implements WorkerLike {
  onmessage: WorkerLike["onmessage"] = null;
  onerror: WorkerLike["onerror"] = null;
  onmessageerror: WorkerLike["onmessageerror"] = null;
  terminated = false;
  /** Answers nothing while this is set; then what has gathered, by `answer`. */
  held = false;
  readonly questions: (Question & { id: number })[] = [];
  private readonly unanswered: (Question & { id: number })[] = [];

  constructor(private readonly reply: (question: Question & { id: number }) => Reply) {}

  postMessage(question: Question & { id: number }): void {
    this.questions.push(question);
    this.unanswered.push(question);
    if (!this.held) queueMicrotask(() => this.answer());
  }
  answer(): void {
    const question = this.unanswered.shift();
    if (question && !this.terminated) this.onmessage?.({ data: this.reply(question) } as MessageEvent<Reply>);
  }
  crash(message = "out of memory"): void {
    this.onerror?.({ message, preventDefault() {} } as ErrorEvent);
  }
  terminate(): void {
    this.terminated = true;
  }
  runs(): Extract<Question, { op: "run" }>[] {
    return this.questions.filter((q) => q.op === "run");
  }
}

export class FakeBrowser implements Browser {
  readonly runners: Browser["runners"] = new Map();
  readonly workers: FakeWorker[] = [];
  allowed = true;
  reply: (question: Question & { id: number }) => Reply = answering;

  supported = async (): Promise<boolean> => this.allowed;
  idle = async (): Promise<void> => {};
  createWorker = (_script: Uint8Array): FakeWorker => {
    const worker = new FakeWorker((question) => this.reply(question));
    this.workers.push(worker);
    return worker;
  };
}

/** Logits that tell where the first point lies, and how many there are. */
export function answering(question: Question & { id: number }): Reply {
  const { id, op } = question;
  if (op === "start") return { id, ok: true, threads: question.threads };
  if (op === "image") return { id, ok: true };
  const output: Output = {
    logits: new Float32Array(4 * 16).fill(question.coords[0]!), iou: Float32Array.of(0.5, 0.6, 0.7, 0.8), ms: 7,
  };
  return { id, ok: true, output };
}

/** A decoder for a 100 × 50 image, whose parts the host has. */
export function decoderOn(host: PartsHost, embedding = "embedding", graphs = "sam"): DecoderTrait {
  // Not packed: unpacking takes a thread's time, and these tests count turns.
  const put = (key: string, count: number): PartTrait =>
    host.put(key, Uint8Array.from({ length: count }, (_, i) => (i * 7919) >> 3), "none");
  return {
    script: put("script", 150),
    wasm: put("wasm", 500),
    prepare: put(`${graphs}-prepare`, 300),
    refine: put(`${graphs}-refine`, 120),
    decode: put(`${graphs}-decode`, 300),
    embedding: put(embedding, 2 * (4 + 6)),
    tensors: [{ name: "embedding", shape: [1, 4] }, { name: "finer", shape: [2, 3] }],
    frame: {
      region: [0, 0, 100, 50], input_scale: [1, 1], logits_size: 4, logits_shape: [2, 4],
      logits_scale: [0.04, 0.04],
    },
  };
}

// The worker: ONNX Runtime's wasm and the two graphs, handed in as bytes. Nothing is fetched.
import * as ort from "onnxruntime-web/wasm";
import { widen } from "./half";
import type { Output, Question, Reply } from "./wire";

type Tensors = Record<string, ort.Tensor>;
type Of<Op extends Question["op"]> = Extract<Question, { op: Op }>;

interface Image {
  /** Inputs of `prepare`, without those of a mask prompt. */
  tensors: Tensors;
  /** Its outputs for no mask prompt. */
  prepared: Tensors;
}

interface Graphs {
  prepare: ort.InferenceSession;
  decode: ort.InferenceSession;
}

/** Images whose tensors are held; each has some tens of megabytes. */
const MAX_IMAGES = 6;

const scope = self as unknown as {
  readonly name: string;
  onmessage: ((event: MessageEvent<Question & { id: number }>) => void) | null;
  postMessage(reply: Reply, transfer: Transferable[]): void;
};

/** Newest last. */
const images = new Map<string, Image>();
let graphs: Graphs | undefined;

async function start({ wasm, prepare, decode, threads }: Of<"start">): Promise<number> {
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = threads;
  const options: ort.InferenceSession.SessionOptions = { executionProviders: ["wasm"] };
  graphs = {
    prepare: await ort.InferenceSession.create(prepare, options),
    decode: await ort.InferenceSession.create(decode, options),
  };
  return ort.env.wasm.numThreads;
}

/** Runs a session on those of the tensors that it takes. */
async function run(session: ort.InferenceSession, tensors: Tensors): Promise<Tensors> {
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensors[name]!]));
  return session.run(feeds);
}

async function prepared(tensors: Tensors, mask: ort.Tensor, given: boolean): Promise<Tensors> {
  const has_mask = new ort.Tensor("float32", Float32Array.of(given ? 1 : 0), [1]);
  const out = await run(graphs!.prepare, { ...tensors, mask, has_mask });
  has_mask.dispose();
  return out;
}

function dispose(tensors: Tensors): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

async function addImage({ image, tensors, side }: Of<"image">): Promise<void> {
  const given: Tensors = {};
  for (const { name, shape, halves } of tensors) {
    given[name] = new ort.Tensor("float32", widen(halves), shape);
  }
  const mask = new ort.Tensor("float32", new Float32Array(side * side), [1, 1, side, side]);
  const added = { tensors: given, prepared: await prepared(given, mask, false) };
  mask.dispose();
  forget(image);
  images.set(image, added);
  for (const oldest of images.keys()) {
    if (images.size <= MAX_IMAGES) break;
    forget(oldest);
  }
}

function forget(key: string): void {
  const image = images.get(key);
  if (!image) return;
  images.delete(key);
  dispose(image.tensors);
  dispose(image.prepared);
}

async function answer(image: Image, question: Of<"run">): Promise<Output> {
  const { coords, labels, mask } = question;
  const began = performance.now();
  const points: Tensors = {
    coords: new ort.Tensor("float32", coords, [1, labels.length, 2]),
    labels: new ort.Tensor("float32", labels, [1, labels.length]),
  };
  let base = image.prepared;
  if (mask) {
    const side = Math.round(Math.sqrt(mask.length));
    const prompt = new ort.Tensor("float32", mask, [1, 1, side, side]);
    base = await prepared(image.tensors, prompt, true);
    prompt.dispose();
  }
  const out = await run(graphs!.decode, { ...base, ...points });
  if (base !== image.prepared) dispose(base);
  // These have buffers of their own, which may leave.
  const logits = out["logits"]!.data as Float32Array;
  const iou = out["iou"]!.data as Float32Array;
  return { logits, iou, ms: performance.now() - began };
}

async function reply(question: Question & { id: number }): Promise<void> {
  const { id, op } = question;
  try {
    if (op === "start") {
      scope.postMessage({ id, ok: true, threads: await start(question) }, []);
    } else if (op === "image") {
      await addImage(question);
      scope.postMessage({ id, ok: true }, []);
    } else {
      const image = images.get(question.image);
      if (!image) {
        const error = "The image is not here any more.";
        scope.postMessage({ id, ok: false, error, missing: true }, []);
        return;
      }
      images.delete(question.image); // and at the end again, as the newest
      images.set(question.image, image);
      const output = await answer(image, question);
      const buffers = [output.logits.buffer, output.iou.buffer] as ArrayBuffer[];
      scope.postMessage({ id, ok: true, output }, buffers);
    }
  } catch (e) {
    scope.postMessage({ id, ok: false, error: String(e), missing: false }, []);
  }
}

// ONNX Runtime's threads run this very script again; those are none of ours.
if (!scope.name.startsWith("em-pthread")) {
  let last = Promise.resolve();
  scope.onmessage = ({ data }) => {
    last = last.then(() => reply(data));
  };
}

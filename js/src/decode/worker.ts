// The worker: ONNX Runtime's wasm and the three graphs, handed in as bytes. Nothing is fetched.
import * as ort from "onnxruntime-web/wasm";
import { widen } from "./half";
import type { Output, Question, Reply } from "./wire";

type Tensors = Record<string, ort.Tensor>;
type Of<Op extends Question["op"]> = Extract<Question, { op: Op }>;

interface Graphs {
  prepare: ort.InferenceSession;
  refine: ort.InferenceSession;
  decode: ort.InferenceSession;
}

/** Images whose tensors are held; each has some tens of megabytes. */
const MAX_IMAGES = 6;

const scope = self as unknown as {
  readonly name: string;
  onmessage: ((event: MessageEvent<Question & { id: number }>) => void) | null;
  postMessage(reply: Reply, transfer: Transferable[]): void;
};

/** What `prepare` has made of each; newest last. */
const images = new Map<string, Tensors>();
let graphs: Graphs | undefined;

async function start({ wasm, prepare, refine, decode, threads }: Of<"start">): Promise<number> {
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = threads;
  const options: ort.InferenceSession.SessionOptions = { executionProviders: ["wasm"] };
  graphs = {
    prepare: await ort.InferenceSession.create(prepare, options),
    refine: await ort.InferenceSession.create(refine, options),
    decode: await ort.InferenceSession.create(decode, options),
  };
  return ort.env.wasm.numThreads;
}

/** Runs a session on those of the tensors that it takes. */
async function run(session: ort.InferenceSession, tensors: Tensors): Promise<Tensors> {
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensors[name]!]));
  return session.run(feeds);
}

function dispose(tensors: Tensors): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

async function addImage({ image, tensors }: Of<"image">): Promise<void> {
  const given: Tensors = {};
  for (const { name, shape, halves } of tensors) {
    given[name] = new ort.Tensor("float32", widen(halves), shape);
  }
  const prepared = await run(graphs!.prepare, given);
  dispose(given);
  forget(image);
  images.set(image, prepared);
  for (const oldest of images.keys()) {
    if (images.size <= MAX_IMAGES) break;
    forget(oldest);
  }
}

function forget(key: string): void {
  dispose(images.get(key) ?? {});
  images.delete(key);
}

async function answer(prepared: Tensors, question: Of<"run">): Promise<Output> {
  const { coords, labels, mask } = question;
  const began = performance.now();
  const points: Tensors = {
    coords: new ort.Tensor("float32", coords, [1, labels.length, 2]),
    labels: new ort.Tensor("float32", labels, [1, labels.length]),
  };
  let refined: Tensors = {};
  if (mask) {
    const side = Math.round(Math.sqrt(mask.length));
    const prompt = new ort.Tensor("float32", mask, [1, 1, side, side]);
    const changed = await run(graphs!.refine, { ...prepared, mask: prompt });
    refined = Object.fromEntries(
      Object.entries(changed).map(([name, t]) => [name.replace("refined_", ""), t]),
    );
    prompt.dispose();
  }
  const out = await run(graphs!.decode, { ...prepared, ...refined, ...points });
  dispose(refined);
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

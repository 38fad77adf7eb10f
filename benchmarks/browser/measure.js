// A worker that runs the decoders in turns and tells how long each answer took. See ../browser.py.
import * as ort from "/ort/ort.wasm.min.mjs";

const SIDE = 256;
/** Decoders take turns after so many prompts: nobody changes the model with every click. */
const BLOCK = 10;
const tensor = (data, dims) => new ort.Tensor("float32", data, dims);

async function bytes(name) {
  const response = await fetch(`/data/${name}`);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

const open = async (name) =>
  ort.InferenceSession.create(await bytes(name), { executionProviders: ["wasm"] });

async function floats(name) {
  return new Float32Array((await bytes(name)).buffer);
}

const points = ({ coords, labels }) => [
  tensor(Float32Array.from(coords.flat()), [1, labels.length, 2]),
  tensor(Float32Array.from(labels), [1, labels.length]),
];

/** The published decoder: everything in one graph. */
async function published({ graph, embedding, size }) {
  const session = await open(graph);
  const image_embeddings = tensor(await floats(embedding.file), embedding.shape);
  const mask_input = tensor(new Float32Array(SIDE * SIDE), [1, 1, SIDE, SIDE]);
  return async (prompt) => {
    const [point_coords, point_labels] = points(prompt);
    const all = {
      image_embeddings, point_coords, point_labels, mask_input,
      has_mask_input: tensor(Float32Array.of(0), [1]),
      orig_im_size: tensor(Float32Array.from(size), [2]),
    };
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, all[name]]));
    return (await session.run(feeds)).low_res.data;
  };
}

/** Our three graphs: `refined` answers to a mask prompt, else to points and boxes alone. */
async function own({ prepare, refine, decode, tensors, refined }) {
  const [first, between, second] = [await open(prepare), await open(refine), await open(decode)];
  const image = {};
  for (const { name, file, shape } of tensors) image[name] = tensor(await floats(file), shape);
  const noise = Float32Array.from({ length: SIDE * SIDE }, (_, i) => 8 * Math.sin(i / 999));
  const mask = tensor(noise, [1, 1, SIDE, SIDE]);
  const base = await first.run(image);
  const feeds = Object.fromEntries(
    between.inputNames.filter((name) => name !== "mask").map((name) => [name, base[name]]),
  );
  return async (prompt) => {
    const [coords, labels] = points(prompt);
    const changed = refined ? await between.run({ ...feeds, mask }) : {};
    const image = { ...base };
    for (const [name, t] of Object.entries(changed)) image[name.replace("refined_", "")] = t;
    return (await second.run({ ...image, coords, labels })).logits.data;
  };
}

/** The mean IoU of four masks. */
function agreement(a, b) {
  let sum = 0;
  for (let mask = 0; mask < 4; mask++) {
    let both = 0;
    let either = 0;
    for (let i = mask * SIDE * SIDE; i < (mask + 1) * SIDE * SIDE; i++) {
      both += a[i] > 0 && b[i] > 0;
      either += a[i] > 0 || b[i] > 0;
    }
    sum += either ? both / either : 1;
  }
  return sum / 4;
}

async function measure({ threads, rows, prompts, warmup }) {
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  const runs = [];
  for (const row of rows) {
    const answer = await (row.kind === "published" ? published(row) : own(row));
    runs.push({ name: row.name, reference: row.reference, answer, times: [], ious: [] });
  }
  for (let start = 0; start < prompts.length; start += BLOCK) {
    const block = prompts.slice(start, start + BLOCK);
    const answers = new Map();
    for (const run of runs) {
      for (const prompt of prompts.slice(0, warmup)) await run.answer(prompt);
      answers.set(run.name, []);
      for (const [i, prompt] of block.entries()) {
        const began = performance.now();
        const logits = await run.answer(prompt);
        run.times.push(performance.now() - began);
        answers.get(run.name).push(logits.slice());
        if (run.reference) run.ious.push(agreement(logits, answers.get(run.reference)[i]));
      }
    }
  }
  return runs.map(({ name, times, ious }) => ({ name, times, ious }));
}

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ ok: true, isolated: self.crossOriginIsolated, runs: await measure(data) });
  } catch (e) {
    self.postMessage({ ok: false, error: String(e?.stack ?? e) });
  }
};

// @vitest-environment node
import { signal } from "@preact/signals";
import { createEngine, type Engine } from "../src/decode/engine";
import { createStore } from "../src/state/store";
import { answering, decoderOn, FakeBrowser, PartsHost, turns, type FakeWorker } from "./decode_helpers";

const point = (x: number, y: number, label: 0 | 1 = 1) => ({ type: "point", x, y, label }) as const;

interface SetUp {
  host: PartsHost;
  browser: FakeBrowser;
  engine: Engine;
  worker: () => FakeWorker;
}

async function setUp(browser = new FakeBrowser(), ready = true): Promise<SetUp> {
  const host = new PartsHost();
  host.prompt = true;
  const engine = createEngine(createStore(host), host, browser);
  if (ready) {
    host.set({ decoder: decoderOn(host) });
    await turns();
    expect(engine.state.value).toBe("ready");
  }
  return { host, browser, engine, worker: () => browser.workers.at(-1)! };
}

/** The x of the first prompt that was answered, or why it was not. */
const outcome = (answer: ReturnType<Engine["answer"]>): Promise<number | string> =>
  answer!.then((found) => (found.logits as Float32Array)[0]! + 0.5, (e: Error) => e.name);

afterEach(() => vi.useRealTimers());

test("off without a decoder, and answers nothing", async () => {
  const { host, engine, browser } = await setUp(new FakeBrowser(), false);
  await turns();
  expect(engine.state.value).toBe("off");
  expect(engine.answer([point(3, 4)], [])).toBeNull();
  expect(engine.preview(point(3, 4))).toBeNull();
  expect(host.log).toEqual([]);
  expect(browser.workers).toEqual([]);
});

describe("asks for a decoder", () => {
  const start = async (change: (host: PartsHost, browser: FakeBrowser) => void = () => {}) => {
    const host = new PartsHost();
    const browser = new FakeBrowser();
    change(host, browser);
    const engine = createEngine(createStore(host), host, browser);
    await turns();
    return { host, engine };
  };

  test("once, and goes on when it comes", async () => {
    const { host, engine } = await start();
    expect(host.wanted).toBe(1);
    host.prompt = true;
    host.set({ decoder: decoderOn(host) });
    await turns();
    expect(engine.state.value).toBe("ready");
    host.set({ decoder: null });
    await turns();
    expect(host.wanted).toBe(1);
  });

  test("not where there is one, no worker may run, or no kernel is", async () => {
    expect((await start((host) => host.set({ decoder: decoderOn(host) }))).host.wanted).toBe(0);
    expect((await start((_, browser) => (browser.allowed = false))).host.wanted).toBe(0);
    expect((await start((host) => (host.standalone = true))).host.wanted).toBe(0);
  });

  test("when a kernel is there", async () => {
    const connected = signal(false);
    const { host } = await start((host) => (host.connected = connected));
    expect(host.wanted).toBe(0);
    connected.value = true;
    await turns();
    expect(host.wanted).toBe(1);
  });

  test("not after it is disposed of, and a closed connection is no error", async () => {
    const host = new PartsHost();
    createEngine(createStore(host), host, new FakeBrowser()).dispose();
    await turns();
    expect(host.wanted).toBe(0);
    const { engine } = await start((host) => (host.closed = true));
    expect(engine.state.value).toBe("off");
  });
});

test("brings the parts, starts the worker, sends the image, answers", async () => {
  const { host, engine, worker } = await setUp();
  expect(new Set(host.log.map((a) => a.key))).toEqual(
    new Set(["script", "wasm", "sam-decode", "sam-prepare", "sam-refine", "embedding"]),
  );
  const [start, image] = worker().questions;
  expect(start).toMatchObject({ op: "start", threads: 1 });
  expect(image).toMatchObject({ op: "image", image: "embedding" });
  expect((image as { tensors: unknown[] }).tensors).toMatchObject([
    { name: "embedding", shape: [1, 4] }, { name: "finer", shape: [2, 3] },
  ]);
  const candidates = await engine.answer([point(30, 40)], []);
  expect(candidates).toMatchObject({ by: "page", ms: 7, shape: [4, 2, 4], tokens: [3, 2, 1, 0] });
  expect(worker().runs()[0]).toMatchObject({ image: "embedding", mask: null });
});

test("refined prompts are given the logits of what was picked", async () => {
  const { engine, worker } = await setUp();
  await engine.answer([point(30, 40), point(60, 40, 0)], [1]);
  const [first, second] = worker().runs();
  expect(first!.mask).toBeNull();
  expect([...second!.labels]).toEqual([1, 0, -1]);
  expect(second!.mask).toEqual(new Float32Array(16).fill(29.5));
});

test("of several that wait the newest is answered", async () => {
  const { engine, worker } = await setUp();
  worker().held = true;
  const answers = [10, 20, 30, 40].map((x) => outcome(engine.answer([point(x, 1)], [])));
  await turns();
  expect(worker().runs()).toHaveLength(1); // one under way
  worker().held = false;
  worker().answer();
  expect(await Promise.all(answers)).toEqual([10, "Superseded", "Superseded", 40]);
  expect(worker().runs()).toHaveLength(2);
});

test("a dialogue stops between two steps when something newer waits", async () => {
  const { engine, worker } = await setUp();
  worker().held = true;
  const old = outcome(engine.answer([point(10, 1), point(20, 1), point(30, 1)], []));
  await turns();
  const next = outcome(engine.answer([point(40, 1)], []));
  worker().held = false;
  worker().answer();
  expect(await old).toBe("Superseded");
  expect(await next).toBe(40);
  expect(worker().runs()).toHaveLength(2);
});

test("previews wait for answers, and a click on what was previewed asks nothing", async () => {
  const { engine, worker } = await setUp();
  worker().held = true;
  const shown = [engine.preview(point(1, 1)), engine.preview(point(2, 1)), engine.preview(point(3, 1))];
  const outcomes = shown.map(outcome);
  const answer = outcome(engine.answer([point(50, 1)], []));
  await turns();
  worker().held = false;
  worker().answer();
  expect(await Promise.all([...outcomes, answer])).toEqual([1, "Superseded", 3, 50]);
  expect(worker().runs().map((run) => run.coords[0]! + 0.5)).toEqual([1, 50, 3]);
  await engine.answer([point(3, 1)], []);
  expect(worker().runs()).toHaveLength(3);
});

test("what only the kernel can answer is null", async () => {
  const { engine } = await setUp();
  expect(engine.answer([{ type: "mask", rle: { size: [50, 100], counts: "PQ1" } }], [])).toBeNull();
  expect(engine.answer([point(101, 10)], [])).toBeNull();
});

test("the same decoder again changes nothing; none turns it off", async () => {
  const { host, engine, worker } = await setUp();
  const asked = host.log.length;
  host.set({ decoder: structuredClone(host.traits.decoder) });
  await turns();
  expect(host.log).toHaveLength(asked);
  expect(engine.state.value).toBe("ready");
  worker().held = true;
  const answer = outcome(engine.answer([point(5, 5)], []));
  host.set({ decoder: null });
  expect(engine.state.value).toBe("off");
  expect(await answer).toBe("Error");
  expect(engine.answer([point(5, 5)], [])).toBeNull();
});

test("another image needs its embedding only, and one that was there before nothing", async () => {
  const { host, browser, engine, worker } = await setUp();
  const first = host.traits.decoder;
  const asked = host.log.length;
  host.set({ decoder: decoderOn(host, "other") });
  expect(engine.state.value).toBe("loading");
  await turns();
  expect(engine.state.value).toBe("ready");
  host.set({ decoder: first });
  await turns();
  expect(engine.state.value).toBe("ready");
  expect(new Set(host.log.slice(asked).map((a) => a.key))).toEqual(new Set(["other"]));
  expect(browser.workers).toHaveLength(1);
  expect(worker().questions.filter((q) => q.op === "image")).toHaveLength(2);
});

test("an image that the worker has forgotten is sent again", async () => {
  const { browser, engine, worker } = await setUp();
  let forgotten = true;
  browser.reply = (question) => {
    if (question.op === "run" && forgotten) {
      forgotten = false;
      return { id: question.id, ok: false, error: "not here", missing: true };
    }
    return answering(question);
  };
  expect(await outcome(engine.answer([point(8, 8)], []))).toBe(8);
  expect(worker().questions.map((q) => q.op)).toEqual(["start", "image", "run", "image", "run"]);
});

test("widgets of one page share the worker, and what is left of it when one is closed", async () => {
  const { browser, engine, worker } = await setUp();
  const second = await setUp(browser);
  expect(browser.workers).toHaveLength(1);
  expect(new Set(second.host.log.map((a) => a.key))).toEqual(new Set(["embedding"]));
  expect(worker().questions.filter((q) => q.op === "image")).toHaveLength(1); // the same image
  engine.dispose();
  expect(engine.state.value).toBe("off");
  expect(await outcome(second.engine.answer([point(7, 7)], []))).toBe(7);
});

test("when the widget that brings the parts is closed, the next one goes on", async () => {
  const browser = new FakeBrowser();
  const first = await setUp(browser, false);
  first.host.prompt = false;
  first.host.set({ decoder: decoderOn(first.host) });
  await turns();
  const second = await setUp(browser, false);
  second.host.set({ decoder: decoderOn(second.host) });
  await turns();
  expect(second.engine.state.value).toBe("loading");
  first.engine.dispose();
  await turns();
  expect(second.engine.state.value).toBe("ready");
});

test("a worker that nobody uses ends after a while", async () => {
  const { browser, engine, worker } = await setUp();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  engine.dispose();
  expect(worker().terminated).toBe(false);
  vi.advanceTimersByTime(40_000);
  await turns();
  expect(worker().terminated).toBe(true);
  expect(browser.runners.size).toBe(0);
});

test("a worker that dies is restarted once; then the kernel serves", async () => {
  const { browser, engine, worker } = await setUp();
  worker().held = true;
  const lost = outcome(engine.answer([point(5, 5)], []));
  await turns();
  worker().crash();
  expect(await lost).toBe("Error");
  expect(worker().terminated).toBe(true);
  await turns();
  expect(browser.workers).toHaveLength(2);
  expect(engine.state.value).toBe("ready");
  expect(await outcome(engine.answer([point(5, 5)], []))).toBe(5);
  worker().crash();
  await turns();
  expect(engine.state.value).toBe("failed");
  expect(engine.answer([point(5, 5)], [])).toBeNull();
  expect(browser.workers).toHaveLength(2);
});

test("a worker that does not answer within thirty seconds is dead", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { browser, engine, worker } = await setUp();
  worker().held = true;
  const lost = outcome(engine.answer([point(5, 5)], []));
  await turns();
  vi.advanceTimersByTime(29_000);
  await turns();
  expect(engine.state.value).toBe("ready");
  vi.advanceTimersByTime(2_000);
  expect(await lost).toBe("Error");
  await turns();
  expect(browser.workers).toHaveLength(2);
  expect(engine.state.value).toBe("ready");
});

test("an exception inside is a death, too", async () => {
  const { browser, engine } = await setUp();
  browser.reply = (q) =>
    q.op === "run" ? { id: q.id, ok: false, error: "abort", missing: false } : answering(q);
  expect(await outcome(engine.answer([point(5, 5)], []))).toBe("Error");
  await turns();
  expect(await outcome(engine.answer([point(6, 6)], []))).toBe("Error");
  await turns();
  expect(engine.state.value).toBe("failed");
});

test("a worker that never starts is tried twice", async () => {
  const browser = new FakeBrowser();
  browser.reply = ({ id }) => ({ id, ok: false, error: "no memory", missing: false });
  const { host, engine } = await setUp(browser, false);
  host.set({ decoder: decoderOn(host) });
  await turns();
  expect(browser.workers).toHaveLength(2);
  expect(engine.state.value).toBe("failed");
});

test("where no worker may run, nothing is brought", async () => {
  const browser = new FakeBrowser();
  browser.allowed = false;
  const { host, engine } = await setUp(browser, false);
  host.set({ decoder: decoderOn(host) });
  await turns();
  expect(engine.state.value).toBe("failed");
  expect(host.log).toEqual([]);
});

test("a worker that is refused, or a connection that is closed, is no exception", async () => {
  const refusing = new FakeBrowser();
  refusing.createWorker = () => {
    throw new DOMException("refused", "SecurityError");
  };
  for (const [browser, closed] of [[refusing, false], [new FakeBrowser(), true]] as const) {
    const { host, engine } = await setUp(browser, false);
    host.closed = closed;
    host.set({ decoder: decoderOn(host) });
    await turns();
    expect(engine.state.value).toBe("failed");
  }
});

test("after a failure, another decoder is another try", async () => {
  const { host, engine } = await setUp(new FakeBrowser(), false);
  const decoder = decoderOn(host);
  host.set({ decoder: { ...decoder, embedding: { ...decoder.embedding, key: "nowhere" } } });
  await turns();
  expect(engine.state.value).toBe("failed");
  host.set({ decoder });
  await turns();
  expect(engine.state.value).toBe("ready");
});

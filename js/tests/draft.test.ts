import { effect, signal } from "@preact/signals";
import type { FakeKernel } from "../src/host/fake_kernel";
import { answer } from "../src/host/fake_masks";
import type { Intent } from "../src/host/intents";
import type { CandidatesTrait, Prompt, Traits } from "../src/host/traits";
import { createActions } from "../src/state/actions";
import { createHoverPreview } from "../src/state/hover";
import { pickFor } from "../src/state/level";
import { createStore } from "../src/state/store";
import { createViewState } from "../src/state/view_state";
import { makeKernel, settle, squarePixels } from "./helpers";

const point = (x: number, y: number, label: 0 | 1 = 1) => ({ type: "point", x, y, label }) as const;

/** Answers like the kernel, in the page; a test lets the answers go. */
class FakeDecoder {
  readonly state = signal("ready");
  readonly asked: { prompts: readonly Prompt[]; picks: readonly number[] }[] = [];
  #waiting: (() => void)[] = [];

  answer(prompts: readonly Prompt[], picks: readonly number[]): Promise<CandidatesTrait> | null {
    if (this.state.peek() !== "ready") return null;
    this.asked.push({ prompts, picks });
    return new Promise((done) => {
      this.#waiting.push(() => done(this.#found(prompts)));
    });
  }

  preview(prompt: Prompt): Promise<CandidatesTrait> | null {
    return this.answer([prompt], []);
  }

  async answerNow(): Promise<void> {
    for (const go of this.#waiting.splice(0)) go();
    await Promise.resolve();
    await Promise.resolve();
  }

  #found(prompts: readonly Prompt[]): CandidatesTrait {
    return { ...answer(squarePixels(), prompts), request: "", ms: 5, by: "page" };
  }
}

function setUp() {
  const kernel = makeKernel();
  const store = createStore(kernel);
  const view = createViewState(store);
  const decoder = new FakeDecoder();
  return { kernel, store, view, decoder, actions: createActions(store, view, decoder) };
}

const intents = (kernel: FakeKernel): Intent[] => kernel.sent.filter((s): s is Intent => "op" in s);
const kept = (kernel: FakeKernel) =>
  intents(kernel).filter((i): i is Intent & { op: "keep_draft" } => i.op === "keep_draft");

test("the page's answer is shown at once; the kernel's takes its place", async () => {
  const { kernel, store, decoder, actions } = setUp();
  kernel.held = [];
  actions.addPrompt(point(20, 20));
  expect(store.waiting.value).toBe(true);
  await decoder.answerNow();
  expect(store.shown.value!.by).toBe("page");
  expect(store.shown.value!.request).toBe(store.request.value);
  expect([store.waiting.value, store.unconfirmed.value, store.settled.value]).toEqual([false, true, true]);
  kernel.answerNow();
  expect(store.shown.value!.by).toBeUndefined();
  expect(store.unconfirmed.value).toBe(false);
});

test("a page's answer that comes after the kernel's, or to an older question, changes nothing", async () => {
  const { kernel, store, decoder, actions } = setUp();
  actions.addPrompt(point(20, 20));
  const shown = store.shown.value;
  await decoder.answerNow();
  expect(store.shown.value).toBe(shown);
  kernel.held = [];
  actions.addPrompt(point(25, 25));
  const older = decoder.answerNow();
  actions.addPrompt(point(50, 40, 0));
  await older;
  expect(store.settled.value).toBe(false);
});

test("what the kernel has confirmed is kept by its request", async () => {
  const { kernel, decoder, actions } = setUp();
  actions.addPrompt(point(20, 20));
  await decoder.answerNow();
  actions.keep();
  expect(intents(kernel).map((i) => i.op)).toEqual(["keep"]);
});

test("while the kernel is busy one keeps and goes on; all arrives when it is free", async () => {
  const { kernel, store, decoder, actions } = setUp();
  kernel.dead = true; // takes messages, and does nothing yet
  actions.addPrompt(point(20, 20));
  await decoder.answerNow();
  actions.keep();
  expect(store.local.pending.value).toHaveLength(1);
  expect(store.prompts.value).toEqual([]);
  expect(store.shown.value).toBeNull();

  actions.addPrompt(point(40, 40));
  await decoder.answerNow();
  actions.pick(1);
  actions.addPrompt(point(42, 41));
  await decoder.answerNow();
  expect(decoder.asked.at(-1)!.picks).toEqual([1]);
  expect(store.settled.value).toBe(true);
  actions.keep();
  const [first, second] = kept(kernel);
  expect(first!.prompts).toEqual([point(20, 20)]);
  expect(second).toMatchObject({ prompts: [point(40, 40), point(42, 41)], picks: [1], picked: 0, label: "car" });
  expect(first!.id).toMatch(/^[0-9a-f]{32}$/);
  expect(second!.id).not.toBe(first!.id);
  // No draft was sent that could arrive after what was kept.
  const drafts = kernel.sent.filter((s): s is Partial<Traits> => !("op" in s)).map((s) => s.prompts);
  expect(drafts).toEqual([[point(20, 20)], []]);

  kernel.dead = false;
  actions.addPrompt(point(30, 30));
  kernel.send(first!);
  expect(store.local.pending.value.map((p) => p.id)).toEqual([second!.id]);
  expect(store.prompts.value).toEqual([point(30, 30)]);
  kernel.send(second!);
  expect(store.local.pending.value).toEqual([]);
  expect(store.local.ahead.value).toBeNull();
  // The draft that was begun meanwhile is the kernel's now, too.
  expect(kernel.get("prompts")).toEqual([point(30, 30)]);
  expect(store.settled.value).toBe(true);
  expect(store.unconfirmed.value).toBe(false);
});

test("what the kernel refuses is no longer waited for", async () => {
  const { kernel, store, decoder, actions } = setUp();
  kernel.dead = true;
  actions.addPrompt(point(20, 20));
  await decoder.answerNow();
  actions.keep();
  const request = kept(kernel)[0]!.request;
  kernel.push({ notice: { id: "n", level: "error", code: "LabelError", message: "No such label.", request } });
  expect(store.local.pending.value).toEqual([]);
  expect(store.unconfirmed.value).toBe(false);
});

test("undo takes back what only the page knows; else it waits its turn", async () => {
  const { kernel, store, decoder, actions } = setUp();
  kernel.dead = true;
  actions.addPrompt(point(20, 20));
  await decoder.answerNow();
  actions.keep();
  actions.addPrompt(point(40, 40));
  actions.undo();
  expect(store.prompts.value).toEqual([]);
  actions.undo();
  expect(intents(kernel).map((i) => i.op)).toEqual(["keep_draft"]);
  kernel.dead = false;
  kernel.send(kept(kernel)[0]!);
  expect(intents(kernel).map((i) => i.op)).toEqual(["keep_draft", "keep_draft", "undo"]);
  expect(store.annotations.value).toEqual([]);
});

test("a kernel that is silent for long is told of once, and no more when it answers", async () => {
  vi.useFakeTimers();
  try {
    const { kernel, view, decoder, actions } = setUp();
    kernel.held = [];
    actions.addPrompt(point(20, 20));
    await decoder.answerNow();
    vi.advanceTimersByTime(15_000);
    actions.addPrompt(point(22, 22));
    await decoder.answerNow();
    expect(view.localNotice.value).toBeNull();
    vi.advanceTimersByTime(6_000);
    expect(view.localNotice.value).toMatchObject({ code: "unheard", level: "info" });
    kernel.answerNow();
    expect(view.localNotice.value).toBeNull();
  } finally {
    vi.useRealTimers();
  }
});

test("without an answer of the page nothing is kept before the kernel's", () => {
  const { kernel, actions } = setUp();
  kernel.held = [];
  actions.addPrompt(point(20, 20));
  actions.keep();
  expect(intents(kernel)).toEqual([]);
});

test("levels order the three masks of an ambiguous click by their size", () => {
  const item = (area: number) => ({ predicted_iou: 0.5, stability_score: 0.5, area, box: [0, 0, 1, 1] as [number, number, number, number] });
  const candidates = { items: [item(50), item(900), item(10), item(5000)], tokens: [2, 3, 1, 0] };
  expect(pickFor("best", candidates)).toBe(0);
  expect(pickFor("whole", candidates)).toBe(1);
  expect(pickFor("part", candidates)).toBe(0);
  expect(pickFor("subpart", candidates)).toBe(2);
  expect(pickFor("subpart", { items: [item(3)] })).toBe(0);
});

test("the newest place under the pointer wins; a draft ends the preview", async () => {
  const { store, view, decoder, actions } = setUp();
  const hover = createHoverPreview(store, view, decoder);
  view.pointer.value = { x: 20, y: 20 };
  await settle();
  view.pointer.value = { x: 22, y: 20 };
  view.pointer.value = { x: 24.006, y: 20 };
  await settle();
  expect(decoder.asked.map(({ prompts }) => prompts[0])).toEqual([point(20, 20)]); // one at a time
  await decoder.answerNow();
  expect(hover.candidates.value!.by).toBe("page");
  await settle();
  expect(decoder.asked.map(({ prompts }) => prompts[0])).toEqual([point(20, 20), point(24.01, 20)]);
  await decoder.answerNow();
  actions.addPrompt(point(24, 20));
  expect(hover.candidates.value).toBeNull();
  hover.dispose();
});

test("nothing is previewed where a click would do something else, or this page cannot answer", async () => {
  const { store, view, decoder } = setUp();
  const hover = createHoverPreview(store, view, decoder);
  view.pointer.value = { x: 20, y: 20 };
  view.mode.value = "exclude";
  await settle();
  view.mode.value = "include";
  view.previews.value = false;
  await settle();
  view.previews.value = true;
  decoder.state.value = "failed";
  await settle();
  expect(decoder.asked).toEqual([]);
  decoder.state.value = "ready";
  await settle();
  expect(decoder.asked).toHaveLength(1);
  const seen: unknown[] = [];
  const stop = effect(() => void seen.push(hover.candidates.value));
  view.pointer.value = null;
  await decoder.answerNow(); // too late
  expect(seen).toEqual([null]);
  stop();
  hover.dispose();
});

import { createActions } from "../src/state/actions";
import { createStore } from "../src/state/store";
import { createViewState } from "../src/state/view_state";
import type { Traits } from "../src/host/traits";
import { makeKernel } from "./helpers";

const point = (x: number, y: number, label: 0 | 1 = 1) => ({ type: "point", x, y, label }) as const;

function setUp() {
  const kernel = makeKernel();
  const store = createStore(kernel);
  const view = createViewState(store);
  return { kernel, store, view, actions: createActions(store, view) };
}

afterEach(() => vi.useRealTimers());

test("a click sets prompts and request together, once", () => {
  const { kernel, actions } = setUp();
  actions.addPrompt(point(20, 20));
  expect(kernel.sent).toHaveLength(1);
  const [values] = kernel.sent as Partial<Traits>[];
  expect(Object.keys(values!).sort()).toEqual(["prompts", "request"]);
  expect(values!.prompts).toEqual([point(20, 20)]);
  expect(values!.request).toMatch(/^view\w+-1$/);
});

test("a click on the square answers with its mask", () => {
  const { store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  const best = store.shown.value!.items[0]!;
  expect(store.shown.value!.items).toHaveLength(4);
  expect(best.area).toBeGreaterThan(230);
  expect(best.area).toBeLessThan(280);
  expect(best.box.map((v) => Math.round(v / 16))).toEqual([1, 1, 2, 2]);
  expect(store.settled.value).toBe(true);
});

test("a stale answer is ignored, and the newest one shown", () => {
  const { kernel, store, actions } = setUp();
  kernel.held = [];
  actions.addPrompt(point(20, 20));
  actions.addPrompt(point(25, 25));
  const [first, second] = (kernel.sent as Partial<Traits>[]).map((v) => v.request);
  kernel.answerNow([0]);
  expect(kernel.get("candidates")!.request).toBe(first);
  expect(store.shown.value).toBeNull();
  expect(store.waiting.value).toBe(true);
  kernel.held = [];
  kernel.push({ candidates: { ...kernel.get("candidates")!, request: second! } });
  expect(store.shown.value!.request).toBe(second);
  expect(store.waiting.value).toBe(false);
});

test("the last answer stays on screen while the next is awaited, but cannot be kept", () => {
  const { kernel, store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  const shown = store.shown.value;
  kernel.held = [];
  actions.addPrompt(point(50, 40, 0));
  expect(store.shown.value).toBe(shown);
  expect(store.settled.value).toBe(false);
  const sent = kernel.sent.length;
  actions.keep();
  expect(kernel.sent).toHaveLength(sent);
});

test("request and candidates may arrive in either order", () => {
  const { kernel, store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  const candidates = { ...kernel.get("candidates")!, request: "kernel-9" };
  kernel.push({ request: "kernel-9", candidates });
  expect(store.shown.value).toBe(candidates);
  const later = { ...candidates, request: "kernel-10" };
  kernel.push({ candidates: later, request: "kernel-10" });
  expect(store.shown.value).toBe(later);
});

test("a refused request is answered by its notice", () => {
  const { kernel, store, actions } = setUp();
  kernel.held = [];
  actions.addPrompt(point(20, 20));
  expect(store.waiting.value).toBe(true);
  const { request } = kernel.sent[0] as { request: string };
  kernel.push({ notice: { id: "n", level: "error", code: "x", message: "No.", request } });
  expect(store.waiting.value).toBe(false);
});

test("keeping names what was on screen", () => {
  const { kernel, store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  actions.pick(2);
  actions.keep();
  const { request } = kernel.sent[0] as { request: string };
  expect(kernel.sent.at(-1)).toEqual({ op: "keep", request, picked: 2 });
  expect(store.annotations.value.map((a) => a.label)).toEqual(["car"]);
  expect(store.shown.value).toBeNull();
});

test("picks go round, and an impossible one is not sent", () => {
  const { kernel, store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  actions.pickBy(-1);
  expect(store.picked.value).toBe(3);
  actions.pickBy(1);
  expect(store.picked.value).toBe(0);
  const sent = kernel.sent.length;
  actions.pick(4);
  actions.pick(0);
  expect(kernel.sent).toHaveLength(sent);
});

test("a new box replaces the old one and keeps the clicks", () => {
  const { store, actions } = setUp();
  const box = (x1: number) => ({ type: "box", x0: 2, y0: 2, x1, y1: 40 }) as const;
  actions.addPrompt(box(30));
  actions.addPrompt(point(20, 20));
  actions.addPrompt(box(40));
  expect(store.prompts.value).toEqual([point(20, 20), box(40)]);
});

test("removing the last prompt drops the draft", () => {
  const { kernel, store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  actions.addPrompt(point(22, 22));
  actions.removeLastPrompt();
  expect(store.prompts.value).toEqual([point(20, 20)]);
  actions.removeLastPrompt();
  expect(kernel.sent.at(-1)).toEqual({ op: "clear" });
  expect(store.shown.value).toBeNull();
});

test("an undo does not overtake the click before it", () => {
  const { kernel, actions } = setUp();
  kernel.held = [];
  actions.addPrompt(point(20, 20));
  actions.undo();
  expect(kernel.sent).toHaveLength(1);
  kernel.answerNow();
  expect(kernel.sent.at(-1)).toEqual({ op: "undo" });
  expect(kernel.get("prompts")).toEqual([]);
});

test("undo and redo bring draft and annotations back", () => {
  const { store, actions } = setUp();
  actions.addPrompt(point(20, 20));
  actions.keep();
  expect(store.history.value.undo).toBe("keep car");
  actions.undo();
  expect(store.annotations.value).toEqual([]);
  expect(store.prompts.value).toHaveLength(1);
  expect(store.settled.value).toBe(true);
  actions.redo();
  expect(store.annotations.value).toHaveLength(1);
});

test("a kernel that does not answer becomes a notice, and the notice leaves with the answer", () => {
  vi.useFakeTimers();
  const { kernel, view, actions } = setUp();
  kernel.held = [];
  actions.addPrompt(point(20, 20));
  vi.advanceTimersByTime(9_000);
  expect(view.localNotice.value).toBeNull();
  vi.advanceTimersByTime(2_000);
  expect(view.localNotice.value!.message).toContain("did not answer within 10 seconds");
  kernel.answerNow();
  expect(view.localNotice.value).toBeNull();
});

test("a kernel that says it is at work gets longer", () => {
  vi.useFakeTimers();
  const { kernel, view, actions } = setUp();
  kernel.held = [];
  kernel.push({ status: { ...kernel.get("status"), state: "embedding" } });
  actions.addPrompt(point(20, 20));
  vi.advanceTimersByTime(59_000);
  expect(view.localNotice.value).toBeNull();
  vi.advanceTimersByTime(2_000);
  expect(view.localNotice.value!.code).toBe("no_answer");
});

test("a closed connection is a notice, not an exception", () => {
  const { kernel, view, actions } = setUp();
  kernel.set = () => {
    throw new Error("Comm is closed");
  };
  expect(() => actions.addPrompt(point(20, 20))).not.toThrow();
  expect(view.localNotice.value!.code).toBe("connection_closed");
});

test("a label that exists is chosen instead of added", () => {
  const { kernel, store, actions } = setUp();
  actions.addLabel("  person ");
  expect(kernel.sent).toEqual([{ label: "person" }]);
  actions.addLabel("  ");
  expect(kernel.sent).toHaveLength(1);
  actions.addLabel("tree");
  expect(kernel.sent.at(-1)).toEqual({ op: "add_label", name: "tree" });
  expect(store.currentLabel.value.name).toBe("tree");
});

test("two stores of one model stay in step, and a disposed one listens no more", () => {
  const kernel = makeKernel();
  const [one, two] = [createStore(kernel), createStore(kernel)];
  const actions = createActions(one, createViewState(one));
  actions.addPrompt(point(20, 20));
  actions.pick(1);
  expect(two.prompts.value).toEqual(one.prompts.value);
  expect(two.picked.value).toBe(1);
  expect(two.shown.value).toBe(one.shown.value);
  one.dispose();
  two.dispose();
  expect(kernel.listenerCount).toBe(0);
});

test("a draft takes a hundred prompts, and says so when there are more", () => {
  const { kernel, store, view, actions } = setUp();
  kernel.dead = true; // it need not answer all of them
  for (let i = 0; i < 130; i++) actions.addPrompt(point(1 + (i % 60), 1 + (i % 40)));
  expect(store.prompts.value).toHaveLength(100);
  expect(kernel.sent).toHaveLength(100);
  expect(view.localNotice.value!.message).toMatch(/100 prompts/);
});

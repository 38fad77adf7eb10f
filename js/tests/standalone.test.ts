// A page without a kernel: its decoder answers, its own session keeps and takes back.
import { signal } from "@preact/signals";
import { Superseded, type Engine } from "../src/decode/engine";
import { decodeRle } from "../src/codecs/rle";
import { Standalone } from "../src/host/standalone";
import type { CandidatesTrait, Prompt, Traits } from "../src/host/traits";

const POINT: Prompt = { type: "point", x: 1, y: 1, label: 1 };
const MORE: Prompt = { type: "point", x: 3, y: 1, label: 0 };

/** Four candidates on a 4 x 2 image: the n-th has its first n + 1 columns inside. */
function found(): CandidatesTrait {
  const logits = new Float32Array(4 * 2 * 4);
  for (let n = 0; n < 4; n++)
    for (let y = 0; y < 2; y++) for (let x = 0; x < 4; x++) logits[n * 8 + y * 4 + x] = x <= n ? 2 : -2;
  return {
    request: "", tokens: [1, 2, 3, 0], shape: [4, 2, 4], scale: [1, 1], logits, ms: 1, by: "page",
    items: [0, 1, 2, 3].map((n) => ({
      predicted_iou: 0.9 - n / 10, stability_score: 1, area: 2 * (n + 1), box: [0, 0, n + 1, 2],
    })),
  };
}

function page(level: Traits["level"] = "best") {
  const asked: { prompts: readonly Prompt[]; picks: readonly number[] }[] = [];
  const state = signal<"off" | "loading" | "ready" | "failed">("loading");
  const engine: Pick<Engine, "answer" | "state"> & { next: () => Promise<CandidatesTrait> | null } = {
    state,
    next: () => Promise.resolve(found()),
    answer(prompts, picks) {
      asked.push({ prompts, picks });
      return engine.next();
    },
  };
  const image = { name: "a", width: 4, height: 2, mime: "image/png", preview_width: 4, preview_height: 2, data: "" };
  const host = new Standalone(
    { image, level, labels: [{ name: "cat", color: "#ff0000" }], label: "cat" },
    () => Promise.resolve(new ArrayBuffer(3)),
  );
  const stop = host.answerWith(engine);
  return { host, engine, state, asked, stop };
}
const settle = () => new Promise((done) => setTimeout(done, 0));

test("what is clicked while the model is unpacked is answered afterwards, the newest only", async () => {
  const { host, state, asked } = page();
  expect(host.get("status").state).toBe("loading");
  host.set({ prompts: [POINT], request: "r1" });
  host.set({ prompts: [POINT, MORE], request: "r2" });
  expect(asked).toEqual([]);
  state.value = "ready";
  await settle();
  expect(asked).toEqual([{ prompts: [POINT, MORE], picks: [0] }]);
  expect(host.get("candidates")?.request).toBe("r2");
  expect(host.get("status")).toMatchObject({ state: "ready", device: "page", message: "" });
});

test("one prompt more refines what is picked; the preferred level is picked first", async () => {
  const { host, state, asked } = page("whole");
  state.value = "ready";
  host.set({ prompts: [POINT], request: "r1" });
  await settle();
  expect(host.get("picked")).toBe(2);
  host.set({ prompts: [POINT, MORE], request: "r2" });
  await settle();
  expect(asked[1]).toEqual({ prompts: [POINT, MORE], picks: [2] });
  expect(host.get("picked")).toBe(0);
  host.set({ prompts: [MORE], request: "r3" });
  await settle();
  expect(asked[2]!.picks).toEqual([]);
});

test("a kept draft is the mask on screen, and undo brings the draft back as it was", async () => {
  const { host, state } = page();
  state.value = "ready";
  host.set({ prompts: [POINT], request: "r1" });
  await settle();
  host.set({ picked: 1 });
  const draft = { id: "k1", request: "k1", prompts: [POINT], picks: [], picked: 1, label: "cat", threshold: 0, seconds: 1 };
  host.send({ op: "keep_draft", ...draft });
  const [kept] = host.get("annotations");
  expect(kept).toMatchObject({ id: "k1", label: "cat", area: 4, box: [0, 0, 2, 2], visible: true });
  expect([...decodeRle(kept!.rle.size, kept!.rle.counts).ends]).toEqual([0, 4, 8]);
  expect([host.get("prompts"), host.get("candidates")]).toEqual([[], null]);
  expect(host.get("history")).toEqual({ undo: "keep cat", redo: null });

  host.send({ op: "undo" });
  expect(host.get("annotations")).toEqual([]);
  expect([host.get("prompts"), host.get("picked")]).toEqual([[POINT], 1]);
  expect(host.get("candidates")?.request).toBe(host.get("request"));
  host.send({ op: "redo" });
  expect(host.get("annotations")).toHaveLength(1);
});

test("the threshold of the draft is the kept mask's; an empty mask is refused", async () => {
  const { host, state } = page();
  state.value = "ready";
  host.set({ prompts: [POINT], request: "r1" });
  await settle();
  host.send({ op: "keep", request: "r1", picked: 0, threshold: 3 });
  expect(host.get("annotations")).toEqual([]);
  expect(host.get("notice")?.level).toBe("error");
  host.send({ op: "keep", request: "r1", picked: 0, threshold: -3 });
  expect(host.get("annotations")[0]!.area).toBe(8);
});

test("labels, hiding, relabeling and deleting are steps that can be undone", async () => {
  const { host, state } = page();
  state.value = "ready";
  host.set({ prompts: [POINT], request: "r1" });
  await settle();
  host.send({ op: "keep", request: "r1", picked: 0 });
  const { id } = host.get("annotations")[0]!;
  host.send({ op: "add_label", name: "<b>dog</b>" });
  host.send({ op: "relabel", ids: [id], label: "<b>dog</b>" });
  host.send({ op: "show", ids: [id], visible: false });
  expect(host.get("annotations")[0]).toMatchObject({ label: "<b>dog</b>", visible: false });
  expect(new Set(host.get("labels").map((l) => l.color)).size).toBe(2);
  host.send({ op: "delete", ids: [id] });
  expect(host.get("annotations")).toEqual([]);
  for (let i = 0; i < 4; i++) host.send({ op: "undo" });
  expect(host.get("annotations")[0]).toMatchObject({ label: "cat", visible: true });
  expect(host.get("labels")).toHaveLength(1);
});

test("what cannot be answered says so; what was overtaken does not", async () => {
  const { host, engine, state } = page();
  state.value = "ready";
  engine.next = () => Promise.reject(new Superseded());
  host.set({ prompts: [POINT], request: "r1" });
  await settle();
  expect(host.get("notice")).toBeNull();
  engine.next = () => null;
  host.set({ prompts: [POINT, MORE], request: "r2" });
  expect(host.get("notice")).toMatchObject({ level: "error", request: "r2" });
  host.send({ op: "everything" });
  expect(host.get("notice")).toMatchObject({ level: "info", code: "no_kernel" });
  state.value = "failed";
  expect(host.get("status").state).toBe("failed");
});

test("parts come out of the page", async () => {
  expect((await page().host.part("k")).byteLength).toBe(3);
});

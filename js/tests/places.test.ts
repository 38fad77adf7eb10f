// What hosts other than JupyterLab are known to do: VS Code, Colab, marimo.
import { hostOf, type SegmenterModel } from "../src/host/anywidget";
import { gridOf } from "../src/codecs/logits";
import { bytesOf } from "../src/codecs/bytes";
import type { Delivery } from "../src/host/intents";
import type { CandidatesTrait } from "../src/host/traits";
import { mountSegmenter } from "../src/mount";
import { isDark } from "../src/ui/theme";
import widget from "../src/widget";

type Heard = (...values: unknown[]) => void;

function fakeModel(state: Record<string, unknown> = {}) {
  const listeners = new Map<string, Set<Heard>>();
  const calls: unknown[][] = [];
  const model = {
    calls,
    listeners,
    get: (name: string) => state[name],
    set: (name: string, value: unknown) => void calls.push(["set", name, (state[name] = value)]),
    save_changes: () => void calls.push(["save"]),
    // Colab and Jupyter: a message, callbacks, buffers.
    send: (...values: unknown[]) => void calls.push(["send", ...values]),
    on: (name: string, f: Heard) => void listeners.set(name, (listeners.get(name) ?? new Set()).add(f)),
    off: (name: string, f: Heard) => void listeners.get(name)?.delete(f),
    arrive: (name: string, ...values: unknown[]) => {
      for (const f of [...(listeners.get(name) ?? [])]) f(...values);
    },
  };
  return model;
}
const hostFor = (model: ReturnType<typeof fakeModel>) => hostOf(model as unknown as SegmenterModel);

/** As VS Code hands buffers over: a view somewhere inside a larger message. */
function viewInside(bytes: readonly number[], offset = 13): DataView {
  const message = new Uint8Array(offset + bytes.length + 7).fill(0xee);
  message.set(bytes, offset);
  return new DataView(message.buffer, offset, bytes.length);
}

const candidates = (logits: CandidatesTrait["logits"]): CandidatesTrait => ({
  request: "a", shape: [2, 1, 2], scale: [1, 1], logits, ms: 1,
  items: [0, 1].map(() => ({ predicted_iou: 0.5, stability_score: 0.5, area: 1, box: [0, 0, 1, 1] })),
});

describe("binary values", () => {
  const quantized = [0, 255, 255, 0];
  const text = btoa(String.fromCharCode(...quantized));
  const signs = (trait: CandidatesTrait): number[] =>
    [0, 1].flatMap((i) => [...gridOf(trait, i)!.values].map(Math.sign));

  test.each([
    ["a view with an offset", viewInside(quantized)],
    ["typed bytes with an offset", new Uint8Array(viewInside(quantized).buffer, 13, 4)],
    ["a whole buffer", Uint8Array.from(quantized).buffer],
    ["base64 text", text],
  ])("are read from %s", (_, logits) => {
    const host = hostFor(fakeModel({ candidates: candidates(logits) }));
    expect(signs(host.get("candidates")!)).toEqual([-1, 1, 1, -1]);
    expect(bytesOf(host.get("candidates")!.logits as DataView)).toEqual(Uint8Array.from(quantized));
  });

  test("of a delivery keep their offset, and a message without buffers has none", () => {
    const model = fakeModel();
    const heard: [Delivery, Uint8Array[]][] = [];
    hostFor(model).onDelivery((delivery, buffers) => heard.push([delivery, buffers.map(bytesOf)]));
    const part = { op: "part", key: "k", piece: 0, pieces: 1 };
    model.arrive("msg:custom", part, [viewInside([1, 2, 3])]);
    model.arrive("msg:custom", part);
    model.arrive("msg:custom", { op: "someone else's" }, []);
    model.arrive("msg:custom", null);
    expect(heard.map(([, buffers]) => buffers)).toEqual([[Uint8Array.of(1, 2, 3)], []]);
  });
});

describe("a page that refuses storage, as a sandboxed frame does", () => {
  const refuse = { get: () => { throw new DOMException("denied", "SecurityError"); }, configurable: true };
  const NAMES = ["localStorage", "sessionStorage", "caches", "indexedDB"] as const;
  const before = NAMES.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  beforeEach(() => {
    for (const name of NAMES) Object.defineProperty(globalThis, name, refuse);
  });
  afterEach(() => {
    NAMES.forEach((name, i) => {
      if (before[i]) Object.defineProperty(globalThis, name, before[i]);
      else delete (globalThis as Record<string, unknown>)[name];
    });
  });

  test("shows the widget all the same, and each frame knows only its own model", () => {
    const views = ["cat", "dog"].map((name) => {
      const el = document.createElement("div");
      document.body.append(el);
      const model = fakeModel({ labels: [{ name, color: "#ff0000" }], label: name });
      return { el, close: mountSegmenter(hostFor(model), el) };
    });
    const chips = views.map(({ el }) => el.querySelector("[data-testid=label-chip]")?.textContent);
    expect(chips[0]).toContain("cat");
    expect(chips[1]).toContain("dog");
    for (const { el, close } of views) {
      close();
      el.remove();
    }
  });
});

describe("what must survive a reload", () => {
  test("is read from traits alone: a model without custom messages shows prompts and annotations", () => {
    const el = document.createElement("div");
    document.body.append(el);
    const rle = { size: [2, 2], counts: "04" };
    const model = fakeModel({
      annotations: [{ id: "a", label: "cat", rle, box: [0, 0, 2, 2], area: 4, predicted_iou: 0.9, stability_score: 0.9, visible: true }],
      labels: [{ name: "cat", color: "#ff0000" }],
    });
    const close = mountSegmenter(hostFor(model), el);
    expect(el.querySelectorAll("[data-testid=annotation-row]")).toHaveLength(1);
    expect(model.calls.filter(([what]) => what === "set" || what === "save")).toEqual([]);
    close();
    el.remove();
  });
});

describe("marimo", () => {
  afterEach(() => vi.restoreAllMocks());

  test("is told once that what an intent has changed may be read", () => {
    vi.spyOn(customElements, "get").mockReturnValue(HTMLElement as CustomElementConstructor);
    const model = fakeModel({ history: { undo: "keep cat", redo: null } });
    const host = hostFor(model);
    model.arrive("change:annotations");
    expect(model.calls).toEqual([]);

    host.send({ op: "undo" });
    host.send({ op: "undo" });
    expect(model.calls.map(([what]) => what)).toEqual(["send", "send"]);
    model.arrive("change:annotations");
    model.arrive("change:annotations");
    expect(model.calls.slice(2)).toEqual([["set", "history", { undo: "keep cat", redo: null }], ["save"]]);
    expect([...model.listeners.values()].every((set) => set.size === 0)).toBe(true);
  });

  test("is nothing that other notebooks hear of", () => {
    const model = fakeModel();
    hostFor(model).send({ op: "undo" });
    model.arrive("change:annotations");
    expect(model.calls).toEqual([["send", { op: "undo" }]]);
  });
});

describe("the theme", () => {
  afterEach(() => {
    document.documentElement.removeAttribute("theme");
    document.body.replaceChildren();
  });
  const placed = (background: string): HTMLElement => {
    const outer = document.createElement("div");
    outer.style.backgroundColor = background;
    const root = document.createElement("div");
    document.body.append(outer);
    outer.attachShadow({ mode: "open" }).append(root);
    return root;
  };

  test("is seen through a shadow root", () => {
    expect(isDark(placed("rgb(20, 20, 20)"))).toBe(true);
    expect(isDark(placed("rgb(250, 250, 250)"))).toBe(false);
  });

  test("is Colab's word where nothing is painted behind", () => {
    const root = placed("");
    document.documentElement.setAttribute("theme", "dark");
    expect(isDark(root)).toBe(true);
    document.documentElement.setAttribute("theme", "light");
    expect(isDark(root)).toBe(false);
  });
});

describe("a view without a kernel", () => {
  test("says so, sends nothing, and goes on when there is one again", async () => {
    const el = document.createElement("div");
    el.className = "jupyter-widgets-disconnected";
    document.body.append(el);
    const model = fakeModel({
      status: { state: "loading", model: "embedded", device: "cpu", message: "Loading", progress: null },
      labels: [{ name: "cat", color: "#ff0000" }, { name: "dog", color: "#0000ff" }],
      label: "cat",
    });
    const close = widget.render({ model: model as unknown as SegmenterModel, el });
    const root = el.querySelector<HTMLElement>("[data-testid=segwidget-root]")!;
    expect(root.dataset["connected"]).toBe("false");
    expect(root.textContent).toContain("No kernel is connected");
    expect(root.querySelector("[data-testid=status]")!.textContent).not.toContain("Loading");
    expect(root.querySelector("[data-testid=model-button]")).toBeNull();
    root.querySelectorAll<HTMLElement>("[data-testid=label-chip]")[1]!.click();
    expect(model.calls).toEqual([]);

    el.className = "";
    await vi.waitFor(() => expect(root.dataset["connected"]).toBe("true"));
    expect(root.textContent).not.toContain("No kernel is connected");
    root.querySelectorAll<HTMLElement>("[data-testid=label-chip]")[1]!.click();
    expect(model.calls).toEqual([["set", "label", "dog"], ["save"]]);
    close();
    el.remove();
  });
});

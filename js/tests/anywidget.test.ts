import { hostOf, type SegmenterModel } from "../src/host/anywidget";
import widget from "../src/widget";

/** What anywidget hands over: a model that notes what is called. */
function fakeModel(state: Record<string, unknown>) {
  const listeners = new Map<string, Set<() => void>>();
  const calls: unknown[] = [];
  return {
    calls,
    listeners,
    get: (name: string) => state[name],
    set: (name: string, value: unknown) => {
      calls.push(["set", name]);
      state[name] = value;
      for (const f of listeners.get(`change:${name}`) ?? []) f();
    },
    save_changes: () => calls.push(["save"]),
    send: (content: unknown) => calls.push(["send", content]),
    on: (name: string, f: () => void) => {
      listeners.set(name, (listeners.get(name) ?? new Set()).add(f));
    },
    off: (name: string, f: () => void) => listeners.get(name)?.delete(f),
  };
}

test("several traits travel in one save, and a missing trait has its default", () => {
  const model = fakeModel({});
  const host = hostOf(model as unknown as SegmenterModel);
  const heard = vi.fn();
  const stop = host.on("prompts", heard);
  host.set({ prompts: [], request: "a-1" });
  expect(model.calls).toEqual([["set", "prompts"], ["set", "request"], ["save"]]);
  expect(heard).toHaveBeenCalledTimes(1);
  stop();
  host.set({ prompts: [] });
  expect(heard).toHaveBeenCalledTimes(1);
  expect(host.get("height")).toBe(540);
});

test("a rendered view is taken down without a trace", () => {
  const model = fakeModel({ labels: [{ name: "car", color: "#ff0000" }] });
  const el = document.createElement("div");
  document.body.append(el);
  const close = widget.render({ model: model as unknown as SegmenterModel, el });
  expect(el.querySelector("[data-testid=segwidget-root]")).not.toBeNull();
  expect(el.querySelectorAll("[data-testid=label-chip]")).toHaveLength(1);
  const canvas = el.querySelector("canvas")!;
  close();
  expect(el.childElementCount).toBe(0);
  expect([...model.listeners.values()].every((set) => set.size === 0)).toBe(true);
  expect([canvas.width, canvas.height]).toEqual([0, 0]);
});

import type { Prompt } from "../src/host/traits";
import { makeKernel, mountedForEach, settle, type Mounted } from "./helpers";

// The stage measures 640 x 480, and the picture of 64 x 48 fits it at 9.5.
let widget: Mounted;
let kernel: ReturnType<typeof makeKernel>;

mountedForEach((mounted, fake) => {
  widget = mounted;
  kernel = fake;
});
beforeEach(() => key("c"));

function key(name: string, more: KeyboardEventInit = {}): void {
  widget.canvas.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
}
const prompts = (): Prompt[] => kernel.get("prompts");
const said = async (): Promise<string> => {
  await settle();
  return widget.find("live").textContent;
};

test("it begins in the middle, and says where it is when asked", async () => {
  key("h");
  expect(await said()).toBe("At 32, 24");
});

test("arrows move it by screen pixels, Enter includes and Shift+Enter excludes there", async () => {
  const scale = Number(widget.canvas.dataset["scale"]);
  key("ArrowRight");
  key("Enter");
  key("ArrowUp", { shiftKey: true });
  key("Enter", { shiftKey: true });
  const [include, exclude] = prompts();
  if (include?.type !== "point" || exclude?.type !== "point") throw new Error("two points were expected");
  expect(include.label).toBe(1);
  expect(include.x).toBeCloseTo(32 + 2 / scale, 1);
  expect(exclude.label).toBe(0);
  expect(exclude.y).toBeCloseTo(24 - 20 / scale, 1);
  key("Backspace");
  key("k");
  expect(kernel.get("annotations")).toHaveLength(1);
});

test("B and B again give a box", async () => {
  key("b");
  for (let i = 0; i < 5; i++) key("ArrowRight", { shiftKey: true });
  for (let i = 0; i < 5; i++) key("ArrowDown", { shiftKey: true });
  key("b");
  const [box] = prompts();
  if (box?.type !== "box") throw new Error("a box was expected");
  expect([box.x0, box.y0]).toEqual([32, 24]);
  expect(box.x1 - box.x0).toBeCloseTo(box.y1 - box.y0, 1);
});

test("it stays in the picture", async () => {
  for (let i = 0; i < 60; i++) key("ArrowLeft", { shiftKey: true });
  key("h");
  expect(await said()).toBe("At 0, 24");
});

test("a polygon by keys", () => {
  key("g");
  key("c"); // choosing a tool leaves the crosshair on
  key("c");
  key("Enter");
  key("ArrowRight", { shiftKey: true });
  key("ArrowRight", { shiftKey: true });
  key("Enter");
  key("ArrowDown", { shiftKey: true });
  key("ArrowDown", { shiftKey: true });
  key("Enter");
  key("ArrowUp", { shiftKey: true });
  key("ArrowUp", { shiftKey: true });
  key("ArrowLeft", { shiftKey: true });
  key("ArrowLeft", { shiftKey: true });
  key("Enter"); // on the first corner
  expect(prompts()).toMatchObject([{ type: "polygon" }]);
});

test("C and Escape leave it; then Enter is the draft's again", async () => {
  key("Escape");
  expect(await said()).toBe("Crosshair off");
  key("Enter");
  expect(prompts()).toEqual([]);
  key("c");
  key("c");
  key("ArrowRight");
  key("h");
  expect(await said()).toBe("The crosshair is off");
});

import type { AnnotationTrait } from "../src/host/traits";
import { FakeKernel } from "../src/host/fake_kernel";
import { HEIGHT, mountedForEach, settle, WIDTH, type Mounted } from "./helpers";

let widget: Mounted;
let kernel: FakeKernel;
mountedForEach((mounted, fake) => {
  widget = mounted;
  kernel = fake;
});

const mask = (id: string): AnnotationTrait => ({
  id, label: "car", rle: { size: [HEIGHT, WIDTH], counts: "0" }, box: [0, 0, 4, 4], area: 16,
  predicted_iou: 0.5, stability_score: 0.5, visible: true,
});
const selectedRows = (): (string | undefined)[] =>
  widget.all("annotation-row").filter((row) => row.dataset["selected"]).map((row) => row.dataset["id"]);

test("a mask that the kernel asks for is selected, said, and reported once", async () => {
  kernel.push({ annotations: [mask("a"), mask("b")] });
  await settle();
  kernel.push({ selection: "a" });
  await settle();
  expect(selectedRows()).toEqual(["a"]);
  expect(widget.find("live").textContent).toContain("Selected car, 2 of 2");
  expect(kernel.sent.filter((one) => "op" in one && one.op === "selected")).toEqual([{ op: "selected", id: "a" }]);
  expect(kernel.get("selection")).toBe("");

  // The person goes on; the same may be asked for again.
  widget.all("select-row")[0]!.click();
  await settle();
  expect(selectedRows()).toEqual(["b"]);
  kernel.push({ selection: "a" });
  await settle();
  expect(selectedRows()).toEqual(["a"]);
});

test("a mask that comes after its name is waited for", async () => {
  kernel.push({ selection: "late" });
  await settle();
  expect(selectedRows()).toEqual([]);
  expect(kernel.sent.some((one) => "op" in one && one.op === "selected")).toBe(false);
  kernel.push({ annotations: [mask("late")] });
  await settle();
  expect(selectedRows()).toEqual(["late"]);
});

test("the list is scrolled to a row that is out of sight, and not where it is in sight", async () => {
  const many = Array.from({ length: 200 }, (_, i) => mask(`m${i}`));
  kernel.push({ annotations: many });
  await settle();
  const list = widget.root.querySelector<HTMLElement>(".sw-kept .sw-scroller")!;
  kernel.push({ selection: "m0" }); // the last row: the newest comes first
  await settle();
  expect(list.scrollTop).toBe(200 * 34 - 480);
  kernel.push({ selection: "m3" });
  await settle();
  expect(list.scrollTop).toBe(200 * 34 - 480);
  kernel.push({ selection: "m199" });
  await settle();
  expect(list.scrollTop).toBe(0);
});

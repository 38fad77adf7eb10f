import { boxBetween, markerSpot, pointAt, promptAt } from "../src/canvas/prompts";

const image = { width: 100, height: 80 };
const view = { scale: 4, x: 10, y: 20 };

test("a stage place becomes image coordinates; the middle of a pixel is at a half", () => {
  expect(pointAt(view, { x: 10 + 4 * 30.5, y: 20 + 4 * 7.5 }, image, 1)).toEqual({
    type: "point", x: 30.5, y: 7.5, label: 1,
  });
  expect(pointAt(view, { x: 10, y: 20 }, image, 0)).toEqual({ type: "point", x: 0, y: 0, label: 0 });
});

test("a place outside the image is no prompt, and none lies on its far edge", () => {
  expect(pointAt(view, { x: 9.9, y: 40 }, image, 1)).toBeNull();
  expect(pointAt(view, { x: 10 + 400, y: 40 }, image, 1)).toBeNull();
  const last = pointAt(view, { x: 10 + 399.999, y: 20 + 319.999 }, image, 1);
  expect(last!.x).toBeLessThan(100);
  expect(last!.y).toBeLessThan(80);
});

test("a box is in order and cut to the image, whichever way it was drawn", () => {
  expect(boxBetween(view, { x: 210, y: 220 }, { x: -50, y: 60 }, image)).toEqual({
    type: "box", x0: 0, y0: 10, x1: 50, y1: 50,
  });
});

test("a box without a pixel in it is none", () => {
  expect(boxBetween(view, { x: 20, y: 40 }, { x: 22, y: 90 }, image)).toBeNull();
  expect(boxBetween(view, { x: -90, y: 40 }, { x: 5, y: 90 }, image)).toBeNull();
});

test("a marker is found where it is drawn, the newest first", () => {
  const box = { type: "box", x0: 10, y0: 10, x1: 50, y1: 40 } as const;
  const near = { type: "point", x: 50.5, y: 10, label: 1 } as const;
  expect(markerSpot(box)).toEqual({ x: 50, y: 10 });
  expect(promptAt([box, near], view, { x: 211, y: 60 })).toBe(1);
  expect(promptAt([box], view, { x: 211, y: 60 })).toBe(0);
  expect(promptAt([box, near], view, { x: 300, y: 200 })).toBeNull();
});

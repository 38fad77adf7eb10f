import { clamp, fit, isInside, MAX_SCALE, pan, resized, toImage, toStage, zoomAt } from "../src/canvas/viewport";

const stage = { width: 800, height: 500 };
const image = { width: 1600, height: 900 };

test("image to stage and back is the identity", () => {
  const view = { scale: 0.37, x: 12.5, y: -40 };
  for (const spot of [{ x: 0, y: 0 }, { x: 0.5, y: 899.5 }, { x: 1234.25, y: 17 }]) {
    const back = toImage(view, toStage(view, spot));
    expect(back.x).toBeCloseTo(spot.x, 9);
    expect(back.y).toBeCloseTo(spot.y, 9);
  }
});

test("fit shows the whole image in the middle, with a margin", () => {
  const view = fit(stage, image);
  const a = toStage(view, { x: 0, y: 0 });
  const b = toStage(view, { x: image.width, y: image.height });
  expect(a.x).toBeCloseTo(12);
  expect(stage.width - b.x).toBeCloseTo(12);
  expect(a.y).toBeCloseTo(stage.height - b.y);
  expect(a.y).toBeGreaterThanOrEqual(0);
});

test("the point under the pointer stays there while zooming in", () => {
  const at = { x: 500, y: 260 };
  let view = fit(stage, image);
  const under = toImage(view, at);
  for (let i = 0; i < 12; i++) view = zoomAt(view, at, 1.25, stage, image);
  const after = toImage(view, at);
  expect(after.x).toBeCloseTo(under.x, 6);
  expect(after.y).toBeCloseTo(under.y, 6);
});

test("zoom ends at its limits", () => {
  const at = { x: 400, y: 250 };
  const start = fit(stage, image);
  expect(zoomAt(start, at, 1e6, stage, image).scale).toBe(MAX_SCALE);
  expect(zoomAt(start, at, 1e-6, stage, image).scale).toBeCloseTo(start.scale / 2);
});

test("a large image cannot be pushed off the stage, a small one stays in the middle", () => {
  const large = pan({ scale: 2, x: 0, y: 0 }, 5000, -50000, stage, image);
  expect(large.x).toBe(0);
  expect(large.y).toBe(stage.height - image.height * 2);
  const small = clamp({ scale: 0.25, x: -999, y: 999 }, stage, image);
  expect(small.x).toBeCloseTo((800 - 400) / 2);
  expect(small.y).toBeCloseTo((500 - 225) / 2);
});

test("a fitted image stays fitted when the stage changes, another zoom stays", () => {
  const smaller = { width: 400, height: 300 };
  expect(resized(fit(stage, image), stage, smaller, image)).toEqual(fit(smaller, image));
  const zoomed = zoomAt(fit(stage, image), { x: 1, y: 1 }, 4, stage, image);
  expect(resized(zoomed, stage, smaller, image).scale).toBe(zoomed.scale);
});

test("the image's far edges are outside, its near ones inside", () => {
  expect(isInside({ x: 0, y: 0 }, image)).toBe(true);
  expect(isInside({ x: 1600, y: 10 }, image)).toBe(false);
  expect(isInside({ x: 10, y: -0.01 }, image)).toBe(false);
});

import {
  contrastOn, DARK_EDGE, difference, fromLab, LIGHT_EDGE, parseHex, toHex, toLab,
} from "../src/canvas/color";

const lab = (hex: string) => toLab(parseHex(hex));
/** How far a fill of a color moves the pixels below. */
const moves = (color: string, ground: string, alpha: number): number =>
  alpha * difference(lab(color), lab(ground));

test("colors come back from how eyes see them", () => {
  for (const hex of ["#000000", "#ffffff", "#e4572e", "#2e86de", "#808080", "#0a5f38"]) {
    const { r, g, b } = fromLab(lab(hex));
    const was = parseHex(hex);
    for (const [now, before] of [[r, was.r], [g, was.g], [b, was.b]]) expect(Math.abs(now! - before!)).toBeLessThanOrEqual(1);
  }
  expect(lab("#ffffff").lightness).toBeCloseTo(1, 3);
  expect(difference(lab("#000000"), lab("#ffffff"))).toBeCloseTo(1, 3);
});

test("a color that shows anyway stays as it is", () => {
  const seen = contrastOn("#e4572e", lab("#808080"), 0.3);
  expect(difference(lab(seen.fill), lab("#e4572e"))).toBeLessThan(0.01);
  expect(difference(lab(seen.line), lab("#e4572e"))).toBeLessThan(0.01);
});

test.each([
  ["gray on gray", "#8a8f98", "#8c8c8c"],
  ["black on black", "#000000", "#020202"],
  ["white on white", "#ffffff", "#fafafa"],
  ["red on red", "#e4572e", "#e2552f"],
  ["blue on blue", "#2e86de", "#3388dd"],
  ["yellow on white", "#fffbe0", "#ffffff"],
])("%s is moved until it shows", (_, color, ground) => {
  expect(moves(color, ground, 0.3)).toBeLessThan(0.05);
  const seen = contrastOn(color, lab(ground), 0.3);
  expect(moves(seen.fill, ground, 0.3)).toBeGreaterThan(0.045);
  expect(difference(lab(seen.line), lab(ground))).toBeGreaterThan(0.15);
});

test("on every gray every label color shows, as fill and as line", () => {
  for (const color of ["#e4572e", "#2e86de", "#29a36a", "#c850c0", "#d99e0b", "#8a8f98", "#000000", "#ffffff"]) {
    for (let level = 0; level <= 255; level += 15) {
      const ground = toHex({ r: level, g: level, b: level });
      const seen = contrastOn(color, lab(ground), 0.3);
      expect(moves(seen.fill, ground, 0.3)).toBeGreaterThan(0.045);
      expect(difference(lab(seen.line), lab(ground))).toBeGreaterThan(0.15);
    }
  }
});

test("the edge is dark on light pixels and light where both line and pixels are dark", () => {
  expect(contrastOn("#e4572e", lab("#dddddd"), 0.3).edge).toBe(DARK_EDGE);
  expect(contrastOn("#301010", lab("#181818"), 0.3).edge).toBe(LIGHT_EDGE);
});

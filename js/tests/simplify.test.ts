import { simplify } from "../src/codecs/simplify";

test("stairs become a line, and no corner moves", () => {
  const stairs: number[] = [];
  for (let i = 0; i < 40; i++) stairs.push(i, i, i + 1, i);
  stairs.push(40, 60, 0, 60);
  const few = simplify(Float32Array.from(stairs), 0.75);
  expect(few.length).toBeLessThan(14);
  const known = new Set<string>();
  for (let i = 0; i < stairs.length; i += 2) known.add(`${stairs[i]},${stairs[i + 1]}`);
  for (let i = 0; i < few.length; i += 2) expect(known.has(`${few[i]},${few[i + 1]}`)).toBe(true);
});

test("a circle keeps its area within a percent", () => {
  const circle = Float32Array.from({ length: 720 }, (_, i) => {
    const angle = (Math.floor(i / 2) * Math.PI) / 180;
    return 50 + 30 * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
  const few = simplify(circle, 0.3);
  let area = 0;
  for (let i = 0; i < few.length; i += 2) {
    const j = (i + 2) % few.length;
    area += (few[i]! * few[j + 1]! - few[j]! * few[i + 1]!) / 2;
  }
  expect(few.length).toBeLessThan(circle.length / 4);
  expect(Math.abs(area / (Math.PI * 900) - 1)).toBeLessThan(0.01);
});

test("a ring with few corners stays as it is", () => {
  const square = Float32Array.of(0, 0, 1, 0, 1, 1, 0, 1);
  expect(simplify(square, 5)).toBe(square);
});

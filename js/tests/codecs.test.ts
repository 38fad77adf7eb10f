import { bytesOf } from "../src/codecs/bytes";
import { contours, contoursOfCoverage, contoursOfLogits, type Ring } from "../src/codecs/contour";
import { decodeLogits, encodeLogits, gridAt, logitAt, maskOf } from "../src/codecs/logits";
import { contains, coverageOf, decodeCounts, decodeRle, encodeCounts, encodeMask } from "../src/codecs/rle";

/** Numbers that look random and are the same in every run. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Whether (x, y) lies inside the rings by the even-odd rule. */
function inside(rings: Ring[], x: number, y: number): boolean {
  let odd = false;
  for (const ring of rings) {
    const n = ring.length;
    for (let i = 0, j = n - 2; i < n; j = i, i += 2) {
      const [xi, yi, xj, yj] = [ring[i]!, ring[i + 1]!, ring[j]!, ring[j + 1]!];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
    }
  }
  return odd;
}

describe("bytes", () => {
  test("a view's offset and length are honored", () => {
    const buffer = Uint8Array.of(9, 9, 1, 2, 3, 9).buffer;
    expect([...bytesOf(new DataView(buffer, 2, 3))]).toEqual([1, 2, 3]);
    expect([...bytesOf(new Uint8Array(buffer, 1, 2))]).toEqual([9, 1]);
    expect([...bytesOf(buffer)]).toHaveLength(6);
    expect([...bytesOf(btoa("\x01\x02"))]).toEqual([1, 2]);
    expect(bytesOf(null)).toHaveLength(0);
  });
});

describe("logits", () => {
  test("the formula of the wire, at its landmarks", () => {
    const [zero, least, most, half] = decodeLogits(Uint8Array.of(128, 1, 255, 192));
    expect(zero).toBe(0);
    expect(most).toBeCloseTo(32, 4);
    expect(least).toBeCloseTo(-32, 4);
    expect(half).toBeCloseTo(0.5 * (65 ** (64 / 127) - 1), 5);
  });

  test("encoding and decoding lose less than two percent, and never the sign", () => {
    const random = noise(7);
    const values = Float32Array.from({ length: 500 }, () => (random() - 0.5) * 40);
    decodeLogits(encodeLogits(values)).forEach((back, i) => {
      expect(Math.abs(back - values[i]!)).toBeLessThan(0.02 * Math.abs(values[i]!) + 0.01);
      if (Math.abs(values[i]!) > 0.02) expect(Math.sign(back)).toBe(Math.sign(values[i]!));
    });
  });

  test("one candidate's grid out of several", () => {
    const grid = gridAt(Uint8Array.of(128, 128, 255, 1), [2, 1, 2], [1, 1], 1);
    expect(grid.values[0]).toBeCloseTo(32, 4);
    expect(grid.values[1]).toBeCloseTo(-32, 4);
  });

  test("bilinear between samples, flat beyond the outermost", () => {
    const grid = { values: Float32Array.of(-4, 4), width: 2, height: 1, scale: [0.1, 0.1] as const };
    expect(logitAt(grid, 5, 3)).toBe(-4);
    expect(logitAt(grid, 0, 0)).toBe(-4);
    expect(logitAt(grid, 10, 9)).toBeCloseTo(0);
    expect(logitAt(grid, 12.5, 9)).toBeCloseTo(2);
    expect(logitAt(grid, 20, 0)).toBe(4);
    expect([...maskOf(grid, 20, 1)]).toEqual([...Array(10).fill(0), ...Array(10).fill(1)]);
  });
});

describe("run lengths", () => {
  test("a string of pycocotools, decoded by hand", () => {
    // 3 x 3 mask with the middle column's lower two pixels: runs 4, 2, 3.
    expect(decodeCounts("423")).toEqual([4, 2, 3]);
    // A run above 15 takes two characters: 100 = 4 + 3 * 32.
    expect(decodeCounts("T3")).toEqual([100]);
    // From the fourth run on, the difference to the run before the last: 5, 7, 9, 7 + (-2).
    expect(encodeCounts([5, 7, 9, 5])).toBe("579N");
    expect(decodeCounts("579N")).toEqual([5, 7, 9, 5]);
  });

  test("counts go there and back, long ones too", () => {
    const counts = [0, 1, 399_999_999, 3, 17, 31, 32, 1_000_000, 15, 16];
    expect(decodeCounts(encodeCounts(counts))).toEqual(counts);
  });

  test("a mask goes there and back, asked pixel by pixel", () => {
    const random = noise(3);
    const [width, height] = [23, 17];
    const mask = Uint8Array.from({ length: width * height }, () => (random() > 0.6 ? 1 : 0));
    const runs = decodeRle([height, width], encodeMask(mask, width, height));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        expect(contains(runs, x + 0.5, y + 0.5)).toBe(mask[y * width + x] === 1);
      }
    }
    expect(contains(runs, -1, 3)).toBe(false);
    expect(contains(runs, 3, height)).toBe(false);
  });

  test("broken text stays inside the image", () => {
    const runs = decodeRle([2, 2], "zzzzzz\u0000~");
    expect(Math.max(0, ...runs.ends)).toBeLessThanOrEqual(4);
  });

  test("coverage of a coarser grid adds up to the mask's area", () => {
    const [width, height] = [30, 20];
    const mask = new Uint8Array(width * height);
    let area = 0;
    for (let y = 3; y < 17; y++) for (let x = 5; x < 22; x++) area += mask[y * width + x] = 1;
    const runs = decodeRle([height, width], encodeMask(mask, width, height));
    const cell = { width: 2.5, height: 2.5 };
    const { values } = coverageOf(runs, [5, 3, 22, 17], cell);
    const sum = values.reduce((total, value) => total + value, 0) * cell.width * cell.height;
    expect(sum).toBeCloseTo(area, 2);
    expect(Math.max(...values)).toBeLessThanOrEqual(1.0001);
  });
});

describe("outlines", () => {
  test("one ring around one sample, crossing halfway", () => {
    const values = new Float32Array(9).fill(-1);
    values[4] = 1;
    const at = Float32Array.of(0, 1, 2);
    const rings = contours({ values, xs: at, ys: at, level: 0, curved: false });
    expect(rings).toHaveLength(1);
    const corners = new Set<string>();
    for (let i = 0; i < rings[0]!.length; i += 2) corners.add(`${rings[0]![i]},${rings[0]![i + 1]}`);
    expect(corners).toEqual(new Set(["1,0.5", "1.5,1", "1,1.5", "0.5,1"]));
  });

  test("rings agree with the bilinear mask, at a size that is no multiple", () => {
    const random = noise(11);
    const [width, height] = [24, 18];
    let field = Float32Array.from({ length: width * height }, () => random() - 0.5);
    for (let pass = 0; pass < 3; pass++) {
      field = field.map((_, i) => {
        const near = [i, i - 1, i + 1, i - width, i + width].map((j) => field[j] ?? field[i]!);
        return near.reduce((a, b) => a + b, 0) / 5;
      });
    }
    const [imageWidth, imageHeight] = [150, 115];
    // Rounding the rows makes the two axes' scales differ a little.
    const scale = [width / imageWidth, height / imageHeight] as const;
    const grid = { values: field, width, height, scale };
    const mask = maskOf(grid, imageWidth, imageHeight);
    const rings = contoursOfLogits(grid, imageWidth, imageHeight);
    let both = 0;
    let either = 0;
    for (let y = 0; y < imageHeight; y++) {
      for (let x = 0; x < imageWidth; x++) {
        const a = mask[y * imageWidth + x] === 1;
        const b = inside(rings, x + 0.5, y + 0.5);
        if (a && b) both++;
        if (a || b) either++;
      }
    }
    expect(either).toBeGreaterThan(1000);
    expect(both / either).toBeGreaterThan(0.99);
  });

  test("a mask that fills the image is outlined along its border", () => {
    const grid = { values: new Float32Array(16).fill(3), width: 4, height: 4, scale: [0.25, 0.25] as const };
    const rings = contoursOfLogits(grid, 16, 16);
    expect(rings).toHaveLength(1);
    expect(Math.min(...rings[0]!)).toBeCloseTo(0, 2);
    expect(Math.max(...rings[0]!)).toBeCloseTo(16, 2);
  });

  test("a kept mask's outline holds its pixels and no others", () => {
    const [width, height] = [40, 30];
    const mask = new Uint8Array(width * height);
    for (let y = 6; y < 25; y++) {
      for (let x = 8; x < 33; x++) {
        if (Math.hypot(x - 20, y - 15) > 4) mask[y * width + x] = 1; // with a hole
      }
    }
    const runs = decodeRle([height, width], encodeMask(mask, width, height));
    const cell = { width: 1, height: 1 };
    const rings = contoursOfCoverage(coverageOf(runs, [8, 6, 33, 25], cell), cell);
    expect(rings).toHaveLength(2);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        expect(inside(rings, x + 0.49, y + 0.49)).toBe(mask[y * width + x] === 1);
      }
    }
  });
});

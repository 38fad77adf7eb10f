// Expected numbers come from the kernel's own code (Frame.to_input, ranking, candidates_to_json).
import { Dialogue } from "../src/decode/dialogue";
import { candidatesOf, drawnWithin, ranked, ranking, toInput, type Answer, type Drawn } from "../src/decode/frame";
import { widen } from "../src/decode/half";
import type { BoxTuple, FrameTrait, Prompt } from "../src/host/traits";

const point = (x: number, y: number, label: 0 | 1 = 1) => ({ type: "point", x, y, label }) as const;
const box = (x0: number, y0: number, x1: number, y1: number) => ({ type: "box", x0, y0, x1, y1 }) as const;

/** 451 × 300 in an input of 1024. */
const PADDED: FrameTrait = {
  region: [0, 0, 451, 300], input_scale: [1024 / 451, 681 / 300], logits_size: 256,
  logits_shape: [171, 256], logits_scale: [0.5676274944567627, 0.5675],
};
const SQUASHED: FrameTrait = { ...PADDED, input_scale: [1024 / 451, 1024 / 300] };
/** 90 × 61 in an input of 32 with logits of 8. */
const SMALL: FrameTrait = {
  region: [0, 0, 90, 61], input_scale: [32 / 90, 22 / 61], logits_size: 8,
  logits_shape: [6, 8], logits_scale: [0.08888888888888889, 0.09016393442622951],
};

describe("the network's input", () => {
  const prompts = [point(123.45, 67.8), box(10.25, 20.5, 400.75, 299.9), point(7.3, 250.1, 0)];

  test("points come first, then the corners of the box", () => {
    const { coords, labels } = toInput(prompts, PADDED);
    expect([...labels]).toEqual([1, 0, 2, 3]);
    expect([...coords]).toEqual([
      279.79443359375, 153.406005859375, 16.074722290039062, 567.2269897460938,
      22.772727966308594, 46.03499984741211, 909.4068603515625, 680.2730102539062,
    ]);
  });

  test("an input that the image fills has a scale for each axis", () => {
    const { coords } = toInput(prompts, SQUASHED);
    expect([...coords].filter((_, i) => i % 2)).toEqual([
      230.92401123046875, 853.1746826171875, 69.47333526611328, 1023.15869140625,
    ]);
  });

  test("a padding point at zero ends the list where there is no box", () => {
    const { coords, labels } = toInput([point(0.5, 0.5)], PADDED);
    expect([...labels]).toEqual([1, -1]);
    expect(coords[0]).toBeCloseTo(0.6353, 4);
    expect(coords[1]).toBeCloseTo(0.635, 4);
    expect([...coords.slice(2)]).toEqual([0, 0]);
  });

  test("a region has its own origin", () => {
    const shifted = toInput([point(123.5, 67.5)], { ...PADDED, region: [100, 50, 551, 350] });
    expect([...shifted.coords]).toEqual([...toInput([point(23.5, 17.5)], PADDED).coords]);
  });
});

describe("prompts that the page may answer", () => {
  const region: BoxTuple = [10, 20, 110, 70];
  const mask: Prompt = { type: "mask", rle: { size: [2, 2], counts: "04" } };

  test("a rounding error beyond the edge is on it", () => {
    expect(drawnWithin([point(9.9995, 70.0005), box(10, 20, 110.0009, 70)], region)).toEqual([
      point(10, 70), box(10, 20, 110, 70),
    ]);
  });

  test.each([
    ["none", []],
    ["a point outside", [point(9, 30)]],
    ["a box that reaches outside", [box(15, 25, 115, 60)]],
    ["two boxes", [box(15, 25, 50, 60), box(20, 25, 50, 60)]],
    ["an empty box", [box(15, 25, 15, 60)]],
    ["no number", [point(NaN, 30)]],
    ["a mask", [mask]],
    ["an outline", [{ type: "polygon", points: [[20, 30], [40, 30], [30, 50]], tolerance: 4 }]],
    ["too many", Array.from({ length: 101 }, () => point(50, 50))],
  ] as [string, Prompt[]][])("%s goes to the kernel", (_, prompts) => {
    expect(drawnWithin(prompts, region)).toBeNull();
  });
});

describe("candidates", () => {
  /** Blobs around (3, 2) of rising size; the last token has an empty mask. */
  const output = (): { logits: Float32Array; iou: Float32Array; ms: number } => {
    const logits = new Float32Array(4 * 64);
    for (let i = 0; i < logits.length; i++) {
      const [token, y, x] = [i >> 6, (i >> 3) & 7, i & 7];
      logits[i] = token === 3 ? -2 : 2 * token + 2 - ((x - 3) ** 2 + (y - 2) ** 2) * 0.5;
    }
    return { logits, iou: Float32Array.of(0.61234, 0.7, 1.25, 0.7), ms: 12.345 };
  };
  const single = { predicted_iou: 0.6123, stability_score: 0.2381, area: 1123, box: [22.5, 11.091, 56.25, 44.364] };
  const first = { predicted_iou: 0.7, stability_score: 0.75, area: 2620, box: [11.25, 0, 67.5, 55.455] };
  const second = { predicted_iou: 1, stability_score: 0.7, area: 4242, box: [0, 0, 78.75, 61] };
  const third = { predicted_iou: 0.7, stability_score: 0, area: 0, box: [0, 0, 0, 0] };
  const image = { width: 90, height: 61 };

  test("of an ambiguous point are the three by score, and behind them the single mask", () => {
    const candidates = candidatesOf(ranked(output(), true), SMALL, image, "r");
    expect(candidates.items).toEqual([second, first, third, single]);
    expect(candidates).toMatchObject({
      request: "r", tokens: [2, 1, 3, 0], shape: [4, 6, 8], by: "page", ms: 12.3, scale: SMALL.logits_scale,
    });
    expect(candidates).not.toHaveProperty("region");
    const logits = candidates.logits as Float32Array;
    expect(logits).toHaveLength(4 * 6 * 8);
    expect(logits[3 * 48 + 2 * 8 + 3]).toBe(2); // the single mask's middle
  });

  test("of a richer prompt begin with the single mask", () => {
    const { items, tokens } = candidatesOf(ranked(output(), false), SMALL, image);
    expect(tokens).toEqual([0, 2, 1, 3]);
    expect(items).toEqual([single, second, first, third]);
  });

  test("of a region say so, and have the image's coordinates", () => {
    const frame: FrameTrait = { ...SMALL, region: [100, 200, 190, 261] };
    const { region, items } = candidatesOf(ranked(output(), false), frame, { width: 400, height: 300 });
    expect(region).toEqual([100, 200, 190, 261]);
    expect(items[0]!.box).toEqual([122.5, 211.091, 156.25, 244.364]);
    expect(items[1]!.box).toEqual([100, 200, 178.75, 261]);
    expect(items[3]!.box).toEqual([0, 0, 0, 0]);
  });

  test("a network gone wrong scores zero, behind all others", () => {
    expect(ranking([0, NaN, 0.2, 0.1], true)).toEqual([2, 3, 1, 0]);
    const wrong = { ...output(), iou: Float32Array.of(NaN, NaN, NaN, NaN) };
    expect(ranked(wrong, true).iou).toEqual([0, 0, 0, 0]);
  });
});

test("halves become the numbers that they stand for", () => {
  const bits = [0x3c00, 0xc000, 0x3555, 0x0001, 0x0400, 0x7bff, 0x8000, 0x7c00, 0xfc00];
  const bytes = Uint8Array.from(bits.flatMap((b) => [b & 255, b >> 8]));
  expect([...widen(bytes)]).toEqual([
    1, -2, 0.333251953125, 2 ** -24, 2 ** -14, 65504, -0, Infinity, -Infinity,
  ]);
  expect(widen(Uint8Array.of(0x00, 0x7e))[0]).toBeNaN();
});

describe("a dialogue", () => {
  /** Answers with numbers that tell what was asked. */
  function setUp() {
    const asked: { count: number; mask: number[] | null }[] = [];
    const dialogue = new Dialogue(async (prompts: readonly Drawn[], mask): Promise<Answer> => {
      asked.push({ count: prompts.length, mask: mask && [...mask] });
      const base = 10 * asked.length;
      return {
        logits: Float32Array.of(base, base, base + 1, base + 1, base + 2, base + 2),
        iou: [0.9, 0.8, 0.7], tokens: [1, 2, 3], ms: 5,
      };
    });
    return { asked, dialogue };
  }
  const prompts = [point(1, 1), point(2, 2), point(3, 3, 0)];

  test("each prompt refines what was picked before it", async () => {
    const { asked, dialogue } = setUp();
    const answer = await dialogue.answer(prompts, [1, 2]);
    expect(asked).toEqual([
      { count: 1, mask: null }, { count: 2, mask: [11, 11] }, { count: 3, mask: [22, 22] },
    ]);
    expect(answer.logits[0]).toBe(30);
    expect(answer.ms).toBe(15);
  });

  test("what was answered before is found again", async () => {
    const { asked, dialogue } = setUp();
    await dialogue.answer(prompts.slice(0, 2), [1]);
    const again = await dialogue.answer(prompts.slice(0, 2), [1]);
    await dialogue.answer(prompts, [1, 0]);
    expect(asked.map((a) => a.count)).toEqual([1, 2, 3]);
    expect(again.ms).toBe(5);
    await dialogue.answer(prompts.slice(0, 2), [2]); // another pick is another question
    expect(asked.at(-1)).toEqual({ count: 2, mask: [12, 12] });
  });

  test("missing picks are the best, and one beyond the last is the last", async () => {
    const { asked, dialogue } = setUp();
    await dialogue.answer(prompts, [7]);
    expect(asked.map((a) => a.mask)).toEqual([null, [12, 12], [20, 20]]);
  });

  test("a glance is found by the click that follows, and takes no room", async () => {
    const { asked, dialogue } = setUp();
    await dialogue.answer([point(9, 9)], []);
    for (let x = 0; x < 40; x++) await dialogue.glance(point(x, 0));
    await dialogue.answer([point(39, 0)], []);
    await dialogue.answer([point(9, 9)], []);
    expect(asked).toHaveLength(41);
  });

  test("old answers are forgotten", async () => {
    const { asked, dialogue } = setUp();
    for (let x = 0; x < 20; x++) await dialogue.answer([point(x, 0)], []);
    await dialogue.answer([point(19, 0)], []);
    expect(asked).toHaveLength(20);
    await dialogue.answer([point(0, 0)], []);
    expect(asked).toHaveLength(21);
  });
});

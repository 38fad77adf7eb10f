import type { Frame, MaskStyle } from "../src/canvas/layers";
import { MaskLayer } from "../src/canvas/mask_layer";
import type { Masked, MaskShapes } from "../src/canvas/shapes";
import type { Viewport } from "../src/canvas/viewport";
import { IMAGE } from "./helpers";

const STYLE: MaskStyle = { color: "#ff0000", fill: 0.3, line: "#ff0000", width: 1 };
const REST = 200; // longer than the layer waits

const masks: Masked[] = Array.from({ length: 300 }, (_, i) => ({
  id: `m${i}`,
  rle: { size: [48, 64], counts: "" },
  box: [0, 0, 8, 6],
}));
/** As many that fill the whole stage each. */
const large: Masked[] = masks.map((mask) => ({ ...mask, box: [0, 0, 64, 48] }));
/** Corners of each mask; with 100, so many masks are too many for a frame. */
let corners = 100;
/** Shapes that need no decoding. */
const shapes = { isReady: () => true, shape: () => ({ path: {}, corners }) } as unknown as MaskShapes;

/** Counts masks that are drawn, and pictures of masks that are shown, with their widths. */
function pen() {
  const canvas = { width: 640, height: 480 };
  const shown: { from: unknown; width: number }[] = [];
  const context = {
    canvas, shown, fills: 0,
    fill: () => void context.fills++,
    drawImage: (from: unknown, _x: number, _y: number, width: number) => shown.push({ from, width }),
    stroke: () => {}, setTransform: () => {}, setLineDash: () => {},
  };
  return context;
}

let pictures: { canvas: HTMLCanvasElement; context: ReturnType<typeof pen> }[];

beforeEach(() => {
  vi.useFakeTimers();
  corners = 100;
  pictures = [];
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(function (this: HTMLCanvasElement) {
    let made = pictures.find(({ canvas }) => canvas === this);
    if (!made) pictures.push((made = { canvas: this, context: pen() }));
    return made.context as unknown as RenderingContext;
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function stage(drawn: Masked[] = masks) {
  let wanted = true;
  const layer = new MaskLayer(shapes, () => (wanted = true));
  const screen = pen();
  const at = (scale: number): Viewport => ({ scale, x: 0, y: 0 });
  let view = at(10);
  let by: unknown = "first";
  return {
    layer,
    screen,
    zoom: (scale: number) => {
      view = at(scale);
      wanted = true;
    },
    change: (value: unknown) => {
      by = value;
      wanted = true;
    },
    /** One frame: how many masks it drew, anywhere. */
    frame: (): number => {
      const before = pictures.reduce((sum, { context }) => sum + context.fills, screen.fills);
      wanted = false;
      const frame = { context: screen, view, stage: { width: 640, height: 480 }, ratio: 1, font: "" };
      layer.paint(frame as unknown as Frame, IMAGE, drawn, () => STYLE, [by]);
      return pictures.reduce((sum, { context }) => sum + context.fills, screen.fills) - before;
    },
    /** Frames until none is wanted; how many masks each drew. */
    settle(): number[] {
      const drawn = [];
      while (wanted) drawn.push(this.frame());
      return drawn;
    },
  };
}

test("a picture grows slice by slice, and is only shown after that", () => {
  const it = stage();
  const drawn = it.settle();
  expect(drawn.length).toBeGreaterThan(5);
  expect(Math.max(...drawn)).toBeLessThanOrEqual(60);
  expect(drawn.reduce((sum, n) => sum + n)).toBe(masks.length);
  vi.advanceTimersByTime(REST);
  expect(it.settle().every((n) => n === 0)).toBe(true);
});

test("many masks are too many for a frame, however simple they are", () => {
  corners = 4;
  const it = stage();
  expect(Math.max(...it.settle())).toBeLessThanOrEqual(60);
});

test("masks that fill the stage are drawn fewer a frame, and off the stage they cost nothing", () => {
  corners = 4;
  expect(Math.max(...stage(large).settle())).toBeLessThanOrEqual(20);
  expect(stage(large.slice(0, 40)).frame()).toBe(40);
  const it = stage(large.slice(0, 60));
  expect(Math.max(...it.settle())).toBeLessThanOrEqual(20);
  it.zoom(1); // a hundredth of the stage each
  vi.advanceTimersByTime(REST);
  expect(it.frame()).toBe(60);
  const beside = large.slice(0, 60).map((mask): Masked => ({ ...mask, box: [640, 0, 704, 48] }));
  expect(stage(beside).settle()).toEqual([0]);
});

test("while the view moves no mask is drawn; when it rests, all are drawn anew", () => {
  const it = stage();
  it.settle();
  vi.advanceTimersByTime(REST);
  it.settle();
  for (let step = 1; step <= 40; step++) {
    // Frames that are far apart, as on a busy computer: between two of them the view seems to rest.
    vi.advanceTimersByTime(step % 8 === 0 ? REST : 30);
    it.zoom(10 + step / 10);
    expect(it.frame()).toBe(0);
  }
  expect(it.screen.shown.at(-1)!.width).toBeCloseTo(640 * 1.4);
  vi.advanceTimersByTime(REST);
  expect(it.settle().reduce((sum, n) => sum + n)).toBe(masks.length);
  expect(it.screen.shown.at(-1)!.width).toBe(640);
});

test("masks that change while the view moves are on screen before it rests, and sharp after it", () => {
  const it = stage();
  it.settle();
  const old = it.screen.shown.at(-1)!.from;
  it.change("second");
  const drawn = Array.from({ length: 12 }, (_, step) => {
    it.zoom(10 + (step + 1) / 10);
    return it.frame();
  });
  expect(drawn.reduce((sum, n) => sum + n)).toBe(masks.length);
  expect(it.screen.shown.at(-1)!.from).not.toBe(old);
  vi.advanceTimersByTime(REST);
  it.settle();
  expect(it.screen.shown.at(-1)!.width).toBe(640);
});

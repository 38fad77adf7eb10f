// A small picture with a red square on blue, a kernel that looks at it, and a mounted widget.
import { FakeKernel } from "../src/host/fake_kernel";
import type { Pixels } from "../src/host/fake_masks";
import type { ImageTrait, LabelTrait } from "../src/host/traits";
import { mountSegmenter } from "../src/mount";

export const WIDTH = 64;
export const HEIGHT = 48;
/** The red square: columns and rows 16 to 32. */
export const SQUARE = { from: 16, to: 32 };

export function squarePixels(): Pixels {
  const data = new Uint8ClampedArray(WIDTH * HEIGHT * 4);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const red = x >= SQUARE.from && x < SQUARE.to && y >= SQUARE.from && y < SQUARE.to;
      data.set(red ? [220, 40, 40, 255] : [30, 60, 140, 255], (y * WIDTH + x) * 4);
    }
  }
  return { width: WIDTH, height: HEIGHT, data };
}

export const IMAGE: ImageTrait = {
  name: "square.png", width: WIDTH, height: HEIGHT, mime: "image/png",
  preview_width: WIDTH, preview_height: HEIGHT, data: new ArrayBuffer(0),
};

export const LABELS: LabelTrait[] = [
  { name: "car", color: "#e4572e" },
  { name: "person", color: "#2e86de" },
];

export function makeKernel(labels: LabelTrait[] = LABELS): FakeKernel {
  return new FakeKernel({ pixels: squarePixels(), image: IMAGE, labels, grid: 4 });
}

export interface Mounted {
  root: HTMLElement;
  canvas: HTMLCanvasElement;
  find(testid: string): HTMLElement;
  all(testid: string): HTMLElement[];
  close(): void;
}

export function mountOn(kernel: FakeKernel): Mounted {
  const place = document.createElement("div");
  document.body.append(place);
  const unmount = mountSegmenter(kernel, place);
  const root = place.querySelector<HTMLElement>(".segwidget")!;
  const all = (testid: string): HTMLElement[] => [
    ...root.querySelectorAll<HTMLElement>(`[data-testid="${testid}"]`),
  ];
  return {
    root,
    canvas: root.querySelector("canvas.sw-canvas")!,
    all,
    find(testid) {
      const found = all(testid)[0];
      if (!found) throw new Error(`There is no element "${testid}".`);
      return found;
    },
    close() {
      unmount();
      place.remove();
    },
  };
}

/** Lets effects and renders that were put off happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((done) => requestAnimationFrame(() => done(null)));
}

/**
 * Before each test a widget whose stage measures 640 x 480, so that the picture of 64 x 48 fits it; the
 * simulated page has no layout. After each it is closed.
 */
export function mountedForEach(take: (widget: Mounted, kernel: FakeKernel) => void): void {
  let mounted: Mounted;
  beforeEach(async () => {
    vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(640);
    vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(480);
    const kernel = makeKernel();
    mounted = mountOn(kernel);
    take(mounted, kernel);
    await settle();
  });
  afterEach(() => {
    mounted.close();
    vi.restoreAllMocks();
  });
}

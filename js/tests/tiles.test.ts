import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createTiles, levelFor, TileCache, tilesInSight, type TileFrame } from "../src/canvas/tiles";
import { cutTile } from "../src/host/fake_tiles";
import { FakeKernel } from "../src/host/fake_kernel";
import type { Intent } from "../src/host/intents";
import type { ImageTrait } from "../src/host/traits";
import { createStore } from "../src/state/store";
import { IMAGE, squarePixels } from "./helpers";

const HUGE: ImageTrait = {
  ...IMAGE, width: 20_000, height: 20_000, preview_width: 2_048, preview_height: 2_048,
  tiles: { size: 512, levels: 4 },
};

type Closing = ImageBitmap & { closed: boolean };

function bitmap(width = 512, height = 512): Closing {
  const made = { width, height, closed: false, close: () => void (made.closed = true) };
  return made as unknown as Closing;
}

describe("levels", () => {
  it.each([
    [4, 0], [1, 0], [0.9, 0], [0.5, 1], [0.4, 1], [0.25, 2], [0.13, 3], [0.11, 3],
  ])("at scale %f level %i is about as fine as the screen", (scale, level) => {
    expect(levelFor(scale, HUGE, HUGE.tiles!)).toBe(level);
  });

  it("leaves it to the preview where that is as fine", () => {
    expect(levelFor(2_048 / 20_000, HUGE, HUGE.tiles!)).toBeNull();
    expect(levelFor(0.03, HUGE, HUGE.tiles!)).toBeNull();
  });
});

describe("tiles in sight", () => {
  const stage = { width: 1000, height: 600 };

  it("are those that the stage shows, the middle first", () => {
    const view = { scale: 1, x: -5120, y: -10_240 };
    const places = tilesInSight(view, stage, HUGE, 512, 0);
    expect(places.map((p) => `${p.column},${p.row}`).sort()).toEqual(["10,20", "10,21", "11,20", "11,21"]);
    expect([10, 11]).toContain(places[0]!.column);
    expect(places[0]!.row).toBe(20);
  });

  it("end at the image's edges, and are none where it is out of sight", () => {
    const corner = { scale: 1, x: 400, y: 300 };
    expect(tilesInSight(corner, stage, HUGE, 512, 0)).toHaveLength(2);
    const last = { scale: 1, x: 900 - 20_000, y: 500 - 20_000 };
    const places = tilesInSight(last, stage, HUGE, 512, 0);
    expect(Math.max(...places.map((p) => p.column))).toBe(39);
    expect(tilesInSight({ scale: 1, x: 5_000, y: 0 }, stage, HUGE, 512, 0)).toEqual([]);
  });
});

describe("the cache", () => {
  it("drops what was not used for longest and closes it", () => {
    const cache = new TileCache(3 * 512 * 512 * 4);
    const made = [0, 1, 2, 3].map(() => bitmap());
    for (const i of [0, 1, 2]) cache.put(String(i), made[i]!);
    cache.get("0");
    cache.put("3", made[3]!);
    expect(made.map((m) => m.closed)).toEqual([false, true, false, false]);
    cache.put("3", bitmap());
    expect(made[3]!.closed).toBe(true);
    cache.clear();
    expect(cache.size).toBe(0);
    expect(made.every((m) => m.closed)).toBe(true);
  });
});

describe("asking and drawing", () => {
  let kernel: FakeKernel;
  let requests: (Intent & { op: "tile" })[];
  const drawn: number[][] = [];
  const made: Closing[] = [];

  beforeEach(() => {
    drawn.length = made.length = 0;
    kernel = new FakeKernel({ pixels: squarePixels(), image: HUGE });
    kernel.dead = true; // the tests deliver
    vi.stubGlobal("createImageBitmap", async () => {
      const one = bitmap();
      made.push(one);
      return one;
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  const tileRequests = (): (Intent & { op: "tile" })[] =>
    kernel.sent.filter((sent) => (sent as Intent).op === "tile") as (Intent & { op: "tile" })[];
  const frame = (scale: number, x: number, y: number): TileFrame => ({
    context: {
      canvas: document.createElement("canvas"),
      setTransform() {},
      drawImage: (_: unknown, ...at: number[]) => void drawn.push(at),
    } as unknown as CanvasRenderingContext2D,
    view: { scale, x, y }, stage: { width: 2_000, height: 1_000 }, ratio: 1,
  });
  const deliver = async (at: Intent & { op: "tile" }, error?: string): Promise<void> => {
    const { op, level, column, row } = at;
    const delivery = { op, level, column, row, mime: "image/png", ...(error ? { error } : {}) };
    kernel.deliver(delivery, error ? [] : [new DataView(new ArrayBuffer(4))]);
    await new Promise((done) => setTimeout(done));
  };

  it("asks for six at a time, and for the next when one arrives", async () => {
    const store = createStore(kernel);
    const tiles = createTiles(store);
    const at = frame(1, -5_120, -5_120);
    tiles.draw(at, HUGE);
    requests = tileRequests();
    expect(requests).toHaveLength(6);
    expect(at.context.canvas.dataset["tiles"]).toBe("0:8");
    expect(drawn).toEqual([]);
    tiles.draw(at, HUGE);
    expect(tileRequests()).toHaveLength(6);
    await deliver(requests[0]!);
    expect(tiles.arrived.value).toBe(1);
    expect(tileRequests()).toHaveLength(7);
    tiles.draw(at, HUGE);
    const { column, row } = requests[0]!;
    expect(drawn).toEqual([[column * 512 - 5_120, row * 512 - 5_120, 512, 512]]);
    expect(at.context.canvas.dataset["tiles"]).toBe("0:7");
    tiles.dispose();
    store.dispose();
    expect(made.every((m) => m.closed)).toBe(true);
    expect(kernel.listenerCount).toBe(0);
  });

  it("does not decode what has gone out of sight", async () => {
    const store = createStore(kernel);
    const tiles = createTiles(store);
    tiles.draw(frame(1, -5_120, -5_120), HUGE);
    const [first] = tileRequests();
    tiles.draw(frame(1, -15_360, -15_360), HUGE);
    await deliver(first!);
    expect(made).toEqual([]);
    expect(tiles.arrived.value).toBe(0);
    expect(tileRequests().at(-1)!.column).toBeGreaterThanOrEqual(30);
    tiles.dispose();
    store.dispose();
  });

  it("does not ask again for what is refused, but for what was only too much", async () => {
    const store = createStore(kernel);
    const tiles = createTiles(store);
    const at = frame(1, -18_000, -19_400);
    tiles.draw(at, HUGE);
    const asked = tileRequests();
    await deliver(asked[0]!, "There is no such tile.");
    await deliver(asked[1]!, "Too many tiles are waiting. Ask again.");
    tiles.draw(at, HUGE);
    const again = tileRequests().slice(asked.length).map((r) => `${r.column},${r.row}`);
    expect(again).not.toContain(`${asked[0]!.column},${asked[0]!.row}`);
    expect(again).toContain(`${asked[1]!.column},${asked[1]!.row}`);
    tiles.dispose();
    store.dispose();
  });

  it("draws coarser tiles while the right ones are missing", async () => {
    const store = createStore(kernel);
    const tiles = createTiles(store);
    tiles.draw(frame(0.5, -2_560, -2_560), HUGE);
    const [first] = tileRequests();
    expect(first!.level).toBe(1);
    await deliver(first!);
    const zoomed = frame(1, -first!.column * 1_024, -first!.row * 1_024);
    tiles.draw(zoomed, HUGE);
    expect(drawn).toEqual([[0, 0, 1_024, 1_024]]);
    tiles.dispose();
    store.dispose();
  });

  it("asks for nothing where there are no tiles, and forgets those of another image", async () => {
    const store = createStore(kernel);
    const tiles = createTiles(store);
    tiles.draw(frame(1, 0, 0), IMAGE);
    tiles.draw(frame(0.05, 0, 0), HUGE);
    expect(tileRequests()).toEqual([]);
    tiles.draw(frame(1, 0, 0), HUGE);
    await deliver(tileRequests()[0]!);
    kernel.push({ image: { ...HUGE, name: "another" } });
    expect(made.map((m) => m.closed)).toEqual([true]);
    tiles.dispose();
    store.dispose();
  });

  it("survives a closed connection", () => {
    const store = createStore(kernel);
    const tiles = createTiles(store);
    kernel.send = () => {
      throw new Error("closed");
    };
    expect(() => tiles.draw(frame(1, 0, 0), HUGE)).not.toThrow();
    tiles.dispose();
    store.dispose();
  });
});

describe("the fake kernel's tiles", () => {
  it("are means of the picture's blocks", () => {
    const pixels = squarePixels();
    const tiles = { size: 16, levels: 2 };
    const tile = cutTile(pixels, tiles, 0, 1, 1)!;
    expect([tile.width, tile.height, ...tile.data.slice(0, 3)]).toEqual([16, 16, 220, 40, 40]);
    const coarse = cutTile(pixels, tiles, 1, 0, 0)!;
    expect([...coarse.data.slice(4 * (8 * 16 + 8), 4 * (8 * 16 + 8) + 3)]).toEqual([220, 40, 40]);
    expect(cutTile(pixels, tiles, 1, 1, 1)!.height).toBe(8);
    expect(cutTile(pixels, tiles, 2, 0, 0)).toBeNull();
    expect(cutTile(pixels, tiles, 0, 4, 0)).toBeNull();
  });
});

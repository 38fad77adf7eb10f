// The finer pixels of a large image: which tiles are in sight, asked for, decoded, and drawn over the preview.
import { effect, signal, type ReadonlySignal } from "@preact/signals";
import { bytesOf } from "../codecs/bytes";
import { sendIfOpen } from "../host/host";
import type { Delivery } from "../host/intents";
import type { ImageTrait, TilesTrait } from "../host/traits";
import type { Store } from "../state/store";
import type { Size, Viewport } from "./viewport";

/** So many may be asked for at a time: what comes late is seldom wanted any more. */
const IN_FLIGHT = 6;
/** Decoded tiles that are kept, in bytes. */
const CACHE_BYTES = 96e6;
/** After so long a request counts as lost. */
const PATIENCE_MS = 15_000;
/** From this size of a tile's pixels on a person wants to see them as they are. */
const PIXELS_FROM = 3;

export interface TilePlace {
  level: number;
  column: number;
  row: number;
}

export interface TileFrame {
  context: CanvasRenderingContext2D;
  view: Viewport;
  stage: Size;
  ratio: number;
}

export interface Tiles {
  /** Changes when there is more to draw. */
  readonly arrived: ReadonlySignal<number>;
  /** Draws what is here, and asks for what is missing. */
  draw(frame: TileFrame, image: ImageTrait): void;
  dispose(): void;
}

const keyOf = ({ level, column, row }: TilePlace): string => `${level}/${column}/${row}`;

/** The level whose pixels are about as fine as the screen's; null where the preview's are. */
export function levelFor(scale: number, image: ImageTrait, tiles: TilesTrait): number | null {
  if (scale <= image.preview_width / image.width) return null;
  const level = Math.floor(Math.log2(1 / scale) + 0.25);
  return Math.min(Math.max(level, 0), tiles.levels - 1);
}

/** The tiles of a level that are in sight, nearest the stage's middle first. */
export function tilesInSight(
  view: Viewport,
  stage: Size,
  image: Size,
  size: number,
  level: number,
): TilePlace[] {
  const side = size * 2 ** level;
  const range = (offset: number, room: number, extent: number): [number, number] => {
    const from = Math.max(0, -offset / view.scale);
    const to = Math.min(extent, (room - offset) / view.scale);
    return from < to ? [Math.floor(from / side), Math.ceil(to / side)] : [0, 0];
  };
  const [left, right] = range(view.x, stage.width, image.width);
  const [top, bottom] = range(view.y, stage.height, image.height);
  const places: TilePlace[] = [];
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) places.push({ level, column, row });
  }
  const middleX = (stage.width / 2 - view.x) / view.scale / side - 0.5;
  const middleY = (stage.height / 2 - view.y) / view.scale / side - 0.5;
  const away = ({ column, row }: TilePlace): number =>
    (column - middleX) ** 2 + (row - middleY) ** 2;
  return places.sort((a, b) => away(a) - away(b));
}

/** Decoded tiles; those that were not used for longest give way, and their memory back. */
export class TileCache {
  readonly #tiles = new Map<string, ImageBitmap>();
  #bytes = 0;

  constructor(private readonly most = CACHE_BYTES) {}

  get size(): number {
    return this.#tiles.size;
  }

  get(key: string): ImageBitmap | undefined {
    const tile = this.#tiles.get(key);
    if (tile) {
      this.#tiles.delete(key);
      this.#tiles.set(key, tile);
    }
    return tile;
  }

  put(key: string, tile: ImageBitmap): void {
    this.#drop(key);
    this.#tiles.set(key, tile);
    this.#bytes += 4 * tile.width * tile.height;
    for (const oldest of [...this.#tiles.keys()]) {
      if (this.#bytes <= this.most || this.#tiles.size <= 1) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const tile = this.#tiles.get(key);
    if (!tile) return;
    this.#tiles.delete(key);
    this.#bytes -= 4 * tile.width * tile.height;
    tile.close();
  }

  clear(): void {
    for (const key of [...this.#tiles.keys()]) this.#drop(key);
  }
}

export function createTiles(store: Store): Tiles {
  const { host } = store;
  const arrived = signal(0);
  const cache = new TileCache();
  const asked = new Map<string, number>();
  const refused = new Set<string>();
  /** In sight and not here, nearest first. */
  let missing: TilePlace[] = [];
  let turn = 0;

  const ask = (): void => {
    if (host.standalone || typeof createImageBitmap !== "function") return;
    const now = performance.now();
    for (const [key, at] of asked) if (now - at > PATIENCE_MS) asked.delete(key);
    for (const place of missing) {
      if (asked.size >= IN_FLIGHT) return;
      const key = keyOf(place);
      if (asked.has(key) || refused.has(key)) continue;
      if (!sendIfOpen(host, { op: "tile", ...place })) return; // the preview stays
      asked.set(key, now);
    }
  };

  const receive = async (delivery: Delivery, buffers: readonly DataView[]): Promise<void> => {
    if (delivery.op !== "tile") return;
    const key = keyOf(delivery);
    const wanted = missing.some((place) => keyOf(place) === key);
    const mine = turn;
    if (!wanted || delivery.error || !buffers[0]) {
      if (delivery.error && !delivery.error.includes("Ask again")) refused.add(key);
      asked.delete(key);
      ask();
      return;
    }
    let tile: ImageBitmap | null = null;
    try {
      tile = await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: delivery.mime }));
    } catch {
      refused.add(key); // no picture: the preview stays
    }
    // Another image may be shown, or the view be closed, by now.
    if (mine !== turn) {
      tile?.close();
      return;
    }
    asked.delete(key);
    if (tile) {
      cache.put(key, tile);
      missing = missing.filter((place) => keyOf(place) !== key);
      arrived.value++;
    }
    ask();
  };

  const forget = (): void => {
    turn++;
    cache.clear();
    asked.clear();
    refused.clear();
    missing = [];
  };

  const stopHearing = host.onDelivery((delivery, buffers) => void receive(delivery, buffers));
  const stopWatching = effect(() => {
    void store.image.value;
    forget();
  });

  const drawOne = (frame: TileFrame, place: TilePlace, side: number, tile: ImageBitmap): void => {
    const { context, view, ratio } = frame;
    // Whole pixels of the screen, or the edges of neighbors would shine through.
    const at = (offset: number, pixels: number): number =>
      Math.round((pixels * view.scale + offset) * ratio);
    const x = place.column * side;
    const y = place.row * side;
    const step = 2 ** place.level;
    const left = at(view.x, x);
    const top = at(view.y, y);
    const image = store.image.peek()!;
    const right = at(view.x, Math.min(x + tile.width * step, image.width));
    const bottom = at(view.y, Math.min(y + tile.height * step, image.height));
    context.drawImage(tile, left, top, right - left, bottom - top);
  };

  return {
    arrived,
    draw(frame, image) {
      const { context, view, stage, ratio } = frame;
      const { tiles } = image;
      let level = tiles ? levelFor(view.scale * ratio, image, tiles) : null;
      missing = [];
      if (tiles && level !== null) {
        let places = tilesInSight(view, stage, image, tiles.size, level);
        // A screen that shows more than the memory may hold gets by with a coarser level.
        while (places.length * 4 * tiles.size ** 2 > CACHE_BYTES && level + 1 < tiles.levels) {
          places = tilesInSight(view, stage, image, tiles.size, ++level);
        }
        missing = places.filter((place) => !cache.get(keyOf(place)));
        context.setTransform(1, 0, 0, 1, 0, 0);
        // Where the right ones are missing, coarser ones that are here do for the moment.
        const coarsest = missing.length > 0 ? tiles.levels - 1 : level;
        for (let l = coarsest; l >= level; l--) {
          context.imageSmoothingEnabled = view.scale * 2 ** l <= PIXELS_FROM;
          const here = l === level ? places : tilesInSight(view, stage, image, tiles.size, l);
          for (const place of here) {
            const tile = cache.get(keyOf(place));
            if (tile) drawOne(frame, place, tiles.size * 2 ** l, tile);
          }
        }
        ask();
      }
      // What automation waits for: nothing sharper is to come.
      context.canvas.dataset["tiles"] = level === null ? "" : `${level}:${missing.length}`;
    },
    dispose() {
      stopHearing();
      stopWatching();
      forget();
    },
  };
}

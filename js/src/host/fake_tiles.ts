// Tiles of the fake kernel's picture, encoded by the browser itself.
import type { Pixels } from "./fake_masks";
import type { Delivery } from "./intents";
import type { TilesTrait } from "./traits";

type Tile = Delivery & { op: "tile" };

/** The pixels of one tile, RGBA; each the mean of a block of the picture. Null where there is none. */
export function cutTile(
  { width, height, data }: Pixels,
  { size, levels }: TilesTrait,
  level: number,
  column: number,
  row: number,
): Pixels | null {
  const step = 2 ** level;
  const [x0, y0] = [column * size * step, row * size * step];
  if (level < 0 || level >= levels || x0 < 0 || y0 < 0 || x0 >= width || y0 >= height) return null;
  const w = Math.min(size, Math.ceil((width - x0) / step));
  const h = Math.min(size, Math.ceil((height - y0) / step));
  const out = new Uint8ClampedArray(4 * w * h);
  for (let y = 0; y < h; y++) {
    if (step === 1) {
      const from = 4 * ((y0 + y) * width + x0);
      out.set(data.subarray(from, from + 4 * w), 4 * y * w);
      continue;
    }
    for (let x = 0; x < w; x++) {
      for (let channel = 0; channel < 4; channel++) {
        let sum = 0;
        let count = 0;
        for (let v = y0 + y * step; v < Math.min(y0 + (y + 1) * step, height); v++) {
          for (let u = x0 + x * step; u < Math.min(x0 + (x + 1) * step, width); u++) {
            sum += data[4 * (v * width + u) + channel]!;
            count++;
          }
        }
        out[4 * (y * w + x) + channel] = sum / count;
      }
    }
  }
  return { width: w, height: h, data: out };
}

/** A tile as the kernel delivers it, made elsewhere than in the call that asks. */
export async function fakeTile(
  pixels: Pixels,
  tiles: TilesTrait,
  level: number,
  column: number,
  row: number,
): Promise<{ delivery: Tile; buffers: DataView[] }> {
  const place = { op: "tile", level, column, row } as const;
  const tile = cutTile(pixels, tiles, level, column, row);
  const canvas = tile && new OffscreenCanvas(tile.width, tile.height);
  const context = canvas?.getContext("2d");
  if (!tile || !canvas || !context) {
    return { delivery: { ...place, mime: "", error: "There is no such tile." }, buffers: [] };
  }
  const shown = context.createImageData(tile.width, tile.height);
  shown.data.set(tile.data);
  context.putImageData(shown, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  const delivery: Tile = { ...place, mime: blob.type };
  return { delivery, buffers: [new DataView(await blob.arrayBuffer())] };
}

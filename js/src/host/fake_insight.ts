// Stand-ins for the kernel's pictures of what a network does: right in form, made of plain colors.
import type { Pixels } from "./fake_masks";
import type { InsightTrait, Prompt } from "./traits";

const LONG_SIDE = 48;
const OUTPUTS = ["IoU", "single mask", "mask 1", "mask 2", "mask 3"];

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function chunk(type: string, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + body.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i);
  out.set(body, 8);
  let crc = 0xffffffff;
  for (const byte of out.subarray(4, 8 + body.length)) crc = CRC[(crc ^ byte) & 255]! ^ (crc >>> 8);
  view.setUint32(8 + body.length, ~crc >>> 0);
  return out;
}

/** Pixels of one (gray) or three channels as a PNG file that packs nothing. */
export function plainPng(width: number, height: number, channels: 1 | 3, pixels: Uint8Array): ArrayBuffer {
  const row = width * channels;
  const raw = new Uint8Array(height * (row + 1));
  for (let y = 0; y < height; y++) raw.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  let a = 1;
  let b = 0;
  for (const byte of raw) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  const size = raw.length;
  const packed = new Uint8Array(size + 11);
  packed.set([0x78, 1, 1, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255]);
  packed.set(raw, 7);
  new DataView(packed.buffer).setUint32(size + 7, ((b << 16) | a) >>> 0);
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, channels === 3 ? 2 : 0], 8);
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10),
    chunk("IHDR", header), chunk("IDAT", packed), chunk("IEND", new Uint8Array(0)),
  ];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file.buffer;
}

function gridOf({ width, height }: Pixels): { width: number; height: number; scale: number } {
  const scale = LONG_SIDE / Math.max(width, height);
  return {
    width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)), scale,
  };
}

function colors(pixels: Pixels): ArrayBuffer {
  const grid = gridOf(pixels);
  const out = new Uint8Array(grid.width * grid.height * 3);
  for (let y = 0; y < grid.height; y++) {
    for (let x = 0; x < grid.width; x++) {
      const from =
        (Math.min(pixels.height - 1, Math.floor((y + 0.5) / grid.scale)) * pixels.width +
          Math.min(pixels.width - 1, Math.floor((x + 0.5) / grid.scale))) * 4;
      for (let k = 0; k < 3; k++) out[3 * (y * grid.width + x) + k] = pixels.data[from + ((k + 1) % 3)]!;
    }
  }
  return plainPng(grid.width, grid.height, 3, out);
}

/** A bump around a place, wider for each further token. */
function bump(pixels: Pixels, x: number, y: number, width: number): ArrayBuffer {
  const grid = gridOf(pixels);
  const out = Uint8Array.from({ length: grid.width * grid.height }, (_, i) => {
    const dx = ((i % grid.width) + 0.5) / grid.scale - x;
    const dy = (Math.floor(i / grid.width) + 0.5) / grid.scale - y;
    return Math.round(255 * Math.exp((-dx * dx - dy * dy) / (2 * (width / grid.scale) ** 2)));
  });
  return plainPng(grid.width, grid.height, 1, out);
}

/** What the kernel would put into the `insight` trait. */
export function fakeInsight(
  pixels: Pixels,
  kind: InsightTrait["kind"],
  prompts: readonly Prompt[],
  request: string,
): InsightTrait {
  const { width, height } = gridOf(pixels);
  const region: InsightTrait["region"] = [0, 0, pixels.width, pixels.height];
  if (kind === "pca") {
    const pictures = [{ title: "embedding", data: colors(pixels) }];
    return { kind, request: "", width, height, region, pictures };
  }
  const places = prompts.flatMap((p) => (p.type === "point" ? [[p.x, p.y] as const] : []));
  const [x, y] = places[0] ?? [pixels.width / 2, pixels.height / 2];
  const pictures = OUTPUTS.map((title, i) => ({ title, data: bump(pixels, x, y, 3 + 2 * i) }));
  for (const [px, py] of places) pictures.push({ title: "included point", data: bump(pixels, px, py, 2) });
  return places.length === 0
    ? { kind, request, width, height, region, pictures: [], message: "There is no draft." }
    : { kind, request, width, height, region, pictures };
}

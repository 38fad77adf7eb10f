// Quantized low-resolution logits: from bytes to numbers, and from numbers to a mask of the image.
//
// A byte q stands for sign(d) * 0.5 * (65^(|d| / 127) - 1) with d = q - 128: fine steps around zero,
// where the mask's edge is, coarse ones far from it.

import type { BoxTuple, CandidatesTrait } from "../host/traits";
import { bytesOf } from "./bytes";

const MU = 64;
const SPAN = 0.5;

const LOGIT_OF_BYTE = Float32Array.from({ length: 256 }, (_, q) => {
  const d = q - 128;
  return Math.sign(d) * SPAN * ((1 + MU) ** (Math.abs(d) / 127) - 1);
});

/**
 * A (height, width) grid of logits; the sample of image point (x, y) lies at
 * ((x - region[0]) * scale[0] - 0.5, ...). Without a region it covers the whole image.
 */
export interface LogitGrid {
  values: Float32Array;
  width: number;
  height: number;
  scale: readonly [number, number];
  region?: BoxTuple;
}

export function decodeLogits(quantized: Uint8Array): Float32Array {
  const logits = new Float32Array(quantized.length);
  for (let i = 0; i < quantized.length; i++) logits[i] = LOGIT_OF_BYTE[quantized[i]!]!;
  return logits;
}

/** The inverse of `decodeLogits`, to the nearest byte. */
export function encodeLogits(logits: Float32Array): Uint8Array {
  const bytes = new Uint8Array(logits.length);
  const unit = 127 / Math.log(1 + MU);
  for (let i = 0; i < logits.length; i++) {
    const v = logits[i]!;
    const d = Math.sign(v) * Math.min(127, Math.round(unit * Math.log1p(Math.abs(v) / SPAN)));
    bytes[i] = 128 + d;
  }
  return bytes;
}

/** One candidate's logits, whoever answered; null where the message is short of bytes. */
export function gridOf(candidates: CandidatesTrait, index: number): LogitGrid | null {
  const { logits, shape, scale, region } = candidates;
  const [count, height, width] = shape;
  if (index < 0 || index >= count) return null;
  const size = height * width;
  const plain = logits instanceof Float32Array;
  const numbers = plain ? logits : bytesOf(logits);
  if (numbers.length < count * size) return null;
  const grid = plain
    ? { values: logits.subarray(index * size, (index + 1) * size), width, height, scale }
    : gridAt(numbers as Uint8Array, shape, scale, index);
  return region ? { ...grid, region } : grid;
}

/** One candidate's grid out of the (C, h, w) bytes. */
export function gridAt(
  quantized: Uint8Array,
  shape: readonly [number, number, number],
  scale: readonly [number, number],
  index: number,
): LogitGrid {
  const [, height, width] = shape;
  const size = height * width;
  return {
    values: decodeLogits(quantized.subarray(index * size, (index + 1) * size)),
    width,
    height,
    scale,
  };
}

/** Bilinear logit at image point (x, y); the grid's edge samples reach outward. */
export function logitAt(grid: LogitGrid, x: number, y: number): number {
  const { values, width, height, scale } = grid;
  const [ox, oy] = grid.region ?? [0, 0];
  const u = Math.min(Math.max((x - ox) * scale[0] - 0.5, 0), width - 1);
  const v = Math.min(Math.max((y - oy) * scale[1] - 0.5, 0), height - 1);
  const u0 = Math.floor(u);
  const v0 = Math.floor(v);
  const u1 = Math.min(u0 + 1, width - 1);
  const v1 = Math.min(v0 + 1, height - 1);
  const fu = u - u0;
  const fv = v - v0;
  const top = values[v0 * width + u0]! * (1 - fu) + values[v0 * width + u1]! * fu;
  const bottom = values[v1 * width + u0]! * (1 - fu) + values[v1 * width + u1]! * fu;
  return top * (1 - fv) + bottom * fv;
}

/** The mask (1 inside) at the image's full size, row by row: bilinear logit above `level`. */
export function maskOf(
  grid: LogitGrid,
  imageWidth: number,
  imageHeight: number,
  level = 0,
): Uint8Array {
  const mask = new Uint8Array(imageWidth * imageHeight);
  const [x0, y0, x1, y1] = grid.region ?? [0, 0, imageWidth, imageHeight];
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      mask[y * imageWidth + x] = logitAt(grid, x + 0.5, y + 0.5) > level ? 1 : 0;
    }
  }
  return mask;
}

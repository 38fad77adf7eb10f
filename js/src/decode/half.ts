// Half-precision numbers (IEEE 754 binary16), as embeddings travel, in plain ones.

let table: Float32Array | undefined;

/** The number that 16 bits stand for. */
function valueOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Little-endian halves as float32. */
export function widen(halves: Uint8Array): Float32Array {
  const values = (table ??= Float32Array.from({ length: 65536 }, (_, bits) => valueOf(bits)));
  const out = new Float32Array(halves.length >> 1);
  for (let i = 0; i < out.length; i++) out[i] = values[halves[2 * i]! | (halves[2 * i + 1]! << 8)]!;
  return out;
}

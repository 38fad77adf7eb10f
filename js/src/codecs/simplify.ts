// Fewer corners for the same outline: Ramer, Douglas and Peucker's algorithm on closed rings.
import type { Ring } from "./contour";

/** The ring without the corners that lie within `tolerance` of the line that replaces them. */
export function simplify(ring: Ring, tolerance: number): Ring {
  const count = ring.length / 2;
  if (count < 8) return ring;
  // A closed ring has no ends; it is cut at its first corner and at the one farthest from it.
  let far = 0;
  let farthest = -1;
  for (let i = 1; i < count; i++) {
    const distance = (ring[2 * i]! - ring[0]!) ** 2 + (ring[2 * i + 1]! - ring[1]!) ** 2;
    if (distance > farthest) {
      farthest = distance;
      far = i;
    }
  }
  const keep = new Uint8Array(count + 1);
  keep[0] = keep[far] = 1;
  const stack: [number, number][] = [[0, far], [far, count]];
  while (stack.length > 0) {
    const [from, to] = stack.pop()!;
    const ax = ring[2 * from]!;
    const ay = ring[2 * from + 1]!;
    const end = to % count;
    const dx = ring[2 * end]! - ax;
    const dy = ring[2 * end + 1]! - ay;
    const length = Math.hypot(dx, dy);
    let most = tolerance;
    let at = -1;
    for (let i = from + 1; i < to; i++) {
      const px = ring[2 * i]! - ax;
      const py = ring[2 * i + 1]! - ay;
      const off = length > 0 ? Math.abs(px * dy - py * dx) / length : Math.hypot(px, py);
      if (off > most) {
        most = off;
        at = i;
      }
    }
    if (at < 0) continue;
    keep[at] = 1;
    stack.push([from, at], [at, to]);
  }
  const corners: number[] = [];
  for (let i = 0; i < count; i++) if (keep[i]) corners.push(ring[2 * i]!, ring[2 * i + 1]!);
  return corners.length >= 6 ? Float32Array.from(corners) : ring;
}

// Outlines as vectors: marching squares over a grid of numbers, crisp at every zoom.
import type { Coverage } from "./rle";
import type { LogitGrid } from "./logits";

/** A closed outline: x0, y0, x1, y1, ... in image pixels. */
export type Ring = Float32Array;

/** How far below the level the padding around a candidate lies. */
const OUTSIDE = 1e6;

export interface Grid {
  /** Row by row. The outermost ring must lie below `level`; a ring that leaves the grid is dropped. */
  values: Float32Array;
  /** Where the columns and rows lie in the image. */
  xs: Float32Array;
  ys: Float32Array;
  level: number;
  /** Whether outlines follow the bilinear surface inside the cells, too. */
  curved: boolean;
}

/** Closed rings around everything above the level, the crossing interpolated along each grid edge. */
export function contours(grid: Grid): Ring[] {
  const { values, xs, ys, level } = grid;
  const columns = xs.length;
  const rows = ys.length;
  // Edge 2i leads from grid point i to the right, edge 2i + 1 downward. Inside lies on one constant
  // side of every segment, so each crossed edge starts exactly one segment and ends exactly one.
  const next = new Int32Array(columns * rows * 2).fill(-1);
  const starts: number[] = [];
  const link = (from: number, to: number): void => {
    next[from] = to;
    starts.push(from);
  };
  for (let r = 0; r + 1 < rows; r++) {
    for (let c = 0; c + 1 < columns; c++) {
      const i = r * columns + c;
      const a = values[i]!;
      const b = values[i + 1]!;
      const d = values[i + columns]!;
      const e = values[i + columns + 1]!;
      const kind =
        (a > level ? 8 : 0) | (b > level ? 4 : 0) | (e > level ? 2 : 0) | (d > level ? 1 : 0);
      if (kind === 0 || kind === 15) continue;
      const top = 2 * i;
      const left = 2 * i + 1;
      const right = 2 * (i + 1) + 1;
      const bottom = 2 * (i + columns);
      switch (kind) {
        case 1: link(bottom, left); break;
        case 2: link(right, bottom); break;
        case 3: link(right, left); break;
        case 4: link(top, right); break;
        case 6: link(top, bottom); break;
        case 7: link(top, left); break;
        case 8: link(left, top); break;
        case 9: link(bottom, top); break;
        case 11: link(right, top); break;
        case 12: link(left, right); break;
        case 13: link(bottom, right); break;
        case 14: link(left, bottom); break;
        // Two opposite corners are inside: the bilinear surface's middle says whether they touch.
        case 5:
          if ((a + b + d + e) / 4 > level) { link(top, left); link(bottom, right); }
          else { link(top, right); link(bottom, left); }
          break;
        case 10:
          if ((a + b + d + e) / 4 > level) { link(right, top); link(left, bottom); }
          else { link(left, top); link(right, bottom); }
          break;
      }
    }
  }
  const rings: Ring[] = [];
  for (const start of starts) {
    if (next[start] === -1) continue;
    const ring = trace(start, next, grid);
    if (ring) rings.push(ring);
  }
  return rings;
}

/** Follows the links from `start` around, consuming them. */
function trace(start: number, next: Int32Array, grid: Grid): Ring | null {
  const points: number[] = [];
  let edge = start;
  let before: Crossing | null = null;
  while (edge !== -1) {
    const following = next[edge]!;
    const here = crossing(edge, grid);
    if (before && grid.curved) addBend(points, before, here, grid);
    if (following === -1) break;
    next[edge] = -1;
    addPoint(points, here.x, here.y);
    before = here;
    edge = following;
  }
  if (edge !== start) return null;
  return points.length >= 6 ? Float32Array.from(points) : null;
}

/** Where the outline crosses an edge: in the image, and in columns and rows. */
interface Crossing {
  x: number;
  y: number;
  column: number;
  row: number;
}

function crossing(edge: number, { values, xs, ys, level }: Grid): Crossing {
  const columns = xs.length;
  const i = edge >> 1;
  const c = i % columns;
  const r = (i - c) / columns;
  const down = edge & 1;
  const from = values[i]!;
  const to = values[down ? i + columns : i + 1]!;
  const t = (level - from) / (to - from);
  return down
    ? { x: xs[c]!, y: ys[r]! + t * (ys[r + 1]! - ys[r]!), column: c, row: r + t }
    : { x: xs[c]! + t * (xs[c + 1]! - xs[c]!), y: ys[r]!, column: c + t, row: r };
}

/** Bends (in cells) that nobody could see. */
const FLAT = 0.02;

/**
 * Inside a cell the bilinear surface meets the level in a hyperbola, not in a line. Its middle,
 * found by one Newton step from the line's, makes the outline follow the mask.
 */
function addBend(points: number[], p: Crossing, q: Crossing, grid: Grid): void {
  const { values, xs, ys, level } = grid;
  const column = (p.column + q.column) / 2;
  const row = (p.row + q.row) / 2;
  const c = Math.min(Math.floor(column), xs.length - 2);
  const r = Math.min(Math.floor(row), ys.length - 2);
  const i = r * xs.length + c;
  const a = values[i]!;
  const b = values[i + 1]!;
  const d = values[i + xs.length]!;
  const e = values[i + xs.length + 1]!;
  if (Math.min(a, b, d, e) <= level - OUTSIDE / 2) return; // along the image's border it is straight
  const u = column - c;
  const v = row - r;
  const slopeU = (b - a) * (1 - v) + (e - d) * v;
  const slopeV = (d - a) * (1 - u) + (e - b) * u;
  const height = a * (1 - u) * (1 - v) + b * u * (1 - v) + d * (1 - u) * v + e * u * v - level;
  const steep = slopeU * slopeU + slopeV * slopeV;
  const du = steep > 0 ? (-height * slopeU) / steep : 0;
  const dv = steep > 0 ? (-height * slopeV) / steep : 0;
  if (Math.abs(du) + Math.abs(dv) < FLAT) return;
  const u1 = Math.min(Math.max(u + du, 0), 1);
  const v1 = Math.min(Math.max(v + dv, 0), 1);
  addPoint(points, xs[c]! + u1 * (xs[c + 1]! - xs[c]!), ys[r]! + v1 * (ys[r + 1]! - ys[r]!));
}

/** Leaves out a middle point that lies on the line between its neighbors: straight edges stay short. */
function addPoint(points: number[], x: number, y: number): void {
  const n = points.length;
  if (n >= 4) {
    const ax = points[n - 4]!;
    const ay = points[n - 3]!;
    const bx = points[n - 2]!;
    const by = points[n - 1]!;
    if (Math.abs((bx - ax) * (y - by) - (by - ay) * (x - bx)) < 1e-4) {
      const forward = (bx - ax) * (x - bx) + (by - ay) * (y - by);
      if (forward >= 0) {
        points[n - 2] = x;
        points[n - 1] = y;
        return;
      }
    }
  }
  points.push(x, y);
}

/**
 * The outlines of a candidate: where its bilinear logits cross `level`.
 *
 * Half a sample beyond the outermost samples the surface is flat, up to the image's border; a last
 * ring far below the level closes the outline there.
 */
export function contoursOfLogits(
  grid: LogitGrid,
  imageWidth: number,
  imageHeight: number,
  level = 0,
): Ring[] {
  const columns = grid.width + 4;
  const rows = grid.height + 4;
  const values = new Float32Array(columns * rows).fill(level - OUTSIDE);
  for (let r = 1; r < rows - 1; r++) {
    const row = Math.min(Math.max(r - 2, 0), grid.height - 1);
    for (let c = 1; c < columns - 1; c++) {
      const column = Math.min(Math.max(c - 2, 0), grid.width - 1);
      values[r * columns + c] = grid.values[row * grid.width + column]!;
    }
  }
  const [x0, y0, x1, y1] = grid.region ?? [0, 0, imageWidth, imageHeight];
  return contours({
    values,
    xs: samplePositions(grid.width, grid.scale[0], x0, x1),
    ys: samplePositions(grid.height, grid.scale[1], y0, y1),
    level,
    curved: true,
  });
}

function samplePositions(count: number, scale: number, start: number, end: number): Float32Array {
  const at = new Float32Array(count + 4);
  at[0] = at[1] = start;
  for (let i = 0; i < count; i++) at[i + 2] = Math.min(start + (i + 0.5) / scale, end);
  at[count + 2] = end;
  at[count + 3] = end;
  return at;
}

/** The outlines of a kept mask from its coverage of a coarse grid. */
export function contoursOfCoverage(
  coverage: Coverage,
  cell: { width: number; height: number },
): Ring[] {
  const xs = new Float32Array(coverage.width);
  const ys = new Float32Array(coverage.height);
  for (let c = 0; c < xs.length; c++) xs[c] = (coverage.column + c + 0.5) * cell.width;
  for (let r = 0; r < ys.length; r++) ys[r] = (coverage.row + r + 0.5) * cell.height;
  return contours({ values: coverage.values, xs, ys, level: 0.5, curved: false });
}

// COCO's compressed run lengths: column-major runs, background first, six bits to a character.

/** Foreground and background runs of one mask, in a form that answers questions quickly. */
export interface Runs {
  width: number;
  height: number;
  /** Where each run ends, as a column-major pixel index; even runs are background. */
  ends: Uint32Array;
}

/** The run lengths in `text`: deltas against the run before the last, five bits and a flag a character. */
export function decodeCounts(text: string): number[] {
  const counts: number[] = [];
  let at = 0;
  while (at < text.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more && at < text.length) {
      const code = text.charCodeAt(at++) - 48;
      value |= (code & 0x1f) << shift;
      shift += 5;
      more = (code & 0x20) !== 0;
      if (!more && (code & 0x10) !== 0 && shift < 32) value |= -1 << shift;
    }
    if (counts.length > 2) value += counts[counts.length - 2]!;
    counts.push(value);
  }
  return counts;
}

export function encodeCounts(counts: readonly number[]): string {
  let text = "";
  for (let i = 0; i < counts.length; i++) {
    let value = counts[i]!;
    if (i > 2) value -= counts[i - 2]!;
    let more = true;
    while (more) {
      let code = value & 0x1f;
      value >>= 5;
      more = (code & 0x10) !== 0 ? value !== -1 : value !== 0;
      if (more) code |= 0x20;
      text += String.fromCharCode(code + 48);
    }
  }
  return text;
}

export function decodeRle(size: readonly [number, number], counts: string): Runs {
  const [height, width] = size;
  const lengths = decodeCounts(counts);
  const ends = new Uint32Array(lengths.length);
  const pixels = width * height;
  let sum = 0;
  for (let i = 0; i < lengths.length; i++) {
    sum = Math.min(sum + Math.max(lengths[i]!, 0), pixels); // broken text never leads outside the image
    ends[i] = sum;
  }
  return { width, height, ends };
}

/** Run lengths of a row-major mask. */
export function encodeMask(mask: Uint8Array, width: number, height: number): string {
  const counts: number[] = [];
  let inside = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const value = mask[y * width + x] ? 1 : 0;
      if (value !== inside) {
        counts.push(run);
        run = 0;
        inside = value;
      }
      run++;
    }
  }
  counts.push(run);
  return encodeCounts(counts);
}

/** The tight box `[x0, y0, x1, y1]` of a mask; zeros where it is empty. */
export function boxOfRuns({ ends, width, height }: Runs): [number, number, number, number] {
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let run = 1; run < ends.length; run += 2) {
    const from = ends[run - 1]!;
    const last = ends[run]! - 1;
    if (last < from) continue;
    const left = Math.floor(from / height);
    const right = Math.floor(last / height);
    x0 = Math.min(x0, left);
    x1 = Math.max(x1, right + 1);
    y0 = right > left ? 0 : Math.min(y0, from - left * height);
    y1 = right > left ? height : Math.max(y1, last - left * height + 1);
  }
  return x1 === 0 ? [0, 0, 0, 0] : [x0, y0, x1, y1];
}

/** Whether the pixel under image point (x, y) belongs to the mask. */
export function contains(runs: Runs, x: number, y: number): boolean {
  const column = Math.floor(x);
  const row = Math.floor(y);
  if (column < 0 || row < 0 || column >= runs.width || row >= runs.height) return false;
  const index = column * runs.height + row;
  let low = 0;
  let high = runs.ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs.ends[middle]! > index) high = middle;
    else low = middle + 1;
  }
  return low < runs.ends.length && low % 2 === 1;
}

/** A piece of a mask on a coarser grid: how much of every cell is covered, 0 to 1. */
export interface Coverage {
  values: Float32Array;
  width: number;
  height: number;
  /** The region's first cell in the coarse grid. */
  column: number;
  row: number;
}

/**
 * Draws runs straight into a coarse grid of `cell` image pixels a side, only where `box` says.
 * One empty ring of cells surrounds the region, so that outlines close.
 */
export function coverageOf(
  runs: Runs,
  box: readonly [number, number, number, number],
  cell: { width: number; height: number },
): Coverage {
  const x0 = Math.max(0, Math.floor(box[0]));
  const x1 = Math.min(runs.width, Math.ceil(box[2]));
  const y0 = Math.max(0, Math.floor(box[1]));
  const y1 = Math.min(runs.height, Math.ceil(box[3]));
  const column = Math.floor(x0 / cell.width) - 1;
  const row = Math.floor(y0 / cell.height) - 1;
  const width = Math.max(0, Math.ceil(x1 / cell.width) - column + 1);
  const height = Math.max(0, Math.ceil(y1 / cell.height) - row + 1);
  const values = new Float32Array(width * height);
  const { ends } = runs;
  for (let run = 1; run < ends.length; run += 2) {
    let index = ends[run - 1]!;
    const end = ends[run]!;
    while (index < end) {
      const x = Math.floor(index / runs.height);
      const from = index - x * runs.height;
      const to = Math.min(runs.height, from + (end - index));
      index += to - from;
      if (x < x0 || x >= x1) continue;
      fillColumn(values, width, height, x, Math.max(from, y0), Math.min(to, y1), cell, column, row);
    }
  }
  return { values, width, height, column, row };
}

/** Adds image rows [from, to) of image column x, weighted by the area that each cell takes of them. */
function fillColumn(
  values: Float32Array,
  width: number,
  height: number,
  x: number,
  from: number,
  to: number,
  cell: { width: number; height: number },
  column: number,
  row: number,
): void {
  const firstColumn = Math.floor(x / cell.width);
  const lastColumn = Math.min(Math.ceil((x + 1) / cell.width) - 1, column + width - 1);
  const firstRow = Math.floor(from / cell.height);
  const lastRow = Math.min(Math.ceil(to / cell.height) - 1, row + height - 1);
  for (let c = firstColumn; c <= lastColumn; c++) {
    const across =
      (Math.min(x + 1, (c + 1) * cell.width) - Math.max(x, c * cell.width)) / cell.width;
    for (let r = firstRow; r <= lastRow; r++) {
      const down =
        (Math.min(to, (r + 1) * cell.height) - Math.max(from, r * cell.height)) / cell.height;
      if (down <= 0 || across <= 0) continue;
      const at = (r - row) * width + (c - column);
      values[at] = values[at]! + across * down;
    }
  }
}

/**
 * The cells of the matrix as pixels: pure.
 *
 * Every pixel has one source cell, so that edges are sharp at any zoom. Where cells are smaller than
 * a pixel, each belongs to exactly one pixel, which shows the largest of its cells.
 */
import { coarser, MISSING, magnitudeOf, type Pool } from "./pool";

/** One direction of a run of cells, in device pixels. */
export interface Axis {
  /** Where the first cell begins. */
  readonly start: number;
  /** Size of a cell. */
  readonly size: number;
  readonly count: number;
  /** Room that is left free behind a cell. */
  readonly gap: number;
  /** The least that can be seen well: pooled cells are as large as this. */
  readonly unit: number;
}

/** For each pixel the first of its cells at a level of a pool, and one past the last; or none. */
export interface Spans {
  readonly level: number;
  readonly from: Int32Array;
  readonly to: Int32Array;
}

/** Finds the cells of each of so many pixels. */
export function spansOf({ start, size, count, gap, unit }: Axis, length: number): Spans {
  const from = new Int32Array(length);
  const to = new Int32Array(length);
  if (size >= unit) {
    for (let pixel = 0; pixel < length; pixel++) {
      const cell = Math.floor((pixel + 0.5 - start) / size);
      if (cell < 0 || cell >= count) continue;
      if (gap > 0 && pixel + gap >= Math.round(start + (cell + 1) * size)) continue;
      from[pixel] = cell;
      to[pixel] = cell + 1;
    }
    return { level: 0, from, to };
  }
  const level = Math.floor(Math.log2(unit / size));
  const block = size * 2 ** level;
  const blocks = coarser(count, level);
  const reached = (unitAt: number) =>
    Math.min(blocks, Math.max(0, Math.ceil((unitAt * unit - start) / block - 1e-9)));
  for (let pixel = 0; pixel < length; pixel++) {
    const unitAt = Math.floor(pixel / unit);
    from[pixel] = reached(unitAt);
    to[pixel] = reached(unitAt + 1);
  }
  return { level, from, to };
}

/** Rows of one pool and where they stand. */
export interface Band {
  readonly pool: Pool;
  readonly rows: Spans;
}

export interface Ink {
  /** Colour of each entry, as a pixel in memory. */
  readonly colours: Uint32Array;
  readonly surface: number;
  /** Missing cells: stripes of this colour, every so many pixels; 0 for none. */
  readonly stripe: number;
  readonly period: number;
  /** What the stripes count from, so that they move with the cells. */
  readonly phase: number;
}

/** Paints bands of cells; they share their columns. */
export function rasterize(
  pixels: Uint32Array,
  bands: readonly Band[],
  columns: Spans,
  ink: Ink,
): void {
  pixels.fill(ink.surface);
  const width = columns.from.length;
  for (const { pool, rows } of bands) {
    const stride = coarser(pool.columns, columns.level);
    const entries = pool.level(rows.level, columns.level);
    // The pixel row above, where it shows the same cells and no stripes.
    let same = -1;
    for (let y = 0; y < rows.from.length; y++) {
      const top = rows.from[y] ?? 0;
      const bottom = rows.to[y] ?? 0;
      if (bottom <= top) continue;
      if (same >= 0 && rows.from[same] === top && rows.to[same] === bottom) {
        pixels.copyWithin(y * width, same * width, (same + 1) * width);
        continue;
      }
      same = y;
      for (let x = 0; x < width; x++) {
        const left = columns.from[x] ?? 0;
        const right = columns.to[x] ?? 0;
        if (right <= left) continue;
        let entry = entries[top * stride + left] ?? MISSING;
        if (right - left > 1 || bottom - top > 1) {
          for (let row = top; row < bottom; row++) {
            for (let column = left; column < right; column++) {
              const other = entries[row * stride + column] ?? MISSING;
              if (magnitudeOf(other, pool.signed) > magnitudeOf(entry, pool.signed)) entry = other;
            }
          }
        }
        if (entry !== MISSING) {
          pixels[y * width + x] = ink.colours[entry] ?? ink.surface;
        } else if (ink.period > 0) {
          same = -1;
          if ((x + y + ink.phase) % ink.period < ink.period / 5) {
            pixels[y * width + x] = ink.stripe;
          }
        }
      }
    }
  }
}

/** The colour `#rrggbb` as a pixel in memory. */
export function pixelOf(colour: string): number {
  const value = Number.parseInt(colour.slice(1), 16);
  return ((0xff << 24) | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

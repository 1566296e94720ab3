import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPool, MISSING, magnitudeOf, strongestIn, takeRows } from "../src/draw/pool";
import { type Axis, pixelOf, rasterize, spansOf } from "../src/draw/raster";

/** Entries with their number of rows and columns. */
const matrices = fc
  .record({
    rows: fc.integer({ min: 1, max: 40 }),
    columns: fc.integer({ min: 1, max: 40 }),
    signed: fc.boolean(),
  })
  .chain(({ rows, columns, signed }) =>
    fc.record({
      rows: fc.constant(rows),
      columns: fc.constant(columns),
      signed: fc.constant(signed),
      entries: fc
        .array(fc.integer({ min: -1, max: 255 }), {
          minLength: rows * columns,
          maxLength: rows * columns,
        })
        .map((values) => Int16Array.from(values)),
    }),
  );

/** The largest magnitude in a block, by a plain loop. */
function strongest(
  entries: Int16Array,
  columns: number,
  [top, bottom]: [number, number],
  [left, right]: [number, number],
  signed: boolean,
): number {
  let most = -1;
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      most = Math.max(most, magnitudeOf(entries[row * columns + column] ?? MISSING, signed));
    }
  }
  return most;
}

const axis = (more: Partial<Axis>): Axis => ({
  start: 0,
  size: 1,
  count: 1,
  gap: 0,
  unit: 1,
  ...more,
});

const colours = Uint32Array.from({ length: 256 }, (_, entry) => 1000 + entry);
const ink = { colours, surface: 1, stripe: 2, period: 0, phase: 0 };

describe("a pooled matrix", () => {
  it("has at every level the largest magnitude of its cells", () => {
    const levels = fc.integer({ min: 0, max: 6 });
    fc.assert(
      fc.property(matrices, levels, levels, ({ rows, columns, signed, entries }, down, across) => {
        const level = createPool(entries, rows, columns, signed).level(down, across);
        const [tall, wide] = [2 ** down, 2 ** across];
        const width = Math.ceil(columns / wide);
        expect(level.length).toBe(Math.ceil(rows / tall) * width);
        level.forEach((entry, at) => {
          const [row, column] = [Math.floor(at / width) * tall, (at % width) * wide];
          const block = strongest(
            entries,
            columns,
            [row, Math.min(rows, row + tall)],
            [column, Math.min(columns, column + wide)],
            signed,
          );
          expect(magnitudeOf(entry, signed)).toBe(block);
        });
      }),
    );
  });

  it("keeps the sign of what is kept, and is missing only where all of it is", () => {
    const entries = Int16Array.from([MISSING, 130, 3, 140]);
    expect([...createPool(entries, 2, 2, true).level(1, 0)]).toEqual([3, 140]);
    expect([...createPool(entries, 2, 2, true).level(1, 1)]).toEqual([3]);
    expect([...createPool(Int16Array.from([MISSING, MISSING]), 1, 2, false).level(0, 1)]).toEqual([
      MISSING,
    ]);
  });

  it("takes rows in any order", () => {
    const entries = Int16Array.from([1, 2, 3, 4, 5, 6]);
    expect([...takeRows(entries, Int32Array.from([2, 0]), 2)]).toEqual([5, 6, 1, 2]);
    expect([...takeRows(entries, Int32Array.from([1, 2]), 2)]).toEqual([3, 4, 5, 6]);
    expect([...takeRows(entries, Int32Array.from([]), 2)]).toEqual([]);
  });

  it("finds the cell that a pixel shows", () => {
    const pool = createPool(Int16Array.from([1, 2, 3, 4, 9, 6]), 3, 2, false);
    const at = { row: 0, column: 0 };
    expect(strongestIn(pool, at, { row: 0.5, column: 0.5 })).toEqual(at);
    expect(strongestIn(pool, at, { row: 3, column: 1 })).toEqual({ row: 2, column: 0 });
    expect(strongestIn(pool, { row: 2, column: 1 }, { row: 5, column: 5 })).toEqual({
      row: 2,
      column: 1,
    });
  });
});

describe("the cells as pixels", () => {
  it("never lose a cell, however many share a pixel", () => {
    const sizes = fc.double({ min: 0.02, max: 0.99, noNaN: true });
    fc.assert(
      fc.property(matrices, sizes, sizes, (matrix, wide, tall) => {
        const { rows, columns, signed, entries } = matrix;
        const width = Math.ceil(columns * wide) + 1;
        const height = Math.ceil(rows * tall) + 1;
        const pixels = new Uint32Array(width * height);
        const pool = createPool(entries, rows, columns, signed);
        const band = { pool, rows: spansOf(axis({ size: tall, count: rows }), height) };
        rasterize(pixels, [band], spansOf(axis({ size: wide, count: columns }), width), ink);
        const shown = (x: number, y: number) => {
          const pixel = pixels[y * width + x] ?? 0;
          return magnitudeOf(pixel >= 1000 ? pixel - 1000 : MISSING, signed);
        };
        entries.forEach((entry, at) => {
          const [row, column] = [Math.floor(at / columns), at % columns];
          // A cell is in the pixel of its beginning, pooled blocks in that of theirs: one before.
          const near = [0, 1].flatMap((up) =>
            [0, 1].map((left) =>
              shown(Math.floor(column * wide) - left, Math.floor(row * tall) - up),
            ),
          );
          expect(Math.max(...near)).toBeGreaterThanOrEqual(magnitudeOf(entry, signed));
        });
      }),
    );
  });

  it("give every pixel of a large cell its colour, and the gap behind it to the surface", () => {
    const pool = createPool(Int16Array.from([10, 20]), 1, 2, false);
    const columns = spansOf(axis({ size: 3, count: 2, gap: 1 }), 7);
    const rows = spansOf(axis({ size: 2, count: 1 }), 2);
    const pixels = new Uint32Array(14);
    rasterize(pixels, [{ pool, rows }], columns, ink);
    const line = [1010, 1010, 1, 1020, 1020, 1, 1];
    expect([...pixels]).toEqual([...line, ...line]);
  });

  it("begin where the view is scrolled to", () => {
    const { from, to } = spansOf(axis({ start: -4, size: 3, count: 3 }), 6);
    expect([...from].map((cell, at) => ((to[at] ?? 0) > cell ? cell : null))).toEqual([
      1,
      1,
      2,
      2,
      2,
      null,
    ]);
  });

  it("are striped where small ones are missing, and never a colour of the scale", () => {
    const pool = createPool(Int16Array.from([MISSING, MISSING]), 2, 1, false);
    const columns = spansOf(axis({ size: 10, count: 1 }), 10);
    const rows = spansOf(axis({ size: 2, count: 2 }), 4);
    const pixels = new Uint32Array(40);
    rasterize(pixels, [{ pool, rows }], columns, { ...ink, period: 5 });
    const lines = [0, 1, 2, 3].map((y) => [...pixels.subarray(y * 10, y * 10 + 10)]);
    expect(lines[0]).toEqual([2, 1, 1, 1, 1, 2, 1, 1, 1, 1]);
    // The stripe climbs by a pixel on every line.
    expect(lines[1]?.indexOf(2)).toBe(4);
    expect(lines[2]?.indexOf(2)).toBe(3);
  });

  it("are shown at the size of a pixel of the page, also on a screen with finer ones", () => {
    const hot = Int16Array.from({ length: 64 }, (_, at) => (at === 21 ? 200 : 0));
    const pool = createPool(hot, 64, 1, false);
    const pixels = new Uint32Array(2 * 32);
    const columns = spansOf(axis({ size: 2, count: 1, unit: 2 }), 2);
    const rows = spansOf(axis({ size: 0.5, count: 64, unit: 2 }), 32);
    rasterize(pixels, [{ pool, rows }], columns, ink);
    const rowsShown = [...pixels].flatMap((pixel, at) => (pixel === 1200 ? [at >> 1] : []));
    expect(rowsShown).toEqual([10, 10, 11, 11]);
  });

  it("have the colours of the table in the order of a canvas", () => {
    const [pixel] = new Uint32Array(Uint8Array.from([0x12, 0x34, 0x56, 0xff]).buffer);
    expect(pixelOf("#123456")).toBe(pixel);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cellRect,
  contentHeight,
  contentWidth,
  fitGrid,
  type Grid,
  hit,
  MIN_CELL,
  rowsAbove,
  rowTop,
  scrollToCell,
  visibleColumns,
  visibleRows,
} from "../src/draw/geometry";

const grids = fc
  .record({
    source: fc.integer({ min: 1, max: 300 }),
    target: fc.integer({ min: 0, max: 300 }),
    columns: fc.integer({ min: 1, max: 300 }),
    width: fc.integer({ min: 120, max: 2000 }),
    widestRow: fc.integer({ min: 0, max: 600 }),
    widestColumn: fc.integer({ min: 0, max: 600 }),
  })
  .map(({ source, target, ...fit }): Grid => {
    const groups = [{ label: "Source", start: 0, end: source }];
    if (target > 0) groups.push({ label: "Target prefix", start: source, end: source + target });
    return fitGrid({ ...fit, rows: source + target, groups });
  });

const cells = grids.chain((grid) =>
  fc.record({
    grid: fc.constant(grid),
    row: fc.integer({ min: 0, max: grid.rows - 1 }),
    column: fc.integer({ min: 0, max: grid.columns - 1 }),
  }),
);

describe("the matrix's geometry", () => {
  it("finds every cell again from any point inside its rectangle", () => {
    const inside = fc.double({ min: 0, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(cells, inside, inside, ({ grid, row, column }, right, down) => {
        const rect = cellRect(grid, row, column);
        const scroll = { x: rect.x - grid.labelWidth, y: rect.y - grid.headHeight };
        const point = {
          x: rect.x - scroll.x + right * rect.width,
          y: rect.y - scroll.y + down * rect.height,
        };
        expect(hit(grid, point, scroll)).toEqual({ row, column });
      }),
    );
  });

  it("finds rows and columns from their labels, however far the cells are scrolled", () => {
    fc.assert(
      fc.property(cells, ({ grid, row, column }) => {
        const rect = cellRect(grid, row, column);
        const scroll = { x: rect.x - grid.labelWidth, y: rect.y - grid.headHeight };
        const below = grid.headHeight + rect.height / 2;
        const beside = grid.labelWidth + rect.width / 2;
        expect(hit(grid, { x: 3, y: below }, scroll)).toEqual({ row, column: null });
        expect(hit(grid, { x: beside, y: 3 }, scroll)).toEqual({ row: null, column });
        expect(hit(grid, { x: 3, y: 3 }, scroll)).toBeNull();
      }),
    );
  });

  it("counts the rows above a height, and gives the height back", () => {
    const part = fc.double({ min: 0, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(cells, part, ({ grid, row }, down) => {
        expect(rowsAbove(grid, rowTop(grid, row + down))).toBeCloseTo(row + down, 6);
      }),
    );
  });

  it("never overlaps cells, and keeps them inside the content", () => {
    fc.assert(
      fc.property(cells, ({ grid, row, column }) => {
        const rect = cellRect(grid, row, column);
        if (row > 0) expect(rect.y).toBeGreaterThanOrEqual(rowTop(grid, row - 1) + grid.cellHeight);
        expect(rect.y).toBeGreaterThanOrEqual(grid.headHeight);
        expect(rect.x + rect.width).toBeLessThanOrEqual(contentWidth(grid));
        expect(rect.y + rect.height).toBeLessThanOrEqual(contentHeight(grid));
      }),
    );
  });

  it("hits nothing on a group's title and outside the cells", () => {
    const groups = [
      { label: "Source", start: 0, end: 2 },
      { label: "Target prefix", start: 2, end: 3 },
    ];
    const grid = fitGrid({
      rows: 3,
      columns: 2,
      groups,
      width: 500,
      widestRow: 40,
      widestColumn: 30,
    });
    const origin = { x: 0, y: 0 };
    const beside = grid.labelWidth + 4;
    expect(hit(grid, { x: beside, y: rowTop(grid, 2) - 3 }, origin)).toBeNull();
    expect(hit(grid, { x: beside, y: contentHeight(grid) + 1 }, origin)).toBeNull();
    expect(hit(grid, { x: contentWidth(grid) + 1, y: rowTop(grid, 0) + 1 }, origin)).toBeNull();
  });

  it("keeps rows and columns large enough for their labels", () => {
    fc.assert(
      fc.property(grids, (grid) => {
        expect(grid.cellWidth).toBeGreaterThanOrEqual(MIN_CELL);
        expect(grid.cellHeight).toBeGreaterThanOrEqual(MIN_CELL);
      }),
    );
  });

  it("draws exactly the rows and columns that are seen", () => {
    fc.assert(
      fc.property(cells, fc.integer({ min: 200, max: 900 }), ({ grid, row, column }, size) => {
        const scroll = scrollToCell(
          grid,
          { row, column },
          { x: 0, y: 0 },
          { width: 700, height: size },
        );
        const [firstRow, endRow] = visibleRows(grid, scroll.y, size);
        const [firstColumn, endColumn] = visibleColumns(grid, scroll.x, 700);
        expect(firstRow).toBeLessThanOrEqual(row);
        expect(endRow).toBeGreaterThan(row);
        expect(firstColumn).toBeLessThanOrEqual(column);
        expect(endColumn).toBeGreaterThan(column);
        expect(endRow - firstRow).toBeLessThanOrEqual(size / grid.cellHeight + 2);
      }),
    );
  });

  it("scrolls no further than needed, and not at all for a cell that is seen", () => {
    fc.assert(
      fc.property(cells, ({ grid, row, column }) => {
        const view = { width: grid.labelWidth + 200, height: grid.headHeight + 200 };
        const there = scrollToCell(grid, { row, column }, { x: 0, y: 0 }, view);
        expect(scrollToCell(grid, { row, column }, there, view)).toEqual(there);
        expect(scrollToCell(grid, { row: null, column: null }, there, view)).toEqual(there);
      }),
    );
  });
});

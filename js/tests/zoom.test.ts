import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  contentHeight,
  contentWidth,
  fitGrid,
  type Grid,
  headHeight,
  rowsAbove,
} from "../src/draw/geometry";
import { LABEL_ROOM, labelledPlaces, strideOf } from "../src/draw/labels";
import { mapFrame, mapSize, scrollToMap } from "../src/draw/minimap";
import {
  overflows,
  type Room,
  scrollAround,
  steppedZoom,
  zoomed,
  zoomRange,
} from "../src/draw/zoom";

/** Matrices at the readable size, with the room that they were measured for. */
const matrices = fc
  .record({
    source: fc.integer({ min: 1, max: 3000 }),
    target: fc.integer({ min: 0, max: 600 }),
    columns: fc.integer({ min: 1, max: 600 }),
    width: fc.integer({ min: 300, max: 2000 }),
    height: fc.integer({ min: 300, max: 520 }),
    widestRow: fc.integer({ min: 0, max: 300 }),
    widestColumn: fc.integer({ min: 0, max: 300 }),
  })
  .map(({ source, target, height, ...fit }): [Grid, Room] => {
    const groups = [{ label: "Source", start: 0, end: source }];
    if (target > 0) groups.push({ label: "Target prefix", start: source, end: source + target });
    const base = fitGrid({ ...fit, rows: source + target, groups });
    return [base, { width: fit.width, height }];
  });
const parts = fc.double({ min: 0, max: 1, noNaN: true });

describe("the zoom of the matrix", () => {
  it("is the readable size at 1", () => {
    fc.assert(
      fc.property(matrices, ([base, room]) => {
        const { cellWidth, cellHeight } = zoomed(base, room, 1);
        expect([cellWidth, cellHeight]).toEqual([base.cellWidth, base.cellHeight]);
      }),
    );
  });

  it("has everything in view at its least, and fills the room in both directions", () => {
    fc.assert(
      fc.property(matrices, ([base, room]) => {
        const [least, most] = zoomRange(base, room);
        expect(least).toBeLessThanOrEqual(1);
        expect(most).toBeGreaterThan(1);
        const grid = zoomed(base, room, least);
        expect(overflows(grid, room)).toBe(false);
        const filled = [
          Math.abs(contentWidth(grid) - room.width) < 1 || grid.cellWidth === base.cellWidth,
          Math.abs(contentHeight(grid) - room.height) < 1 || grid.cellHeight === base.cellHeight,
        ];
        expect(filled).toEqual([true, true]);
      }),
    );
  });

  it("grows both sides of a cell with every step inwards, and never shrinks one", () => {
    fc.assert(
      fc.property(matrices, parts, parts, ([base, room], one, other) => {
        const [least, most] = zoomRange(base, room);
        const [low, high] = [one, other].sort((a, b) => a - b) as [number, number];
        const at = (part: number) => zoomed(base, room, least * (most / least) ** part);
        expect(at(high).cellWidth).toBeGreaterThanOrEqual(at(low).cellWidth * (1 - 1e-9));
        expect(at(high).cellHeight).toBeGreaterThanOrEqual(at(low).cellHeight * (1 - 1e-9));
      }),
    );
  });

  it("keeps what lies under the pointer where it is", () => {
    fc.assert(
      fc.property(matrices, parts, parts, parts, ([base, room], right, down, part) => {
        const [least, most] = zoomRange(base, room);
        const before = zoomed(base, room, 1);
        const after = zoomed(base, room, least * (most / least) ** part);
        const point = {
          x: before.labelWidth + right * (room.width - before.labelWidth),
          y: before.headHeight + down * (room.height - before.headHeight),
        };
        const scroll = { x: 40, y: 60 };
        const to = scrollAround(before, after, point, scroll);
        const column = (grid: Grid, x: number) => (point.x + x - grid.labelWidth) / grid.cellWidth;
        expect(column(after, to.x)).toBeCloseTo(column(before, scroll.x), 6);
        const row = rowsAbove(before, point.y + scroll.y);
        // Below the last row there is nothing to keep.
        if (row < base.rows) expect(rowsAbove(after, point.y + to.y)).toBeCloseTo(row, 6);
      }),
    );
  });

  it("stops at the readable size on its way, in steps", () => {
    expect(steppedZoom(1, true)).toBeCloseTo(Math.SQRT2);
    expect(steppedZoom(0.8, true)).toBe(1);
    expect(steppedZoom(1.3, false)).toBe(1);
    expect(steppedZoom(steppedZoom(1, true), false)).toBe(1);
  });

  it("leaves room for a map in the corner wherever something is out of sight", () => {
    fc.assert(
      fc.property(matrices, parts, ([base, room], part) => {
        const [least, most] = zoomRange(base, room);
        const grid = zoomed(base, room, least * (most / least) ** part);
        if (overflows(grid, room)) expect(mapSize(grid).height).toBeGreaterThanOrEqual(54);
        else expect(grid.headHeight).toBe(headHeight(grid.widestColumn, grid.labelsAcross));
      }),
    );
  });
});

describe("the labels", () => {
  it("never touch, at any size of cells and whatever is pinned", () => {
    const pinned = fc.array(fc.integer({ min: 0, max: 999 }), { maxLength: 8 });
    const sizes = fc.double({ min: 0.05, max: 60, noNaN: true });
    fc.assert(
      fc.property(sizes, pinned, (size, matter) => {
        const middle = (place: number) => (place + 0.5) * size;
        const places = labelledPlaces([100, 900], size, matter, middle);
        const middles = places.map(middle).sort((a, b) => a - b);
        const room = Math.min(LABEL_ROOM, size * strideOf(size));
        middles.slice(1).forEach((at, k) => {
          expect(at - (middles[k] ?? 0)).toBeGreaterThanOrEqual(room - 1e-5);
        });
        expect(places.every((place) => place >= 100 && place < 900)).toBe(true);
        expect(places.length).toBeGreaterThan(0);
      }),
    );
  });

  it("are all there in cells that are large enough, and keep their places when scrolled", () => {
    const middle = (place: number) => place * 20;
    expect(labelledPlaces([2, 6], 20, [], middle)).toEqual([2, 3, 4, 5]);
    expect(strideOf(4)).toBe(5);
    const small = (place: number) => place * 4;
    expect(labelledPlaces([3, 17], 4, [], small)).toEqual([5, 10, 15]);
    expect(labelledPlaces([4, 18], 4, [], small)).toEqual([5, 10, 15]);
  });

  it("are of the pinned ones first", () => {
    const middle = (place: number) => place * 4;
    expect(labelledPlaces([0, 20], 4, [7, 99], middle).sort((a, b) => a - b)).toEqual([0, 7, 15]);
  });
});

describe("the map", () => {
  it("moves its frame to where it is pressed", () => {
    fc.assert(
      fc.property(matrices, parts, parts, ([base, room], right, down) => {
        const grid = zoomed(base, room, 1);
        if (!overflows(grid, room)) return;
        const map = mapSize(grid);
        const point = { x: right * map.width, y: down * map.height };
        const to = scrollToMap(grid, point, room);
        // As far as it can be scrolled at all.
        const scroll = {
          x: Math.min(Math.max(0, to.x), Math.max(0, contentWidth(grid) - room.width)),
          y: Math.min(Math.max(0, to.y), Math.max(0, contentHeight(grid) - room.height)),
        };
        const frame = mapFrame(grid, scroll, room);
        expect(frame.x).toBeGreaterThanOrEqual(0);
        expect(frame.y).toBeGreaterThanOrEqual(0);
        expect(frame.x + frame.width).toBeLessThanOrEqual(map.width + 1e-6);
        expect(frame.y + frame.height).toBeLessThanOrEqual(map.height + 1e-6);
        if (scroll.x === to.x) {
          expect(Math.abs(frame.x + frame.width / 2 - point.x)).toBeLessThan(4);
        }
        if (scroll.y === to.y) {
          expect(Math.abs(frame.y + frame.height / 2 - point.y)).toBeLessThan(4);
        }
      }),
    );
  });
});

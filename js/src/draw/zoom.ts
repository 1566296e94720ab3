/**
 * The zoom of the matrix, as one number: pure.
 *
 * 1 is the readable size. Above it both sides of a cell grow alike. Below it they shrink towards
 * the size at which the whole matrix fits: each side at a pace of its own, so that both arrive
 * together and the room is filled, and the same number always looks the same.
 */
import {
  clamp,
  contentHeight,
  contentWidth,
  type Grid,
  headHeight,
  type Point,
  roomAcross,
  rowsAbove,
  rowTop,
} from "./geometry";

export interface Room {
  readonly width: number;
  readonly height: number;
}

const MOST = 3;
const STEP = Math.SQRT2;
/** Height of the labels above the cells from which on a map of the whole fits beside them. */
const MAP_HEIGHT = 64;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The size of cells at which all of them are seen; never larger than the readable one. */
function fittingCell(base: Grid, room: Room): Size {
  const side = (free: number, count: number, most: number) =>
    Math.min(most, Math.max(1, free - 0.5) / Math.max(1, count));
  const width = side(room.width - base.labelWidth, base.columns, base.cellWidth);
  const head = headHeight(base.widestColumn, roomAcross(base.widestColumn) <= width);
  const free = room.height - head - base.groups.length * base.titleHeight;
  return { width, height: side(free, base.rows, base.cellHeight) };
}

/** The least and the most that the matrix can be zoomed. */
export function zoomRange(base: Grid, room: Room): [number, number] {
  const fit = fittingCell(base, room);
  return [Math.min(1, fit.width / base.cellWidth, fit.height / base.cellHeight), MOST];
}

/** The measures at a zoom; `base` are those at 1. */
export function zoomed(base: Grid, room: Room, zoom: number): Grid {
  const fit = fittingCell(base, room);
  const [least] = zoomRange(base, room);
  const progress = zoom < 1 && least < 1 ? Math.log(zoom) / Math.log(least) : 0;
  const grown = Math.max(1, zoom);
  const cellWidth = base.cellWidth * (fit.width / base.cellWidth) ** progress * grown;
  const labelsAcross = roomAcross(base.widestColumn) <= cellWidth;
  const grid: Grid = {
    ...base,
    cellWidth,
    cellHeight: base.cellHeight * (fit.height / base.cellHeight) ** progress * grown,
    labelsAcross,
    headHeight: headHeight(base.widestColumn, labelsAcross),
  };
  return overflows(grid, room)
    ? { ...grid, headHeight: Math.max(MAP_HEIGHT, grid.headHeight) }
    : grid;
}

/** Whether something of the matrix is out of sight. */
export function overflows(grid: Grid, room: Room): boolean {
  return contentWidth(grid) > room.width || contentHeight(grid) > room.height;
}

/** The zoom one step in or out; a step never passes the readable size. */
export function steppedZoom(zoom: number, inwards: boolean): number {
  const next = inwards ? zoom * STEP : zoom / STEP;
  const passes = (zoom - 1) * (next - 1) < 0 || Math.abs(next - 1) < 0.02;
  return passes ? 1 : next;
}

/** The zoom after turning a wheel, or after spreading two fingers on a pad. */
export function wheeledZoom(zoom: number, { deltaY, deltaMode }: WheelEvent): number {
  // A notch of a mouse is 100 pixels or 3 lines, a pad sends many small ones.
  const pixels = deltaMode === 0 ? deltaY : deltaY * 33;
  return zoom * Math.exp(-clamp(pixels, -30, 30) / 100);
}

/** Where to scroll so that what lies under a point of the visible part stays there. */
export function scrollAround(before: Grid, after: Grid, point: Point, scroll: Point): Point {
  const column = (point.x + scroll.x - before.labelWidth) / before.cellWidth;
  const row = rowsAbove(before, point.y + scroll.y);
  return {
    x: after.labelWidth + Math.max(0, column) * after.cellWidth - point.x,
    y: rowTop(after, row) - point.y,
  };
}

/** Where the cells and labels of the matrix lie: pure arithmetic, no drawing. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Rect extends Point {
  readonly width: number;
  readonly height: number;
}

/** Consecutive rows of one side, `start` inclusive and `end` exclusive. */
export interface Group {
  readonly label: string;
  readonly start: number;
  readonly end: number;
}

/** Measures of a matrix, in CSS pixels. Labels stand left of and above the cells. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly groups: readonly Group[];
  readonly labelWidth: number;
  readonly headHeight: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Height of a group's title above its first row; 0 when there is but one group. */
  readonly titleHeight: number;
  /** Width of the widest column label: it decides how column labels are written at any zoom. */
  readonly widestColumn: number;
  /** Whether column labels are written across their column, or else upwards. */
  readonly labelsAcross: boolean;
}

/** A cell; with one of them null, the whole row or column by its label. */
export interface Pointed {
  readonly row: number | null;
  readonly column: number | null;
}

export const MIN_CELL = 20;
export const MAX_CELL = 46;
/** Cells grow up to this width where column labels can then be written across. */
export const WIDEST_CELL = 76;
const LABEL_MARGIN = 10;

export interface Fit {
  readonly rows: number;
  readonly columns: number;
  readonly groups: readonly Group[];
  /** The room there is. */
  readonly width: number;
  /** Widths of the widest row label and of the widest column label. */
  readonly widestRow: number;
  readonly widestColumn: number;
}

/** Chooses measures that fill the width there is, and never cells too small to read a label by. */
export function fitGrid(fit: Fit): Grid {
  const labelWidth = Math.round(clamp(fit.widestRow + 30, 72, Math.max(72, fit.width * 0.36, 0)));
  const room = Math.max(0, fit.width - labelWidth);
  const share = Math.floor(room / Math.max(1, fit.columns));
  const across = roomAcross(fit.widestColumn);
  const labelsAcross = across <= Math.min(share, WIDEST_CELL);
  const cellWidth = clamp(share, MIN_CELL, labelsAcross ? Math.max(MAX_CELL, across) : MAX_CELL);
  return {
    rows: fit.rows,
    columns: fit.columns,
    groups: fit.groups,
    labelWidth,
    headHeight: headHeight(fit.widestColumn, labelsAcross),
    cellWidth,
    cellHeight: fit.rows > 400 ? MIN_CELL : 22,
    titleHeight: fit.groups.length > 1 ? 24 : 0,
    widestColumn: fit.widestColumn,
    labelsAcross,
  };
}

/** The width of cells from which on column labels can be written across. */
export function roomAcross(widestColumn: number): number {
  return Math.ceil(widestColumn + LABEL_MARGIN);
}

/** The room that column labels need above the cells. */
export function headHeight(widestColumn: number, labelsAcross: boolean): number {
  return labelsAcross ? 30 : Math.round(clamp(widestColumn + 16, 32, 112));
}

export function contentWidth(grid: Grid): number {
  return grid.labelWidth + grid.columns * grid.cellWidth;
}

export function contentHeight(grid: Grid): number {
  return grid.headHeight + grid.rows * grid.cellHeight + grid.groups.length * grid.titleHeight;
}

/** The top of a row, from the top of the content; of 2.5, the middle of row 2. */
export function rowTop(grid: Grid, row: number): number {
  const titles = grid.groups.filter((group) => group.start <= row).length;
  return grid.headHeight + titles * grid.titleHeight + row * grid.cellHeight;
}

export function columnLeft(grid: Grid, column: number): number {
  return grid.labelWidth + column * grid.cellWidth;
}

/** The rectangle of a cell in the content. */
export function cellRect(grid: Grid, row: number, column: number): Rect {
  return {
    x: columnLeft(grid, column),
    y: rowTop(grid, row),
    width: grid.cellWidth,
    height: grid.cellHeight,
  };
}

/** How many rows, and which part of one, stand above a height of the content: undoes `rowTop`. */
export function rowsAbove(grid: Grid, y: number): number {
  let above = 0;
  for (const group of grid.groups) {
    const rows = (y - rowTop(grid, group.start)) / grid.cellHeight;
    if (rows > 0) above = Math.min(group.start + rows, group.end);
  }
  return above;
}

/** The row at a height of the content; −1 on a group's title or outside. */
export function rowAt(grid: Grid, y: number): number {
  const row = Math.floor(rowsAbove(grid, y));
  const below = y - rowTop(grid, row);
  return row < grid.rows && below >= 0 && below < grid.cellHeight ? row : -1;
}

/**
 * What lies under a point of the visible part, if anything.
 *
 * @param point from the visible part's corner; the labels stay there while the cells scroll
 * @param scroll how far the content is scrolled
 */
export function hit(grid: Grid, point: Point, scroll: Point): Pointed | null {
  const inHead = point.y < grid.headHeight;
  const inLabels = point.x < grid.labelWidth;
  const column = Math.floor((point.x + scroll.x - grid.labelWidth) / grid.cellWidth);
  const row = rowAt(grid, point.y + scroll.y);
  const outside = point.x < 0 || point.y < 0 || (inHead && inLabels);
  if (outside || (!inHead && row < 0) || (!inLabels && column >= grid.columns)) return null;
  return { row: inHead ? null : row, column: inLabels ? null : column };
}

/** Rows that are at least partly seen, as first and one past the last. */
export function visibleRows(grid: Grid, scrollTop: number, height: number): [number, number] {
  const first = Math.floor(rowsAbove(grid, scrollTop + grid.headHeight));
  return [first, Math.ceil(rowsAbove(grid, scrollTop + height))];
}

/** Columns that are at least partly seen, as first and one past the last. */
export function visibleColumns(grid: Grid, scrollLeft: number, width: number): [number, number] {
  const first = Math.floor(scrollLeft / grid.cellWidth);
  const end = Math.ceil((scrollLeft + width - grid.labelWidth) / grid.cellWidth);
  return [clamp(first, 0, grid.columns), clamp(end, 0, grid.columns)];
}

/** The scroll position nearest to the present one at which a cell is seen whole. */
export function scrollToCell(
  grid: Grid,
  cell: Pointed,
  scroll: Point,
  view: { readonly width: number; readonly height: number },
): Point {
  let { x, y } = scroll;
  if (cell.column !== null) {
    const left = columnLeft(grid, cell.column) - grid.labelWidth;
    x = clamp(x, left + grid.cellWidth - (view.width - grid.labelWidth), left);
  }
  if (cell.row !== null) {
    const top = rowTop(grid, cell.row) - grid.headHeight;
    y = clamp(y, top + grid.cellHeight - (view.height - grid.headHeight), top);
  }
  return { x: Math.max(0, x), y: Math.max(0, y) };
}

export function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(value, high));
}

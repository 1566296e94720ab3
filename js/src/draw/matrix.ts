/** Paints the part of the matrix that is seen: cells, marks, titles. Pure in its arguments. */
import type { Chrome } from "./chrome";
import { clipped } from "./clip";
import { type ColourTable, entryOf } from "./colour";
import {
  columnLeft,
  type Grid,
  type Group,
  type Point,
  type Pointed,
  rowTop,
  visibleColumns,
  visibleRows,
} from "./geometry";
import { gapOf, type Label, linesOf, paintLabels, paintPointedLabel, spanOf } from "./labels";
import type { Pool } from "./pool";
import { type Axis, pixelOf, rasterize, spansOf } from "./raster";

export interface Scene {
  readonly grid: Grid;
  readonly scroll: Point;
  readonly width: number;
  readonly height: number;
  /** Device pixels for each CSS pixel. */
  readonly ratio: number;
  /** The entries of each group of rows. */
  readonly pools: readonly Pool[];
  readonly share: (row: number, column: number) => number;
  readonly domain: number;
  readonly colours: ColourTable;
  readonly chrome: Chrome;
  readonly fontFamily: string;
  readonly rowLabel: (row: number) => Label | undefined;
  readonly columnLabels: readonly Label[];
  readonly pinnedRows: ReadonlySet<number>;
  readonly pinnedColumns: ReadonlySet<number>;
}

/** From this magnitude on, as a part of the scale, a negative cell carries its sign. */
const SIGN_FROM = 0.06;
/** Cells from this size on carry a stroke where a score is missing, and a minus where negative. */
const MARKED = 10;
/** The least height and width of an outline. */
const OUTLINE = 4;

/** Paints cells, labels and pins. `buffer` gives an image to paint pixels in. */
export function paintMatrix(
  context: CanvasRenderingContext2D,
  scene: Scene,
  buffer: (width: number, height: number) => ImageData,
): void {
  const { grid, scroll, width, height, chrome } = scene;
  context.fillStyle = chrome.surface;
  context.fillRect(0, 0, width, height);
  const rows = visibleRows(grid, scroll.y, height);
  const columns = visibleColumns(grid, scroll.x, width);
  paintPixels(context, scene, buffer);
  clipped(context, [grid.labelWidth, grid.headHeight, width, height], () => {
    paintMarks(context, scene, rows, columns);
    paintPins(context, scene);
  });
  clipped(context, [0, grid.headHeight, width, height], () => {
    paintTitles(context, scene);
  });
  paintLabels(context, scene, true, rows);
  paintLabels(context, scene, false, columns);
}

/** Paints what is pointed at, on a layer of its own. */
export function paintPointed(
  context: CanvasRenderingContext2D,
  scene: Scene,
  { row, column }: Pointed,
): void {
  const { grid, width, height, chrome } = scene;
  context.clearRect(0, 0, width, height);
  clipped(context, [grid.labelWidth, grid.headHeight, width, height], () => {
    context.strokeStyle = chrome.ink;
    context.globalAlpha = 0.5;
    context.lineWidth = 1;
    outline(context, scene, { row, column: null });
    outline(context, scene, { row: null, column });
    context.globalAlpha = 1;
    context.lineWidth = 2;
    if (row !== null && column !== null) outline(context, scene, { row, column });
  });
  if (row !== null) paintPointedLabel(context, scene, true, row);
  if (column !== null) paintPointedLabel(context, scene, false, column);
}

/** Strokes a cell; a whole row or column where the other is null, nothing where both are. */
function outline(context: CanvasRenderingContext2D, scene: Scene, { row, column }: Pointed): void {
  if (row === null && column === null) return;
  const { grid, width, height } = scene;
  const gap = gapOf(grid);
  // Half a line beside the cells; what has no end is drawn past the edges of the view.
  const right = Math.min(width + 4, columnLeft(grid, grid.columns) - scene.scroll.x);
  const [x, wide] =
    column === null
      ? [grid.labelWidth - 4, right - grid.labelWidth + 4]
      : spanOf(linesOf(scene, false), column, OUTLINE);
  const [y, tall] = row === null ? [-4, height + 8] : spanOf(linesOf(scene, true), row, OUTLINE);
  const side = row !== null && column !== null ? 0 : 0.5;
  context.strokeRect(x - side, y - side, wide - gap + 2 * side, tall - gap + 2 * side);
}

function paintPixels(
  context: CanvasRenderingContext2D,
  scene: Scene,
  buffer: (width: number, height: number) => ImageData,
): void {
  const { grid, scroll, ratio } = scene;
  const left = Math.round(grid.labelWidth * ratio);
  const top = Math.round(grid.headHeight * ratio);
  const image = buffer(
    Math.max(1, Math.round(scene.width * ratio) - left),
    Math.max(1, Math.round(scene.height * ratio) - top),
  );
  const axis = { gap: Math.round(gapOf(grid) * ratio), unit: ratio };
  const columns: Axis = {
    ...axis,
    start: (columnLeft(grid, 0) - scroll.x) * ratio - left,
    size: grid.cellWidth * ratio,
    count: grid.columns,
  };
  const phase = Math.round(scroll.x * ratio) + Math.round(scroll.y * ratio);
  paintImage(image, scene, columns, isMarked(grid) ? 0 : ratio, phase, ({ start }) => ({
    ...axis,
    start: (rowTop(grid, start) - scroll.y) * ratio - top,
    size: grid.cellHeight * ratio,
  }));
  context.putImageData(image, left, top);
}

/**
 * Paints the groups of a scene into an image.
 *
 * @param stripe width of the stripes on missing cells, 0 for none
 * @param rowsOf where the rows of a group stand
 */
export function paintImage(
  image: ImageData,
  { grid, pools, colours, chrome }: Scene,
  columns: Axis,
  stripe: number,
  phase: number,
  rowsOf: (group: Group) => Omit<Axis, "count">,
): void {
  const bands = pools.map((pool, at) => {
    const group = grid.groups[at] ?? { label: "", start: 0, end: 0 };
    return { pool, rows: spansOf({ ...rowsOf(group), count: pool.rows }, image.height) };
  });
  rasterize(new Uint32Array(image.data.buffer), bands, spansOf(columns, image.width), {
    colours: Uint32Array.from(colours.fills, pixelOf),
    surface: pixelOf(chrome.surface),
    stripe: pixelOf(chrome.hatch),
    period: Math.round(stripe * 5),
    phase,
  });
}

function isMarked({ cellWidth, cellHeight }: Grid): boolean {
  return Math.min(cellWidth, cellHeight) >= MARKED;
}

/** What cells carry beside their colour: a stroke where missing, a minus where negative. */
function paintMarks(
  context: CanvasRenderingContext2D,
  scene: Scene,
  rows: readonly [number, number],
  columns: readonly [number, number],
): void {
  const { grid, scroll, colours, domain, chrome } = scene;
  if (!isMarked(grid)) return;
  const reach = Math.min(grid.cellWidth, grid.cellHeight) * 0.28;
  context.strokeStyle = chrome.hatch;
  context.lineWidth = 1;
  context.beginPath();
  for (let row = rows[0]; row < rows[1]; row++) {
    const y = rowTop(grid, row) - scroll.y + (grid.cellHeight - 1) / 2;
    for (let column = columns[0]; column < columns[1]; column++) {
      const x = columnLeft(grid, column) - scroll.x + (grid.cellWidth - 1) / 2;
      const share = scene.share(row, column);
      if (Number.isNaN(share)) {
        // One thin stroke: not a colour of the scale, and quiet in great numbers.
        context.moveTo(x - reach, y + reach);
        context.lineTo(x + reach, y - reach);
      } else if (share < -SIGN_FROM * domain) {
        context.fillStyle = colours.inks[entryOf(share, domain, colours.signed)] ?? chrome.ink;
        context.fillRect(Math.round(x - 3), Math.round(y) - 1, 6, 1.5);
      }
    }
  }
  context.stroke();
}

function paintPins(context: CanvasRenderingContext2D, scene: Scene): void {
  context.strokeStyle = scene.chrome.ink;
  context.lineWidth = 1.5;
  for (const row of scene.pinnedRows) outline(context, scene, { row, column: null });
  for (const column of scene.pinnedColumns) outline(context, scene, { row: null, column });
}

function paintTitles(context: CanvasRenderingContext2D, scene: Scene): void {
  const { grid, scroll, chrome, width } = scene;
  if (grid.titleHeight === 0) return;
  for (const group of grid.groups) {
    const bottom = Math.round(rowTop(grid, group.start) - scroll.y);
    const top = bottom - grid.titleHeight;
    context.fillStyle = chrome.surface;
    context.fillRect(0, top, width, grid.titleHeight);
    context.fillStyle = chrome.muted;
    context.font = `600 11px ${scene.fontFamily}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.direction = "ltr";
    context.fillText(group.label, 0, bottom - grid.titleHeight / 2 + 1);
    const textWidth = context.measureText(group.label).width;
    context.fillStyle = chrome.line;
    const from = textWidth + 8;
    context.fillRect(from, Math.round(bottom - grid.titleHeight / 2), width - from, 1);
  }
}

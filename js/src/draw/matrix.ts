/** Paints the part of the matrix that is seen: cells, labels, marks. Pure in its arguments. */
import type { Chrome } from "./chrome";
import { type ColourTable, entryOf } from "./colour";
import { columnLeft, type Grid, type Point, rowTop, visibleColumns, visibleRows } from "./geometry";

export interface Label {
  readonly text: string;
  readonly special: boolean;
  readonly rightToLeft: boolean;
  /** Whether it goes on with the word of the label before it. */
  readonly joined: boolean;
}

export interface Scene {
  readonly grid: Grid;
  readonly scroll: Point;
  readonly width: number;
  readonly height: number;
  readonly share: (row: number, column: number) => number;
  readonly domain: number;
  readonly colours: ColourTable;
  readonly chrome: Chrome;
  readonly fontFamily: string;
  readonly rowLabels: readonly Label[];
  readonly columnLabels: readonly Label[];
  readonly pinnedRows: ReadonlySet<number>;
  readonly pinnedColumns: ReadonlySet<number>;
}

export interface Pointed {
  readonly row: number | null;
  readonly column: number | null;
}

export const LABEL_SIZE = 12;
const GAP = 1;
/** From this magnitude on, as a part of the scale, a negative cell carries its sign. */
const SIGN_FROM = 0.06;

export function labelFont(scene: Pick<Scene, "fontFamily">, strong = false): string {
  return `${strong ? "600 " : ""}${LABEL_SIZE}px ${scene.fontFamily}`;
}

/** Paints cells, labels and pins. */
export function paintMatrix(context: CanvasRenderingContext2D, scene: Scene): void {
  const { grid, scroll, width, height, chrome } = scene;
  context.fillStyle = chrome.surface;
  context.fillRect(0, 0, width, height);
  const rows = range(visibleRows(grid, scroll.y, height));
  const columns = range(visibleColumns(grid, scroll.x, width));

  clipped(context, [grid.labelWidth, grid.headHeight, width, height], () => {
    paintCells(context, scene, rows, columns);
    paintPins(context, scene, rows, columns);
  });
  clipped(context, [0, grid.headHeight, width, height], () => {
    paintTitles(context, scene);
  });
  clipped(context, [0, grid.headHeight, grid.labelWidth, height], () => {
    for (const row of rows) paintRowLabel(context, scene, row, scene.pinnedRows.has(row));
  });
  clipped(context, [grid.labelWidth, 0, width, grid.headHeight], () => {
    for (const column of columns)
      paintColumnLabel(context, scene, column, scene.pinnedColumns.has(column));
  });
}

/** Paints what is pointed at, on a layer of its own. */
export function paintPointed(
  context: CanvasRenderingContext2D,
  scene: Scene,
  { row, column }: Pointed,
): void {
  const { grid, scroll, width, height, chrome } = scene;
  context.clearRect(0, 0, width, height);
  const y = row === null ? 0 : rowTop(grid, row) - scroll.y;
  const x = column === null ? 0 : columnLeft(grid, column) - scroll.x;
  const right = Math.min(width, grid.labelWidth + grid.columns * grid.cellWidth - scroll.x);
  clipped(context, [grid.labelWidth, grid.headHeight, width, height], () => {
    context.strokeStyle = chrome.ink;
    context.globalAlpha = 0.5;
    context.lineWidth = 1;
    if (row !== null) {
      context.strokeRect(
        grid.labelWidth - 2,
        y - 0.5,
        right - grid.labelWidth + 1,
        grid.cellHeight,
      );
    }
    if (column !== null) context.strokeRect(x - 0.5, -2, grid.cellWidth, height + 4);
    context.globalAlpha = 1;
    if (row !== null && column !== null) {
      context.lineWidth = 2;
      context.strokeRect(x, y, grid.cellWidth - GAP, grid.cellHeight - GAP);
    }
  });
  const ground = (rect: [number, number, number, number]) => {
    context.fillStyle = chrome.raised;
    context.fillRect(...rect);
  };
  if (row !== null) {
    clipped(context, [0, grid.headHeight, grid.labelWidth, height], () => {
      ground([0, y, grid.labelWidth - 8, grid.cellHeight - GAP]);
      paintRowLabel(context, scene, row, true);
    });
  }
  if (column !== null) {
    clipped(context, [grid.labelWidth, 0, width, grid.headHeight], () => {
      ground([x, 0, grid.cellWidth - GAP, grid.headHeight - 7]);
      paintColumnLabel(context, scene, column, true);
    });
  }
}

function paintCells(
  context: CanvasRenderingContext2D,
  scene: Scene,
  rows: readonly number[],
  columns: readonly number[],
): void {
  const { grid, scroll, colours, domain } = scene;
  const { cellWidth, cellHeight } = grid;
  const negatives: { x: number; y: number; ink: string }[] = [];
  context.strokeStyle = scene.chrome.hatch;
  context.lineWidth = 1;
  for (const row of rows) {
    const y = rowTop(grid, row) - scroll.y;
    for (const column of columns) {
      const x = columnLeft(grid, column) - scroll.x;
      const share = scene.share(row, column);
      const entry = entryOf(share, domain, colours.signed);
      if (entry < 0) {
        hatch(context, x, y, cellWidth - GAP, cellHeight - GAP);
        continue;
      }
      context.fillStyle = colours.fills[entry] ?? colours.surface;
      context.fillRect(x, y, cellWidth - GAP, cellHeight - GAP);
      if (share < -SIGN_FROM * domain) {
        const ink = colours.inks[entry] ?? scene.chrome.ink;
        negatives.push({ x: x + (cellWidth - GAP) / 2, y: y + (cellHeight - GAP) / 2, ink });
      }
    }
  }
  for (const { x, y, ink } of negatives) {
    context.fillStyle = ink;
    context.fillRect(Math.round(x - 3), Math.round(y) - 1, 6, 1.5);
  }
}

/** One thin stroke from corner to corner: not a colour of the scale, and quiet in great numbers. */
function hatch(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  const reach = Math.min(width, height) * 0.28;
  const centreX = x + width / 2;
  const centreY = y + height / 2;
  context.beginPath();
  context.moveTo(centreX - reach, centreY + reach);
  context.lineTo(centreX + reach, centreY - reach);
  context.stroke();
}

function paintPins(
  context: CanvasRenderingContext2D,
  scene: Scene,
  rows: readonly number[],
  columns: readonly number[],
): void {
  const { grid, scroll, chrome, height } = scene;
  context.strokeStyle = chrome.ink;
  context.lineWidth = 1.5;
  const span = grid.columns * grid.cellWidth;
  for (const row of rows) {
    if (!scene.pinnedRows.has(row)) continue;
    const y = rowTop(grid, row) - scroll.y;
    context.strokeRect(grid.labelWidth - scroll.x, y - 0.5, span - GAP, grid.cellHeight);
  }
  for (const column of columns) {
    if (!scene.pinnedColumns.has(column)) continue;
    const x = columnLeft(grid, column) - scroll.x;
    context.strokeRect(x - 0.5, -4, grid.cellWidth, height + 8);
  }
}

function paintTitles(context: CanvasRenderingContext2D, scene: Scene): void {
  const { grid, scroll, chrome, width } = scene;
  if (grid.titleHeight === 0) return;
  for (const group of grid.groups) {
    const bottom = rowTop(grid, group.start) - scroll.y;
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

function paintRowLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: number,
  strong: boolean,
): void {
  const label = scene.rowLabels[row];
  if (label === undefined) return;
  const { grid, scroll } = scene;
  const y = rowTop(grid, row) - scroll.y;
  const middle = y + (grid.cellHeight - GAP) / 2;
  prepareLabel(context, scene, label, strong);
  context.textAlign = "right";
  const text = shortened(context, label.text, grid.labelWidth - 18);
  context.fillText(text, grid.labelWidth - 12, middle + 0.5);
  if (label.joined) joint(context, scene, [grid.labelWidth - 6.5, middle - grid.cellHeight], 0, 1);
}

function paintColumnLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  column: number,
  strong: boolean,
): void {
  const label = scene.columnLabels[column];
  if (label === undefined) return;
  const { grid, scroll } = scene;
  const middle = columnLeft(grid, column) - scroll.x + (grid.cellWidth - GAP) / 2;
  prepareLabel(context, scene, label, strong);
  const foot = grid.headHeight - 11;
  if (grid.labelsAcross) {
    context.textAlign = "center";
    context.fillText(label.text, middle, foot - 3);
  } else {
    context.textAlign = "left";
    const text = shortened(context, label.text, foot - 2);
    context.save();
    context.translate(middle, foot);
    context.rotate(-Math.PI / 2);
    context.fillText(text, 0, 0.5);
    context.restore();
  }
  if (label.joined) joint(context, scene, [middle - grid.cellWidth, grid.headHeight - 5.5], 1, 0);
}

function prepareLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  label: Label,
  strong: boolean,
): void {
  context.font = labelFont(scene, strong);
  context.fillStyle = label.special && !strong ? scene.chrome.muted : scene.chrome.ink;
  context.textBaseline = "middle";
  context.direction = label.rightToLeft ? "rtl" : "ltr";
}

/** A bar beside the labels of two pieces of one word. */
function joint(
  context: CanvasRenderingContext2D,
  scene: Scene,
  [x, y]: [number, number],
  alongX: number,
  alongY: number,
): void {
  context.fillStyle = scene.chrome.muted;
  const thickness = 1.5;
  context.fillRect(
    x,
    y,
    alongX * scene.grid.cellWidth + alongY * thickness,
    alongY * scene.grid.cellHeight + alongX * thickness,
  );
}

/** Cuts a text with an ellipsis where it is wider than the room. */
function shortened(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  const characters = [...text];
  let low = 1;
  let high = characters.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const fits = context.measureText(`${characters.slice(0, middle).join("")}…`).width <= room;
    if (fits) low = middle;
    else high = middle - 1;
  }
  return `${characters.slice(0, low).join("")}…`;
}

function clipped(
  context: CanvasRenderingContext2D,
  [left, top, right, bottom]: [number, number, number, number],
  paint: () => void,
): void {
  if (right <= left || bottom <= top) return;
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  paint();
  context.restore();
}

function range([from, end]: readonly [number, number]): number[] {
  return Array.from({ length: end - from }, (_, k) => from + k);
}

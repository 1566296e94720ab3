/** Paints the labels of rows and columns; thins them out where cells are smaller than text. */
import { clipped } from "./clip";
import { columnLeft, type Grid, rowTop } from "./geometry";
import type { Scene } from "./matrix";

export interface Label {
  readonly text: string;
  readonly special: boolean;
  readonly rightToLeft: boolean;
  /** Whether it goes on with the word of the label before it. */
  readonly joined: boolean;
}

export const LABEL_SIZE = 12;
/** The room that a label needs across its line. */
export const LABEL_ROOM = 14;

/** How far a label may reach into the corner where it is written across thin lines. */
const OVER = 7;
/** The least height and width of the ground of a label that is pointed at. */
const GROUND = 18;

export function labelFont(fontFamily: string, strong = false): string {
  return `${strong ? "600 " : ""}${LABEL_SIZE}px ${fontFamily}`;
}

/**
 * The places among some whose labels are written: those that matter first, then as many others at
 * regular distances as do not touch.
 *
 * @param middleOf where a place's label has its middle
 */
export function labelledPlaces(
  [first, end]: readonly [number, number],
  size: number,
  matter: Iterable<number>,
  middleOf: (place: number) => number,
): number[] {
  const stride = strideOf(size);
  const room = Math.min(LABEL_ROOM, size * stride) - 1e-6;
  const chosen: number[] = [];
  const write = (place: number) => {
    const middle = middleOf(place);
    const free = chosen.every((other) => Math.abs(middleOf(other) - middle) >= room);
    if (place >= first && place < end && free) chosen.push(place);
  };
  for (const place of matter) write(place);
  for (let place = Math.ceil(first / stride) * stride; place < end; place += stride) write(place);
  return chosen;
}

/** Every how many rows or columns a label is written: 1, 2, 5, 10, … */
export function strideOf(size: number): number {
  const least = (LABEL_ROOM - 1e-6) / size;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return ([1, 2, 5, 10].find((digit) => digit * power >= least) ?? 10) * power;
}

/** The rows, or else the columns, as they lie in the visible part. */
export interface Lines {
  readonly isRows: boolean;
  /** Where the labels end and the cells begin. */
  readonly edge: number;
  readonly size: number;
  start(place: number): number;
}

export function linesOf({ grid, scroll }: Scene, isRows: boolean): Lines {
  return isRows
    ? {
        isRows,
        edge: grid.headHeight,
        size: grid.cellHeight,
        start: (row) => rowTop(grid, row) - scroll.y,
      }
    : {
        isRows,
        edge: grid.labelWidth,
        size: grid.cellWidth,
        start: (column) => columnLeft(grid, column) - scroll.x,
      };
}

/** Where a line begins and how wide it is drawn: so much at least. */
export function spanOf({ start, size }: Lines, place: number, least: number): [number, number] {
  const shown = Math.max(least, size);
  return [Math.round(start(place) - (shown - size) / 2), Math.round(shown)];
}

/** Paints the labels of the rows, or else the columns, that are seen. */
export function paintLabels(
  context: CanvasRenderingContext2D,
  scene: Scene,
  isRows: boolean,
  seen: readonly [number, number],
): void {
  const lines = linesOf(scene, isRows);
  const pinned = isRows ? scene.pinnedRows : scene.pinnedColumns;
  // A label of thin lines stands whole, or not at all: half of it would be next to others.
  const thin = isRows ? lines.size < LABEL_ROOM : !scene.grid.labelsAcross;
  const middle = (place: number) => lines.start(place) + lines.size / 2;
  inMargin(context, scene, isRows, thin ? OVER : 0, () => {
    for (const place of labelledPlaces(seen, lines.size, pinned, middle)) {
      if (!thin || middle(place) >= lines.edge) {
        paintLabel(context, scene, lines, place, pinned.has(place));
      }
    }
  });
}

/** Paints the label of what is pointed at, over the others. */
export function paintPointedLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  isRows: boolean,
  place: number,
): void {
  const lines = linesOf(scene, isRows);
  const { grid } = scene;
  const [start, size] = spanOf(lines, place, GROUND);
  inMargin(context, scene, isRows, 0, () => {
    context.fillStyle = scene.chrome.raised;
    if (isRows) context.fillRect(0, start, grid.labelWidth - 8, size - gapOf(grid));
    else context.fillRect(start, 0, size - gapOf(grid), grid.headHeight - 7);
    paintLabel(context, scene, lines, place, true);
  });
}

/** Paints where the labels of rows or columns are, and so far beyond into the corner. */
function inMargin(
  context: CanvasRenderingContext2D,
  { grid: { labelWidth: left, headHeight: top }, width, height }: Scene,
  isRows: boolean,
  over: number,
  paint: () => void,
): void {
  clipped(context, isRows ? [0, top - over, left, height] : [left - over, 0, width, top], paint);
}

function paintLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  { isRows, start, size }: Lines,
  place: number,
  strong: boolean,
): void {
  const { grid, chrome } = scene;
  const label = isRows ? scene.rowLabel(place) : scene.columnLabels[place];
  if (label === undefined) return;
  const middle = start(place) + (size - gapOf(grid)) / 2;
  const foot = grid.headHeight - 11;
  context.font = labelFont(scene.fontFamily, strong);
  context.fillStyle = label.special && !strong ? chrome.muted : chrome.ink;
  context.textBaseline = "middle";
  context.direction = label.rightToLeft ? "rtl" : "ltr";
  context.textAlign = isRows ? "right" : grid.labelsAcross ? "center" : "left";
  const room = isRows
    ? grid.labelWidth - 18
    : grid.labelsAcross
      ? Number.POSITIVE_INFINITY
      : foot - 2;
  context.save();
  if (isRows) context.translate(grid.labelWidth - 12, middle + 0.5);
  else context.translate(middle, grid.labelsAcross ? foot - 3 : foot);
  if (!isRows && !grid.labelsAcross) context.rotate(-Math.PI / 2);
  context.fillText(shortened(context, label.text, room), 0, 0);
  context.restore();
  // Beside it, what tells which of several lines is meant, or what goes on with the one before.
  const thin = strideOf(size) > 1;
  const [from, length] = thin ? [Math.round(middle), 1] : [middle - size, label.joined ? size : 0];
  const thickness = thin ? 4 : 1.5;
  context.fillStyle = chrome.muted;
  if (isRows) context.fillRect(grid.labelWidth - 7, from, thickness, length);
  else context.fillRect(from, grid.headHeight - 6, length, thickness);
}

/** The room that is left free between cells; none where they are small. */
export function gapOf({ cellWidth, cellHeight }: Grid): number {
  return Math.min(cellWidth, cellHeight) < 7 ? 0 : 1;
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

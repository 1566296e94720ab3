/** The matrix on its two canvases: measures, scrolling, pointer and keyboard. */
import { effect } from "@preact/signals";
import { inputToken, type Sequence, stepToken } from "../data/figure";
import { shareAt } from "../data/shares";
import { CHROME } from "../draw/chrome";
import {
  cellRect,
  contentHeight,
  contentWidth,
  fitGrid,
  type Grid,
  hit,
  rowTop,
  scrollToCell,
} from "../draw/geometry";
import {
  LABEL_SIZE,
  type Label,
  type Pointed,
  paintMatrix,
  paintPointed,
  type Scene,
} from "../draw/matrix";
import type { TokenSpec } from "../protocol";
import type { Target, View } from "../state/view";
import { isRightToLeft } from "../text/direction";
import { visibleLabel } from "../text/visible";
import { rowGroups } from "./blocks";
import { byKeyboard, createLinger, focusByPointer, handled } from "./gestures";

export interface MatrixElements {
  /** The focusable box that scrolls; `extent` inside is as large as the whole matrix. */
  readonly box: HTMLElement;
  readonly extent: HTMLElement;
  /** Stays in the box's corner while it scrolls, and holds the canvases. */
  readonly viewport: HTMLElement;
  readonly cells: HTMLCanvasElement;
  readonly pointed: HTMLCanvasElement;
}

export interface Cell {
  readonly row: number;
  readonly column: number;
}

/**
 * Draws a text's matrix and binds its listeners until `signal` aborts.
 *
 * @param onCursor told where the keyboard stands, for the part that a screen reader reads
 */
export function mountMatrix(
  view: View,
  sequence: Sequence,
  elements: MatrixElements,
  onCursor: (cell: Cell) => void,
  signal: AbortSignal,
): void {
  const { box, extent, viewport, cells, pointed } = elements;
  const rowLabels = labelsOf(sequence.inputs.map((_, row) => inputToken(sequence, row)));
  const columnLabels = labelsOf(sequence.steps.map((_, column) => stepToken(sequence, column)));
  const groups = rowGroups(sequence);
  const linger = createLinger(() => view.leave("matrix"), signal);
  let grid: Grid | null = null;
  let frame = 0;
  let cursor: Cell = { row: 0, column: 0 };

  const scroll = () => ({ x: box.scrollLeft, y: box.scrollTop });

  function measure() {
    const width = box.clientWidth;
    if (width === 0) return;
    const fontFamily = getComputedStyle(box).fontFamily;
    grid = fitGrid({
      rows: sequence.inputs.length,
      columns: sequence.steps.length,
      groups,
      width,
      widestRow: widest(cells, rowLabels, fontFamily),
      widestColumn: widest(cells, columnLabels, fontFamily),
    });
    extent.style.width = `${contentWidth(grid)}px`;
    extent.style.height = `${contentHeight(grid)}px`;
    paint();
  }

  function paint() {
    frame = 0;
    if (grid === null) return;
    const width = Math.min(box.clientWidth, contentWidth(grid));
    const height = Math.min(box.clientHeight, contentHeight(grid));
    viewport.style.width = `${width}px`;
    viewport.style.height = `${height}px`;
    const appearance = view.appearance.peek();
    const selection = view.selection.peek();
    const scene: Scene = {
      grid,
      scroll: scroll(),
      width,
      height,
      share: (row, column) => shareAt(sequence, row, column),
      domain: sequence.spec.domain,
      colours: view.colours.peek(),
      chrome: CHROME[appearance],
      fontFamily: getComputedStyle(box).fontFamily,
      rowLabels,
      columnLabels,
      pinnedRows: new Set(selection.inputs),
      pinnedColumns: new Set(selection.steps),
    };
    const ratio = box.ownerDocument.defaultView?.devicePixelRatio ?? 1;
    draw(cells, scene, ratio, (context) => paintMatrix(context, scene));
    draw(pointed, scene, ratio, (context) =>
      paintPointed(context, scene, pointedCell(view.target.peek())),
    );
    describeGeometry(cells, scene);
  }

  function schedule() {
    if (frame === 0) frame = requestAnimationFrame(paint);
  }

  function rectOf({ row, column }: Pointed): DOMRect | null {
    if (grid === null) return null;
    const origin = viewport.getBoundingClientRect();
    const at = cellRect(grid, row ?? 0, column ?? 0);
    const x = column === null ? 0 : at.x - box.scrollLeft;
    const y = row === null ? 0 : at.y - box.scrollTop;
    const width = column === null ? grid.labelWidth : grid.cellWidth;
    const height = row === null ? grid.headHeight : grid.cellHeight;
    return new DOMRect(origin.x + x, origin.y + y, width, height);
  }

  function targetOf({ row, column }: Pointed): Target {
    return {
      origin: "matrix",
      token: null,
      input: row,
      step: column,
      anchor: () => rectOf({ row, column }),
    };
  }

  function under(event: MouseEvent): Pointed | null {
    if (grid === null) return null;
    const origin = viewport.getBoundingClientRect();
    const point = { x: event.clientX - origin.x, y: event.clientY - origin.y };
    const found = hit(grid, point, scroll());
    switch (found.kind) {
      case "cell":
        return { row: found.row, column: found.column };
      case "row":
        return { row: found.row, column: null };
      case "column":
        return { row: null, column: found.column };
      case "none":
        return null;
    }
  }

  function reveal(cell: Pointed) {
    if (grid === null) return;
    const size = { width: box.clientWidth, height: box.clientHeight };
    const to = scrollToCell(grid, cell, scroll(), size);
    box.scrollTo({ left: to.x, top: to.y, behavior: "instant" });
  }

  function walkTo(cell: Cell) {
    cursor = cell;
    reveal(cell);
    onCursor(cell);
    linger.stop();
    view.pointAt(targetOf(cell));
  }

  const on = <Name extends keyof HTMLElementEventMap>(
    name: Name,
    listener: (event: HTMLElementEventMap[Name]) => void,
  ) => box.addEventListener(name, listener, { signal });

  on("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const found = under(event);
    if (found === null) return linger.start();
    linger.stop();
    const now = view.target.peek();
    const same = now?.origin === "matrix" && now.input === found.row && now.step === found.column;
    if (!same) view.pointAt(targetOf(found));
  });
  on("pointerleave", () => linger.start());
  on("scroll", () => {
    // The keyboard scrolls to what it points at; any other scrolling moves the cell away.
    if (!byKeyboard(box)) view.leave("matrix");
    schedule();
  });
  on("click", (event) => {
    const found = under(event);
    if (found === null) return;
    cursor = { row: found.row ?? cursor.row, column: found.column ?? cursor.column };
    onCursor(cursor);
    view.pin(pinOf(found), event.shiftKey);
  });
  on("mousedown", (event) => focusByPointer(box, event));
  on("focus", () => {
    if (byKeyboard(box)) walkTo(cursor);
  });
  on("blur", () => {
    delete box.dataset.pointer;
    view.leave("matrix");
  });
  on("keydown", (event) => {
    delete box.dataset.pointer;
    const page = grid === null ? 10 : Math.floor(box.clientHeight / grid.cellHeight) - 3;
    const next = cellAfter(event, cursor, sequence, Math.max(1, page));
    if (next !== null) walkTo(next);
    else if (event.key === "Enter" || event.key === " ") view.pin(pinOf(cursor), event.shiftKey);
    else if (event.key !== "Escape" || !view.clear()) return;
    handled(event);
  });

  measure();
  const resize = new ResizeObserver(measure);
  resize.observe(box);
  const stops = [
    effect(() => {
      // Pins that come from elsewhere are brought into sight; our own are in sight already.
      const { inputs, steps } = view.selection.value;
      const pointing = view.target.peek()?.origin === "matrix";
      if (!pointing && grid !== null && inputs.length + steps.length > 0) {
        reveal({ row: inputs.at(-1) ?? null, column: steps.at(-1) ?? null });
      }
    }),
    effect(() => {
      void view.selection.value;
      void view.colours.value;
      void view.target.value;
      schedule();
    }),
  ];
  signal.addEventListener(
    "abort",
    () => {
      resize.disconnect();
      cancelAnimationFrame(frame);
      for (const stop of stops) stop();
    },
    { once: true },
  );
}

function pinOf({ row, column }: Pointed) {
  return {
    ...(row === null ? {} : { input: row }),
    ...(column === null ? {} : { step: column }),
  };
}

/** The crosshair of a target: its row, its column, or both. */
function pointedCell(target: Target | null): Pointed {
  if (target === null) return { row: null, column: null };
  // A generated token is a column first; its own row would suggest a cell that nobody points at.
  const asStep = target.origin !== "matrix" && target.step !== null;
  return { row: asStep ? null : target.input, column: target.step };
}

function cellAfter(
  event: KeyboardEvent,
  { row, column }: Cell,
  sequence: Sequence,
  page: number,
): Cell | null {
  if (event.metaKey || event.altKey) return null;
  const lastRow = sequence.inputs.length - 1;
  const lastColumn = sequence.steps.length - 1;
  const to = (nextRow: number, nextColumn: number): Cell => ({
    row: Math.min(lastRow, Math.max(0, nextRow)),
    column: Math.min(lastColumn, Math.max(0, nextColumn)),
  });
  switch (event.key) {
    case "ArrowRight":
      return to(row, column + 1);
    case "ArrowLeft":
      return to(row, column - 1);
    case "ArrowDown":
      return to(row + 1, column);
    case "ArrowUp":
      return to(row - 1, column);
    case "PageDown":
      return to(row + page, column);
    case "PageUp":
      return to(row - page, column);
    case "Home":
      return to(event.ctrlKey ? 0 : row, 0);
    case "End":
      return to(event.ctrlKey ? lastRow : row, lastColumn);
    default:
      return null;
  }
}

function labelsOf(tokens: readonly (TokenSpec | undefined)[]): Label[] {
  return tokens.map((token, at) => {
    const before = tokens[at - 1];
    return {
      text: token === undefined ? "" : visibleLabel(token),
      special: token?.special === true || token?.text === "",
      rightToLeft: token !== undefined && isRightToLeft(token.text),
      joined:
        token !== undefined &&
        before !== undefined &&
        before.side === token.side &&
        before.word === token.word &&
        !token.special,
    };
  });
}

function widest(canvas: HTMLCanvasElement, labels: readonly Label[], fontFamily: string): number {
  const context = canvas.getContext("2d");
  if (context === null) return 0;
  context.font = `600 ${LABEL_SIZE}px ${fontFamily}`;
  return labels.reduce((most, label) => Math.max(most, context.measureText(label.text).width), 0);
}

function draw(
  canvas: HTMLCanvasElement,
  { width, height }: Scene,
  ratio: number,
  paint: (context: CanvasRenderingContext2D) => void,
): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const pixels = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
  // Assigning a size clears the canvas and costs an allocation, even when it is the same.
  if (canvas.width !== pixels.width) canvas.width = pixels.width;
  if (canvas.height !== pixels.height) canvas.height = pixels.height;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint(context);
}

/** Says on the canvas where its cells are, for tests and scripts that drive a browser. */
function describeGeometry(canvas: HTMLCanvasElement, { grid, scroll }: Scene): void {
  Object.assign(canvas.dataset, {
    cellWidth: String(grid.cellWidth),
    cellHeight: String(grid.cellHeight),
    originX: String(grid.labelWidth),
    originY: String(grid.headHeight),
    rowTops: grid.groups.map((group) => `${group.start}:${rowTop(grid, group.start)}`).join(" "),
    scrollX: String(scroll.x),
    scrollY: String(scroll.y),
  });
}

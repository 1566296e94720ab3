/** Pointer and keyboard in the matrix: pointing, walking, pinning, zooming. */
import { cellRect, clamp, hit, type Pointed } from "../draw/geometry";
import { type Pool, strongestIn } from "../draw/pool";
import type { Shown } from "../state/arrangement";
import type { Target, View } from "../state/view";
import { byKeyboard, createLinger, focusByPointer, handled, listening } from "./gestures";
import type { Camera } from "./matrix-camera";
import { listenToGestures } from "./matrix-gestures";

export interface MatrixParts {
  /** The focusable box that scrolls. */
  readonly box: HTMLElement;
  /** Stays in the box's corner while it scrolls. */
  readonly viewport: HTMLElement;
  readonly camera: Camera;
  readonly columns: number;
  shown(): Shown;
  pools(): readonly Pool[];
}

/** A place of the keyboard: a row that is shown, and a column. */
export interface Cell {
  readonly row: number;
  readonly column: number;
}

/**
 * Binds the listeners of the matrix; they go with `signal`.
 *
 * @param onCursor told where the keyboard stands
 * @returns puts the keyboard onto a cell, without pointing at it
 */
export function listenToMatrix(
  view: View,
  parts: MatrixParts,
  onCursor: (cell: Cell) => void,
  signal: AbortSignal,
): { place(cell: Cell): void; cursor(): Cell } {
  const { box, viewport, camera } = parts;
  const linger = createLinger(() => view.leave("matrix"), signal);
  const pan = listenToGestures(camera, box, viewport, signal);
  let cursor: Cell = { row: 0, column: 0 };

  const inputOf = (row: number | null) =>
    row === null ? null : (parts.shown().inputs[row] ?? null);

  function rectOf({ row, column }: Pointed): DOMRect | null {
    const grid = camera.grid();
    if (grid === null) return null;
    const origin = viewport.getBoundingClientRect();
    const at = cellRect(grid, row ?? 0, column ?? 0);
    const scroll = camera.scroll();
    const x = column === null ? 0 : at.x - scroll.x;
    const y = row === null ? 0 : at.y - scroll.y;
    const width = column === null ? grid.labelWidth : grid.cellWidth;
    const height = row === null ? grid.headHeight : grid.cellHeight;
    return new DOMRect(origin.x + x, origin.y + y, width, height);
  }

  function targetOf(at: Pointed): Target {
    return {
      origin: "matrix",
      token: null,
      input: inputOf(at.row),
      step: at.column,
      anchor: () => rectOf(at),
    };
  }

  function under(event: MouseEvent): Pointed | null {
    const grid = camera.grid();
    if (grid === null) return null;
    const origin = viewport.getBoundingClientRect();
    const point = { x: event.clientX - origin.x, y: event.clientY - origin.y };
    const found = hit(grid, point, camera.scroll());
    if (found === null || found.row === null || found.column === null) return found;
    const { row, column } = found;
    // Of the cells that share a pixel, the one whose colour it has.
    const group = grid.groups.findIndex(({ end }) => row < end);
    const start = grid.groups[group]?.start ?? 0;
    const pool = parts.pools()[group];
    if (pool === undefined) return found;
    const size = { row: 1 / grid.cellHeight, column: 1 / grid.cellWidth };
    const strongest = strongestIn(pool, { row: row - start, column }, size);
    return { row: strongest.row + start, column: strongest.column };
  }

  function place(cell: Cell) {
    cursor = cell;
    onCursor(cell);
  }

  function walkTo(cell: Cell) {
    if (inputOf(cell.row) === null) return;
    camera.reveal(cell);
    place(cell);
    linger.stop();
    view.pointAt(targetOf(cell));
  }

  function pin({ row, column }: Pointed, more: boolean) {
    const input = inputOf(row);
    if (row !== null && input === null) return;
    const step = column === null ? {} : { step: column };
    view.pin({ ...(input === null ? {} : { input }), ...step }, more);
  }

  function zoomByKey({ key, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
    if (ctrlKey || metaKey || altKey) return false;
    if (key === "+" || key === "=") camera.step(true);
    else if (key === "-") camera.step(false);
    else if (key === "0") camera.fit();
    else if (key === "1") camera.zoomTo(1);
    else return false;
    camera.reveal(cursor);
    return true;
  }

  const on = listening(box, signal);

  on("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const found = event.buttons > 0 && pan.isPanning() ? null : under(event);
    if (found === null) return linger.start();
    linger.stop();
    const now = view.target.peek();
    const next = targetOf(found);
    const same = now?.origin === "matrix" && now.input === next.input && now.step === next.step;
    if (!same) view.pointAt(next);
  });
  on("pointerleave", () => linger.start());
  on("scroll", () => {
    // The keyboard scrolls to what it points at; any other scrolling moves the cell away.
    if (!byKeyboard(box)) view.leave("matrix");
  });
  on("click", (event) => {
    const found = pan.isPanning() ? null : under(event);
    if (found === null) return;
    place({ row: found.row ?? cursor.row, column: found.column ?? cursor.column });
    pin(found, event.shiftKey);
  });
  on("mousedown", (event) => focusByPointer(box, event));
  on("focus", () => {
    if (byKeyboard(box)) walkTo(cursor);
  });
  on("blur", () => {
    pan.hold(false);
    delete box.dataset.pointer;
    view.leave("matrix");
  });
  on("keydown", (event) => {
    if (event.key === " ") {
      // Space pins when it is let go of, since it may be held for panning.
      if (!event.repeat) pan.hold(true);
      return handled(event);
    }
    delete box.dataset.pointer;
    const grid = camera.grid();
    const page = grid === null ? 10 : Math.floor(box.clientHeight / grid.cellHeight) - 3;
    const last = { row: Math.max(0, parts.shown().inputs.length - 1), column: parts.columns - 1 };
    const next = cellAfter(event, cursor, last, Math.max(1, page));
    if (next !== null) walkTo(next);
    else if (event.key === "Enter") pin(cursor, event.shiftKey);
    else if (!zoomByKey(event) && (event.key !== "Escape" || !view.clear())) return;
    handled(event);
  });
  on("keyup", (event) => {
    if (event.key !== " ") return;
    const pressed = !pan.used();
    pan.hold(false);
    if (pressed) {
      delete box.dataset.pointer;
      pin(cursor, event.shiftKey);
    }
    handled(event);
  });
  return { place, cursor: () => cursor };
}

function cellAfter(
  { key, metaKey, altKey, ctrlKey }: KeyboardEvent,
  { row, column }: Cell,
  last: Cell,
  page: number,
): Cell | null {
  const places: Readonly<Record<string, [number, number]>> = {
    ArrowRight: [row, column + 1],
    ArrowLeft: [row, column - 1],
    ArrowDown: [row + 1, column],
    ArrowUp: [row - 1, column],
    PageDown: [row + page, column],
    PageUp: [row - page, column],
    Home: [ctrlKey ? 0 : row, 0],
    End: [ctrlKey ? last.row : row, last.column],
  };
  const to = places[key];
  if (metaKey || altKey || to === undefined) return null;
  return { row: clamp(to[0], 0, last.row), column: clamp(to[1], 0, last.column) };
}

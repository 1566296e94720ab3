/** The matrix on its canvases: joins what is shown, the camera, painting and the listeners. */
import { effect, type Signal } from "@preact/signals";
import { inputToken, type Sequence, stepToken } from "../data/figure";
import { shareAt } from "../data/shares";
import { CHROME } from "../draw/chrome";
import {
  contentHeight,
  contentWidth,
  fitGrid,
  type Grid,
  type Pointed,
  rowTop,
} from "../draw/geometry";
import { paintMatrix, paintPointed, type Scene } from "../draw/matrix";
import { createPool, type Pool, takeRows } from "../draw/pool";
import type { Shown } from "../state/arrangement";
import type { Target, View } from "../state/view";
import { rowGroups } from "./blocks";
import { type Camera, createCamera, type ZoomState } from "./matrix-camera";
import { type Cell, listenToMatrix } from "./matrix-interaction";
import { labelsOf, widest } from "./matrix-labels";
import { listenToMap, showMap } from "./matrix-map";
import { createBuffer, describeGeometry, drawOn, entriesOf } from "./matrix-paint";

/** What is told to the parts of the page around the canvases. */
export interface MatrixState {
  readonly cursor: Signal<Cell>;
  readonly zoom: Signal<ZoomState>;
}

/** Draws a text's matrix in its elements and binds its listeners until `signal` aborts. */
export function mountMatrix(
  view: View,
  sequence: Sequence,
  root: HTMLElement,
  state: MatrixState,
  signal: AbortSignal,
): Camera {
  // The box takes the focus and scrolls; the extent is as large as the whole matrix; the viewport
  // stays in the box's corner and holds the canvases.
  const box = part(root, "matrix");
  const extent = part(root, "matrix-extent");
  const viewport = part(root, "matrix-viewport");
  const cells = part<HTMLCanvasElement>(root, "matrix-cells");
  const pointed = part<HTMLCanvasElement>(root, "matrix-pointed");
  const map = part<HTMLCanvasElement>(root, "matrix-map");
  const { domain } = sequence.spec;
  const { signed } = sequence;
  const columns = sequence.steps.length;
  const inputLabels = labelsOf(sequence.inputs.map((_, input) => inputToken(sequence, input)));
  const columnLabels = labelsOf(sequence.steps.map((_, step) => stepToken(sequence, step)));
  const entries = entriesOf(sequence);
  const buffer = createBuffer();
  let shown = view.arrangement.shown.peek();
  let groups = rowGroups(sequence, shown.inputs);
  let pools: readonly Pool[] = [];
  let scene: Scene | null = null;
  let frame = 0;
  let width = 0;
  // What the next frame has to paint: what is pointed at alone changes most often.
  let stale = false;

  const camera = createCamera(box, extent, state.zoom, () => schedule(true));
  const listening = listenToMatrix(
    view,
    { box, viewport, camera, columns, shown: () => shown, pools: () => pools },
    (cell) => {
      state.cursor.value = cell;
    },
    signal,
  );
  listenToMap(camera, map, signal);

  function arrange(next: Shown) {
    shown = next;
    const byScore = view.arrangement.wish.peek().order === "score";
    groups = byScore
      ? [{ label: "", start: 0, end: shown.inputs.length }]
      : rowGroups(sequence, shown.inputs);
    pools = groups.map(({ start, end }) => {
      const rows = shown.inputs.subarray(start, end);
      return createPool(takeRows(entries, rows, columns), end - start, columns, signed);
    });
    cells.dataset.rows = shown.inputs.join(" ");
  }

  function measure() {
    width = box.clientWidth;
    if (width === 0) return;
    const { fontFamily } = getComputedStyle(box);
    const all: Grid = fitGrid({
      rows: sequence.inputs.length,
      columns,
      groups: rowGroups(
        sequence,
        sequence.inputs.map((_, input) => input),
      ),
      width,
      widestRow: widest(cells, inputLabels, fontFamily),
      widestColumn: widest(cells, columnLabels, fontFamily),
    });
    const titleHeight = groups.length > 1 ? all.titleHeight : 0;
    camera.measure(all, { ...all, rows: shown.inputs.length, groups, titleHeight });
    paint();
  }

  function paint() {
    cancelAnimationFrame(frame);
    frame = 0;
    const grid = camera.grid();
    if (grid === null) return;
    if (stale || scene === null) paintCells(grid);
    const now = scene;
    if (now === null) return;
    drawOn(pointed, now, now.ratio, (context) => {
      paintPointed(context, now, pointedCell(view.target.peek(), shown));
    });
  }

  function paintCells(grid: Grid) {
    stale = false;
    const seen = camera.view();
    const width = Math.min(seen.width, contentWidth(grid));
    const height = Math.min(seen.height, contentHeight(grid));
    viewport.style.width = `${width}px`;
    viewport.style.height = `${height}px`;
    const { inputs, steps } = view.selection.peek();
    const { inputs: order, rowOf } = shown;
    const next: Scene = {
      grid,
      scroll: camera.scroll(),
      width,
      height,
      ratio: box.ownerDocument.defaultView?.devicePixelRatio ?? 1,
      pools,
      share: (row, column) => shareAt(sequence, order[row] ?? -1, column),
      domain,
      colours: view.colours.peek(),
      chrome: CHROME[view.appearance.peek()],
      fontFamily: getComputedStyle(box).fontFamily,
      rowLabel(row) {
        const label = inputLabels[order[row] ?? -1];
        const goesOn = order[row] === (order[row - 1] ?? -2) + 1;
        return label === undefined || goesOn ? label : { ...label, joined: false };
      },
      columnLabels,
      pinnedRows: new Set(inputs.map((input) => rowOf[input] ?? -1).filter((row) => row >= 0)),
      pinnedColumns: new Set(steps),
    };
    drawOn(cells, next, next.ratio, (context) => paintMatrix(context, next, buffer));
    // The map pools all cells: at the beginning that can wait for a frame.
    if (scene === null) schedule(true);
    else showMap(map, next, camera.isCropped());
    scene = next;
    describeGeometry(cells, grid, next.scroll);
  }

  function schedule(all: boolean) {
    stale ||= all;
    if (frame === 0) frame = requestAnimationFrame(paint);
  }

  /** Shows other rows where there are others; what was pinned last stays where it is if it can. */
  function catchUp() {
    const next = view.arrangement.shown.peek();
    if (next === shown) return;
    const { row, column } = listening.cursor();
    const stood = shown.inputs[row] ?? -1;
    const anchor = view.selection.peek().inputs.at(-1) ?? -1;
    const before = topOf(anchor);
    arrange(next);
    measure();
    const after = topOf(anchor);
    const { x, y } = camera.scroll();
    camera.scrollTo({ x, y: before === null || after === null ? 0 : y + after - before });
    listening.place({ row: Math.max(0, shown.rowOf[stood] ?? 0), column });
  }

  /** Where an input has its row in the content; null while it has none. */
  function topOf(input: number): number | null {
    const grid = camera.grid();
    const row = shown.rowOf[input] ?? -1;
    return grid === null || row < 0 ? null : rowTop(grid, row);
  }

  box.addEventListener("scroll", () => schedule(true), { signal });
  arrange(shown);
  measure();
  // Told once at the beginning, too, when there is nothing to do.
  const resize = new ResizeObserver(() => {
    if (box.clientWidth !== width) measure();
  });
  resize.observe(box);
  const stops = [
    effect(() => {
      void view.arrangement.shown.value;
      catchUp();
    }),
    effect(() => {
      // Pins that come from elsewhere are brought into sight; our own are in sight already.
      const { inputs, steps } = view.selection.value;
      const pointing = view.target.peek()?.origin === "matrix";
      catchUp();
      if (!pointing && inputs.length + steps.length > 0) {
        const row = shown.rowOf[inputs.at(-1) ?? -1] ?? null;
        camera.reveal({ row, column: steps.at(-1) ?? null });
      }
    }),
    effect(() => {
      void view.selection.value;
      void view.colours.value;
      schedule(true);
    }),
    effect(() => {
      void view.target.value;
      schedule(false);
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
  return camera;
}

/** The crosshair of a target: its row, its column, or both. */
function pointedCell(target: Target | null, { rowOf }: Shown): Pointed {
  if (target === null) return { row: null, column: null };
  // A generated token is a column first; its own row would suggest a cell that nobody points at.
  const asStep = target.origin !== "matrix" && target.step !== null;
  const row = asStep || target.input === null ? -1 : (rowOf[target.input] ?? -1);
  return { row: row < 0 ? null : row, column: target.step };
}

function part<Kind extends HTMLElement = HTMLElement>(root: HTMLElement, name: string): Kind {
  const found = root.querySelector<Kind>(`.${name}`);
  if (found === null) throw new Error(`The matrix has no ${name}.`);
  return found;
}

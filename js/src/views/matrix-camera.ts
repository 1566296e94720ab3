/** Which part of the matrix is seen, and how large: measures, zoom and scrolling. */
import type { Signal } from "@preact/signals";
import {
  contentHeight,
  contentWidth,
  type Grid,
  type Point,
  type Pointed,
  scrollToCell,
} from "../draw/geometry";
import { overflows, type Room, scrollAround, steppedZoom, zoomed, zoomRange } from "../draw/zoom";

export interface ZoomState {
  readonly zoom: number;
  readonly least: number;
  readonly most: number;
}

export interface Camera {
  /** The measures now; null while the matrix has no room. */
  readonly grid: () => Grid | null;
  readonly zoom: Signal<ZoomState>;
  scroll(): Point;
  /** The part that is seen. */
  view(): Room;
  /** Whether a part of the matrix is out of sight. */
  isCropped(): boolean;
  /** Measures anew: `all` are the measures of all rows at zoom 1, `base` of those that are shown. */
  measure(all: Grid, base: Grid): void;
  /** Zooms so that what lies under a point of the visible part stays there. */
  zoomTo(zoom: number, around?: Point | null): void;
  step(inwards: boolean, around?: Point | null): void;
  fit(): void;
  scrollTo(to: Point): void;
  /** Scrolls no further than needed to see a cell, a row or a column. */
  reveal(cell: Pointed): void;
}

/**
 * Makes the camera of a box that scrolls an extent as large as the whole matrix.
 *
 * @param zoom told how far it is zoomed
 * @param onMoved told when measures have changed
 */
export function createCamera(
  box: HTMLElement,
  extent: HTMLElement,
  zoom: Signal<ZoomState>,
  onMoved: () => void,
): Camera {
  let grid: Grid | null = null;
  let base: Grid | null = null;
  // A matrix that was fitted stays so when the room or its rows change.
  let fitted = false;
  const view = (): Room => ({ width: box.clientWidth, height: box.clientHeight });
  // What there is without a scroll bar below.
  const room = (): Room => ({ ...view(), height: box.offsetHeight });
  const scroll = (): Point => ({ x: box.scrollLeft, y: box.scrollTop });

  function give(to: Grid) {
    extent.style.width = `${contentWidth(to)}px`;
    extent.style.height = `${contentHeight(to)}px`;
  }
  function show(wanted: number) {
    if (base === null) return;
    const [least, most] = zoomRange(base, room());
    const now = Math.min(most, Math.max(least, fitted ? least : wanted));
    fitted = now === least && least < 1;
    grid = zoomed(base, room(), now);
    give(grid);
    zoom.value = { zoom: now, least, most };
  }
  function scrollTo({ x, y }: Point) {
    box.scrollTo({ left: x, top: y, behavior: "instant" });
  }
  function zoomTo(wanted: number, around?: Point | null) {
    if (grid === null) return;
    const before = grid;
    const at = scroll();
    const { width, height } = view();
    const point = around ?? {
      x: (before.labelWidth + width) / 2,
      y: (before.headHeight + height) / 2,
    };
    fitted = false;
    show(wanted);
    scrollTo(scrollAround(before, grid, point, at));
    onMoved();
  }

  return {
    grid: () => grid,
    zoom,
    scroll,
    view,
    isCropped: () => grid !== null && overflows(grid, view()),
    measure(all, next) {
      // As tall as all rows need at the readable size: so nothing below moves when rows are hidden
      // or cells shrink.
      const at = scroll();
      box.style.height = "";
      give(all);
      box.style.height = `${box.offsetHeight}px`;
      base = next;
      show(zoom.peek().zoom);
      scrollTo(at);
      onMoved();
    },
    zoomTo,
    step(inwards, around) {
      zoomTo(steppedZoom(zoom.peek().zoom, inwards), around);
    },
    fit: () => zoomTo(0),
    scrollTo,
    reveal(cell) {
      if (grid !== null) scrollTo(scrollToCell(grid, cell, scroll(), view()));
    },
  };
}

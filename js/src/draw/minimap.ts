/** The whole matrix in the corner above the row labels, with a frame for the part that is seen. */
import {
  clamp,
  contentHeight,
  contentWidth,
  type Grid,
  type Point,
  type Rect,
  rowTop,
} from "./geometry";
import { paintImage, type Scene } from "./matrix";
import type { Room } from "./zoom";

/** The frame can be seen, however little of the matrix is in it. */
const LEAST_FRAME = 6;

/** The size of the map; it leaves some room to the labels around it. */
export function mapSize(grid: Grid): Room {
  return { width: grid.labelWidth - 14, height: grid.headHeight - 10 };
}

/** How much smaller the map is than the cells with the titles between them. */
function scaleOf(grid: Grid): Point {
  const { width, height } = mapSize(grid);
  return {
    x: width / (contentWidth(grid) - grid.labelWidth),
    y: height / Math.max(1, contentHeight(grid) - grid.headHeight),
  };
}

/** The frame of the part that is seen, on the map. */
export function mapFrame(grid: Grid, scroll: Point, view: Room): Rect {
  const map = mapSize(grid);
  const scale = scaleOf(grid);
  const side = (start: number, seen: number, length: number): [number, number] => {
    const size = Math.min(length, Math.max(LEAST_FRAME, seen));
    return [clamp(start + (seen - size) / 2, 0, length - size), size];
  };
  const seen = { x: view.width - grid.labelWidth, y: view.height - grid.headHeight };
  const [x, width] = side(scroll.x * scale.x, seen.x * scale.x, map.width);
  const [y, height] = side(scroll.y * scale.y, seen.y * scale.y, map.height);
  return { x, y, width, height };
}

/** Where to scroll so that the frame has its middle at a point of the map. */
export function scrollToMap(grid: Grid, point: Point, view: Room): Point {
  const scale = scaleOf(grid);
  return {
    x: point.x / scale.x - (view.width - grid.labelWidth) / 2,
    y: point.y / scale.y - (view.height - grid.headHeight) / 2,
  };
}

/** Paints the map: all cells, pins as lines, the frame. */
export function paintMap(context: CanvasRenderingContext2D, scene: Scene): void {
  const { grid, ratio, chrome, pinnedRows, pinnedColumns } = scene;
  const map = mapSize(grid);
  const scale = scaleOf(grid);
  const image = context.createImageData(context.canvas.width, context.canvas.height);
  const axis = { gap: 0, unit: 1 };
  const columns = { ...axis, start: 0, size: image.width / grid.columns, count: grid.columns };
  const top = (row: number) => (rowTop(grid, row) - grid.headHeight) * scale.y;
  paintImage(image, scene, columns, ratio, 0, ({ start: first, end }) => {
    // Whole pixels, so that no group hides the end of another.
    const start = Math.round(top(first) * ratio);
    const height = Math.round(top(end - 1e-9) * ratio) - start;
    return { ...axis, start, size: Math.max(1, height) / (end - first) };
  });
  context.putImageData(image, 0, 0);
  context.fillStyle = chrome.ink;
  for (const row of pinnedRows) context.fillRect(0, top(row + 0.5), map.width, 1);
  for (const column of pinnedColumns) {
    context.fillRect((column + 0.5) * grid.cellWidth * scale.x, 0, 1, map.height);
  }
  const { x, y, width, height } = mapFrame(grid, scene.scroll, scene);
  for (const [colour, line] of [
    [chrome.surface, 4],
    [chrome.focus, 2],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x + 1, y + 1, width - 2, height - 2);
  }
}

/** Canvases and what they are painted with. */
import type { Sequence } from "../data/figure";
import { entryOf } from "../draw/colour";
import { type Grid, type Point, rowTop } from "../draw/geometry";
import type { Room } from "../draw/zoom";

/** The entry of every cell on the colour table, row by row; see `entryOf`. */
export function entriesOf({ scores, steps, signed, spec }: Sequence): Int16Array {
  const totals = Float64Array.from(steps, (step) => step.total || 1);
  const entries = new Int16Array(scores.length);
  for (let at = 0; at < entries.length; ) {
    for (let step = 0; step < totals.length; step++, at++) {
      entries[at] = entryOf((scores[at] ?? 0) / (totals[step] ?? 1), spec.domain, signed);
    }
  }
  return entries;
}

/** Paints on a canvas of a size in CSS pixels. */
export function drawOn(
  canvas: HTMLCanvasElement,
  { width, height }: Room,
  ratio: number,
  paint: (context: CanvasRenderingContext2D) => void,
): void {
  const pixels = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
  const context = canvas.getContext("2d");
  if (context === null) return;
  // Assigning a size clears the canvas and costs an allocation, even when it is the same.
  if (canvas.width !== pixels.width) canvas.width = pixels.width;
  if (canvas.height !== pixels.height) canvas.height = pixels.height;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint(context);
}

/** Gives an image to paint pixels in, the same one as long as its size stays. */
export function createBuffer(): (width: number, height: number) => ImageData {
  let kept: ImageData | null = null;
  return (width, height) => {
    if (kept?.width !== width || kept.height !== height) kept = new ImageData(width, height);
    return kept;
  };
}

/** Says on the canvas where its cells are, for tests and scripts that drive a browser. */
export function describeGeometry(canvas: HTMLCanvasElement, grid: Grid, scroll: Point): void {
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

/** Paints inside a rectangle of a canvas, given by its left, top, right and bottom. */
export function clipped(
  context: CanvasRenderingContext2D,
  [left, top, right, bottom]: readonly [number, number, number, number],
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

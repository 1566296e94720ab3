/** Where a tooltip stands: beside its anchor, wholly inside the window. */
import type { Point, Rect } from "../draw/geometry";

interface Size {
  readonly width: number;
  readonly height: number;
}

const DISTANCE = 10;
const MARGIN = 8;

/**
 * Places a box beside an anchor.
 *
 * Over text and bars it stands below, or above where there is no room, so that the line that is read stays
 * free; in the matrix below and to the right, so that row and column stay free.
 */
export function placeBeside(
  anchor: Rect,
  box: Size,
  window: Size,
  origin: "text" | "matrix" | "strip",
): Point {
  const below = anchor.y + anchor.height + DISTANCE;
  const above = anchor.y - DISTANCE - box.height;
  const y = below + box.height + MARGIN <= window.height || above < MARGIN ? below : above;
  const right = anchor.x + anchor.width + DISTANCE;
  const left = anchor.x - DISTANCE - box.width;
  const aside = right + box.width + MARGIN <= window.width || left < MARGIN ? right : left;
  const x = origin === "matrix" ? aside : anchor.x;
  return {
    x: Math.round(within(x, MARGIN, window.width - box.width - MARGIN)),
    y: Math.round(within(y, MARGIN, window.height - box.height - MARGIN)),
  };
}

function within(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(value, high));
}

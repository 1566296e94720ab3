import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { placeBeside } from "../src/views/placement";

const window = { width: 1000, height: 800 };
const box = { width: 200, height: 120 };

describe("the tooltip's place", () => {
  it("is below a token, or above it at the foot of the window", () => {
    const token = { x: 300, y: 100, width: 40, height: 20 };
    expect(placeBeside(token, box, window, "text")).toEqual({ x: 300, y: 130 });
    expect(placeBeside({ ...token, y: 760 }, box, window, "text")).toEqual({ x: 300, y: 630 });
  });

  it("is below and right of a cell, so that its row and column stay free", () => {
    const cell = { x: 300, y: 100, width: 40, height: 20 };
    const place = placeBeside(cell, box, window, "matrix");
    expect(place.x).toBeGreaterThanOrEqual(340);
    expect(place.y).toBeGreaterThanOrEqual(120);
  });

  it("is inside the window wherever the anchor is", () => {
    const at = fc.integer({ min: -50, max: 1050 });
    const origin = fc.constantFrom("text" as const, "matrix" as const);
    fc.assert(
      fc.property(at, at, origin, (x, y, from) => {
        const place = placeBeside({ x, y, width: 30, height: 20 }, box, window, from);
        expect(place.x).toBeGreaterThanOrEqual(0);
        expect(place.y).toBeGreaterThanOrEqual(0);
        expect(place.x + box.width).toBeLessThanOrEqual(window.width);
        expect(place.y + box.height).toBeLessThanOrEqual(window.height);
      }),
    );
  });
});

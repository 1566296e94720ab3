import { describe, expect, it } from "vitest";
import { barsPath, heightOf, scaleOf, stepAt } from "../src/draw/strip";

describe("the scale of a step score", () => {
  it("is 0 to 1 for a probability, however small its values are", () => {
    expect(scaleOf("probability", [0.01, 0.02])).toEqual({ low: 0, high: 1 });
  });

  it("begins or ends at 0 for every other, so that lengths can be compared", () => {
    expect(scaleOf("entropy", [1, 3, null])).toEqual({ low: 0, high: 3 });
    expect(scaleOf("pcxmi", [-2, 1])).toEqual({ low: -2, high: 1 });
    expect(scaleOf("pcxmi", [-2, -1])).toEqual({ low: -2, high: 0 });
  });

  it("has a length where all values are 0 or missing", () => {
    expect(scaleOf("entropy", [0, 0])).toEqual({ low: 0, high: 1 });
    expect(scaleOf("entropy", [null, Number.NaN])).toEqual({ low: 0, high: 1 });
  });

  it("keeps a value on the strip", () => {
    const scale = { low: -1, high: 3 };
    expect(heightOf(-1, scale)).toBe(0);
    expect(heightOf(0, scale)).toBe(0.25);
    expect(heightOf(3, scale)).toBe(1);
    expect(heightOf(7, scale)).toBe(1);
  });
});

describe("the bars", () => {
  it("stand on zero, downwards where they are negative", () => {
    expect(barsPath([1, -1], { low: -1, high: 1 }, [0, 1])).toBe(
      "M0.08 0.5V0H0.92V0.5ZM1.08 0.5V1H1.92V0.5Z",
    );
  });

  it("are of the steps that are asked for, those without a value left out", () => {
    const scale = { low: 0, high: 1 };
    expect(barsPath([0.5, null, 1], scale, [1, 2])).toBe("M2.08 1V0H2.92V1Z");
    expect(barsPath([0.5, null, 1], scale, [])).toBe("");
  });
});

describe("the step under the pointer", () => {
  it.each([
    [0, 0],
    [24.9, 0],
    [25, 1],
    [99.9, 3],
    [100, null],
    [-1, null],
  ])("at %d of 100 pixels and 4 steps is %s", (x, step) => {
    expect(stepAt(x, 100, 4)).toBe(step);
  });

  it("is none while nothing has a width", () => {
    expect(stepAt(0, 0, 4)).toBeNull();
  });
});

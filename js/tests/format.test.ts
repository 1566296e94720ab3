import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { counted, ordinal, percent, score, tick, ticksTo } from "../src/format";

describe("numbers in the interface", () => {
  it("are percentages with the digits that tell something", () => {
    expect([0, 0.123456, -0.5, 1, 0.00051, 0.000004, -0.000004].map(percent)).toEqual([
      "0 %",
      "12.3 %",
      "−50.0 %",
      "100.0 %",
      "0.05 %",
      "<0.01 %",
      "−<0.01 %",
    ]);
    expect(percent(Number.NaN)).toBe("–");
    expect(percent(null)).toBe("–");
  });

  it("are scores with three significant digits", () => {
    expect([0.0123456, -1234.5, 0.00001234, 0, Number.NaN].map(score)).toEqual([
      "0.0123",
      "−1.23e+3",
      "1.23e−5",
      "0.00",
      "–",
    ]);
  });

  it("are ordinals and counts as one says them", () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 112, 123].map(ordinal)).toEqual(
      "1st 2nd 3rd 4th 11th 12th 13th 21st 112th 123rd".split(" "),
    );
    expect(counted(1, "step")).toBe("1 step");
    expect(counted(9, "step")).toBe("9 steps");
  });

  it("are ticks from zero to the end of the scale, rising, with none crowding the end", () => {
    expect(ticksTo(0.47)).toEqual([0, 0.2, 0.47]);
    expect(tick(0.47)).toBe("47 %");
    expect(tick(-0.005)).toBe("−0.5 %");
    fc.assert(
      fc.property(fc.double({ min: 1e-5, max: 1, noNaN: true }), (end) => {
        const ticks = ticksTo(end);
        expect(ticks[0]).toBe(0);
        expect(ticks.at(-1)).toBe(end);
        expect(ticks.length).toBeLessThanOrEqual(5);
        const inner = ticks.slice(1, -1);
        expect(inner.every((value, at) => value > (ticks[at] ?? 0) && value < end * 0.8)).toBe(
          true,
        );
      }),
    );
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFigure } from "../src/data/figure";
import {
  largest,
  meanOverInputs,
  meanOverSteps,
  overview,
  rankOf,
  scoreAt,
  shareAt,
} from "../src/data/shares";
import { misaligned, TRANSLATION_SCORES, translation } from "./examples";

function sequence(values = TRANSLATION_SCORES, spec = translation()) {
  const [first] = readFigure(spec, misaligned(values)).sequences;
  if (first === undefined) throw new Error("no sequence");
  return first;
}

describe("a figure read from bytes", () => {
  it("has the kernel's numbers, wherever they start in the buffer", () => {
    const values = fc.array(fc.float({ noNaN: true }), { minLength: 18, maxLength: 18 });
    fc.assert(
      fc.property(values, (numbers) => {
        expect([...sequence(numbers).scores]).toEqual(numbers.map(Math.fround));
      }),
    );
  });

  it("keeps several texts apart by their offsets", () => {
    const one = translation();
    const [first] = one.sequences;
    if (first === undefined) throw new Error("no sequence");
    const spec = { ...one, sequences: [first, { ...first, offset: 18 }] };
    const twice = [...TRANSLATION_SCORES, ...TRANSLATION_SCORES.map((value) => value * 2)];
    const figure = readFigure(spec, misaligned(twice));
    expect(figure.sequences[1]?.scores[0]).toBe(8);
  });

  it("says what is missing when there are too few bytes", () => {
    expect(() => sequence([1, 2, 3])).toThrow(/needs 18 scores.*only 3 have arrived/);
  });

  it("knows which tokens are rows and columns", () => {
    const { inputOf, stepOf } = sequence();
    expect([...inputOf]).toEqual([0, 1, 2, 3, 4, 5, -1]);
    expect([...stepOf]).toEqual([-1, -1, -1, -1, 0, 1, 2]);
  });
});

describe("shares", () => {
  it("are scores by the step's total", () => {
    expect(shareAt(sequence(), 0, 0)).toBe(0.5);
    expect(shareAt(sequence(), 1, 1)).toBeCloseTo(0.6);
  });

  it("are missing where the score is missing", () => {
    expect(scoreAt(sequence(), 4, 0)).toBeNaN();
    expect(shareAt(sequence(), 4, 0)).toBeNaN();
  });

  it("are zero in a step without any magnitude, and still missing after it", () => {
    const spec = translation();
    spec.sequences[0]?.steps.forEach((step) => {
      step.total = 0;
    });
    const silent = sequence(
      TRANSLATION_SCORES.map((value) => value * 0),
      spec,
    );
    expect(shareAt(silent, 0, 0)).toBe(0);
    expect(shareAt(silent, 4, 0)).toBeNaN();
  });

  it("are averaged over the steps that have one", () => {
    const means = overview(sequence());
    expect(means[0]).toBeCloseTo((0.5 + 0.1 + 0.1) / 3);
    expect(means[4]).toBeCloseTo((0.2 + 0.3) / 2);
    expect(means[5]).toBeCloseTo(0.4);
    expect(meanOverSteps(sequence(), [0])[4]).toBeNaN();
    expect([...meanOverSteps(sequence(), [1])].slice(0, 2)).toEqual(
      [0.1, 0.6].map((share) => Math.fround(share)),
    );
  });

  it("are averaged over inputs in the other direction", () => {
    const [first, second] = meanOverInputs(sequence(), [0, 4]);
    expect(first).toBeCloseTo(0.5);
    expect(second).toBeCloseTo((0.1 + 0.2) / 2);
    expect(meanOverInputs(sequence(), [5])[0]).toBeNaN();
  });
});

describe("ranks", () => {
  it("count by magnitude, and leave missing values out", () => {
    expect(rankOf([0.1, -0.9, Number.NaN, 0.5], 1)).toEqual({ rank: 1, of: 3 });
    expect(rankOf([0.1, -0.9, Number.NaN, 0.5], 0)).toEqual({ rank: 3, of: 3 });
    expect(rankOf([0.1, Number.NaN], 1)).toBeNull();
  });

  it("are shared by equal magnitudes", () => {
    expect(rankOf([0.5, -0.5, 0.1], 0)).toEqual({ rank: 1, of: 3 });
    expect(rankOf([0.5, -0.5, 0.1], 1)).toEqual({ rank: 1, of: 3 });
    expect(rankOf([0.5, -0.5, 0.1], 2)).toEqual({ rank: 3, of: 3 });
  });

  it("agree with the order of the largest", () => {
    const values = fc.array(fc.double({ min: -1, max: 1 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(values, (numbers) => {
        const ranks = largest(numbers, numbers.length).map((place) => rankOf(numbers, place)?.rank);
        expect(ranks).toEqual([...ranks].sort((a, b) => (a ?? 0) - (b ?? 0)));
        expect(ranks).toHaveLength(numbers.filter((value) => !Number.isNaN(value)).length);
      }),
    );
  });
});

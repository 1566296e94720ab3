import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFigure, type Sequence } from "../src/data/figure";
import { magnitudes, shareAt } from "../src/data/shares";
import type { FigureSpec } from "../src/protocol";
import { ALL, arrange, type Wish } from "../src/state/arrangement";
import { rowGroups } from "../src/views/blocks";
import { misaligned, TRANSLATION_SCORES, translation } from "./examples";

function only(spec: FigureSpec, scores: readonly number[]): Sequence {
  const [first] = readFigure(spec, misaligned(scores)).sequences;
  if (first === undefined) throw new Error("no sequence");
  return first;
}

const nurse = only(translation(), TRANSLATION_SCORES);
const NONE = { inputs: [], steps: [] };
const shown = (wish: Partial<Wish>, pins: { inputs: number[]; steps: number[] } = NONE) => [
  ...arrange(nurse, { ...ALL, ...wish }, pins).inputs,
];

describe("magnitudes", () => {
  it("are means and maxima of the shares that are there, as a plain loop finds them", () => {
    const values = fc.array(fc.oneof(fc.float({ min: -9, max: 9 }), fc.constant(Number.NaN)), {
      minLength: 18,
      maxLength: 18,
    });
    const places = fc.uniqueArray(fc.integer({ min: 0, max: 2 }), { minLength: 1 });
    fc.assert(
      fc.property(values, places, (scores, steps) => {
        const sequence = only(translation(), scores);
        const { mean, largest } = magnitudes(sequence, steps);
        sequence.inputs.forEach((_, input) => {
          const sizes = steps
            .map((step) => Math.abs(shareAt(sequence, input, step)))
            .filter((size) => !Number.isNaN(size));
          if (sizes.length === 0) {
            expect([mean[input], largest[input]]).toEqual([Number.NaN, Number.NaN]);
            return;
          }
          expect(largest[input]).toBe(Math.max(...sizes));
          expect(mean[input]).toBeCloseTo(sizes.reduce((a, b) => a + b) / sizes.length, 5);
        });
      }),
    );
  });
});

// Means over all steps: 0.233, 0.283, 0.142, 0.042, 0.25, 0.4; over step 0: 0.5, 0.25, 0.125, 0.125.
describe("the arrangement of inputs", () => {
  it("is the text's by itself", () => {
    expect(shown({})).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("puts the largest mean magnitude first, of the pinned steps if there are any", () => {
    expect(shown({ order: "score" })).toEqual([5, 1, 4, 0, 2, 3]);
    expect(shown({ order: "score" }, { inputs: [], steps: [0] })).toEqual([0, 1, 2, 3, 4, 5]);
    expect(shown({ order: "score" }, { inputs: [], steps: [1] })).toEqual([1, 4, 0, 2, 3, 5]);
  });

  it("counts a negative share by its size", () => {
    const scores = [-4, ...TRANSLATION_SCORES.slice(1)];
    const signed = only(translation({ signed: true }), scores);
    const found = arrange(signed, { ...ALL, order: "score" }, { inputs: [], steps: [0] });
    expect(found.inputs[0]).toBe(0);
  });

  it("hides inputs whose largest share is below a threshold, and keeps those that reach it", () => {
    expect(shown({ least: 25 })).toEqual([0, 1, 4, 5]);
    expect(shown({ least: 60 })).toEqual([1]);
    expect(shown({ least: 12.5 }, { inputs: [], steps: [0] })).toEqual([0, 1, 2, 3]);
    expect(shown({ least: 90 })).toEqual([]);
  });

  it("shows the top few in their order, by rank or by place", () => {
    expect(shown({ top: 3 })).toEqual([1, 4, 5]);
    expect(shown({ top: 3, order: "score" })).toEqual([5, 1, 4]);
  });

  it("hides special tokens before it counts", () => {
    expect(shown({ special: false })).toEqual([0, 1, 2, 4, 5]);
    expect(shown({ special: false, top: 5 })).toEqual([0, 1, 2, 4, 5]);
  });

  it("never hides what is pinned", () => {
    expect(shown({ top: 1 }, { inputs: [3], steps: [] })).toEqual([3, 5]);
    expect(shown({ least: 90, special: false }, { inputs: [3, 0], steps: [] })).toEqual([0, 3]);
  });

  it("says for every input where its row is", () => {
    const { rowOf } = arrange(nurse, { ...ALL, order: "score", top: 2 }, NONE);
    expect([...rowOf]).toEqual([-1, 1, -1, -1, -1, 0]);
  });

  it("keeps its groups by place, those without a row left out", () => {
    expect(rowGroups(nurse, [1, 2, 5])).toEqual([
      { label: "Source", start: 0, end: 2 },
      { label: "Target prefix", start: 2, end: 3 },
    ]);
    expect(rowGroups(nurse, [4, 5])).toEqual([{ label: "Target prefix", start: 0, end: 2 }]);
    expect(rowGroups(nurse, [])).toEqual([]);
  });
});

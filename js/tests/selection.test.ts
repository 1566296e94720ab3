import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFigure } from "../src/data/figure";
import type { SelectionState } from "../src/protocol";
import {
  isCleared,
  pinAlone,
  pinMore,
  pinRun,
  sameSelection,
  shownSelection,
} from "../src/state/selection";
import { activePlaces } from "../src/state/view";
import { misaligned, TRANSLATION_SCORES, translation } from "./examples";

const sel = (inputs: number[], steps: number[]): SelectionState => ({ sequence: 0, inputs, steps });

describe("pinning alone", () => {
  it("replaces what was pinned", () => {
    expect(pinAlone(sel([1], [2]), { step: 0 })).toEqual(sel([], [0]));
    expect(pinAlone(sel([], [2]), { input: 4 })).toEqual(sel([4], []));
    expect(pinAlone(sel([], []), { input: 1, step: 2 })).toEqual(sel([1], [2]));
  });

  it("unpins the only pinned thing", () => {
    expect(isCleared(pinAlone(sel([], [2]), { step: 2 }))).toBe(true);
    expect(isCleared(pinAlone(sel([1], [2]), { input: 1, step: 2 }))).toBe(true);
    expect(pinAlone(sel([1], [2]), { step: 2 })).toEqual(sel([], [2]));
  });

  it("keeps the text that is shown", () => {
    expect(pinAlone({ sequence: 3, inputs: [], steps: [] }, { step: 2 }).sequence).toBe(3);
  });
});

describe("pinning more", () => {
  it("adds at the end, so that the last pinned is the last", () => {
    expect(pinMore(sel([], [2]), { step: 0 })).toEqual(sel([], [2, 0]));
    expect(pinMore(sel([], [2]), { input: 1 })).toEqual(sel([1], [2]));
    expect(pinMore(sel([1], []), { input: 1, step: 2 })).toEqual(sel([1], [2]));
  });

  it("takes away what is there", () => {
    expect(pinMore(sel([], [2, 0]), { step: 2 })).toEqual(sel([], [0]));
    expect(pinMore(sel([1, 3], [2]), { input: 1, step: 2 })).toEqual(sel([3], []));
  });

  it("twice is as if nothing had been done, for a thing that was not there", () => {
    const places = fc.uniqueArray(fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(places, places, fc.integer({ min: 10, max: 19 }), (inputs, steps, input) => {
        const before = sel(inputs, steps);
        expect(pinMore(pinMore(before, { input }), { input })).toEqual(before);
      }),
    );
  });
});

describe("pinning a run of steps", () => {
  it("pins all from the one to the other, in the order in which they were passed", () => {
    expect(pinRun(sel([4], [9]), 2, 5, false)).toEqual(sel([], [2, 3, 4, 5]));
    expect(pinRun(sel([4], [9]), 5, 2, false)).toEqual(sel([], [5, 4, 3, 2]));
    expect(pinRun(sel([], []), 3, 3, false)).toEqual(sel([], [3]));
  });

  it("with more stands beside what is pinned, each step once", () => {
    expect(pinRun(sel([4], [9, 3]), 2, 4, true)).toEqual(sel([4], [9, 2, 3, 4]));
  });
});

it("two selections are the same when they pin the same in the same order", () => {
  expect(sameSelection(sel([1], [2, 3]), sel([1], [2, 3]))).toBe(true);
  expect(sameSelection(sel([1], [2, 3]), sel([1], [3, 2]))).toBe(false);
  expect(sameSelection(sel([], []), { sequence: 1, inputs: [], steps: [] })).toBe(false);
});

describe("a selection from outside", () => {
  const figure = readFigure(translation(), misaligned(TRANSLATION_SCORES));

  it("is shown as far as the figure has its places", () => {
    expect(shownSelection(sel([0, 5, 6, -1, 0.5], [2, 2, 3]), figure)).toEqual(sel([0, 5], [2]));
  });

  it("shows nothing of a text that the figure does not have", () => {
    expect(shownSelection({ sequence: 4, inputs: [0], steps: [0] }, figure)).toEqual(sel([], []));
  });
});

describe("what is active", () => {
  it("is the pins, else what is pointed at, else nothing", () => {
    expect(activePlaces(sel([], [2]), { input: 1, step: 0 })).toEqual({
      kind: "steps",
      places: [2],
      pinned: true,
    });
    expect(activePlaces(sel([], []), { input: 1, step: 0 })).toEqual({
      kind: "steps",
      places: [0],
      pinned: false,
    });
    expect(activePlaces(sel([], []), { input: 1, step: null })).toEqual({
      kind: "inputs",
      places: [1],
      pinned: false,
    });
    expect(activePlaces(sel([], []), null)).toEqual({
      kind: "overview",
      places: [],
      pinned: false,
    });
  });

  it("is the pinned steps before the pinned inputs", () => {
    expect(activePlaces(sel([1], [2]), null).kind).toBe("steps");
    expect(activePlaces(sel([1], []), { input: null, step: 0 }).kind).toBe("inputs");
  });
});

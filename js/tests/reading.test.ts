import { describe, expect, it } from "vitest";
import { readFigure, type Sequence } from "../src/data/figure";
import { meanOverInputs, meanOverSteps, overview } from "../src/data/shares";
import type { FigureSpec, SelectionState } from "../src/protocol";
import type { Reading, Target } from "../src/state/view";
import { describe as describeTarget } from "../src/views/description";
import { pinOf } from "../src/views/text-interaction";
import { shadeOf } from "../src/views/text-painter";
import {
  COMPLETION_SCORES,
  completion,
  misaligned,
  TRANSLATION_SCORES,
  translation,
} from "./examples";

function only(spec: FigureSpec, scores: readonly number[]): Sequence {
  const [first] = readFigure(spec, misaligned(scores)).sequences;
  if (first === undefined) throw new Error("no sequence");
  return first;
}

const nurse = only(translation(), TRANSLATION_SCORES);
const chat = only(completion(), COMPLETION_SCORES);
const NOTHING: SelectionState = { sequence: 0, inputs: [], steps: [] };

const steps = (sequence: Sequence, places: number[]): Reading => ({
  kind: "steps",
  places,
  pinned: true,
  values: meanOverSteps(sequence, places),
});
const inputs = (sequence: Sequence, places: number[]): Reading => ({
  kind: "inputs",
  places,
  pinned: true,
  values: meanOverInputs(sequence, places),
});
const all = (sequence: Sequence): Reading => ({
  kind: "overview",
  places: [],
  pinned: false,
  values: overview(sequence),
});
const target = (more: Partial<Target>): Target => ({
  origin: "text",
  token: null,
  input: null,
  step: null,
  anchor: () => null,
  ...more,
});
const shade = (
  sequence: Sequence,
  token: number,
  reading: Reading,
  selection = NOTHING,
  at: Target | null = null,
) => shadeOf(sequence, token, reading, selection, at);

describe("the shades of the running text", () => {
  it("are mean shares with nothing active; a token that is no input has none", () => {
    expect(shade(nurse, 0, all(nurse)).share).toBeCloseTo((0.5 + 0.1 + 0.1) / 3);
    expect(shade(nurse, 6, all(nurse))).toEqual({ share: null, marks: [] });
  });

  it("are the step's shares with a step active, and what comes later is missing, not zero", () => {
    const reading = steps(nurse, [1]);
    expect(shade(nurse, 1, reading).share).toBeCloseTo(0.6);
    expect(shade(nurse, 4, reading).share).toBeCloseTo(0.2);
    expect(shade(nurse, 5, reading)).toEqual({ share: null, marks: ["active"] });
    expect(shade(nurse, 6, reading)).toEqual({ share: null, marks: ["missing"] });
  });

  it("are those of the generated tokens with an input active", () => {
    const reading = inputs(nurse, [1]);
    expect(shade(nurse, 4, reading).share).toBeCloseTo(0.25);
    expect(shade(nurse, 5, reading).share).toBeCloseTo(0.6);
    expect(shade(nurse, 1, reading)).toEqual({ share: null, marks: ["active"] });
    expect(shade(nurse, 0, reading)).toEqual({ share: null, marks: [] });
  });

  it("leave out steps that come before an active input", () => {
    expect(shade(nurse, 4, inputs(nurse, [4]))).toEqual({ share: null, marks: ["active"] });
    expect(shade(nurse, 5, inputs(nurse, [5])).marks).toEqual(["active"]);
    expect(shade(chat, 2, inputs(chat, [2])).marks).toEqual(["active"]);
    expect(shade(nurse, 4, inputs(nurse, [5])).marks).toEqual(["missing"]);
  });

  it("mark what is pinned and what is pointed at, in every view of it", () => {
    const selection = { sequence: 0, inputs: [0], steps: [1] };
    expect(shade(nurse, 0, steps(nurse, [1]), selection).marks).toContain("pinned");
    expect(shade(nurse, 5, steps(nurse, [1]), selection).marks).toContain("pinned");
    const cell = target({ origin: "matrix", input: 2, step: 0 });
    const pointed = nurse.tokens.map((_, at) =>
      shade(nurse, at, all(nurse), NOTHING, cell).marks.includes("pointed"),
    );
    expect(pointed).toEqual([false, false, true, false, true, false, false]);
  });

  it("carry their sign otherwise than by colour too", () => {
    const signed = only(
      translation({ signed: true }),
      TRANSLATION_SCORES.map((value) => -value),
    );
    expect(shade(signed, 1, steps(signed, [1])).marks).toEqual(["negative"]);
  });
});

describe("clicking a token of the running text", () => {
  it("pins a generated token as step, an input as input, and with Alt a generated one as input", () => {
    expect(pinOf(chat, 0, false)).toEqual({ input: 0 });
    expect(pinOf(chat, 2, false)).toEqual({ step: 0 });
    expect(pinOf(chat, 2, true)).toEqual({ input: 2 });
    expect(pinOf(chat, 3, true)).toEqual({ step: 1 });
  });
});

describe("the tooltip", () => {
  const facts = (sequence: Sequence, at: Partial<Target>, reading: Reading) =>
    Object.fromEntries(
      (describeTarget(sequence, target(at), reading)?.facts ?? []).map((fact) => [
        fact.name,
        fact.value,
      ]),
    );

  it("gives score, share, rank and probability of a cell, and both entries", () => {
    const said = describeTarget(nurse, target({ origin: "matrix", input: 1, step: 1 }), all(nurse));
    expect(said?.heading).toEqual(["nurse", "enferm"]);
    expect(said?.facts).toEqual([
      { name: "Share of step", value: "60.0 %" },
      { name: "Score", value: "6.00" },
      { name: "Rank", value: "1st of 5" },
      { name: "Probability", value: "50.0 %" },
    ]);
    expect(said?.entries).toEqual([
      "▁nurse · id 101 · position 1 · source",
      "▁enferm · id 101 · position 1 · target",
    ]);
    expect(said?.spoken).toBe(
      "nurse for enferm, Share of step 60.0 %, Score 6.00, Rank 1st of 5, Probability 50.0 %",
    );
  });

  it("says of a missing cell that it comes after the step", () => {
    expect(facts(nurse, { origin: "matrix", input: 4, step: 0 }, all(nurse))).toMatchObject({
      Score: "none: it comes after the step",
    });
  });

  it("gives an input's place in the pinned step, else in the mean", () => {
    expect(facts(nurse, { token: 0, input: 0 }, steps(nurse, [0]))).toEqual({
      "Share of step": "50.0 %",
      Score: "4.00",
      Rank: "1st of 4",
    });
    expect(facts(nurse, { token: 0, input: 0 }, all(nurse))).toMatchObject({
      "Mean share, 3 steps": "23.3 %",
    });
  });

  it("gives a generated token's probability, and its share of a pinned input", () => {
    expect(facts(nurse, { token: 6, step: 2 }, all(nurse))).toEqual({ Probability: "25.0 %" });
    expect(facts(nurse, { token: 6, step: 2 }, inputs(nurse, [4]))).toMatchObject({
      "Share of “A”": "30.0 %",
    });
  });

  it("does not call a step an input of itself", () => {
    expect(facts(chat, { token: 2, input: 2, step: 0 }, steps(chat, [0]))).toEqual({
      Probability: "50.0 %",
    });
  });

  it("says nothing where nothing is pointed at", () => {
    expect(describeTarget(nurse, target({}), all(nurse))).toBeNull();
  });
});

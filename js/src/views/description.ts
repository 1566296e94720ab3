/** What is said about a token or cell, in the tooltip and to a screen reader. */
import { inputToken, type Sequence, stepToken } from "../data/figure";
import { meanOverSteps, rankOf, scoreAt, shareAt } from "../data/shares";
import { counted, ordinal, percent, score } from "../format";
import type { StepSpec, TokenSpec } from "../protocol";
import type { Reading, Target } from "../state/view";
import { spokenLabel, visibleLabel } from "../text/visible";
import { sideName } from "./blocks";

export interface Fact {
  readonly name: string;
  readonly value: string;
}

export interface Description {
  /** One token, or input and generated token of a cell. */
  readonly heading: readonly string[];
  readonly facts: readonly Fact[];
  /** Vocabulary entry, id, position, side: one line for each token of the heading. */
  readonly entries: readonly string[];
  readonly spoken: string;
}

/** Describes what is pointed at, in the light of what the colours show. */
export function describe(
  sequence: Sequence,
  target: Target,
  reading: Pick<Reading, "kind" | "places" | "pinned">,
): Description | null {
  const { input, step, token } = target;
  if (target.origin === "matrix" && input !== null && step !== null) {
    return describeCell(sequence, input, step);
  }
  const tokens: TokenSpec[] = [];
  const own = token === null ? undefined : sequence.tokens[token];
  if (own !== undefined) tokens.push(own);
  else if (step !== null) tokens.push(...present(stepToken(sequence, step)));
  else if (input !== null) tokens.push(...present(inputToken(sequence, input)));
  if (tokens.length === 0) return null;
  const facts: Fact[] = [];
  if (step !== null) facts.push(...stepFacts(sequence.steps[step]));
  if (input !== null) facts.push(...inputFacts(sequence, input, reading));
  if (step !== null && reading.kind === "inputs" && reading.pinned) {
    facts.push(...givenFacts(sequence, step, reading.places));
  }
  return finished(sequence, tokens, facts);
}

/** The numbers that a step has beside its attributions: its probability, and what else was asked. */
export function stepFacts(step: StepSpec | undefined): Fact[] {
  return Object.entries(step?.step_scores ?? {}).map(([name, value]) => ({
    name: nameOfScore(name),
    value: valueOfScore(name, value),
  }));
}

/** The name of a step score as it is read. */
export function nameOfScore(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}

/** A step score as it is read: a probability in percent. */
export function valueOfScore(name: string, value: number | null): string {
  return name === "probability" || value === null ? percent(value) : score(value);
}

function describeCell(sequence: Sequence, input: number, step: number): Description | null {
  const from = inputToken(sequence, input);
  const to = stepToken(sequence, step);
  if (from === undefined || to === undefined) return null;
  const facts = cellFacts(sequence, input, step);
  return finished(sequence, [from, to], [...facts, ...stepFacts(sequence.steps[step])]);
}

function cellFacts(sequence: Sequence, input: number, step: number): Fact[] {
  const value = scoreAt(sequence, input, step);
  if (Number.isNaN(value)) return [{ name: "Score", value: "none: it comes after the step" }];
  const place = rankOf(columnOf(sequence, step), input);
  return [
    { name: "Share of step", value: percent(shareAt(sequence, input, step)) },
    { name: "Score", value: score(value) },
    ...(place === null ? [] : [{ name: "Rank", value: `${ordinal(place.rank)} of ${place.of}` }]),
  ];
}

function inputFacts(
  sequence: Sequence,
  input: number,
  { kind, places }: Pick<Reading, "kind" | "places">,
): Fact[] {
  const [only] = places;
  if (kind === "steps" && places.length === 1 && only !== undefined) {
    // A step is no input of itself: there is nothing to say about it as one.
    if (sequence.inputs[input] === sequence.steps[only]?.token) return [];
    return cellFacts(sequence, input, only);
  }
  const steps = kind === "steps" ? places : [...sequence.steps.keys()];
  const means = meanOverSteps(sequence, steps);
  const place = rankOf(means, input);
  if (place === null) return [];
  return [
    { name: `Mean share, ${counted(steps.length, "step")}`, value: percent(means[input]) },
    { name: "Rank", value: `${ordinal(place.rank)} of ${place.of}` },
  ];
}

function givenFacts(sequence: Sequence, step: number, inputs: readonly number[]): Fact[] {
  const [only] = inputs;
  if (inputs.length === 1 && only !== undefined) {
    const token = inputToken(sequence, only);
    if (token === undefined) return [];
    return [
      { name: `Share of “${visibleLabel(token)}”`, value: percent(shareAt(sequence, only, step)) },
    ];
  }
  const shares = inputs.map((input) => shareAt(sequence, input, step));
  const known = shares.filter((share) => !Number.isNaN(share));
  const mean = known.reduce((sum, share) => sum + share, 0) / known.length;
  return [{ name: `Mean share of ${counted(inputs.length, "input")}`, value: percent(mean) }];
}

function columnOf(sequence: Sequence, step: number): Float32Array {
  return Float32Array.from(sequence.inputs, (_, input) => scoreAt(sequence, input, step));
}

function finished(sequence: Sequence, tokens: TokenSpec[], facts: Fact[]): Description {
  const entries = tokens.map(
    (token) =>
      `${visibleLabel({ ...token, text: token.piece || token.text, special: true })}` +
      ` · id ${token.id} · position ${token.position} · ${sideName(token.side, sequence)}`,
  );
  const numbers = facts.map((fact) => `${fact.name} ${fact.value}`);
  return {
    heading: tokens.map(visibleLabel),
    facts,
    entries,
    spoken: [tokens.map(spokenLabel).join(" for "), ...numbers].join(", "),
  };
}

function present<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}

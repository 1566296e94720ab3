/** Arithmetic of shares: what part of a step's total an input has, means over several, ranks. */
import type { Sequence } from "./figure";

/** The score of an input in a step; NaN where it is missing. */
export function scoreAt(sequence: Sequence, input: number, step: number): number {
  return sequence.scores[input * sequence.steps.length + step] ?? Number.NaN;
}

/**
 * The score of an input as a part of its step's total magnitude: between −1 and 1, NaN where the
 * score is missing, 0 in a step without any magnitude.
 */
export function shareAt(sequence: Sequence, input: number, step: number): number {
  const score = scoreAt(sequence, input, step);
  const total = sequence.steps[step]?.total ?? Number.NaN;
  return total > 0 ? score / total : Number.isNaN(score) ? score : 0;
}

/**
 * The mean share of every input over some steps, missing ones left out; NaN for an input that is
 * missing in all of them.
 */
export function meanOverSteps(sequence: Sequence, steps: Iterable<number>): Float32Array {
  return meanOf(sequence, steps, (share) => share);
}

/** How much every input matters in some steps: its largest magnitude, and the mean of them. */
export interface Magnitudes {
  readonly mean: Float32Array;
  readonly largest: Float64Array;
}

/** The magnitudes of every input's shares in some steps; NaN where it is missing in all of them. */
export function magnitudes(sequence: Sequence, steps: Iterable<number>): Magnitudes {
  const largest = new Float64Array(sequence.inputs.length).fill(Number.NaN);
  const mean = meanOf(sequence, steps, (share, input) => {
    const size = Math.abs(share);
    if (!((largest[input] ?? 0) >= size)) largest[input] = size;
    return size;
  });
  return { mean, largest };
}

/** The mean share of some inputs in every step, missing ones left out. */
export function meanOverInputs(sequence: Sequence, inputs: readonly number[]): Float32Array {
  return Float32Array.from(sequence.steps, (_, step) =>
    mean(inputs, (input) => shareAt(sequence, input, step)),
  );
}

/** The mean share of every input over all steps: what is seen with nothing active. */
export function overview(sequence: Sequence): Float32Array {
  return meanOverSteps(sequence, sequence.steps.keys());
}

/** The mean over some steps of what becomes of every input's shares; a million in a moment. */
function meanOf(
  sequence: Sequence,
  steps: Iterable<number>,
  use: (share: number, input: number) => number,
): Float32Array {
  const places = Int32Array.from(steps);
  const totals = Float64Array.from(places, (step) => sequence.steps[step]?.total ?? 0);
  const means = new Float32Array(sequence.inputs.length);
  for (let input = 0; input < means.length; input++) {
    const start = input * sequence.steps.length;
    let sum = 0;
    let count = 0;
    for (let at = 0; at < places.length; at++) {
      const score = sequence.scores[start + (places[at] ?? 0)] ?? Number.NaN;
      if (Number.isNaN(score)) continue;
      const total = totals[at] ?? 0;
      sum += use(total > 0 ? score / total : 0, input);
      count += 1;
    }
    means[input] = count > 0 ? sum / count : Number.NaN;
  }
  return means;
}

function mean(places: readonly number[], valueAt: (place: number) => number): number {
  let sum = 0;
  let count = 0;
  for (const place of places) {
    const value = valueAt(place);
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return count > 0 ? sum / count : Number.NaN;
}

export interface Rank {
  /** 1 for the largest magnitude; equal magnitudes share the better rank. */
  readonly rank: number;
  readonly of: number;
}

/** The place of one value among all that are not missing, by magnitude; null if it is missing. */
export function rankOf(values: ArrayLike<number>, place: number): Rank | null {
  const own = Math.abs(values[place] ?? Number.NaN);
  if (Number.isNaN(own)) return null;
  let rank = 1;
  let of = 0;
  for (let k = 0; k < values.length; k++) {
    const other = Math.abs(values[k] ?? Number.NaN);
    if (Number.isNaN(other)) continue;
    of += 1;
    if (other > own) rank += 1;
  }
  return { rank, of };
}

/** The places of the largest magnitudes, the largest first; missing values are left out. */
export function largest(values: ArrayLike<number>, count: number): number[] {
  const places: number[] = [];
  for (let k = 0; k < values.length; k++) {
    if (!Number.isNaN(values[k] ?? Number.NaN)) places.push(k);
  }
  const magnitude = (place: number) => Math.abs(values[place] ?? 0);
  return places.sort((a, b) => magnitude(b) - magnitude(a) || a - b).slice(0, count);
}

/** What clicking does to the selection: pure rules, and the check of one that comes from outside. */
import type { Figure } from "../data/figure";
import type { SelectionState } from "../protocol";

/** A thing that can be pinned: an input, a step, or the cell where they meet. */
export interface Pin {
  readonly input?: number;
  readonly step?: number;
}

export const EMPTY: SelectionState = { sequence: 0, inputs: [], steps: [] };

/** Pins one thing alone; pinning the only pinned thing again unpins it. */
export function pinAlone(selection: SelectionState, pin: Pin): SelectionState {
  const next: SelectionState = {
    sequence: selection.sequence,
    inputs: pin.input === undefined ? [] : [pin.input],
    steps: pin.step === undefined ? [] : [pin.step],
  };
  return sameSelection(selection, next) ? cleared(selection) : next;
}

/** Adds a thing to what is pinned, or takes it away if all of it is there already. */
export function pinMore(selection: SelectionState, pin: Pin): SelectionState {
  const { input, step } = pin;
  const pinned =
    (input === undefined || selection.inputs.includes(input)) &&
    (step === undefined || selection.steps.includes(step));
  const toggled = (places: readonly number[], place: number | undefined) => {
    if (place === undefined) return [...places];
    const others = places.filter((other) => other !== place);
    return pinned ? others : [...others, place];
  };
  return {
    sequence: selection.sequence,
    inputs: toggled(selection.inputs, input),
    steps: toggled(selection.steps, step),
  };
}

/** Pins a run of steps, the first one last in order where it ends before it begins. */
export function pinRun(
  selection: SelectionState,
  from: number,
  to: number,
  more: boolean,
): SelectionState {
  const count = Math.abs(to - from) + 1;
  const run = Array.from({ length: count }, (_, at) => from + Math.sign(to - from) * at);
  const kept = more ? selection.steps.filter((step) => !run.includes(step)) : [];
  return {
    sequence: selection.sequence,
    inputs: more ? [...selection.inputs] : [],
    steps: [...kept, ...run],
  };
}

/** Nothing pinned, in the same sequence. */
export function cleared(selection: SelectionState): SelectionState {
  return { sequence: selection.sequence, inputs: [], steps: [] };
}

export function isCleared(selection: SelectionState): boolean {
  return selection.inputs.length === 0 && selection.steps.length === 0;
}

/** Whether two selections pin the same; the order in which things were pinned counts. */
export function sameSelection(one: SelectionState, other: SelectionState): boolean {
  return (
    one.sequence === other.sequence &&
    sameList(one.inputs, other.inputs) &&
    sameList(one.steps, other.steps)
  );
}

/** What of a selection can be shown: places that the figure has, each once. */
export function shownSelection(selection: SelectionState, figure: Figure): SelectionState {
  const sequence = figure.sequences[selection.sequence];
  if (sequence === undefined) return EMPTY;
  const within = (places: readonly number[], count: number) => [
    ...new Set(places.filter((at) => Number.isInteger(at) && at >= 0 && at < count)),
  ];
  return {
    sequence: selection.sequence,
    inputs: within(selection.inputs, sequence.inputs.length),
    steps: within(selection.steps, sequence.steps.length),
  };
}

function sameList(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at]);
}

/** Which inputs the matrix shows, and in which order: a wish of one view, and what becomes of it. */
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { inputToken, type Sequence } from "../data/figure";
import { largest, magnitudes } from "../data/shares";
import type { SelectionState } from "../protocol";
import { EMPTY } from "./selection";

export interface Wish {
  readonly order: "position" | "score";
  /** Inputs whose largest share is smaller are hidden; in percent. */
  readonly least: number;
  /** So many of the largest mean shares are shown; null for all. */
  readonly top: number | null;
  readonly special: boolean;
}

/** All inputs as they stand in the text. */
export const ALL: Wish = { order: "position", least: 0, top: null, special: true };

/** What is shown: the input of each row, and the row of each input, −1 for one that is hidden. */
export interface Shown {
  readonly inputs: Int32Array;
  readonly rowOf: Int32Array;
}

export interface Arrangement {
  readonly wish: Signal<Wish>;
  readonly shown: ReadonlySignal<Shown>;
}

export function createArrangement(
  sequence: ReadonlySignal<Sequence>,
  selection: ReadonlySignal<SelectionState>,
): Arrangement {
  const wish = signal(ALL);
  const shown = computed(() => {
    const { order, least, top, special } = wish.value;
    // Pins make no difference, and clicks no work, where all inputs stand as in the text.
    const plain = order === "position" && least === 0 && top === null && special;
    return arrange(sequence.value, wish.value, plain ? EMPTY : selection.value);
  });
  return { wish, shown };
}

/**
 * Chooses and orders the inputs. Their magnitudes are those in the pinned steps, or else in all
 * steps. What is pinned is never hidden.
 */
export function arrange(
  sequence: Sequence,
  { order, least, top, special }: Wish,
  { inputs: pinned, steps }: Pick<SelectionState, "inputs" | "steps">,
): Shown {
  // Of a million cells, so only where they are asked for.
  const compared = order === "score" || least > 0 || top !== null;
  const places = steps.length > 0 ? steps : sequence.steps.keys();
  const size = magnitudes(sequence, compared ? places : []);
  const all = [...sequence.inputs.keys()];
  // Inputs that are missing everywhere come last.
  const ranked = [...new Set([...largest(size.mean, all.length), ...all])];
  const found = ranked.filter(
    (input) =>
      (special || inputToken(sequence, input)?.special === false) &&
      (least === 0 || (size.largest[input] ?? 0) * 100 >= least),
  );
  const kept = new Set([...found.slice(0, top ?? undefined), ...pinned]);
  const inputs = (order === "score" ? ranked : all).filter((input) => kept.has(input));
  const rowOf = new Int32Array(all.length).fill(-1);
  inputs.forEach((input, row) => {
    rowOf[input] = row;
  });
  return { inputs: Int32Array.from(inputs), rowOf };
}

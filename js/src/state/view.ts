/** State of one view alone: what is hovered or walked to, and what the colours therefore show. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Figure, Sequence } from "../data/figure";
import { meanOverInputs, meanOverSteps, overview } from "../data/shares";
import { type Appearance, type ColourTable, colourTable } from "../draw/colour";
import type { Kernel } from "../kernel";
import type { SelectionState } from "../protocol";
import { type Arrangement, createArrangement } from "./arrangement";
import { cleared, isCleared, type Pin, pinAlone, pinMore, pinRun } from "./selection";
import type { Synced } from "./synced";

/** A token or cell that is pointed at, by mouse or keyboard. Hover never leaves the page. */
export interface Target {
  readonly origin: "text" | "matrix" | "strip";
  /** The token of `origin: "text"`. */
  readonly token: number | null;
  readonly input: number | null;
  readonly step: number | null;
  /** Where it is drawn in the window, for the tooltip to stand beside it. */
  readonly anchor: () => DOMRect | null;
}

/**
 * What the shades of the text say.
 *
 * `steps`: every input has the share that it has in these steps (their mean). `inputs`: every
 * generated token has the share that these inputs have in it. `overview`: every input has its mean
 * share over all steps.
 */
export interface Reading {
  readonly kind: "overview" | "steps" | "inputs";
  readonly places: readonly number[];
  readonly pinned: boolean;
  /** One share for each input, or for each step when `kind` is `inputs`. */
  readonly values: Float32Array;
}

export interface View {
  readonly figure: Figure;
  readonly kernel: Kernel;
  readonly selection: ReadonlySignal<SelectionState>;
  readonly sequence: ReadonlySignal<Sequence>;
  readonly target: ReadonlySignal<Target | null>;
  readonly reading: ReadonlySignal<Reading>;
  /** What the matrix shows of the text's inputs. */
  readonly arrangement: Arrangement;
  readonly appearance: ReadonlySignal<Appearance>;
  readonly colours: ReadonlySignal<ColourTable>;
  pointAt(target: Target): void;
  /** Ends pointing that began in one of the views; the other's is left alone. */
  leave(origin: Target["origin"]): void;
  pin(pin: Pin, more: boolean): void;
  /** Pins a run of steps, from the one to the other, alone or beside what is pinned. */
  pinSteps(from: number, to: number, more: boolean): void;
  clear(): boolean;
  showSequence(sequence: number): void;
}

/** Joins the synced state, the kernel and a theme to the state of one view of a figure. */
export function createView(
  figure: Figure,
  synced: Synced,
  kernel: Kernel,
  appearance: ReadonlySignal<Appearance>,
): View {
  const { selection } = synced;
  const target = signal<Target | null>(null);
  const sequence = computed(() => sequenceOf(figure, selection.value.sequence));
  const overviews = new Map<number, Float32Array>();

  const overviewOf = (shown: Sequence) => {
    const known = overviews.get(shown.index) ?? overview(shown);
    overviews.set(shown.index, known);
    return known;
  };

  // A value that only changes when the reading does, so that moving the mouse over a pinned
  // figure computes and repaints nothing.
  const active = computed(() => activePlaces(selection.value, target.value), { name: "active" });
  const activeKey = computed(() => JSON.stringify(active.value));
  const reading = computed((): Reading => {
    const shown = sequence.value;
    void activeKey.value;
    const { kind, places, pinned } = active.peek();
    const values =
      kind === "steps"
        ? meanOverSteps(shown, places)
        : kind === "inputs"
          ? meanOverInputs(shown, places)
          : overviewOf(shown);
    return { kind, places, pinned, values };
  });

  return {
    figure,
    kernel,
    selection,
    sequence,
    target,
    reading,
    arrangement: createArrangement(sequence, selection),
    appearance,
    colours: computed(() => colourTable(figure.spec.signed, appearance.value)),
    pointAt(next) {
      target.value = next;
    },
    leave(origin) {
      if (target.peek()?.origin === origin) target.value = null;
    },
    pin(pin, more) {
      synced.select((more ? pinMore : pinAlone)(selection.peek(), pin));
    },
    pinSteps(from, to, more) {
      synced.select(pinRun(selection.peek(), from, to, more));
    },
    clear() {
      if (isCleared(selection.peek())) return false;
      synced.select(cleared(selection.peek()));
      return true;
    },
    showSequence(next) {
      target.value = null;
      synced.select({ sequence: next, inputs: [], steps: [] });
    },
  };
}

/** What is active: pins first, else what is pointed at, else nothing. Steps go before inputs. */
export function activePlaces(
  selection: SelectionState,
  target: Pick<Target, "input" | "step"> | null,
): Pick<Reading, "kind" | "places" | "pinned"> {
  if (selection.steps.length > 0) return { kind: "steps", places: selection.steps, pinned: true };
  if (selection.inputs.length > 0)
    return { kind: "inputs", places: selection.inputs, pinned: true };
  if (target !== null && target.step !== null)
    return { kind: "steps", places: [target.step], pinned: false };
  if (target !== null && target.input !== null)
    return { kind: "inputs", places: [target.input], pinned: false };
  return { kind: "overview", places: [], pinned: false };
}

function sequenceOf(figure: Figure, index: number): Sequence {
  const sequence = figure.sequences[index] ?? figure.sequences[0];
  if (sequence === undefined) throw new Error("A figure shows at least one text.");
  return sequence;
}

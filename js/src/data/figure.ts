/** The widget's durable state as arrays that are ready to be drawn. */
import type { FigureSpec, SequenceSpec, StepSpec, TokenSpec } from "../protocol";

/** One attributed text with its `[input, step]` scores, row by row, NaN where a score is missing. */
export interface Sequence {
  readonly index: number;
  readonly spec: SequenceSpec;
  readonly tokens: readonly TokenSpec[];
  readonly inputs: readonly number[];
  readonly steps: readonly StepSpec[];
  readonly scores: Float32Array;
  /** The matrix row of each token, −1 for a token that is no input. */
  readonly inputOf: Int32Array;
  /** The matrix column of each token, −1 for a token that is not explained. */
  readonly stepOf: Int32Array;
  readonly signed: boolean;
}

export interface Figure {
  readonly spec: FigureSpec;
  readonly sequences: readonly Sequence[];
}

/**
 * Reads the traits of a figure.
 *
 * @param spec the figure as declared by the kernel
 * @param bytes little-endian float32 values of every sequence; need not be aligned
 * @throws RangeError when there are fewer values than the sequences claim
 */
export function readFigure(spec: FigureSpec, bytes: DataView): Figure {
  return {
    spec,
    sequences: spec.sequences.map((sequence, index) => {
      const { inputs, steps, tokens, offset } = sequence;
      const count = inputs.length * steps.length;
      if ((offset + count) * 4 > bytes.byteLength) {
        throw new RangeError(
          `Text ${index + 1} of this figure needs ${count} scores from ${offset} on, ` +
            `but only ${Math.floor(bytes.byteLength / 4)} have arrived.`,
        );
      }
      const scores = new Float32Array(count);
      for (let k = 0; k < count; k++) scores[k] = bytes.getFloat32((offset + k) * 4, true);
      return {
        index,
        spec: sequence,
        tokens,
        inputs,
        steps,
        scores,
        inputOf: places(tokens.length, inputs),
        stepOf: places(
          tokens.length,
          steps.map((step) => step.token),
        ),
        signed: spec.signed,
      };
    }),
  };
}

function places(length: number, tokens: readonly number[]): Int32Array {
  const found = new Int32Array(length).fill(-1);
  tokens.forEach((token, place) => {
    found[token] = place;
  });
  return found;
}

/** The token of a matrix row. */
export function inputToken(sequence: Sequence, input: number): TokenSpec | undefined {
  return sequence.tokens[sequence.inputs[input] ?? -1];
}

/** The token of a matrix column. */
export function stepToken(sequence: Sequence, step: number): TokenSpec | undefined {
  return sequence.tokens[sequence.steps[step]?.token ?? -1];
}

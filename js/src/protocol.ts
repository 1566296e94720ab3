// Types of the widget's state and of the messages between page and kernel.
// Generated from inseq_widget/explore/protocol.py by `npm run generate`: do not edit.

export const PROTOCOL_VERSION = 1;

export type Side = "source" | "prompt" | "target";

export type Architecture = "decoder_only" | "encoder_decoder";

export type Theme = "auto" | "light" | "dark";

export type ErrorCode = "bad_request" | "unknown_operation" | "version" | "no_model" | "cancelled" | "superseded" | "failed";

/**
 * A token as it is drawn. The texts of consecutive tokens of a side join to the text itself.
 */
export interface TokenSpec {
  text: string;
  piece: string;
  id: number;
  position: number;
  side: Side;
  special: boolean;
  word: number;
}

/**
 * One generated token that is explained.
 *
 * ``token`` indexes ``SequenceSpec.tokens``. ``total`` is the sum of the absolute scores of the
 * step over all inputs: ``score / total`` is the share that the colour shows.
 */
export interface StepSpec {
  token: number;
  total: number;
  step_scores: Record<string, number | null>;
}

/**
 * One attributed text: its tokens, and which of them are rows and columns of the matrix.
 *
 * ``inputs[i]`` is the token of matrix row *i*. ``offset`` counts float32 values from the start
 * of the ``_scores`` buffer to this sequence's ``[input, step]`` matrix (row by row, NaN where
 * an input comes after the step). ``domain`` is the share at the end of the colour scale,
 * ``largest`` the largest absolute share: the legend says so where it is beyond the scale.
 */
export interface SequenceSpec {
  architecture: Architecture;
  tokens: TokenSpec[];
  inputs: number[];
  steps: StepSpec[];
  offset: number;
  domain: number;
  largest: number;
}

/**
 * What a heatmap shows, beside the scores themselves.
 */
export interface FigureSpec {
  model: string;
  method: string;
  attributed_fn: string | null;
  reduction: string | null;
  score_label: string;
  signed: boolean;
  sequences: SequenceSpec[];
}

/**
 * What is pinned: indices along the ``input`` and ``step`` dimensions of one sequence.
 */
export interface SelectionState {
  sequence: number;
  inputs: number[];
  steps: number[];
}

/**
 * Synchronised state of the widget; ``bytes`` arrive as a ``DataView``.
 */
export interface Traits {
  _spec: FigureSpec;
  _scores: DataView;
  selection: SelectionState;
  theme: Theme;
}

/**
 * Ask for the ``k`` most probable tokens at a step.
 */
export interface AlternativesArgs {
  sequence: number;
  step: number;
  k: number;
}

/**
 * A token that could stand at a step. ``rank`` counts from 1, the most probable token.
 */
export interface Alternative {
  text: string;
  piece: string;
  id: number;
  probability: number;
  rank: number;
  special: boolean;
}

/**
 * The most probable tokens at a step, and the token that stands there.
 */
export interface AlternativesResult {
  sequence: number;
  step: number;
  target: Alternative;
  alternatives: Alternative[];
}

/**
 * Every operation a page may request, by name: its arguments and its result.
 */
export interface Operations {
  alternatives: [AlternativesArgs, AlternativesResult];
}

export type Operation = "alternatives";

/**
 * Page to kernel: do ``op``. ``id`` is unique among all pages of this widget.
 */
export interface RequestMessage {
  v: number;
  type: "request";
  id: string;
  op: Operation;
  args: AlternativesArgs;
}

/**
 * Page to kernel: the answer to ``id`` is no longer wanted.
 */
export interface CancelMessage {
  v: number;
  type: "cancel";
  id: string;
}

/**
 * Kernel to page: the request is queued. A page that gets none can tell that nobody listens.
 */
export interface AcceptedMessage {
  v: number;
  type: "accepted";
  id: string;
}

/**
 * Kernel to page: ``done`` of ``total`` units; ``remaining`` is the estimate in seconds.
 */
export interface ProgressMessage {
  v: number;
  type: "progress";
  id: string;
  done: number;
  total: number;
  remaining: number | null;
  note: string;
}

/**
 * Kernel to page: the answer; arrays, if any, travel as the message's buffers.
 */
export interface ResultMessage {
  v: number;
  type: "result";
  id: string;
  result: AlternativesResult;
}

/**
 * Kernel to page: why there is no answer, and what would work.
 */
export interface ErrorMessage {
  v: number;
  type: "error";
  id: string;
  code: ErrorCode;
  message: string;
  hint: string;
}

export type ClientMessage = RequestMessage | CancelMessage;

export type KernelMessage = AcceptedMessage | ProgressMessage | ResultMessage | ErrorMessage;

/** Colours and marks the spans of the running text; touches only those that change. */
import type { Sequence } from "../data/figure";
import { type ColourTable, entryOf } from "../draw/colour";
import type { SelectionState } from "../protocol";
import type { Reading, Target } from "../state/view";

/** From this magnitude on, as a part of the scale, a negative token carries its sign. */
const SIGN_FROM = 0.06;

/** What a token's `data-mark` may hold. */
export type Mark = "missing" | "active" | "pinned" | "pointed" | "negative";

export interface Shade {
  /** The share that colours the token; null where it has none in this reading. */
  readonly share: number | null;
  readonly marks: readonly Mark[];
}

/** What is to be seen on a token: a pure rule of reading, selection and what is pointed at. */
export function shadeOf(
  sequence: Sequence,
  token: number,
  reading: Reading,
  selection: SelectionState,
  target: Target | null,
): Shade {
  const input = sequence.inputOf[token] ?? -1;
  const step = sequence.stepOf[token] ?? -1;
  const place = reading.kind === "inputs" ? step : input;
  const value = place < 0 ? null : (reading.values[place] ?? Number.NaN);
  const share = value === null || Number.isNaN(value) ? null : value;
  const active =
    (reading.kind === "steps" && reading.places.includes(step)) ||
    (reading.kind === "inputs" && reading.places.includes(input));
  const marks: Mark[] = [];
  const later =
    reading.kind === "steps" &&
    sequence.tokens[token]?.side === "target" &&
    token > Math.max(...reading.places.map((at) => sequence.steps[at]?.token ?? -1));
  if (!active && (later || (value !== null && share === null))) marks.push("missing");
  if (active) marks.push("active");
  if (selection.steps.includes(step) || selection.inputs.includes(input)) marks.push("pinned");
  if (target !== null && isPointedAt(sequence, token, target)) marks.push("pointed");
  if (share !== null && share < -SIGN_FROM * sequence.spec.domain) marks.push("negative");
  return { share, marks };
}

function isPointedAt(sequence: Sequence, token: number, target: Target): boolean {
  if (target.token !== null) return target.token === token;
  return (
    (target.input !== null && sequence.inputs[target.input] === token) ||
    (target.step !== null && sequence.steps[target.step]?.token === token)
  );
}

/** Keeps the spans of one text up to date; `elements[k]` is the span of token `k`. */
export function createTextPainter(
  sequence: Sequence,
  elements: readonly (HTMLElement | undefined)[],
): (
  reading: Reading,
  selection: SelectionState,
  target: Target | null,
  colours: ColourTable,
) => void {
  const shown: { entry: number; marks: string }[] = [];
  let table: ColourTable | null = null;
  return (reading, selection, target, colours) => {
    const repaint = table !== colours;
    table = colours;
    elements.forEach((element, token) => {
      if (element === undefined) return;
      const { share, marks } = shadeOf(sequence, token, reading, selection, target);
      const entry = share === null ? -1 : entryOf(share, sequence.spec.domain, colours.signed);
      const text = marks.join(" ");
      const before = shown[token];
      if (repaint || before?.entry !== entry) {
        element.style.backgroundColor = entry < 0 ? "" : (colours.fills[entry] ?? "");
        element.style.color = entry < 0 ? "" : (colours.inks[entry] ?? "");
      }
      if (before?.marks !== text) {
        if (text === "") delete element.dataset.mark;
        else element.dataset.mark = text;
        element.setAttribute("aria-selected", String(marks.includes("pinned")));
      }
      shown[token] = { entry, marks: text };
    });
  };
}

/** What is shown: method, attributed function, reduction, model, size; and which text of several. */
import { counted } from "../format";
import type { TokenSpec } from "../protocol";
import type { View } from "../state/view";
import { visibleParts } from "../text/visible";
import { Legend } from "./Legend";

export function Header({ view }: { view: View }) {
  const { spec } = view.figure;
  const { inputs, steps } = view.sequence.value;
  return (
    <div class="header">
      <div class="title" data-part="title">
        <h2>
          <span class="method">{words(spec.method)}</span>
          {spec.attributed_fn !== null && <> of {words(spec.attributed_fn)}</>}
        </h2>
        <p>
          <bdi>{spec.model}</bdi>
          {spec.reduction !== null && <span>{spec.reduction} reduction</span>}
          <span>
            {counted(inputs.length, "input")} × {counted(steps.length, "step")}
          </span>
        </p>
        {view.figure.sequences.length > 1 && <SequencePicker view={view} />}
      </div>
      <Legend view={view} />
    </div>
  );
}

function SequencePicker({ view }: { view: View }) {
  return (
    <label class="picker">
      <span>Text</span>
      <select
        data-part="sequence"
        value={view.selection.value.sequence}
        onChange={(event) => view.showSequence(event.currentTarget.selectedIndex)}
      >
        {view.figure.sequences.map((sequence) => (
          <option key={sequence.index} value={sequence.index}>
            {sequence.index + 1} of {view.figure.sequences.length}: {opening(sequence.tokens)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The first words of a text that are its own. */
function opening(tokens: readonly TokenSpec[]): string {
  const text = tokens
    .slice(0, 40)
    .filter((token) => !token.special && token.side === tokens[0]?.side)
    .flatMap((token) => (token.text === "" ? [] : visibleParts(token)))
    .map((part) => (part.kind === "newline" ? " " : part.text))
    .join("")
    .trim();
  const characters = [...text];
  return characters.length > 48 ? `${characters.slice(0, 47).join("")}…` : text;
}

function words(name: string): string {
  return name.replaceAll("_", " ");
}

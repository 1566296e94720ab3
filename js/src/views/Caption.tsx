/** One line that says what the shades mean just now, and how to get back. */
import { inputToken, type Sequence, stepToken } from "../data/figure";
import { counted } from "../format";
import type { Reading, View } from "../state/view";
import { visibleLabel } from "../text/visible";

export function Caption({ view }: { view: View }) {
  const { inputs, steps } = view.selection.value;
  const pinned = inputs.length + steps.length > 0;
  return (
    <div class="caption">
      <p data-part="caption">{sentence(view.sequence.value, view.reading.value)}</p>
      <button
        type="button"
        class="clear"
        data-part="clear"
        disabled={!pinned}
        onClick={() => view.clear()}
      >
        Unpin <kbd>Esc</kbd>
      </button>
    </div>
  );
}

function sentence(sequence: Sequence, { kind, places }: Reading) {
  const [only = 0] = places;
  if (kind === "overview") {
    return `Shaded by mean share over ${
      sequence.steps.length === 1 ? "the one step" : `all ${counted(sequence.steps.length, "step")}`
    }.`;
  }
  if (places.length > 1) {
    return kind === "steps"
      ? `Shaded by mean share in ${places.length} pinned steps.`
      : `Generated tokens shaded by the mean share of ${places.length} pinned inputs.`;
  }
  const token = kind === "steps" ? stepToken(sequence, only) : inputToken(sequence, only);
  const label = <b>“{token === undefined ? "" : <bdi>{visibleLabel(token)}</bdi>}”</b>;
  return kind === "steps" ? (
    <>Shaded by share in the step {label}.</>
  ) : (
    <>Generated tokens shaded by the share that {label} had in each.</>
  );
}

/** Says aloud what the keyboard stands on. The matrix's grid says it itself. */
import type { View } from "../state/view";
import { describe } from "./description";

export function Announcer({ view }: { view: View }) {
  const target = view.target.value;
  const said =
    target === null || target.origin === "matrix"
      ? null
      : describe(view.sequence.value, target, view.reading.value);
  return (
    <div class="unseen" role="status" aria-live="polite">
      {said?.spoken}
    </div>
  );
}

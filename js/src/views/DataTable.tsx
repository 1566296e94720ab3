/** The largest shares of the present reading as a table, for those who read better than they see. */
import { useSignal } from "@preact/signals";
import { inputToken, stepToken } from "../data/figure";
import { largest, scoreAt } from "../data/shares";
import { percent, score } from "../format";
import type { View } from "../state/view";
import { visibleLabel } from "../text/visible";
import { sideName } from "./blocks";

const SHOWN = 20;

export function DataTable({ view }: { view: View }) {
  const open = useSignal(false);
  return (
    <details
      class="data"
      data-part="data"
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary>Data table</summary>
      {open.value && <Rows view={view} />}
    </details>
  );
}

function Rows({ view }: { view: View }) {
  const sequence = view.sequence.value;
  const { kind, places, values } = view.reading.value;
  const tokenAt = kind === "inputs" ? stepToken : inputToken;
  const [only] = places;
  const scoreOf = (place: number) => {
    if (places.length !== 1 || only === undefined) return null;
    return kind === "inputs" ? scoreAt(sequence, only, place) : scoreAt(sequence, place, only);
  };
  return (
    <table>
      <caption class="unseen">
        The {Math.min(SHOWN, values.length)} largest shares of what is shown above
      </caption>
      <thead>
        <tr>
          <th scope="col">Rank</th>
          <th scope="col">{kind === "inputs" ? "Generated token" : "Input"}</th>
          <th scope="col">Position</th>
          <th scope="col">Side</th>
          <th scope="col">{places.length === 1 ? "Share" : "Mean share"}</th>
          {places.length === 1 && <th scope="col">Score</th>}
        </tr>
      </thead>
      <tbody>
        {largest(values, SHOWN).map((place, at) => {
          const token = tokenAt(sequence, place);
          const value = scoreOf(place);
          if (token === undefined) return null;
          return (
            <tr key={place}>
              <td>{at + 1}</td>
              <th scope="row">
                <bdi>{visibleLabel(token)}</bdi>
              </th>
              <td>{token.position}</td>
              <td>{sideName(token.side, sequence)}</td>
              <td>{percent(values[place])}</td>
              {value !== null && <td>{score(value)}</td>}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

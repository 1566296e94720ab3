/** The panel beside the matrix: the largest shares of the present reading, and the alternatives. */
import { inputToken, type Sequence, stepToken } from "../data/figure";
import { largest } from "../data/shares";
import { entryOf } from "../draw/colour";
import { counted, percent } from "../format";
import type { Reading, View } from "../state/view";
import { visibleLabel } from "../text/visible";
import { Alternatives } from "./Alternatives";
import { stepFacts } from "./description";

const SHOWN = 6;

export function Inspector({ view }: { view: View }) {
  const sequence = view.sequence.value;
  const pinned = view.selection.value.steps.at(-1) ?? null;
  return (
    <aside class="inspector" aria-label="Details" data-part="inspector">
      <Largest view={view} sequence={sequence} reading={view.reading.value} />
      <section class="panel" data-part="alternatives">
        <h3>
          {pinned === null ? "Alternatives" : <PinnedStep sequence={sequence} step={pinned} />}
        </h3>
        {pinned === null ? (
          <p class="note">Pin a generated token to see what else could have stood there.</p>
        ) : (
          <Alternatives
            key={`${sequence.index}-${pinned}`}
            view={view}
            sequence={sequence.index}
            step={pinned}
          />
        )}
      </section>
    </aside>
  );
}

function PinnedStep({ sequence, step }: { sequence: Sequence; step: number }) {
  const token = stepToken(sequence, step);
  const [fact] = stepFacts(sequence.steps[step]);
  return (
    <>
      <span>
        Instead of “<bdi>{token === undefined ? "" : visibleLabel(token)}</bdi>”
      </span>
      {fact !== undefined && (
        <span class="aside">
          {fact.name.toLowerCase()} {fact.value}
        </span>
      )}
    </>
  );
}

function Largest({
  view,
  sequence,
  reading,
}: {
  view: View;
  sequence: Sequence;
  reading: Reading;
}) {
  const { domain } = sequence.spec;
  const colours = view.colours.value;
  const tokenAt = reading.kind === "inputs" ? stepToken : inputToken;
  const shown = largest(reading.values, SHOWN);
  const most = Math.max(domain, ...shown.map((place) => Math.abs(reading.values[place] ?? 0)));
  return (
    <section class="panel" data-part="largest">
      <h3>{titleOf(reading)}</h3>
      <ol class="bars" style={{ "--rows": SHOWN }}>
        {shown.map((place) => {
          const value = reading.values[place] ?? 0;
          const token = tokenAt(sequence, place);
          return (
            <li key={place}>
              <bdi class="bar-label">{token === undefined ? "" : visibleLabel(token)}</bdi>
              <span class="bar-track">
                <span
                  class="bar"
                  style={{
                    width: `${(Math.abs(value) / most) * 100}%`,
                    background: colours.fills[entryOf(value, domain, colours.signed)],
                  }}
                />
              </span>
              <span class="bar-value">{percent(value)}</span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function titleOf({ kind, places }: Reading): string {
  if (kind === "inputs") {
    return places.length > 1 ? `Most affected by ${places.length} inputs` : "Most affected steps";
  }
  if (kind === "overview") return "Largest mean shares";
  return places.length > 1
    ? `Largest mean shares, ${counted(places.length, "step")}`
    : "Largest shares in this step";
}

/** The colour scale, with ticks in percent of a step's total. */
import { type ColourTable, entryOf } from "../draw/colour";
import { percent, tick, ticksTo } from "../format";
import type { View } from "../state/view";

const STOPS = 24;

export function Legend({ view }: { view: View }) {
  const { spec } = view.sequence.value;
  const { score_label: label, signed } = view.figure.spec;
  const colours = view.colours.value;
  const domain = spec.domain > 0 ? spec.domain : 1;
  const ticks = signed ? [-domain, 0, domain] : ticksTo(domain);
  const beyond = spec.largest > domain * 1.0005;
  const missing = view.sequence.value.scores.some((score) => Number.isNaN(score));
  return (
    <figure class="legend" data-part="legend">
      <figcaption class="legend-label">
        {label}
        <span class="legend-unit">, % of the step’s total</span>
      </figcaption>
      <div class="legend-row">
        <div class="legend-scale">
          <div class="legend-ramp" style={{ background: gradient(colours, domain) }} />
          <div class="legend-ticks">
            {ticks.map((value, at) => {
              const last = at === ticks.length - 1;
              const first = at === 0 && signed;
              const mark = beyond && (last || first) ? (value > 0 ? "≥ " : "≤ ") : "";
              const place = signed ? (value / domain + 1) / 2 : value / domain;
              return (
                <span key={value} style={{ left: `${place * 100}%`, "--shift": place }}>
                  {mark + tick(value)}
                </span>
              );
            })}
          </div>
        </div>
        {missing && (
          <div class="legend-missing">
            <span class="legend-swatch" />
            missing
          </div>
        )}
      </div>
      {beyond && <span class="unseen">The largest share is {percent(spec.largest)}.</span>}
    </figure>
  );
}

function gradient(colours: ColourTable, domain: number): string {
  const stops = Array.from({ length: STOPS + 1 }, (_, k) => {
    const place = k / STOPS;
    const share = colours.signed ? (place * 2 - 1) * domain : place * domain;
    return colours.fills[entryOf(share, domain, colours.signed)] ?? colours.surface;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/** A strip of bars, one for each step: its scale and its outlines. Pure. */

export interface Scale {
  readonly low: number;
  readonly high: number;
}

/** How much of a bar's room is left free between it and the next. */
const GAP = 0.16;

/** The scale of a step score: a probability has all of it from 0 to 1, others begin at 0. */
export function scaleOf(name: string, values: readonly (number | null)[]): Scale {
  if (name === "probability") return { low: 0, high: 1 };
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  const low = known.reduce((least, value) => Math.min(least, value), 0);
  const high = known.reduce((most, value) => Math.max(most, value), 0);
  return low === high ? { low, high: low + 1 } : { low, high };
}

/** Where a value stands, from 0 at the bottom to 1 at the top. */
export function heightOf(value: number, { low, high }: Scale): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

/**
 * The outline of some bars, in a box that is as wide as there are steps and 1 high, growing down.
 *
 * @param places the steps that are drawn; those without a value are left out
 */
export function barsPath(
  values: readonly (number | null)[],
  scale: Scale,
  places: Iterable<number>,
): string {
  const zero = 1 - heightOf(0, scale);
  const outlines: string[] = [];
  for (const place of places) {
    const value = values[place] ?? null;
    if (value === null || !Number.isFinite(value)) continue;
    const top = 1 - heightOf(value, scale);
    const [x, right] = [place + GAP / 2, place + 1 - GAP / 2];
    outlines.push(`M${round(x)} ${round(zero)}V${round(top)}H${round(right)}V${round(zero)}Z`);
  }
  return outlines.join("");
}

/** The step under a place of the strip; null outside of it. */
export function stepAt(x: number, width: number, count: number): number | null {
  if (width <= 0 || x < 0 || x >= width) return null;
  return Math.min(count - 1, Math.floor((x / width) * count));
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}

/** Numbers as they are written in the interface. */

const MISSING = "–";
const MINUS = "−";

/** A share or probability in percent, with as many digits as tell something. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return MISSING;
  const magnitude = Math.abs(value) * 100;
  const sign = value < 0 ? MINUS : "";
  if (magnitude === 0) return "0 %";
  if (magnitude < 0.01) return `${sign}<0.01 %`;
  return `${sign}${magnitude.toFixed(magnitude < 0.1 ? 2 : 1)} %`;
}

/** A score with three significant digits. */
export function score(value: number): string {
  if (Number.isNaN(value)) return MISSING;
  const magnitude = Math.abs(value);
  const digits =
    magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e5)
      ? value.toExponential(2)
      : value.toPrecision(3);
  return digits.replaceAll("-", MINUS);
}

/** A tick of the legend: percent without needless decimals. */
export function tick(value: number): string {
  const percentage = Math.abs(value) * 100;
  const digits = percentage === 0 || percentage >= 10 ? 0 : percentage >= 1 ? 1 : 2;
  const text = String(Number(percentage.toFixed(digits)));
  return `${value < 0 ? MINUS : ""}${text} %`;
}

/**
 * Where a scale from 0 to `end` has its ticks: 0, round numbers, and the end itself. Round numbers
 * that would stand too near the end are left out.
 */
export function ticksTo(end: number): number[] {
  const rough = end / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10) * power;
  const count = Math.floor((end * 0.72) / step);
  return [0, ...Array.from({ length: count }, (_, k) => (k + 1) * step), end];
}

/** 1st, 2nd, 3rd, 4th, …, 11th, … */
export function ordinal(value: number): string {
  const teens = value % 100 >= 11 && value % 100 <= 13;
  const ending = teens ? "th" : (["th", "st", "nd", "rd"][value % 10] ?? "th");
  return `${value}${ending}`;
}

/** A count with its noun: "1 step", "9 steps". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

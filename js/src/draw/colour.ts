/** Colour tables, the place of a share on them, and a text colour that can be read on each. */
import { RAMPS, SURFACES } from "./palette.gen";

export type Appearance = "light" | "dark";

/** One colour table, with a readable text colour for each of its entries. */
export interface ColourTable {
  readonly signed: boolean;
  readonly surface: string;
  readonly fills: readonly string[];
  readonly inks: readonly string[];
}

const SIZE = 256;

/** The colours of ordinary text, also the first choice on a coloured ground. */
export const INKS: Readonly<Record<Appearance, string>> = { light: "#1c1d21", dark: "#e9e9ec" };

/** WCAG's least contrast of ordinary text. */
export const READABLE = 4.5;

/** Builds the table of a scale in a theme. */
export function colourTable(signed: boolean, appearance: Appearance): ColourTable {
  const { positive, negative } = RAMPS[appearance];
  const [up, down] = [ramp(positive), ramp(negative)];
  // The two halves of a diverging table meet between entries 127 and 128; both stand for zero.
  const half = SIZE / 2 - 1;
  const fills = Array.from({ length: SIZE }, (_, entry) => {
    if (!signed) return up(entry / (SIZE - 1));
    return entry <= half ? down((half - entry) / half) : up((entry - half - 1) / half);
  });
  const choices = [INKS[appearance], "#000000", "#ffffff"];
  return {
    signed,
    surface: SURFACES[appearance],
    fills,
    inks: fills.map((fill) => readableInk(fill, choices)),
  };
}

/** Unpacks a ramp: gives its colour at a position between 0 and 1. */
function ramp(packed: string): (position: number) => string {
  const knots = packed.length / 3;
  let level = 0;
  // All reds, then all greens, then all blues, each a step up or down from the one before.
  const levels = Array.from(packed, (letter, at) => {
    level = (at % knots > 0 ? level : 0) + letter.charCodeAt(0) - 112;
    return level;
  });
  return (position) => {
    const place = position * (knots - 1);
    const channels = [0, knots, 2 * knots].map((start) => {
      const from = levels[start + Math.floor(place)] ?? 0;
      const to = levels[start + Math.ceil(place)] ?? 0;
      return Math.round(from + (to - from) * (place % 1))
        .toString(16)
        .padStart(2, "0");
    });
    return `#${channels.join("")}`;
  };
}

/**
 * The entry of a table for a share.
 *
 * @param domain the share at the end of the scale; larger ones are drawn like it
 * @returns 0 to 255, or −1 for a missing share
 */
export function entryOf(share: number, domain: number, signed: boolean): number {
  if (Number.isNaN(share)) return -1;
  const end = domain > 0 ? domain : 1;
  const value = Math.min(1, Math.max(-1, share / end));
  if (!signed) return Math.round(Math.abs(value) * (SIZE - 1));
  // The two halves of a diverging table meet between entries 127 and 128; both stand for zero.
  const half = SIZE / 2 - 1;
  return value < 0 ? half - Math.round(-value * half) : half + 1 + Math.round(value * half);
}

/** Relative luminance of `#rrggbb` (WCAG 2.2). */
export function luminance(colour: string): number {
  const channel = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

/** Contrast of two colours, between 1 and 21 (WCAG 2.2). */
export function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function readableInk(fill: string, choices: readonly string[]): string {
  const best = choices.find((ink) => contrast(fill, ink) >= READABLE);
  if (best === undefined) throw new Error(`no readable ink on ${fill}`);
  return best;
}

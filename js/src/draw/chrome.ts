/** The colours of everything that is not data, for style sheet and canvas alike. */
import { type Appearance, INKS } from "./colour";
import { SURFACES } from "./palette.gen";

export interface Chrome {
  readonly surface: string;
  /** Ground of panels, chips and tooltips. */
  readonly raised: string;
  readonly ink: string;
  /** Secondary text; at least 4.5 : 1 on surface and raised. */
  readonly muted: string;
  /** Text of tokens that are missing in the present reading. */
  readonly faint: string;
  readonly line: string;
  /** Strokes of missing cells. */
  readonly hatch: string;
  readonly focus: string;
}

export const CHROME: Readonly<Record<Appearance, Chrome>> = {
  light: {
    surface: SURFACES.light,
    raised: "#f6f6f7",
    ink: INKS.light,
    muted: "#5f626b",
    faint: "#6f727b",
    line: "#dfe0e4",
    hatch: "#dcdde2",
    focus: "#1a6be0",
  },
  dark: {
    surface: SURFACES.dark,
    raised: "#1c1d21",
    ink: INKS.dark,
    muted: "#a3a6b0",
    faint: "#868a94",
    line: "#303238",
    hatch: "#33353c",
    focus: "#6aa8ff",
  },
};

/** The chrome as custom properties, for the style of an element. */
export function chromeProperties(appearance: Appearance): string {
  const entries = Object.entries(CHROME[appearance]).map(([name, value]) => `--${name}:${value}`);
  return [`color-scheme:${appearance}`, ...entries].join(";");
}

// Writes the colour tables: js/src/draw/palette.gen.ts for the widget and
// inseq_widget/render/palette.json for the static heatmaps. Run by `npm run generate`.
//
// Two hues carry the sign, orange for positive and blue for negative: the pair that stays apart in
// every kind of colour blindness. Each ramp starts at the surface it is drawn on, so that nothing
// looks like nothing in both themes, and from there its lightness moves one way, at a nearly even pace
// in OKLCH, so that a larger score always looks larger.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { clampChroma, converter } from "culori";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const toRgb = converter("rgb");

export const SURFACES = { light: "#ffffff", dark: "#111214" };

// Anchors as [position, lightness, chroma, hue], OKLCH. Position 0 is the surface itself.
const RAMPS = {
  light: {
    positive: [
      [0, 1, 0, 82],
      [0.08, 0.965, 0.03, 82],
      [0.5, 0.79, 0.135, 64],
      [0.8, 0.635, 0.165, 47],
      [1, 0.5, 0.145, 38],
    ],
    negative: [
      [0, 1, 0, 240],
      [0.08, 0.965, 0.016, 240],
      [0.5, 0.78, 0.09, 245],
      [0.8, 0.6, 0.14, 253],
      [1, 0.46, 0.15, 260],
    ],
  },
  dark: {
    positive: [
      [0, 0.183, 0.003, 40],
      [0.08, 0.225, 0.025, 42],
      [0.5, 0.475, 0.115, 44],
      [0.8, 0.68, 0.16, 56],
      [1, 0.85, 0.125, 76],
    ],
    negative: [
      [0, 0.183, 0.003, 258],
      [0.08, 0.225, 0.028, 260],
      [0.5, 0.465, 0.13, 258],
      [0.8, 0.67, 0.13, 248],
      [1, 0.84, 0.085, 236],
    ],
  },
};

const SIZE = 256;
/** A ramp is written down at so many places; between them it is interpolated, here and in colour.ts. */
const KNOTS = 26;

/** Interpolates the anchors at a position between 0 and 1 and gives three bytes. */
function sample(anchors, position, surface) {
  if (position <= 0) return surface;
  const after = Math.max(
    1,
    anchors.findIndex(([at]) => at >= position),
  );
  const [a, b] = [anchors[after - 1], anchors[after]];
  const mix = (position - a[0]) / (b[0] - a[0]);
  const [l, c, h] = [1, 2, 3].map((k) => a[k] + mix * (b[k] - a[k]));
  const { r, g, b: blue } = toRgb(clampChroma({ mode: "oklch", l, c, h }, "oklch"));
  return [r, g, blue].map((value) => Math.round(Math.min(1, Math.max(0, value)) * 255));
}

function bytesOf(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

/** Gives the colours of a ramp at its knots, each as three bytes. */
function knotsOf(theme, sign) {
  const surface = bytesOf(SURFACES[theme]);
  return Array.from({ length: KNOTS }, (_, k) =>
    sample(RAMPS[theme][sign], k / (KNOTS - 1), surface),
  );
}

/** The colour of a ramp at a position between 0 and 1, interpolated. */
function between(knots, position) {
  const place = position * (KNOTS - 1);
  const [below, above] = [knots[Math.floor(place)], knots[Math.ceil(place)]];
  return below.map((from, channel) => Math.round(from + (above[channel] - from) * (place % 1)));
}

/** Gives the four tables of 256 colours, each colour as three bytes. */
export function tables() {
  const made = { sequential: {}, diverging: {} };
  for (const theme of ["light", "dark"]) {
    const [positive, negative] = [knotsOf(theme, "positive"), knotsOf(theme, "negative")];
    made.sequential[theme] = Array.from({ length: SIZE }, (_, k) =>
      between(positive, k / (SIZE - 1)),
    );
    // Between the two middle entries lies zero: neither of them may be tinted.
    const half = SIZE / 2 - 1;
    made.diverging[theme] = Array.from({ length: SIZE }, (_, k) =>
      k <= half ? between(negative, (half - k) / half) : between(positive, (k - half - 1) / half),
    );
  }
  return made;
}

/**
 * Packs a ramp: its reds, then its greens, then its blues, each as the difference to the one before
 * and that as the character so far from "p". Few letters compress to a third of what bytes do.
 */
function packed(knots) {
  const letters = [0, 1, 2].flatMap((channel) =>
    knots.map((knot, k) =>
      String.fromCharCode(112 + knot[channel] - (knots[k - 1]?.[channel] ?? 0)),
    ),
  );
  return JSON.stringify(letters.join(""));
}

/** The text of palette.gen.ts. */
export function typescriptText() {
  const lines = [
    `// Colour ramps at ${KNOTS} places, packed by js/scripts/palette.mjs and unpacked in colour.ts.`,
    "// Generated with `npm run generate`: do not edit.",
    `export const SURFACES = ${JSON.stringify(SURFACES)};`,
    "export const RAMPS = {",
  ];
  for (const theme of ["light", "dark"]) {
    lines.push(`  ${theme}: {`);
    for (const sign of ["positive", "negative"])
      lines.push(`    ${sign}:`, `      ${packed(knotsOf(theme, sign))},`);
    lines.push("  },");
  }
  return `${[...lines, "} as const;"].join("\n")}\n`;
}

/** The text of palette.json: each table as a list of `#rrggbb`. */
export function jsonText() {
  const hex = ([r, g, b]) => `#${((r << 16) | (g << 8) | b).toString(16).padStart(6, "0")}`;
  const made = tables();
  const listed = Object.fromEntries(
    Object.entries(made).map(([scale, themes]) => [
      scale,
      Object.fromEntries(Object.entries(themes).map(([theme, rows]) => [theme, rows.map(hex)])),
    ]),
  );
  return `${JSON.stringify(listed, null, 1)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const python = join(root, "inseq_widget/render/palette.json");
  mkdirSync(dirname(python), { recursive: true });
  writeFileSync(join(root, "js/src/draw/palette.gen.ts"), typescriptText());
  writeFileSync(python, jsonText());
}

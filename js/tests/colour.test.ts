import {
  converter,
  differenceCiede2000,
  filterDeficiencyDeuter,
  filterDeficiencyProt,
  filterDeficiencyTrit,
  parse,
} from "culori";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CHROME } from "../src/draw/chrome";
import { type Appearance, colourTable, contrast, entryOf, READABLE } from "../src/draw/colour";

const THEMES: Appearance[] = ["light", "dark"];
const TABLES = THEMES.flatMap((theme) =>
  [false, true].map((signed) => ({
    theme,
    name: `${signed ? "diverging" : "sequential"}, ${theme}`,
    table: colourTable(signed, theme),
  })),
);

describe.each(TABLES)("the colour table $name", ({ table, theme }) => {
  it("has 256 entries, each with a text colour of at least 4.5 : 1", () => {
    expect(table.fills).toHaveLength(256);
    table.fills.forEach((fill, entry) => {
      expect(contrast(fill, table.inks[entry] ?? "")).toBeGreaterThanOrEqual(READABLE);
    });
  });

  it("shows nothing as the surface it is drawn on", () => {
    const nothing = table.fills[entryOf(0, 1, table.signed)];
    expect(nothing).toBe(CHROME[theme].surface);
  });

  it("moves away from the surface in lightness with every step of magnitude", () => {
    const lightness = converter("oklch");
    const of = (share: number) =>
      lightness(parse(table.fills[entryOf(share, 1, table.signed)] ?? "")).l;
    for (const sign of table.signed ? [1, -1] : [1]) {
      for (let share = 0.05; share <= 1; share += 0.05) {
        const change = of(sign * share) - of(sign * (share - 0.05));
        expect(theme === "light" ? -change : change).toBeGreaterThan(0);
      }
    }
  });
});

describe.each(THEMES)("the signs in the %s theme", (theme) => {
  const table = colourTable(true, theme);
  const sights = {
    "full colour vision": (colour: ReturnType<typeof parse>) => colour,
    protanopia: filterDeficiencyProt(1),
    deuteranopia: filterDeficiencyDeuter(1),
    tritanopia: filterDeficiencyTrit(1),
  };
  it.each(Object.entries(sights))("stay apart with %s", (_, sees) => {
    const difference = differenceCiede2000();
    for (const magnitude of [0.3, 0.6, 1]) {
      const [negative, positive] = [-magnitude, magnitude].map((share) =>
        sees(parse(table.fills[entryOf(share, 1, true)] ?? "")),
      );
      if (negative === undefined || positive === undefined) throw new Error("no colour");
      expect(difference(negative, positive)).toBeGreaterThan(12);
    }
  });
});

describe("the place of a share on a scale", () => {
  const share = fc.double({ min: -2, max: 2, noNaN: true });
  const domain = fc.double({ min: 1e-6, max: 1, noNaN: true });

  it("is an entry of the table for every share, and none for a missing one", () => {
    fc.assert(
      fc.property(share, domain, fc.boolean(), (value, end, signed) => {
        const entry = entryOf(value, end, signed);
        expect(Number.isInteger(entry) && entry >= 0 && entry <= 255).toBe(true);
      }),
    );
    expect(entryOf(Number.NaN, 1, true)).toBe(-1);
  });

  it("is at the end for shares beyond the scale, and differs from zero only by sign", () => {
    expect(entryOf(0.7, 0.5, false)).toBe(255);
    expect(entryOf(-0.7, 0.5, true)).toBe(0);
    expect(entryOf(0.7, 0.5, true)).toBe(255);
    fc.assert(
      fc.property(share, domain, (value, end) => {
        expect(entryOf(value, end, true) + entryOf(-value, end, true)).toBe(
          value === 0 ? 256 : 255,
        );
      }),
    );
  });

  it("does not fail on a figure without any magnitude", () => {
    expect(entryOf(0, 0, false)).toBe(0);
  });
});

describe("text beside the data", () => {
  it.each(THEMES)("can be read in the %s theme on surface and panels", (theme) => {
    const { surface, raised, ink, muted, faint } = CHROME[theme];
    for (const ground of [surface, raised]) {
      for (const text of [ink, muted]) {
        expect(contrast(ground, text)).toBeGreaterThanOrEqual(READABLE);
      }
    }
    expect(contrast(surface, faint)).toBeGreaterThanOrEqual(READABLE);
  });
});

// @vitest-environment node
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { jsonText, tables, typescriptText } from "../scripts/palette.mjs";
import { colourTable } from "../src/draw/colour";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("the generated colour tables", () => {
  it("are what the generator gives: `npm run generate` has been run", () => {
    expect(read("js/src/draw/palette.gen.ts")).toBe(typescriptText());
    expect(read("inseq_widget/render/palette.json")).toBe(jsonText());
  });

  it("are the same for the widget and for the static heatmaps", () => {
    const listed = JSON.parse(jsonText());
    for (const theme of ["light", "dark"] as const) {
      expect(colourTable(false, theme).fills).toEqual(listed.sequential[theme]);
      expect(colourTable(true, theme).fills).toEqual(listed.diverging[theme]);
    }
  });

  it("share the positive hues between the two scales", () => {
    const { sequential, diverging } = tables();
    for (const theme of ["light", "dark"] as const) {
      expect(diverging[theme].at(-1)).toEqual(sequential[theme].at(-1));
    }
  });
});

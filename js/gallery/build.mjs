// Writes js/gallery/out/*.html: every figure of figures.mjs as a page of its own, with the built
// standalone.js. Run `npm run build && npm run gallery`, then open the files in a browser.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { figures } from "./figures.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const script = readFileSync(join(here, "../../inseq_widget/widget/static/standalone.js"), "utf8");

/** One page with one figure, as an exporter writes it. */
export function page({ spec, values, selection, theme = "auto" }) {
  const scores = Buffer.from(new Float32Array(values).buffer).toString("base64");
  const state = JSON.stringify({ spec, scores, selection, theme }).replaceAll("<", "\\u003c");
  return `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>inseq_widget</title><style>:root{color-scheme:light dark}body{margin:16px}</style>
<div data-inseq-widget="f"></div><script type="application/json" id="f">${state}</script>
<script>${script}</script>`;
}

mkdirSync(join(here, "out"), { recursive: true });
for (const [name, figure] of Object.entries(figures())) {
  writeFileSync(join(here, "out", `${name}.html`), page(figure));
}

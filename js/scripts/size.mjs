// Fails when widget.js is over its budget: the bundle is stored once per widget in every notebook.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMITS = { raw: 120_000, gzip: 40_000 };
const file = join(
  dirname(fileURLToPath(import.meta.url)),
  "../../inseq_widget/widget/static/widget.js",
);
const text = readFileSync(file);
const sizes = { raw: text.length, gzip: gzipSync(text, { level: 9 }).length };
for (const [kind, size] of Object.entries(sizes)) {
  console.log(`widget.js ${kind}: ${(size / 1000).toFixed(1)} kB of ${LIMITS[kind] / 1000} kB`);
  if (size > LIMITS[kind]) process.exitCode = 1;
}

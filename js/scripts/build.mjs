// Builds inseq_widget/widget/static/: widget.js, the anywidget module, and standalone.js, the same
// widget with a host of its own for pages without a kernel. `--watch` rebuilds on every change.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const out = join(root, "inseq_widget/widget/static");

/** Imports a style sheet as its minified text, for a shadow root to adopt. */
const styleText = {
  name: "style-text",
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const built = await esbuild.build({
        entryPoints: [path],
        bundle: true,
        minify: true,
        write: false,
        metafile: true,
        absWorkingDir: root,
        target: "safari17",
      });
      return {
        contents: built.outputFiles[0].text.trim(),
        loader: "text",
        watchFiles: Object.keys(built.metafile.inputs).map((file) => join(root, file)),
      };
    });
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  // Elements as calls of h(): a kilobyte less than what tsconfig.json says for the type checker.
  jsx: "transform",
  jsxFactory: "h",
  jsxFragment: "Fragment",
  inject: ["js/scripts/elements.mjs"],
  tsconfigRaw: { compilerOptions: { strict: true, verbatimModuleSyntax: true } },
  // A bundled dependency must not register itself with a host's require.js.
  define: { "define.amd": "false", "process.env.NODE_ENV": '"production"' },
  plugins: [styleText],
  logLevel: "warning",
};

const builds = [
  { entryPoints: ["js/src/widget.ts"], outfile: join(out, "widget.js"), format: "esm" },
  {
    entryPoints: ["js/src/host/standalone.ts"],
    outfile: join(out, "standalone.js"),
    format: "iife",
  },
];

for (const options of builds) {
  if (process.argv.includes("--watch")) {
    const context = await esbuild.context({ ...shared, ...options, logLevel: "info" });
    await context.watch();
  } else {
    await esbuild.build({ ...shared, ...options });
  }
}

if (!process.argv.includes("--watch")) {
  // The text of standalone.js goes into a <script> element, which these would end or confuse.
  const text = readFileSync(join(out, "standalone.js"), "utf8");
  if (/<\/script|<!--/i.test(text)) throw new Error("standalone.js cannot stand in a page");
}

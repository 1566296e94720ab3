/**
 * The widget with a host of its own, for pages without a kernel and without a network.
 *
 * One HTML file, opened from anywhere, holds for each figure a place and its state, and then once
 * the text of the built standalone.js:
 *
 *     <div data-inseq-widget="ID"></div>
 *     <script type="application/json" id="ID">
 *       {"spec": …, "scores": "…", "encoding": "base64", "selection": …, "theme": "auto"}
 *     </script>
 *     <script>…standalone.js…</script>
 *
 * - `spec` is the `FigureSpec`; in the JSON text every `<` is written `\u003c`, so that no token
 *   ends the element.
 * - `scores` are the bytes of `_scores`, little-endian float32, in base64. `encoding` says what the
 *   base64 holds: `base64` (the default) the bytes themselves, `deflate`, `deflate-raw` or `gzip`
 *   the bytes so compressed.
 * - `selection` and `theme` may be left out.
 *
 * A place whose state cannot be read says why, in place of the figure.
 */
import type { FigureSpec, SelectionState, Theme } from "../protocol";
import { EMPTY } from "../state/selection";
import createWidget from "../widget";
import { createStaticModel } from "./static-model";

interface SavedFigure {
  readonly spec: FigureSpec;
  readonly scores: string;
  readonly encoding?: "base64" | CompressionFormat;
  readonly selection?: SelectionState;
  readonly theme?: Theme;
}

/** Draws every figure of a page that is not drawn yet. */
export async function mountAll(page: Document): Promise<void> {
  const places = page.querySelectorAll<HTMLElement>("[data-inseq-widget]:not([data-mounted])");
  await Promise.all([...places].map((place) => mount(place)));
}

async function mount(place: HTMLElement): Promise<void> {
  place.dataset.mounted = "";
  try {
    const id = place.dataset.inseqWidget ?? "";
    const text = place.ownerDocument.getElementById(id)?.textContent;
    if (text === undefined || text === null) throw new Error(`There is no state “${id}”.`);
    const saved: SavedFigure = JSON.parse(text);
    const model = createStaticModel({
      _spec: saved.spec,
      _scores: await scoresOf(saved),
      selection: saved.selection ?? EMPTY,
      theme: saved.theme ?? "auto",
    });
    const widget = createWidget();
    widget.initialize({ model });
    widget.render({ model, el: place });
  } catch (error) {
    place.textContent = `This figure cannot be drawn. ${error instanceof Error ? error.message : error}`;
  }
}

async function scoresOf({ scores, encoding = "base64" }: SavedFigure): Promise<DataView> {
  const bytes = Uint8Array.from(atob(scores), (character) => character.charCodeAt(0));
  if (encoding === "base64") return new DataView(bytes.buffer);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(encoding));
  return new DataView(await new Response(stream).arrayBuffer());
}

void mountAll(document);

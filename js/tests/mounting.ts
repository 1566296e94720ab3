/** Puts a widget into the page and finds its parts. */
import createWidget from "../src/widget";
import type { FakeModel } from "./examples";

export interface Mounted {
  readonly host: HTMLElement;
  readonly root: ShadowRoot;
  token(at: number): HTMLElement;
  part(name: string): HTMLElement;
  close(): void;
}

/** The parts of the view that stands in an element. */
export function mounted(el: HTMLElement, close: () => void): Mounted {
  const host = el.querySelector<HTMLElement>(".inseq-widget-live");
  const root = host?.shadowRoot;
  if (host === null || !root) throw new Error("nothing was mounted");
  const find = (selector: string) => {
    const found = root.querySelector<HTMLElement>(selector);
    if (found === null) throw new Error(`there is no ${selector}`);
    return found;
  };
  return {
    host,
    root,
    token: (at) => find(`[data-token="${at}"]`),
    part: (name) => find(`[data-part="${name}"]`),
    close,
  };
}

/** Draws a model as a host does. */
export function show(model: FakeModel): Mounted {
  const el = document.createElement("div");
  document.body.append(el);
  const widget = createWidget();
  const end = widget.initialize({ model: model.face() });
  const unmount = widget.render({ model: model.face(), el });
  return mounted(el, () => {
    unmount();
    end();
  });
}

/** Effects and renderings have run. */
export const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

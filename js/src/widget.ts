/** The anywidget module: one conversation for each model, one drawing for each view. */
import type { AnyModel } from "@anywidget/types";
import { h, render as renderInto } from "preact";
import { createKernel, type Kernel } from "./kernel";
import type { Traits } from "./protocol";
import { followModel, type Synced } from "./state/synced";
import styles from "./styles/index.css";
import { followTheme } from "./theme";
import { App } from "./views/App";

/** What lives as long as a model: all its views share it. */
interface Session {
  readonly model: AnyModel<Traits>;
  readonly synced: Synced;
  readonly kernel: Kernel;
  close(): void;
}

interface InitializeProps {
  model: AnyModel<Traits>;
  /** Absent in hosts older than anywidget 0.11. */
  signal?: AbortSignal;
}

interface RenderProps extends InitializeProps {
  el: HTMLElement;
}

function openSession(model: AnyModel<Traits>): Session {
  const kernel = createKernel(model);
  const synced = followModel(model, () => kernel.forget());
  return {
    model,
    synced,
    kernel,
    close() {
      synced.dispose();
      kernel.dispose();
    },
  };
}

/** Runs a clean-up once, whether the host aborts a signal, calls what it was given, or both. */
function once(cleanUp: () => void, signal: AbortSignal | undefined): () => void {
  let done = false;
  const run = () => {
    if (done) return;
    done = true;
    signal?.removeEventListener("abort", run);
    cleanUp();
  };
  signal?.addEventListener("abort", run);
  return run;
}

export default function createWidget() {
  const sessions = new Set<Session>();

  /** Hosts hand out a new face of a model each time: its scores tell which model is behind it. */
  function sessionOf(model: AnyModel<Traits>): Session | undefined {
    return [...sessions].find(
      (session) => session.model === model || session.model.get("_scores") === model.get("_scores"),
    );
  }

  function initialize({ model, signal }: InitializeProps): () => void {
    const session = openSession(model);
    sessions.add(session);
    return once(() => {
      sessions.delete(session);
      session.close();
    }, signal);
  }

  function render({ model, el, signal }: RenderProps): () => void {
    const shared = sessionOf(model);
    const session = shared ?? openSession(model);
    // In the light DOM, where the style sheet of the static fallback looks for a living widget.
    const host = el.ownerDocument.createElement("div");
    host.className = "inseq-widget-live";
    host.dataset.state = "loading";
    // Here and not inside: the notebook's shortcuts do not look into a shadow root.
    host.dataset.lmSuppressShortcuts = "true";
    el.append(host);
    const root = host.attachShadow({ mode: "open" });
    adoptStyles(root);
    const theme = followTheme(session.synced.theme, el.ownerDocument);
    const app = h(App, {
      synced: session.synced,
      kernel: session.kernel,
      appearance: theme.appearance,
      onDrawn: () => {
        host.dataset.state = "ready";
      },
    });
    renderInto(app, root);
    return once(() => {
      renderInto(null, root);
      theme.dispose();
      if (shared === undefined) session.close();
      host.remove();
    }, signal);
  }

  return { initialize, render };
}

function adoptStyles(root: ShadowRoot): void {
  if ("adoptedStyleSheets" in root && "replaceSync" in CSSStyleSheet.prototype) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(styles);
    root.adoptedStyleSheets = [sheet];
    return;
  }
  const element = root.ownerDocument.createElement("style");
  element.textContent = styles;
  root.append(element);
}

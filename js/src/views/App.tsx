/** The whole figure: header, running text, matrix, details. */
import type { ReadonlySignal } from "@preact/signals";
import { useComputed } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import { chromeProperties } from "../draw/chrome";
import type { Appearance } from "../draw/colour";
import type { Kernel } from "../kernel";
import type { Synced } from "../state/synced";
import { createView, type View } from "../state/view";
import { Announcer } from "./Announcer";
import { Caption } from "./Caption";
import { DataTable } from "./DataTable";
import { Header } from "./Header";
import { Inspector } from "./Inspector";
import { MatrixView } from "./MatrixView";
import { StepScores } from "./StepScores";
import { TextView } from "./TextView";
import { Tooltip } from "./Tooltip";

export interface AppProps {
  readonly synced: Synced;
  readonly kernel: Kernel;
  readonly appearance: ReadonlySignal<Appearance>;
  /** Told after each time that a figure has been drawn. */
  readonly onDrawn: () => void;
}

export function App({ synced, kernel, appearance, onDrawn }: AppProps) {
  const view = useComputed(() => {
    const figure = synced.figure.value;
    return figure instanceof Error ? figure : createView(figure, synced, kernel, appearance);
  }).value;

  useLayoutEffect(onDrawn, [view]);

  return (
    <div
      class="figure"
      data-appearance={appearance.value}
      style={chromeProperties(appearance.value)}
    >
      {view instanceof Error ? (
        <p class="failure" role="alert">
          This figure cannot be drawn. {view.message}
        </p>
      ) : (
        <Explorer view={view} />
      )}
    </div>
  );
}

function Explorer({ view }: { view: View }) {
  const sequence = view.sequence.value;
  return (
    <>
      <Header view={view} />
      <Caption view={view} />
      <TextView view={view} sequence={sequence} key={`text-${sequence.index}`} />
      <StepScores view={view} sequence={sequence} key={`strip-${sequence.index}`} />
      <div class="lower">
        <MatrixView view={view} sequence={sequence} key={`matrix-${sequence.index}`} />
        <Inspector view={view} />
      </div>
      <DataTable view={view} />
      <Tooltip view={view} />
      <Announcer view={view} />
    </>
  );
}

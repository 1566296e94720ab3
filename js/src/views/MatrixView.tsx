/** The matrix: inputs × steps on a canvas, with a grid of one cell at a time for screen readers. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { inputToken, type Sequence } from "../data/figure";
import type { View } from "../state/view";
import { spokenLabel } from "../text/visible";
import { describe } from "./description";
import { MatrixTools } from "./MatrixTools";
import type { Camera, ZoomState } from "./matrix-camera";
import { mountMatrix } from "./matrix-canvas";
import type { Cell } from "./matrix-interaction";

export function MatrixView({ view, sequence }: { view: View; sequence: Sequence }) {
  const root = useRef<HTMLDivElement>(null);
  const camera = useRef<Camera | null>(null);
  const cursor = useSignal<Cell>({ row: 0, column: 0 });
  const zoom = useSignal<ZoomState>({ zoom: 1, least: 1, most: 1 });

  useLayoutEffect(() => {
    if (root.current === null) return;
    const controller = new AbortController();
    cursor.value = { row: 0, column: 0 };
    const state = { cursor, zoom };
    camera.current = mountMatrix(view, sequence, root.current, state, controller.signal);
    return () => controller.abort();
  }, [view, sequence]);

  const { inputs } = view.arrangement.shown.value;
  const { row, column } = cursor.value;
  const input = inputs[row];
  return (
    // biome-ignore-start lint/a11y/useSemanticElements: the cells are drawn, there is no table
    // biome-ignore-start lint/a11y/noAriaHiddenOnFocusable: a canvas without tabindex takes no focus
    <div ref={root} class="matrix-view">
      <MatrixTools view={view} sequence={sequence} zoom={zoom} camera={() => camera.current} />
      <div
        class="matrix"
        data-part="matrix"
        role="grid"
        aria-label="Scores: inputs in rows, generated tokens in columns. Arrow keys walk, Enter pins, + and − zoom."
        aria-multiselectable="true"
        aria-rowcount={inputs.length}
        aria-colcount={sequence.steps.length}
        aria-activedescendant={input === undefined ? undefined : cellId(input, column)}
        tabIndex={0}
      >
        <div class="matrix-extent" role="presentation">
          <div class="matrix-viewport" role="presentation">
            <canvas class="matrix-cells" data-part="cells" aria-hidden="true" />
            <canvas class="matrix-pointed" aria-hidden="true" />
            <canvas class="matrix-map" data-part="map" aria-hidden="true" hidden />
            {input !== undefined && (
              <CursorCell view={view} sequence={sequence} row={row} input={input} step={column} />
            )}
          </div>
        </div>
      </div>
    </div>
    // biome-ignore-end lint/a11y/noAriaHiddenOnFocusable: see above
    // biome-ignore-end lint/a11y/useSemanticElements: see above
  );
}

/** The cell that the keyboard stands on, in words. */
function CursorCell({
  view,
  sequence,
  row,
  input,
  step,
}: {
  view: View;
  sequence: Sequence;
  row: number;
  input: number;
  step: number;
}) {
  const from = inputToken(sequence, input);
  const { inputs, steps } = view.selection.value;
  const said = describe(
    sequence,
    { origin: "matrix", token: null, input, step, anchor: () => null },
    { kind: "overview", places: [], pinned: false },
  );
  if (from === undefined || said === null) return null;
  return (
    // biome-ignore-start lint/a11y/useSemanticElements: a table of one cell would be read as a table
    // biome-ignore-start lint/a11y/useFocusableInteractive: focus stays on the grid, which names its active cell
    <div class="unseen" role="row" aria-rowindex={row + 1} key={cellId(input, step)}>
      <div role="rowheader">{spokenLabel(from)}</div>
      <div
        role="gridcell"
        id={cellId(input, step)}
        aria-colindex={step + 1}
        aria-selected={inputs.includes(input) && steps.includes(step)}
      >
        {said.spoken}
      </div>
    </div>
    // biome-ignore-end lint/a11y/useFocusableInteractive: see above
    // biome-ignore-end lint/a11y/useSemanticElements: see above
  );
}

function cellId(input: number, step: number): string {
  return `cell-${input}-${step}`;
}

/** The matrix: inputs × steps on a canvas, with a grid of one cell at a time for screen readers. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { inputToken, type Sequence, stepToken } from "../data/figure";
import type { View } from "../state/view";
import { spokenLabel } from "../text/visible";
import { describe } from "./description";
import { type Cell, mountMatrix } from "./matrix-canvas";

export function MatrixView({ view, sequence }: { view: View; sequence: Sequence }) {
  const box = useRef<HTMLDivElement>(null);
  const extent = useRef<HTMLDivElement>(null);
  const viewport = useRef<HTMLDivElement>(null);
  const cells = useRef<HTMLCanvasElement>(null);
  const pointed = useRef<HTMLCanvasElement>(null);
  const cursor = useSignal<Cell>({ row: 0, column: 0 });

  useLayoutEffect(() => {
    const elements = {
      box: box.current,
      extent: extent.current,
      viewport: viewport.current,
      cells: cells.current,
      pointed: pointed.current,
    };
    const { box: b, extent: e, viewport: v, cells: c, pointed: p } = elements;
    if (b === null || e === null || v === null || c === null || p === null) return;
    const controller = new AbortController();
    cursor.value = { row: 0, column: 0 };
    mountMatrix(
      view,
      sequence,
      { box: b, extent: e, viewport: v, cells: c, pointed: p },
      (cell) => {
        cursor.value = cell;
      },
      controller.signal,
    );
    return () => controller.abort();
  }, [view, sequence]);

  return (
    // biome-ignore-start lint/a11y/useSemanticElements: the cells are drawn, there is no table
    // biome-ignore-start lint/a11y/noAriaHiddenOnFocusable: a canvas without tabindex takes no focus
    <div
      ref={box}
      class="matrix"
      data-part="matrix"
      role="grid"
      aria-label="Scores: inputs in rows, generated tokens in columns. Arrow keys walk, Enter pins."
      aria-multiselectable="true"
      aria-rowcount={sequence.inputs.length}
      aria-colcount={sequence.steps.length}
      aria-activedescendant={cellId(cursor.value)}
      tabIndex={0}
    >
      <div ref={extent} class="matrix-extent" role="presentation">
        <div ref={viewport} class="matrix-viewport" role="presentation">
          <canvas ref={cells} data-part="cells" aria-hidden="true" />
          <canvas ref={pointed} class="matrix-pointed" aria-hidden="true" />
          <CursorCell view={view} sequence={sequence} cell={cursor.value} />
        </div>
      </div>
    </div>
    // biome-ignore-end lint/a11y/noAriaHiddenOnFocusable: see above
    // biome-ignore-end lint/a11y/useSemanticElements: see above
  );
}

/** The cell that the keyboard stands on, in words. */
function CursorCell({ view, sequence, cell }: { view: View; sequence: Sequence; cell: Cell }) {
  const { row, column } = cell;
  const input = inputToken(sequence, row);
  const step = stepToken(sequence, column);
  const { inputs, steps } = view.selection.value;
  const said = describe(
    sequence,
    { origin: "matrix", token: null, input: row, step: column, anchor: () => null },
    { kind: "overview", places: [], pinned: false },
  );
  if (input === undefined || step === undefined || said === null) return null;
  return (
    // biome-ignore-start lint/a11y/useSemanticElements: a table of one cell would be read as a table
    // biome-ignore-start lint/a11y/useFocusableInteractive: focus stays on the grid, which names its active cell
    <div class="unseen" role="row" aria-rowindex={row + 1} key={cellId(cell)}>
      <div role="rowheader">{spokenLabel(input)}</div>
      <div
        role="gridcell"
        id={cellId(cell)}
        aria-colindex={column + 1}
        aria-selected={inputs.includes(row) && steps.includes(column)}
      >
        {said.spoken}
      </div>
    </div>
    // biome-ignore-end lint/a11y/useFocusableInteractive: see above
    // biome-ignore-end lint/a11y/useSemanticElements: see above
  );
}

function cellId({ row, column }: Cell): string {
  return `cell-${row}-${column}`;
}

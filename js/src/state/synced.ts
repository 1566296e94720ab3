/** State that is shared with Python: the figure, the selection, the theme. Hover is not here. */
import type { AnyModel } from "@anywidget/types";
import { batch, type ReadonlySignal, signal } from "@preact/signals";
import { type Figure, readFigure } from "../data/figure";
import type { SelectionState, Theme, Traits } from "../protocol";
import { EMPTY, sameSelection, shownSelection } from "./selection";

export interface Synced {
  /** The figure, or why it cannot be drawn. */
  readonly figure: ReadonlySignal<Figure | Error>;
  readonly selection: ReadonlySignal<SelectionState>;
  readonly theme: ReadonlySignal<Theme>;
  /** Makes a selection the present one, here and in Python. */
  select(selection: SelectionState): void;
  dispose(): void;
}

/** Follows the traits of a model, and writes selections back to it. */
export function followModel(model: AnyModel<Traits>, onNewFigure: () => void): Synced {
  const figure = signal(figureOf(model));
  const selection = signal(selectionOf(model, figure.peek()));
  const theme = signal(model.get("theme") ?? "auto");

  const onFigure = () => {
    onNewFigure();
    batch(() => {
      figure.value = figureOf(model);
      selection.value = selectionOf(model, figure.value);
    });
  };
  const onSelection = () => {
    // Our own `set` comes back as a change, and once more as the kernel's echo.
    const next = selectionOf(model, figure.peek());
    if (!sameSelection(next, selection.peek())) selection.value = next;
  };
  const onTheme = () => {
    theme.value = model.get("theme");
  };
  model.on("change:_spec", onFigure);
  model.on("change:_scores", onFigure);
  model.on("change:selection", onSelection);
  model.on("change:theme", onTheme);

  return {
    figure,
    selection,
    theme,
    select(next) {
      if (sameSelection(next, selection.peek())) return;
      selection.value = next;
      model.set("selection", next);
      model.save_changes();
    },
    dispose() {
      model.off("change:_spec", onFigure);
      model.off("change:_scores", onFigure);
      model.off("change:selection", onSelection);
      model.off("change:theme", onTheme);
    },
  };
}

function figureOf(model: AnyModel<Traits>): Figure | Error {
  try {
    return readFigure(model.get("_spec"), model.get("_scores"));
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function selectionOf(model: AnyModel<Traits>, figure: Figure | Error): SelectionState {
  if (figure instanceof Error) return EMPTY;
  return shownSelection(model.get("selection") ?? EMPTY, figure);
}

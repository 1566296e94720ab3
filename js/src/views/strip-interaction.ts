/** Pointer and keyboard in the strip of step scores: pointing, pinning, brushing a run of steps. */
import type { Signal } from "@preact/signals";
import { stepAt } from "../draw/strip";
import type { View } from "../state/view";
import { byKeyboard, createLinger, focusByPointer, handled, listening } from "./gestures";

/** The run of steps that a drag has reached so far. */
export interface Brush {
  readonly from: number;
  readonly to: number;
}

export interface StripState {
  readonly box: HTMLElement;
  readonly brush: Signal<Brush | null>;
  /** The step that the keyboard stands on. */
  readonly cursor: Signal<number>;
}

/** Binds the listeners of the strip; they go with `signal`. */
export function listenToStrip(
  view: View,
  count: number,
  { box, brush, cursor }: StripState,
  signal: AbortSignal,
): void {
  const linger = createLinger(() => view.leave("strip"), signal);
  // Where a run begins that Shift and the arrow keys make.
  let start = 0;

  const drawn = () => box.querySelector("svg")?.getBoundingClientRect() ?? new DOMRect();
  const stepUnder = ({ clientX }: MouseEvent) => {
    const { x, width } = drawn();
    return stepAt(clientX - x, width, count);
  };
  const nearest = ({ clientX }: MouseEvent) => {
    const { x, width } = drawn();
    return stepAt(Math.min(width - 1, Math.max(0, clientX - x)), width, count) ?? 0;
  };
  const point = (step: number) => {
    linger.stop();
    const now = view.target.peek();
    if (now?.origin === "strip" && now.step === step) return;
    view.pointAt({
      origin: "strip",
      token: null,
      input: null,
      step,
      anchor: () => {
        const { x, y, width, height } = drawn();
        return new DOMRect(x + (step / count) * width, y, width / count, height);
      },
    });
  };
  const on = listening(box, signal);

  on("pointerdown", (event) => {
    const step = stepUnder(event);
    if (step === null || event.button !== 0) return;
    brush.value = { from: step, to: step };
    box.setPointerCapture?.(event.pointerId);
  });
  on("pointermove", (event) => {
    if (brush.peek() !== null) {
      const to = nearest(event);
      brush.value = { from: brush.peek()?.from ?? to, to };
      point(to);
      return;
    }
    if (event.pointerType === "touch") return;
    const step = stepUnder(event);
    if (step === null) linger.start();
    else point(step);
  });
  on("pointerup", (event) => {
    const run = brush.peek();
    brush.value = null;
    if (run === null) return;
    cursor.value = start = run.to;
    if (run.from === run.to) view.pin({ step: run.to }, event.shiftKey);
    else view.pinSteps(run.from, run.to, event.shiftKey);
  });
  on("pointercancel", () => {
    brush.value = null;
  });
  on("pointerleave", () => linger.start());
  on("mousedown", (event) => focusByPointer(box, event));
  // A click without a pointer is a screen reader's, on the bar that it reads.
  on("click", (event) => {
    if (event.detail === 0) view.pin({ step: cursor.peek() }, event.shiftKey);
  });
  on("focusin", () => {
    if (byKeyboard(box)) point(cursor.peek());
  });
  on("focusout", () => {
    delete box.dataset.pointer;
    view.leave("strip");
  });
  on("keydown", (event) => {
    delete box.dataset.pointer;
    const next = stepAfter(event, cursor.peek(), count);
    if (next !== null) {
      cursor.value = next;
      point(next);
      if (event.shiftKey) view.pinSteps(start, next, false);
      else start = next;
    } else if (event.key === "Enter" || event.key === " ") {
      start = cursor.peek();
      view.pin({ step: start }, event.shiftKey);
    } else if (event.key === "Escape" && brush.peek() !== null) {
      brush.value = null;
    } else if (event.key !== "Escape" || !view.clear()) {
      return;
    }
    handled(event);
  });
}

/** The step that a key leads to; null for a key that leads nowhere. */
function stepAfter(event: KeyboardEvent, step: number, count: number): number | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  switch (event.key) {
    case "ArrowRight":
      return Math.min(count - 1, step + 1);
    case "ArrowLeft":
      return Math.max(0, step - 1);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

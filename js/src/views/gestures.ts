/** Small rules of pointer and keyboard that the views share. */

/** Keeps a handled key from the notebook around, which has shortcuts on most of them. */
export function handled(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

/** Gives what binds a listener to an element until `signal` aborts. */
export function listening(
  element: HTMLElement,
  signal: AbortSignal,
): <Name extends keyof HTMLElementEventMap>(
  name: Name,
  listener: (event: HTMLElementEventMap[Name]) => void,
  capture?: boolean,
) => void {
  return (name, listener, capture = false) => {
    // Not passive: a listener for wheel or touch may take the browser's own zoom away.
    element.addEventListener(name, listener, { signal, capture, passive: false });
  };
}

/** Tells a click from the end of a drag that selected text. */
export function createDragGuard(
  box: HTMLElement,
  signal: AbortSignal,
): (click: MouseEvent) => boolean {
  const REACH = 4;
  let start = { x: 0, y: 0 };
  box.addEventListener(
    "pointerdown",
    ({ clientX: x, clientY: y }) => {
      start = { x, y };
    },
    { signal },
  );
  // A click that a script or a screen reader makes has no pointer before it, and no detail.
  return (click) =>
    click.detail > 0 && Math.hypot(click.clientX - start.x, click.clientY - start.y) > REACH;
}

/** Whether an element has the focus because of the keyboard, and not of a click. */
export function byKeyboard(element: HTMLElement): boolean {
  return element.matches(":focus-visible") && !("pointer" in element.dataset);
}

/**
 * Lets shift-click add without stretching a text selection; marks focus that a pointer gave, which
 * `:focus-visible` does not tell apart when it is given by script.
 */
export function focusByPointer(element: HTMLElement, event: MouseEvent): void {
  element.dataset.pointer = "";
  if (!event.shiftKey) return;
  event.preventDefault();
  element.focus({ preventScroll: true });
}

export interface Linger {
  start(): void;
  stop(): void;
}

/** Lets what is pointed at stay for a moment, so that crossing a gap between tokens does not blink. */
export function createLinger(end: () => void, signal: AbortSignal): Linger {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => clearTimeout(timer);
  signal.addEventListener("abort", stop, { once: true });
  return {
    start() {
      stop();
      timer = setTimeout(end, 80);
    },
    stop,
  };
}

/** Pointer and keyboard in the running text: one listener for all tokens. */
import type { Sequence } from "../data/figure";
import type { Pin } from "../state/selection";
import type { Target, View } from "../state/view";
import {
  byKeyboard,
  createDragGuard,
  createLinger,
  focusByPointer,
  handled,
  listening,
} from "./gestures";

export interface TextElements {
  /** Holds all blocks of tokens. */
  readonly box: HTMLElement;
  readonly tokens: readonly (HTMLElement | undefined)[];
}

/** What clicking a token pins: its step if it has one, unless the input is asked for. */
export function pinOf(sequence: Sequence, token: number, asInput: boolean): Pin | null {
  const step = sequence.stepOf[token] ?? -1;
  const input = sequence.inputOf[token] ?? -1;
  if (step >= 0 && !(asInput && input >= 0)) return { step };
  return input >= 0 ? { input } : null;
}

/** Binds the listeners of the running text; they go with `signal`. */
export function listenToText(
  view: View,
  sequence: Sequence,
  { box, tokens }: TextElements,
  signal: AbortSignal,
): void {
  const wasDragged = createDragGuard(box, signal);
  const linger = createLinger(() => view.leave("text"), signal);
  const flows = [...new Set(tokens.flatMap((element) => element?.parentElement ?? []))];
  const order = readingOrder(tokens, flows);
  // The token that the keyboard stands on; where Tab enters.
  let cursor = order[0] ?? 0;

  const flowOf = (token: number) => tokens[token]?.parentElement ?? null;
  const targetOf = (token: number): Target => {
    const step = sequence.stepOf[token] ?? -1;
    const input = sequence.inputOf[token] ?? -1;
    return {
      origin: "text",
      token,
      step: step >= 0 ? step : null,
      input: input >= 0 ? input : null,
      anchor: () => tokens[token]?.getClientRects()[0] ?? null,
    };
  };
  const tokenUnder = (event: Event): number | null => {
    const { target } = event;
    const element = target instanceof Element ? target.closest("[data-token]") : null;
    const token = Number(element?.getAttribute("data-token") ?? Number.NaN);
    return Number.isNaN(token) ? null : token;
  };
  const pinToken = (token: number, asInput: boolean, more: boolean) => {
    const pin = pinOf(sequence, token, asInput);
    if (pin !== null) view.pin(pin, more);
  };
  // The view is one tab stop, where the keyboard stands; a block that scrolls is one of its own,
  // since it could not be scrolled without a mouse otherwise.
  const setTabStops = () => {
    for (const flow of flows) {
      const scrolls = flow.scrollHeight > flow.clientHeight + 1;
      flow.tabIndex = scrolls || flow === flowOf(cursor) ? 0 : -1;
    }
  };
  const walkTo = (token: number) => {
    const element = tokens[token];
    const flow = flowOf(token);
    if (element === undefined || flow === null) return;
    cursor = token;
    setTabStops();
    if (!flow.matches(":focus")) flow.focus({ preventScroll: true });
    flow.setAttribute("aria-activedescendant", element.id);
    showInside(element);
    linger.stop();
    view.pointAt(targetOf(token));
  };

  const on = listening(box, signal);

  on("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const token = tokenUnder(event);
    if (token === null) return linger.start();
    linger.stop();
    if (view.target.peek()?.token !== token) view.pointAt(targetOf(token));
  });
  on("pointerleave", () => linger.start());
  on("click", (event) => {
    const token = tokenUnder(event);
    if (token === null || wasDragged(event)) return;
    cursor = token;
    setTabStops();
    pinToken(token, event.altKey, event.shiftKey);
  });
  on("mousedown", (event) => {
    const flow = flows.find((one) => event.target instanceof Node && one.contains(event.target));
    if (flow !== undefined) focusByPointer(flow, event);
  });
  on("focusin", ({ target }) => {
    const flow = flows.find((one) => one === target);
    if (flow === undefined || !byKeyboard(flow)) return;
    const entry = flowOf(cursor) === flow ? cursor : order.find((token) => flowOf(token) === flow);
    if (entry !== undefined && view.target.peek()?.token !== entry) walkTo(entry);
  });
  on("focusout", ({ target }) => {
    if (!(target instanceof HTMLElement)) return;
    delete target.dataset.pointer;
    target.removeAttribute("aria-activedescendant");
    view.leave("text");
  });
  // Scrolling by wheel moves the token away from its tooltip; it does not bubble.
  on(
    "scroll",
    ({ target }) => {
      if (!(target instanceof HTMLElement && byKeyboard(target))) view.leave("text");
    },
    true,
  );
  on("keydown", (event) => {
    const flow = flowOf(cursor);
    if (flow !== null) delete flow.dataset.pointer;
    const next = tokenAfter(event, cursor, tokens, order);
    if (next !== null) {
      walkTo(next);
    } else if (event.key === "Enter" || event.key === " ") {
      pinToken(cursor, event.altKey, event.shiftKey);
    } else if (event.key !== "Escape" || !view.clear()) {
      return;
    }
    handled(event);
  });

  const resize = new ResizeObserver(setTabStops);
  for (const flow of flows) resize.observe(flow);
  signal.addEventListener("abort", () => resize.disconnect(), { once: true });
  setTabStops();
}

/** The token that a key leads to; null for a key that leads nowhere. */
function tokenAfter(
  event: KeyboardEvent,
  cursor: number,
  tokens: readonly (HTMLElement | undefined)[],
  order: readonly number[],
): number | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const at = Math.max(0, order.indexOf(cursor));
  const flow = tokens[cursor]?.parentElement ?? null;
  const forward = flow !== null && getComputedStyle(flow).direction === "rtl" ? -1 : 1;
  const step = (by: number) => order[Math.min(order.length - 1, Math.max(0, at + by))] ?? null;
  switch (event.key) {
    case "ArrowRight":
      return step(forward);
    case "ArrowLeft":
      return step(-forward);
    case "Home":
      return order[0] ?? null;
    case "End":
      return order.at(-1) ?? null;
    case "ArrowDown":
      return tokenOnNextLine(cursor, tokens, 1);
    case "ArrowUp":
      return tokenOnNextLine(cursor, tokens, -1);
    default:
      return null;
  }
}

/** The tokens as they are read: block after block, and not always as they are numbered. */
function readingOrder(
  tokens: readonly (HTMLElement | undefined)[],
  flows: readonly HTMLElement[],
): number[] {
  const drawn = [...tokens.keys()].filter((token) => tokens[token] !== undefined);
  const blockOf = (token: number) => {
    const flow = tokens[token]?.parentElement;
    return flow ? flows.indexOf(flow) : -1;
  };
  return drawn.sort((a, b) => blockOf(a) - blockOf(b) || a - b);
}

/** The nearest token on the next line above or below, in this block or the next. */
function tokenOnNextLine(
  cursor: number,
  tokens: readonly (HTMLElement | undefined)[],
  direction: 1 | -1,
): number {
  const here = tokens[cursor]?.getClientRects()[0];
  if (here === undefined) return cursor;
  const centre = here.left + here.width / 2;
  let best = cursor;
  let least = Number.POSITIVE_INFINITY;
  tokens.forEach((element, token) => {
    const rect = element?.getClientRects()[0];
    if (rect === undefined) return;
    const down = (rect.top - here.top) * direction;
    if (down < here.height / 2) return;
    const aside = Math.abs(rect.left + rect.width / 2 - centre);
    // A line counts for more than any distance along it.
    const distance = down * 1e4 + aside;
    if (distance < least) {
      least = distance;
      best = token;
    }
  });
  return best;
}

/** Scrolls a token's block, and never the page, until the token is seen. */
export function showInside(element: HTMLElement): void {
  const flow = element.parentElement;
  if (flow === null) return;
  const outer = flow.getBoundingClientRect();
  const inner = element.getBoundingClientRect();
  const margin = 12;
  if (inner.top < outer.top + margin) flow.scrollTop -= outer.top + margin - inner.top;
  else if (inner.bottom > outer.bottom - margin)
    flow.scrollTop += inner.bottom - outer.bottom + margin;
}

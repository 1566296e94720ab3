/** A model without a kernel: holds the state of a saved figure and says so when asked for more. */
import type { AnyModel } from "@anywidget/types";
import { type ErrorMessage, PROTOCOL_VERSION, type Traits } from "../protocol";

type Listener = Parameters<AnyModel["on"]>[1];

/** Makes a model that keeps the contract of an anywidget host, over state that stands in the page. */
export function createStaticModel(state: Traits): AnyModel<Traits> {
  const traits = { ...state };
  const listeners = new Map<string, Set<Listener>>();
  const emit = (event: string, ...values: unknown[]) => {
    for (const listener of [...(listeners.get(event) ?? [])]) listener(...values);
  };
  return {
    get: (name) => traits[name],
    set(name, value) {
      traits[name] = value;
      emit(`change:${name}`);
    },
    save_changes() {},
    on(event: string, listener: Listener) {
      const known = listeners.get(event) ?? new Set();
      listeners.set(event, known.add(listener));
    },
    off(event, listener) {
      if (event === undefined || event === null) listeners.clear();
      else if (listener === undefined || listener === null) listeners.delete(event);
      else listeners.get(event)?.delete(listener);
    },
    send(message: { type?: string; id?: string }) {
      if (message.type !== "request" || message.id === undefined) return;
      const answer: ErrorMessage = {
        v: PROTOCOL_VERSION,
        type: "error",
        id: message.id,
        code: "no_model",
        message: "This page has no kernel.",
        hint: "Alternatives need the notebook: run the cell there to ask the model.",
      };
      queueMicrotask(() => emit("msg:custom", answer, []));
    },
    widget_manager: {
      get_model: () => Promise.reject(new Error("This page has no other widgets.")),
    },
  };
}

/** Small figures with numbers that can be checked by hand, and a model that holds them. */
import type { AnyModel } from "@anywidget/types";
import type { FigureSpec, SelectionState, Side, TokenSpec, Traits } from "../src/protocol";

export function token(text: string, position: number, side: Side, more: Partial<TokenSpec> = {}) {
  const made: TokenSpec = {
    text,
    piece: text.replace(/^ /, "▁"),
    id: 100 + position,
    position,
    side,
    special: false,
    word: position,
    ...more,
  };
  return made;
}

const NaN_ = Number.NaN;

/** Scores of {@link translation}, row by row: four source inputs, two of the target prefix. */
export const TRANSLATION_SCORES = [
  [4, 1, 1],
  [2, 6, 0],
  [1, 1, 2],
  [1, 0, 0],
  [NaN_, 2, 3],
  [NaN_, NaN_, 4],
].flat();

/** "The nurse said." → "A enferm|eira.", with totals 8, 10 and 10. */
export function translation(more: Partial<FigureSpec> = {}): FigureSpec {
  return {
    model: "demo:bergamot-en-pt",
    method: "saliency",
    attributed_fn: "probability",
    reduction: "norm",
    score_label: "gradient norm",
    signed: false,
    sequences: [
      {
        architecture: "encoder_decoder",
        tokens: [
          token("The", 0, "source"),
          token(" nurse", 1, "source"),
          token(" said", 2, "source"),
          token("</s>", 3, "source", { special: true }),
          token("A", 0, "target", { word: 10 }),
          token(" enferm", 1, "target", { word: 11 }),
          token("eira", 2, "target", { word: 11 }),
        ],
        inputs: [0, 1, 2, 3, 4, 5],
        steps: [
          { token: 4, total: 8, step_scores: { probability: 0.875 } },
          { token: 5, total: 10, step_scores: { probability: 0.5 } },
          { token: 6, total: 10, step_scores: { probability: 0.25 } },
        ],
        offset: 0,
        domain: 0.5,
        largest: 0.6,
      },
    ],
    ...more,
  };
}

export const COMPLETION_SCORES = [1, 2, 3, 2, NaN_, 4];

/** A causal figure: prompt "Hi there", generated " you" and "!", where " you" is step and input. */
export function completion(): FigureSpec {
  return {
    ...translation(),
    sequences: [
      {
        architecture: "decoder_only",
        tokens: [
          token("Hi", 0, "prompt"),
          token(" there", 1, "prompt"),
          token(" you", 2, "target"),
          token("!", 3, "target"),
        ],
        inputs: [0, 1, 2],
        steps: [
          { token: 2, total: 4, step_scores: { probability: 0.5 } },
          { token: 3, total: 8, step_scores: {} },
        ],
        offset: 0,
        domain: 1,
        largest: 0.75,
      },
    ],
  };
}

/** Values as little-endian bytes that start at an odd place of their buffer. */
export function misaligned(values: readonly number[]): DataView {
  const whole = new DataView(new ArrayBuffer(values.length * 4 + 3));
  values.forEach((value, at) => {
    whole.setFloat32(3 + at * 4, value, true);
  });
  return new DataView(whole.buffer, 3);
}

type Listener = Parameters<AnyModel["on"]>[1];

/** A model as an anywidget host offers it: silent when a value stays the same, like Backbone. */
export class FakeModel {
  readonly sent: Record<string, unknown>[] = [];
  saves = 0;
  readonly #traits: Traits;
  readonly #listeners = new Map<string, Listener[]>();

  constructor(traits: Partial<Traits> = {}) {
    this.#traits = {
      _spec: translation(),
      _scores: misaligned(TRANSLATION_SCORES),
      selection: { sequence: 0, inputs: [], steps: [] },
      theme: "auto",
      ...traits,
    };
  }

  /** What a host gives to `initialize` and `render`: each time another object. */
  face(): AnyModel<Traits> {
    return {
      get: (name) => this.#traits[name],
      set: (name, value) => {
        const before = this.#traits[name];
        this.#traits[name] = value;
        if (JSON.stringify(before) !== JSON.stringify(value)) this.emit(`change:${name}`);
      },
      save_changes: () => {
        this.saves += 1;
      },
      on: (event: string, listener: Listener) => {
        this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
      },
      off: (event, listener) => {
        const kept = (this.#listeners.get(event ?? "") ?? []).filter((one) => one !== listener);
        this.#listeners.set(event ?? "", kept);
      },
      send: (message: Record<string, unknown>) => {
        this.sent.push(message);
      },
      widget_manager: { get_model: () => Promise.reject(new Error("no other models")) },
    };
  }

  /** A change that comes from Python. */
  arrive<Name extends keyof Traits>(name: Name, value: Traits[Name]): void {
    this.#traits[name] = value;
    this.emit(`change:${name}`);
  }

  /** A message that comes from the kernel. */
  say(message: unknown): void {
    this.emit("msg:custom", message, []);
  }

  get selection(): SelectionState {
    return this.#traits.selection;
  }

  get listeners(): number {
    return [...this.#listeners.values()].reduce((sum, listeners) => sum + listeners.length, 0);
  }

  private emit(event: string, ...values: unknown[]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(...values);
  }
}

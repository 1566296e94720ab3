import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createStaticModel } from "../src/host/static-model";
import type { Traits } from "../src/protocol";
import createWidget from "../src/widget";
import {
  COMPLETION_SCORES,
  completion,
  FakeModel,
  misaligned,
  token,
  translation,
} from "./examples";
import { type Mounted, mounted, settled, show } from "./mounting";

/** Observers that are counted, as happy-dom never calls them anyway. */
let observing = 0;
class CountedObserver {
  #active = false;
  observe() {
    if (!this.#active) observing += 1;
    this.#active = true;
  }
  disconnect() {
    if (this.#active) observing -= 1;
    this.#active = false;
  }
  unobserve() {}
  takeRecords() {
    return [];
  }
}

beforeEach(() => {
  observing = 0;
  vi.stubGlobal("ResizeObserver", CountedObserver);
  vi.stubGlobal("MutationObserver", CountedObserver);
});
afterEach(() => {
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

const point = (element: HTMLElement) =>
  element.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));

describe("a view", () => {
  it("is drawn at once, in a shadow root below an element that style sheets can find", () => {
    const { host, part } = show(new FakeModel());
    expect(host.dataset.state).toBe("ready");
    expect(host.shadowRoot?.mode).toBe("open");
    expect(part("title").textContent).toContain("saliency of probability");
    expect(part("title").textContent).toContain("6 inputs × 3 steps");
  });

  it("shows the text as it reads, with rows and columns marked on its tokens", () => {
    const { root, token: at } = show(new FakeModel());
    const flows = [...root.querySelectorAll(".flow")].map((flow) => flow.textContent);
    expect(flows).toEqual(["The nurse said</s>", "A enfermeira"]);
    expect(at(5).dataset).toMatchObject({ input: "5", step: "1" });
    expect(at(6).classList.contains("joined")).toBe(true);
  });

  it("puts tokens into the page as text, whatever is in them", () => {
    const spec = completion();
    const [sequence] = spec.sequences;
    if (sequence === undefined) throw new Error("no sequence");
    sequence.tokens[0] = token("<img src=x onerror=alert(1)>", 0, "prompt");
    sequence.tokens[3] = token("</script><script>alert(2)</script>", 3, "target");
    spec.model = "<b>model</b>";
    const { root } = show(new FakeModel({ _spec: spec, _scores: misaligned(COMPLETION_SCORES) }));
    expect(root.querySelector("img, script, .title b")).toBeNull();
    expect(root.textContent).toContain("<img src=x onerror=alert(1)>");
  });

  it("says what is wrong when the figure cannot be drawn, and draws it when it can", async () => {
    const model = new FakeModel({ _scores: misaligned([1, 2]) });
    const { root } = show(model);
    expect(root.querySelector("[role=alert]")?.textContent).toContain("needs 18 scores");
    model.arrive("_scores", misaligned(Array<number>(18).fill(1)));
    await settled();
    expect(root.querySelectorAll("[data-token]")).toHaveLength(7);
  });
});

describe("pinning", () => {
  it("by click goes to Python, and again by click is undone", () => {
    const model = new FakeModel();
    const { token: at } = show(model);
    at(5).click();
    expect(model.selection).toEqual({ sequence: 0, inputs: [], steps: [1] });
    expect(at(5).getAttribute("aria-selected")).toBe("true");
    at(5).click();
    expect(model.selection).toEqual({ sequence: 0, inputs: [], steps: [] });
    expect(model.saves).toBe(2);
  });

  it("by shift-click adds", () => {
    const model = new FakeModel();
    const { token: at } = show(model);
    at(1).click();
    at(5).dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
    expect(model.selection).toEqual({ sequence: 0, inputs: [1], steps: [1] });
  });

  it("ends with Escape, which then goes no further; with nothing pinned it is the notebook's", () => {
    const model = new FakeModel();
    const { token: at, root } = show(model);
    const outside = vi.fn();
    document.addEventListener("keydown", outside);
    const flow = root.querySelector(".flow");
    const pressEscape = () =>
      flow?.dispatchEvent(
        new KeyboardEvent("keydown", { key: "Escape", bubbles: true, composed: true }),
      );
    at(5).click();
    pressEscape();
    expect(model.selection.steps).toEqual([]);
    expect(outside).not.toHaveBeenCalled();
    pressEscape();
    expect(outside).toHaveBeenCalledOnce();
    document.removeEventListener("keydown", outside);
  });

  it("from Python moves the view and is not sent back", async () => {
    const model = new FakeModel();
    const { token: at, part } = show(model);
    model.arrive("selection", { sequence: 0, inputs: [], steps: [2] });
    await settled();
    expect(at(6).dataset.mark).toContain("pinned");
    expect(part("caption").textContent).toContain("eira");
    expect(model.saves).toBe(0);
  });

  it("recolours the text, and what is pointed at then only gets an outline", async () => {
    const { token: at, part } = show(new FakeModel());
    const colour = () => at(1).style.backgroundColor;
    const overview = colour();
    at(5).click();
    const pinned = colour();
    expect(pinned).not.toBe(overview);
    point(at(4));
    await settled();
    expect(colour()).toBe(pinned);
    expect(at(4).dataset.mark).toContain("pointed");
    expect(part("tooltip").textContent).toContain("87.5 %");
  });

  it("with nothing pinned, pointing previews and leaving returns", async () => {
    const { token: at, part } = show(new FakeModel());
    const overview = at(1).style.backgroundColor;
    point(at(5));
    expect(at(1).style.backgroundColor).not.toBe(overview);
    part("text").dispatchEvent(new PointerEvent("pointerleave"));
    await vi.waitFor(() => expect(at(1).style.backgroundColor).toBe(overview));
  });
});

describe("the keyboard", () => {
  it("goes on pointing in one view while the mouse leaves the other", async () => {
    const { token: at, part } = show(new FakeModel());
    point(at(1));
    part("text").dispatchEvent(new PointerEvent("pointerleave"));
    part("matrix").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(at(1).dataset.mark).toContain("pointed");
    expect(at(4).dataset.mark).toContain("pointed");
  });

  it("walks from token to token over the blocks, and pins", () => {
    const model = new FakeModel();
    const { root, token: at } = show(model);
    const press = (key: string, more: KeyboardEventInit = {}) =>
      root
        .querySelector(".flow")
        ?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
    press("ArrowRight");
    expect(at(1).dataset.mark).toContain("pointed");
    press("Enter");
    expect(model.selection.inputs).toEqual([1]);
    press("End");
    press(" ", { shiftKey: true });
    expect(model.selection).toEqual({ sequence: 0, inputs: [1], steps: [2] });
    press("Home");
    expect(at(0).dataset.mark).toContain("pointed");
  });

  it("has one tab stop in the running text", () => {
    const { root } = show(new FakeModel());
    const flows = [...root.querySelectorAll<HTMLElement>(".flow")];
    expect(flows.map((flow) => flow.tabIndex)).toEqual([0, -1]);
  });

  it("walks the matrix and says each cell", async () => {
    const model = new FakeModel();
    const { part, root } = show(model);
    const press = (key: string) =>
      part("matrix").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    press("ArrowDown");
    press("ArrowRight");
    await settled();
    const active = part("matrix").getAttribute("aria-activedescendant") ?? "";
    expect(root.getElementById(active)?.textContent).toContain(
      "nurse for enferm, Share of step 60.0 %",
    );
    press("Enter");
    expect(model.selection).toEqual({ sequence: 0, inputs: [1], steps: [1] });
  });
});

describe("the strip of step scores", () => {
  /** happy-dom lays nothing out: the strip is given a place of 300 pixels for its three bars. */
  function strip(mounted: Mounted) {
    const bars = mounted.part("strip").querySelector<HTMLElement>(".strip-bars");
    const drawn = bars?.querySelector("svg");
    if (!bars || !drawn) throw new Error("there is no strip");
    vi.spyOn(drawn, "getBoundingClientRect").mockReturnValue(new DOMRect(10, 0, 300, 48));
    const pointer = (name: string, clientX: number, more: PointerEventInit = {}) =>
      bars.dispatchEvent(new PointerEvent(name, { clientX, bubbles: true, ...more }));
    const press = (key: string, more: KeyboardEventInit = {}) =>
      bars.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
    return { bars, pointer, press };
  }

  it("pins the step that is clicked, and the run that is dragged over", () => {
    const model = new FakeModel();
    const { pointer } = strip(show(model));
    pointer("pointerdown", 120);
    pointer("pointerup", 120);
    expect(model.selection).toEqual({ sequence: 0, inputs: [], steps: [1] });
    pointer("pointerdown", 20);
    pointer("pointermove", 150);
    pointer("pointermove", 900);
    pointer("pointerup", 900);
    expect(model.selection).toEqual({ sequence: 0, inputs: [], steps: [0, 1, 2] });
  });

  it("is given up when the system takes the pointer away", () => {
    const model = new FakeModel();
    const { pointer } = strip(show(model));
    pointer("pointerdown", 20);
    pointer("pointercancel", 20);
    pointer("pointerup", 250);
    expect(model.selection.steps).toEqual([]);
  });

  it("points at the same token everywhere", async () => {
    const mounted = show(new FakeModel());
    strip(mounted).pointer("pointermove", 120);
    await settled();
    expect(mounted.token(5).dataset.mark).toContain("pointed");
    expect(mounted.part("tooltip").textContent).toContain("50.0 %");
  });

  it("walks by keyboard, pins a run with Shift, and says each bar", async () => {
    const model = new FakeModel();
    const mounted = show(model);
    const { bars, press } = strip(mounted);
    press("ArrowRight");
    await settled();
    const active = bars.getAttribute("aria-activedescendant") ?? "";
    expect(mounted.root.getElementById(active)?.textContent).toBe("enferm, 50.0 %");
    press("Enter");
    expect(model.selection.steps).toEqual([1]);
    press("ArrowRight", { shiftKey: true });
    expect(model.selection.steps).toEqual([1, 2]);
    press("Escape");
    expect(model.selection.steps).toEqual([]);
  });

  it("shows the explained score first and any other by choice", async () => {
    const spec = translation({ attributed_fn: "entropy" });
    for (const step of spec.sequences[0]?.steps ?? []) step.step_scores.entropy = 2;
    const { part } = show(new FakeModel({ _spec: spec }));
    const choice = part("strip").querySelector<HTMLSelectElement>("select");
    expect(choice?.value).toBe("entropy");
    expect(part("strip").querySelector(".strip-axis")?.textContent).toBe("2.000.00");
    if (choice === null) throw new Error("there is no choice");
    choice.value = "probability";
    choice.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(part("strip").querySelector(".strip-axis")?.textContent).toBe("100 %0 %");
  });

  it("is left out where there is nothing to compare", () => {
    const spec = translation();
    const [sequence] = spec.sequences;
    if (sequence === undefined) throw new Error("no sequence");
    for (const step of sequence.steps) step.step_scores = {};
    const { root } = show(new FakeModel({ _spec: spec }));
    expect(root.querySelector("[data-part=strip]")).toBeNull();
  });
});

describe("alternatives", () => {
  it("are asked for when a step is pinned, shown when they come, given up when it is unpinned", async () => {
    const model = new FakeModel();
    const { token: at, part } = show(model);
    expect(model.sent).toEqual([]);
    at(5).click();
    await vi.waitFor(() => expect(model.sent).toHaveLength(1));
    expect(model.sent[0]).toMatchObject({
      op: "alternatives",
      args: { sequence: 0, step: 1, k: 6 },
    });
    const row = (text: string, id: number, probability: number, rank: number) => ({
      text,
      piece: text,
      id,
      probability,
      rank,
      special: false,
    });
    model.say({
      v: 1,
      type: "result",
      id: model.sent[0]?.id,
      result: {
        sequence: 0,
        step: 1,
        target: row(" enferm", 101, 0.5, 1),
        alternatives: [row(" enferm", 101, 0.5, 1), row(" médica", 7, 0.2, 2)],
      },
    });
    await vi.waitFor(() => expect(part("alternatives").textContent).toContain("médica"));
    at(6).click();
    await vi.waitFor(() => expect(model.sent).toHaveLength(2));
    at(6).click();
    await vi.waitFor(() => expect(model.sent.at(-1)).toMatchObject({ type: "cancel" }));
  });

  it("show why they failed and ask again on demand", async () => {
    const model = new FakeModel();
    const { token: at, part } = show(model);
    at(5).click();
    await vi.waitFor(() => expect(model.sent).toHaveLength(1));
    model.say({
      v: 1,
      type: "error",
      id: model.sent[0]?.id,
      code: "failed",
      message: "Out of memory.",
      hint: "Free some.",
    });
    await vi.waitFor(() => expect(part("alternatives").textContent).toContain("Out of memory."));
    part("alternatives").querySelector("button")?.click();
    await vi.waitFor(() => expect(model.sent).toHaveLength(2));
  });

  it("say in a page without a kernel that there is none", async () => {
    const traits: Traits = {
      _spec: translation(),
      _scores: misaligned(Array<number>(18).fill(1)),
      selection: { sequence: 0, inputs: [], steps: [0] },
      theme: "dark",
    };
    const el = document.createElement("div");
    document.body.append(el);
    const widget = createWidget();
    const model = createStaticModel(traits);
    widget.initialize({ model });
    const { part } = mounted(el, widget.render({ model, el }));
    await vi.waitFor(() => expect(part("alternatives").textContent).toContain("has no kernel"));
    expect(part("alternatives").querySelector("button")).toBeNull();
  });
});

describe("several texts", () => {
  it("are chosen by name, and choosing clears the pins", async () => {
    const spec = translation();
    const [first] = spec.sequences;
    if (first === undefined) throw new Error("no sequence");
    spec.sequences = [
      first,
      { ...first, tokens: first.tokens.map((one) => ({ ...one, text: ` x${one.position}` })) },
    ];
    const model = new FakeModel({
      _spec: spec,
      selection: { sequence: 0, inputs: [1], steps: [] },
    });
    const { part, root } = show(model);
    const select = part("sequence");
    if (!(select instanceof HTMLSelectElement)) throw new Error("no select");
    select.selectedIndex = 1;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(model.selection).toEqual({ sequence: 1, inputs: [], steps: [] });
    expect(root.querySelector(".flow")?.textContent).toContain("x1");
  });
});

describe("life and death", () => {
  it("two views of one model share selection and conversation, and die on their own", async () => {
    const model = new FakeModel();
    const widget = createWidget();
    const end = widget.initialize({ model: model.face() });
    const places = [document.createElement("div"), document.createElement("div")];
    document.body.append(...places);
    const [one, two] = places.map((el) => mounted(el, widget.render({ model: model.face(), el })));
    if (one === undefined || two === undefined) throw new Error("no views");
    one.token(5).click();
    await settled();
    expect(two.token(5).dataset.mark).toContain("pinned");
    await vi.waitFor(() =>
      expect(model.sent.filter(({ type }) => type === "request")).toHaveLength(1),
    );
    one.close();
    expect(document.querySelectorAll(".inseq-widget-live")).toHaveLength(1);
    two.token(5).click();
    expect(model.selection.steps).toEqual([]);
    two.close();
    end();
    expect(model.listeners).toBe(0);
  });

  it("two models of one module keep apart", () => {
    const [a, b] = [new FakeModel(), new FakeModel()];
    const widget = createWidget();
    const places = [a, b].map((model) => {
      widget.initialize({ model: model.face() });
      const el = document.createElement("div");
      document.body.append(el);
      return mounted(el, widget.render({ model: model.face(), el }));
    });
    places[1]?.token(5).click();
    expect(a.selection.steps).toEqual([]);
    expect(b.selection.steps).toEqual([1]);
  });

  it.each(["clean-up", "signal"])("leaves nothing behind when ended by %s", async (way) => {
    const model = new FakeModel();
    const held = holdListeners();
    const controller = new AbortController();
    const widget = createWidget();
    const el = document.createElement("div");
    document.body.append(el);
    const signal = way === "signal" ? { signal: controller.signal } : {};
    const end = widget.initialize({ model: model.face(), ...signal });
    const unmount = widget.render({ model: model.face(), el, ...signal });
    mounted(el, unmount).token(5).click();
    await settled();
    expect(observing).toBeGreaterThan(0);
    expect(held.count()).toBeGreaterThan(0);
    if (way === "signal") controller.abort();
    else {
      unmount();
      end();
    }
    expect(el.childNodes).toHaveLength(0);
    expect(model.listeners).toBe(0);
    expect(observing).toBe(0);
    expect(held.count()).toBe(0);
  });

  it("listens once, also after the figure has been replaced in the view", async () => {
    const model = new FakeModel();
    const { token: at, part } = show(model);
    for (let round = 0; round < 2; round++) {
      model.arrive("_spec", translation());
      await settled();
    }
    at(5).click();
    expect(model.selection.steps).toEqual([1]);
    expect(model.saves).toBe(1);
    part("matrix").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    expect(model.selection).toEqual({ sequence: 0, inputs: [0], steps: [0] });
    expect(model.saves).toBe(2);
  });

  it("starts again from the traits when a host loads the module anew", () => {
    const model = new FakeModel();
    const first = show(model);
    first.token(5).click();
    first.close();
    const second = show(model);
    expect(second.token(5).dataset.mark).toContain("pinned");
  });
});

/** Counts listeners that would outlive a view: on the page itself, or bound to a signal. */
function holdListeners() {
  const live = new Set<string>();
  let counter = 0;
  const names = new Map<unknown, string>();
  const targets = prototypeWith(document.body, "addEventListener");
  const { addEventListener, removeEventListener } = targets;
  vi.spyOn(targets, "addEventListener").mockImplementation(function (
    this: EventTarget,
    type,
    listener,
    options,
  ) {
    const signal = typeof options === "object" ? options.signal : undefined;
    if (!(this instanceof AbortSignal) && (signal !== undefined || !(this instanceof Node))) {
      counter += 1;
      const name = `${type} ${counter}`;
      live.add(name);
      names.set(listener, name);
      signal?.addEventListener("abort", () => live.delete(name));
    }
    addEventListener.call(this, type, listener, options);
  });
  vi.spyOn(targets, "removeEventListener").mockImplementation(function (
    this: EventTarget,
    type,
    listener,
    options,
  ) {
    live.delete(names.get(listener) ?? "");
    removeEventListener.call(this, type, listener, options);
  });
  return { count: () => live.size };
}

/** The prototype that a method comes from; happy-dom's event targets are not the global ones. */
function prototypeWith<T extends object>(object: T, method: keyof T): T {
  const prototype: T = Object.getPrototypeOf(object);
  return Object.hasOwn(prototype, method) ? prototype : prototypeWith(prototype, method);
}

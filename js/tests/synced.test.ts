import { effect } from "@preact/signals";
import { describe, expect, it, vi } from "vitest";
import { followModel } from "../src/state/synced";
import { FakeModel, misaligned, TRANSLATION_SCORES, translation } from "./examples";

const pinned = { sequence: 0, inputs: [], steps: [1] };

describe("the selection", () => {
  it("goes to Python once when it is made here", () => {
    const model = new FakeModel();
    const synced = followModel(model.face(), () => {});
    const seen = vi.fn();
    effect(() => seen(synced.selection.value));
    synced.select(pinned);
    expect(model.selection).toEqual(pinned);
    expect(model.saves).toBe(1);
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it("is not sent back when it comes from Python, nor when the kernel echoes it", () => {
    const model = new FakeModel();
    const synced = followModel(model.face(), () => {});
    const seen = vi.fn();
    effect(() => seen(synced.selection.value));
    model.arrive("selection", pinned);
    model.arrive("selection", { ...pinned });
    expect(synced.selection.value).toEqual(pinned);
    expect(model.saves).toBe(0);
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it("can be answered by another selection from within the change", () => {
    const model = new FakeModel();
    const face = model.face();
    const synced = followModel(face, () => {});
    face.on("change:selection", () => {
      if (model.selection.steps[0] === 1) model.arrive("selection", { ...pinned, steps: [2] });
    });
    synced.select(pinned);
    expect(synced.selection.value.steps).toEqual([2]);
    expect(model.selection.steps).toEqual([2]);
  });

  it("is not committed when nothing changes", () => {
    const model = new FakeModel({ selection: pinned });
    followModel(model.face(), () => {}).select({ ...pinned });
    expect(model.saves).toBe(0);
  });
});

describe("the figure", () => {
  it("changes with its traits, and pins that it does not have any more are not shown", () => {
    const model = new FakeModel({ selection: { sequence: 0, inputs: [5], steps: [2] } });
    const onNewFigure = vi.fn();
    const synced = followModel(model.face(), onNewFigure);
    const spec = translation();
    const [first] = spec.sequences;
    if (first === undefined) throw new Error("no sequence");
    spec.sequences = [{ ...first, inputs: [0, 1], steps: first.steps.slice(0, 2) }];
    model.arrive("_spec", spec);
    expect(onNewFigure).toHaveBeenCalledOnce();
    expect(synced.selection.value).toEqual({ sequence: 0, inputs: [], steps: [] });
  });

  it("is an error while its bytes do not fit, and recovers when they do", () => {
    const model = new FakeModel({ _scores: misaligned([1]) });
    const synced = followModel(model.face(), () => {});
    expect(synced.figure.value).toBeInstanceOf(Error);
    model.arrive("_scores", misaligned(TRANSLATION_SCORES));
    expect(synced.figure.value).not.toBeInstanceOf(Error);
  });
});

it("leaves no listener behind", () => {
  const model = new FakeModel();
  const synced = followModel(model.face(), () => {});
  expect(model.listeners).toBeGreaterThan(0);
  synced.dispose();
  expect(model.listeners).toBe(0);
});

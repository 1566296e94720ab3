import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createKernel, createSlot, type Kernel } from "../src/kernel";
import { FakeModel } from "./examples";

const ARGS = { sequence: 0, step: 1, k: 6 };
const alternative = { text: " a", piece: "▁a", id: 1, probability: 0.5, rank: 1, special: false };
const ANSWER = { sequence: 0, step: 1, target: alternative, alternatives: [alternative] };

let model: FakeModel;
let kernel: Kernel;

beforeEach(() => {
  vi.useFakeTimers();
  model = new FakeModel();
  kernel = createKernel(model.face());
});
afterEach(() => {
  kernel.dispose();
  vi.useRealTimers();
});

const ask = (step = 1) => kernel.request("alternatives", { ...ARGS, step });
const idOf = (at: number) => String(model.sent[at]?.id);
const answer = (id: string, step = 1) =>
  model.say({ v: 1, type: "result", id, result: { ...ANSWER, step } });

describe("a request to the kernel", () => {
  it("is sent with version, operation and arguments, and is pending", () => {
    const { state } = ask();
    expect(model.sent).toEqual([
      { v: 1, type: "request", id: expect.any(String), op: "alternatives", args: ARGS },
    ]);
    expect(state.value).toEqual({ status: "pending", silent: false, progress: null });
  });

  it("has an id that no other request of this or another page has", () => {
    const other = createKernel(model.face());
    ask(1);
    ask(2);
    other.request("alternatives", { ...ARGS, step: 3 });
    other.request("alternatives", { ...ARGS, step: 4 });
    expect(new Set(model.sent.map((message) => message.id)).size).toBe(4);
    other.dispose();
  });

  it("shows progress, then its answer", () => {
    const { state } = ask();
    model.say({ v: 1, type: "accepted", id: idOf(0) });
    model.say({
      v: 1,
      type: "progress",
      id: idOf(0),
      done: 1,
      total: 4,
      remaining: 2.5,
      note: "attributing",
    });
    expect(state.value).toMatchObject({
      status: "pending",
      progress: { done: 1, total: 4, remaining: 2.5, note: "attributing" },
    });
    answer(idOf(0));
    expect(state.value).toEqual({ status: "done", result: ANSWER });
  });

  it("gets its own answer when answers come out of order", () => {
    const [one, two] = [ask(1), ask(2)];
    answer(idOf(1), 2);
    expect(one.state.value.status).toBe("pending");
    answer(idOf(0), 1);
    expect(one.state.value).toMatchObject({ result: { step: 1 } });
    expect(two.state.value).toMatchObject({ result: { step: 2 } });
  });

  it("is called silent after 1.5 seconds without a sign, and recovers when the answer comes", () => {
    const { state } = ask();
    vi.advanceTimersByTime(1499);
    expect(state.value).toMatchObject({ silent: false });
    vi.advanceTimersByTime(1);
    expect(state.value).toMatchObject({ status: "pending", silent: true });
    model.say({ v: 1, type: "accepted", id: idOf(0) });
    expect(state.value).toMatchObject({ status: "pending", silent: false });
    answer(idOf(0));
    expect(state.value.status).toBe("done");
  });

  it("is never called silent once it is accepted", () => {
    const { state } = ask();
    model.say({ v: 1, type: "accepted", id: idOf(0) });
    vi.advanceTimersByTime(60_000);
    expect(state.value).toMatchObject({ status: "pending", silent: false });
  });

  it("ends with the kernel's error and advice", () => {
    const { state } = ask();
    model.say({
      v: 1,
      type: "error",
      id: idOf(0),
      code: "no_model",
      message: "No model.",
      hint: "Load it.",
    });
    expect(state.value).toEqual({
      status: "error",
      failure: { code: "no_model", message: "No model.", hint: "Load it." },
    });
  });

  it("ends once: what comes later or twice changes nothing", () => {
    const { state } = ask();
    answer(idOf(0));
    model.say({ v: 1, type: "error", id: idOf(0), code: "failed", message: "late", hint: "" });
    answer(idOf(0), 7);
    expect(state.value).toEqual({ status: "done", result: ANSWER });
  });

  it("does not mind messages that are none, or that are for somebody else", () => {
    const { state } = ask();
    for (const message of [
      null,
      3,
      "x",
      [],
      {},
      { type: "result" },
      { v: 1, id: 5, type: "result" },
    ])
      model.say(message);
    answer("somebody else");
    expect(state.value).toMatchObject({ status: "pending", silent: false });
  });

  it("fails with a reason on an answer that cannot be read", () => {
    for (const result of [null, {}, { ...ANSWER, alternatives: [{ text: 3 }] }]) {
      const { state, cancel } = ask();
      const { id } = model.sent.at(-1) ?? {};
      model.say({ v: 1, type: "result", id, result });
      expect(state.value).toMatchObject({ status: "error", failure: { code: "failed" } });
      cancel();
    }
  });

  it("fails with advice when the kernel speaks another version", () => {
    const { state } = ask();
    model.say({ v: 2, type: "accepted", id: idOf(0) });
    expect(state.value).toMatchObject({ status: "error", failure: { code: "version" } });
  });

  it("fails with advice when it cannot be sent", () => {
    const broken = {
      ...model.face(),
      send: () => {
        throw new Error("comm closed");
      },
    };
    const { state } = createKernel(broken).request("alternatives", ARGS);
    expect(state.value).toMatchObject({
      status: "error",
      failure: { message: expect.stringContaining("comm closed") },
    });
  });
});

describe("cancelling", () => {
  it("tells the kernel once, and ignores what still comes", () => {
    const reply = ask();
    reply.cancel();
    reply.cancel();
    answer(idOf(0));
    expect(model.sent.filter((message) => message.type === "cancel")).toEqual([
      { v: 1, type: "cancel", id: idOf(0) },
    ]);
    expect(reply.state.value).toMatchObject({ status: "error", failure: { code: "cancelled" } });
  });

  it("says nothing about a request that has ended", () => {
    const reply = ask();
    answer(idOf(0));
    reply.cancel();
    expect(model.sent).toHaveLength(1);
  });

  it("waits until nobody wants the answer: two views share one request", () => {
    const [one, two] = [ask(), ask()];
    expect(model.sent).toHaveLength(1);
    one.cancel();
    expect(model.sent).toHaveLength(1);
    answer(idOf(0));
    expect(two.state.value.status).toBe("done");
  });
});

describe("a slot", () => {
  it("gives the former question up when a new one is asked", () => {
    const slot = createSlot(kernel);
    slot.request("alternatives", ARGS);
    slot.request("alternatives", { ...ARGS, step: 2 });
    expect(model.sent.map((message) => message.type)).toEqual(["request", "request", "cancel"]);
    expect(model.sent[2]?.id).toBe(idOf(0));
  });

  it("keeps a question that is asked again", () => {
    const slot = createSlot(kernel);
    slot.request("alternatives", ARGS);
    const again = slot.request("alternatives", ARGS);
    answer(idOf(0));
    expect(model.sent).toHaveLength(1);
    expect(again.state.value.status).toBe("done");
  });
});

describe("the memory of answers", () => {
  it("answers at once what was answered before", () => {
    ask();
    answer(idOf(0));
    expect(ask().state.value).toEqual({ status: "done", result: ANSWER });
    expect(model.sent).toHaveLength(1);
  });

  it("drops the answer that was used longest ago", () => {
    const small = createKernel(model.face(), { memory: 2 });
    const get = (step: number) => {
      const before = model.sent.length;
      small.request("alternatives", { ...ARGS, step });
      const { id } = model.sent[before] ?? {};
      if (id !== undefined) answer(String(id), step);
      return model.sent.length > before;
    };
    expect([get(1), get(2), get(1), get(3), get(1), get(2)]).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
    ]);
    small.dispose();
  });

  it("does not remember errors", () => {
    ask();
    model.say({ v: 1, type: "error", id: idOf(0), code: "failed", message: "", hint: "" });
    ask();
    expect(model.sent).toHaveLength(2);
  });

  it("is empty after new data", () => {
    ask();
    answer(idOf(0));
    kernel.forget();
    ask();
    expect(model.sent).toHaveLength(2);
  });
});

it("an ended conversation leaves no listener, no timer and no open request", () => {
  ask();
  kernel.dispose();
  expect(model.listeners).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(model.sent.at(-1)).toMatchObject({ type: "cancel" });
});

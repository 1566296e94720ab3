// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const root = new URL("../src/", import.meta.url);
const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.tsx?$/.test(name))
  .map((name) => ({ name, text: readFileSync(new URL(name, root), "utf8") }));

const holding = (pattern: RegExp) =>
  sources.filter(({ text }) => pattern.test(text)).map(({ name }) => name);

describe("the source", () => {
  it("is all there", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("never turns text into markup", () => {
    const makers =
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment/i;
    expect(holding(makers)).toEqual([]);
  });

  it("never turns text into code, and asks nothing of a network", () => {
    expect(holding(/\beval\(|new Function|\bimport\(/)).toEqual([]);
    expect(holding(/\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon/)).toEqual([]);
  });

  it("keeps no state between models: some hosts load a module once for all of them", () => {
    expect(holding(/^(export )?(let|var) |^(export )?const \w+ = (new |signal\()/m)).toEqual([]);
  });
});

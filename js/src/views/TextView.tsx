/** The running text: source and target, or prompt and generated text, as they read. */
import { effect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Sequence } from "../data/figure";
import type { TokenSpec } from "../protocol";
import type { View } from "../state/view";
import { isRightToLeft } from "../text/direction";
import { type Part, spokenLabel, visibleParts } from "../text/visible";
import { type Block, textBlocks } from "./blocks";
import { listenToText, showInside } from "./text-interaction";
import { createTextPainter } from "./text-painter";

export function TextView({ view, sequence }: { view: View; sequence: Sequence }) {
  const box = useRef<HTMLDivElement>(null);
  const blocks = textBlocks(sequence);

  useLayoutEffect(() => {
    if (box.current === null) return;
    const element = box.current;
    const tokens = tokenElements(element, sequence);
    const paint = createTextPainter(sequence, tokens);
    const controller = new AbortController();
    listenToText(view, sequence, { box: element, tokens }, controller.signal);
    const stops = [
      effect(() => {
        paint(view.reading.value, view.selection.value, view.target.value, view.colours.value);
      }),
      effect(() => {
        const { inputs, steps } = view.selection.value;
        const token =
          sequence.steps[steps.at(-1) ?? -1]?.token ?? sequence.inputs[inputs.at(-1) ?? -1];
        const pinned = tokens[token ?? -1];
        if (pinned !== undefined && view.target.peek()?.origin !== "text") {
          showInside(pinned);
        }
      }),
    ];
    return () => {
      controller.abort();
      for (const stop of stops) stop();
    };
  }, [view, sequence]);

  return (
    <div
      ref={box}
      class="text"
      data-part="text"
      data-columns={sequence.spec.architecture === "encoder_decoder" ? "two" : "one"}
    >
      {blocks.map((block) => (
        <TextBlock key={block.side} block={block} sequence={sequence} />
      ))}
    </div>
  );
}

function TextBlock({ block, sequence }: { block: Block; sequence: Sequence }) {
  const heading = `block-${block.side}`;
  return (
    <div class="block" data-side={block.side}>
      <div class="block-label" id={heading}>
        {block.label}
        <span class="unseen"> tokens: arrow keys walk, Enter pins</span>
      </div>
      <div
        class="flow"
        dir="auto"
        translate={false}
        role="listbox"
        aria-multiselectable="true"
        aria-labelledby={heading}
        tabIndex={-1}
      >
        {block.tokens.map((token, at) => tokenNodes(sequence, token, block.tokens[at - 1]))}
      </div>
    </div>
  );
}

/** A token's span; the one space before a word stands outside, so that shades hug the words. */
function tokenNodes(sequence: Sequence, at: number, before: number | undefined): ComponentChildren {
  const token = sequence.tokens[at];
  if (token === undefined) return null;
  const previous = before === undefined ? undefined : sequence.tokens[before];
  const hoisted =
    previous !== undefined &&
    !token.special &&
    /^ [^\s]/u.test(token.text) &&
    !/\s$/u.test(previous.text);
  const shown = hoisted ? { ...token, text: token.text.slice(1) } : token;
  const input = sequence.inputOf[at] ?? -1;
  const step = sequence.stepOf[at] ?? -1;
  const parts = visibleParts(shown);
  return [
    hoisted ? " " : null,
    // biome-ignore lint/a11y/useFocusableInteractive: focus stays on the listbox, which names its active option
    <span
      key={at}
      id={`token-${at}`}
      class={classOf(token, previous)}
      role="option"
      aria-selected="false"
      aria-label={parts.some(({ kind }) => kind === "text") ? undefined : spokenLabel(token)}
      data-token={at}
      data-input={input < 0 ? undefined : input}
      data-step={step < 0 ? undefined : step}
    >
      {parts.map(partNode)}
    </span>,
  ];
}

function classOf(token: TokenSpec, previous: TokenSpec | undefined): string {
  const classes = ["token"];
  const continues =
    previous !== undefined && previous.word === token.word && !token.special && !previous.special;
  if (continues && !/^\s/u.test(token.text)) {
    classes.push("joined");
    if (isRightToLeft(token.text)) classes.push("rtl");
  }
  return classes.join(" ");
}

function partNode(part: Part, at: number): ComponentChildren {
  if (part.kind === "text") return part.text;
  if (part.kind === "chip" && part.text !== "") {
    return (
      <bdi key={at} class="chip">
        {part.text}
      </bdi>
    );
  }
  return (
    <i
      key={at}
      class={part.kind === "chip" && [...part.mark].length === 1 ? "sign" : part.kind}
      data-shown={part.mark}
    >
      {part.text}
    </i>
  );
}

function tokenElements(box: HTMLElement, sequence: Sequence): (HTMLElement | undefined)[] {
  const found = new Array<HTMLElement | undefined>(sequence.tokens.length).fill(undefined);
  for (const element of box.querySelectorAll<HTMLElement>("[data-token]")) {
    found[Number(element.dataset.token)] = element;
  }
  return found;
}

/** How the sides of a text are named and grouped, in the running text and in the matrix. */
import { inputToken, type Sequence } from "../data/figure";
import type { Group } from "../draw/geometry";
import type { Side } from "../protocol";

export interface Block {
  readonly label: string;
  readonly side: Side;
  readonly tokens: readonly number[];
}

/** The blocks of the running text: source and target, or prompt and generated text. */
export function textBlocks(sequence: Sequence): Block[] {
  const encoderDecoder = sequence.spec.architecture === "encoder_decoder";
  const sides: readonly [Side, string][] = encoderDecoder
    ? [
        ["source", "Source"],
        ["prompt", "Target prefix"],
        ["target", "Target"],
      ]
    : [
        ["prompt", "Prompt"],
        ["target", "Generated"],
      ];
  return sides
    .map(([side, label]) => ({
      label,
      side,
      tokens: [...sequence.tokens.keys()].filter((at) => sequence.tokens[at]?.side === side),
    }))
    .filter((block) => block.tokens.length > 0);
}

/** The groups of matrix rows: consecutive inputs of one side among those that are shown. */
export function rowGroups(sequence: Sequence, inputs: ArrayLike<number>): Group[] {
  const encoderDecoder = sequence.spec.architecture === "encoder_decoder";
  const names: Readonly<Record<Side, string>> = {
    source: "Source",
    prompt: encoderDecoder ? "Target prefix" : "Prompt",
    target: encoderDecoder ? "Target prefix" : "Generated",
  };
  const groups: Group[] = [];
  for (let row = 0; row < inputs.length; row++) {
    const label = names[inputToken(sequence, inputs[row] ?? -1)?.side ?? "source"];
    const last = groups.at(-1);
    if (last?.label === label) groups[groups.length - 1] = { ...last, end: row + 1 };
    else groups.push({ label, start: row, end: row + 1 });
  }
  return groups;
}

/** The name of a side as it stands in a sentence. */
export function sideName(side: Side, sequence: Sequence): string {
  if (side !== "target") return side;
  return sequence.spec.architecture === "encoder_decoder" ? "target" : "generated";
}

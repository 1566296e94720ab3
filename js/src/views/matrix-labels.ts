/** The labels of the matrix: what is written beside each input and above each step. */
import { LABEL_SIZE, type Label } from "../draw/labels";
import type { TokenSpec } from "../protocol";
import { isRightToLeft } from "../text/direction";
import { visibleLabel } from "../text/visible";

export function labelsOf(tokens: readonly (TokenSpec | undefined)[]): Label[] {
  return tokens.map((token, at) => {
    const before = tokens[at - 1];
    return {
      text: token === undefined ? "" : visibleLabel(token),
      special: token?.special === true || token?.text === "",
      rightToLeft: token !== undefined && isRightToLeft(token.text),
      joined:
        token !== undefined &&
        before !== undefined &&
        before.side === token.side &&
        before.word === token.word &&
        !token.special,
    };
  });
}

/** The width of the widest label. */
export function widest(
  canvas: HTMLCanvasElement,
  labels: readonly Label[],
  fontFamily: string,
): number {
  const context = canvas.getContext("2d");
  if (context === null) return 0;
  context.font = `600 ${LABEL_SIZE}px ${fontFamily}`;
  const texts = new Set(labels.map((label) => label.text));
  return [...texts].reduce((most, text) => Math.max(most, context.measureText(text).width), 0);
}

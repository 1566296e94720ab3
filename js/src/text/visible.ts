/** How the characters of a token are made visible: whitespace, controls, invisible ones, bytes. */

export type PartKind = "text" | "space" | "newline" | "chip";

/**
 * A run of a token's characters.
 *
 * `text` is what stays in the page, for reading, wrapping and copying; `mark` is drawn beside or
 * instead of it. For plain text the two are the same.
 */
export interface Part {
  readonly kind: PartKind;
  readonly text: string;
  readonly mark: string;
}

export interface Readable {
  readonly text: string;
  readonly piece: string;
  readonly special: boolean;
}

const NAMES: Readonly<Record<number, string>> = {
  173: "SHY",
  847: "CGJ",
  1564: "ALM",
  8203: "ZWSP",
  8204: "ZWNJ",
  8205: "ZWJ",
  8206: "LRM",
  8207: "RLM",
  8232: "LS",
  8233: "PS",
  8234: "LRE",
  8235: "RLE",
  8236: "PDF",
  8237: "LRO",
  8238: "RLO",
  8288: "WJ",
  8294: "LRI",
  8295: "RLI",
  8296: "FSI",
  8297: "PDI",
  65279: "BOM",
};

const SPOKEN: Readonly<Record<string, string>> = { "\n": "newline", "\t": "tab" };

const INVISIBLE = /^(?:[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|\u034f)$/u;
const SPACE = /^\p{Zs}$/u;
const JOINER = /^[\u200c\u200d]$/;
const TAG = /^[\u{e0020}-\u{e007f}]$/u;
const MARK = /^\p{M}/u;

/**
 * Splits a token into the runs that it is drawn with.
 *
 * A special token is one chip with its vocabulary entry; so is a token that adds no text of its own
 * because it is part of a character that needs several.
 */
export function visibleParts(token: Readable): Part[] {
  if (token.special) {
    const name = token.piece || token.text || "∅";
    return [{ kind: "chip", text: name, mark: name }];
  }
  if (token.text === "") return [chip(`⟨${pieceName(token.piece)}⟩`)];
  const characters = [...token.text];
  const parts: Part[] = [];
  characters.forEach((character, at) => {
    const part = visibleCharacter(character, characters[at - 1], characters[at + 1]);
    const last = parts.at(-1);
    if (part.kind === "text" && last?.kind === "text") {
      const text = last.text + part.text;
      parts[parts.length - 1] = { kind: "text", text, mark: text };
    } else {
      parts.push(part);
    }
  });
  return parts;
}

/** A token on one line, for labels, tooltips and tables. */
export function visibleLabel(token: Readable): string {
  const parts = visibleParts(token);
  if (token.special || token.text === "") return parts.map((part) => part.mark).join("");
  const read = parts
    .map(({ kind, mark }) => (kind === "chip" && mark.length > 1 ? `⟨${mark}⟩` : mark))
    .join("");
  const trimmed = token.text.trim() === "" ? read : read.replace(/^·(?=[^·])/u, "");
  return MARK.test(trimmed) ? `◌${trimmed}` : trimmed;
}

/** A token as a screen reader should say it: whitespace has names there. */
export function spokenLabel(token: Readable): string {
  if (token.special || token.text.trim() !== "") return visibleLabel(token);
  if (token.text === "") return visibleLabel(token);
  return [...token.text].map((character) => SPOKEN[character] ?? "space").join(" ");
}

function visibleCharacter(
  character: string,
  before: string | undefined,
  after: string | undefined,
): Part {
  const code = character.codePointAt(0) ?? 0;
  if (character === "\n") return { kind: "newline", text: "\n", mark: "⏎" };
  if (character === "\t") return { kind: "space", text: "\t", mark: "⇥" };
  if (character === " ") {
    const alone = before !== undefined && after !== undefined && before !== " " && after !== " ";
    return alone ? plain(" ") : { kind: "space", text: " ", mark: "·" };
  }
  if (SPACE.test(character)) {
    return { kind: "space", text: character, mark: code === 0xa0 ? "⍽" : "␣" };
  }
  if (code < 0x20) return chip(String.fromCodePoint(0x2400 + code));
  if (code === 0x7f) return chip("␡");
  if (JOINER.test(character) && before !== undefined && after !== undefined) {
    // Inside a token a joiner shapes its neighbours: part of an emoji or of a script.
    return plain(character);
  }
  if (TAG.test(character) && before !== undefined) return plain(character);
  if (INVISIBLE.test(character)) return chip(NAMES[code] ?? codeName(code));
  return plain(character);
}

function plain(text: string): Part {
  return { kind: "text", text, mark: text };
}

function chip(mark: string): Part {
  return { kind: "chip", text: "", mark };
}

function codeName(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The vocabulary entry of a part of a character: its bytes where the entry spells bytes. */
function pieceName(piece: string): string {
  const byte = /^<(0x[0-9A-Fa-f]{2})>$/.exec(piece);
  if (byte?.[1] !== undefined) return byte[1];
  const bytes = [...piece].map(byteLevel);
  const spelled = bytes.every((value) => value >= 0) && bytes.some((value) => value > 0x7f);
  if (!spelled) {
    const shown = [...piece].map((character, at, all) =>
      visibleCharacter(character, all[at - 1], all[at + 1]),
    );
    return shown.map((part) => part.mark).join("") || "∅";
  }
  return bytes.map((value) => value.toString(16).toUpperCase().padStart(2, "0")).join(" ");
}

/**
 * The byte behind a character of a byte-level vocabulary, −1 for a character that stands for none.
 *
 * Such vocabularies write printable Latin-1 bytes as they are, and the other 68 bytes, in order, as
 * the characters from U+0100 on (Radford et al., 2019, released code of GPT-2).
 */
function byteLevel(character: string): number {
  const code = character.codePointAt(0) ?? -1;
  if (isPrintableByte(code)) return code;
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) {
    if (isPrintableByte(byte)) continue;
    if (next === code) return byte;
    next += 1;
  }
  return -1;
}

function isPrintableByte(code: number): boolean {
  return (
    (code >= 0x21 && code <= 0x7e) ||
    (code >= 0xa1 && code <= 0xac) ||
    (code >= 0xae && code <= 0xff)
  );
}

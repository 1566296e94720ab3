import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isRightToLeft } from "../src/text/direction";
import { spokenLabel, visibleLabel, visibleParts } from "../src/text/visible";

const plain = (text: string) => ({ text, piece: text, special: false });
const marks = (text: string) =>
  visibleParts(plain(text))
    .map((part) => part.mark)
    .join("|");

describe("visible characters", () => {
  it("leave ordinary text as it is", () => {
    for (const text of ["nurse", " nurse", "two words", "über", "日本語", "مرحبا", "<script>"]) {
      expect(visibleLabel(plain(text))).toBe(text.trim());
    }
    expect(visibleParts(plain("two words"))).toEqual([
      { kind: "text", text: "two words", mark: "two words" },
    ]);
  });

  it("mark spaces that the eye would lose: leading, trailing, repeated, alone", () => {
    expect(marks(" ")).toBe("·");
    expect(marks("  a")).toBe("·|·|a");
    expect(marks("a ")).toBe("a|·");
    expect(marks("a  b")).toBe("a|·|·|b");
    expect(visibleLabel(plain("  a"))).toBe("··a");
    expect(visibleLabel(plain(" "))).toBe("·");
  });

  it("mark line breaks, tabs and unusual spaces, and keep them for copying", () => {
    expect(visibleParts(plain("\n"))).toEqual([{ kind: "newline", text: "\n", mark: "⏎" }]);
    expect(visibleParts(plain("\t"))).toEqual([{ kind: "space", text: "\t", mark: "⇥" }]);
    expect(visibleParts(plain("\u00a0"))).toEqual([{ kind: "space", text: "\u00a0", mark: "⍽" }]);
    expect(marks("\u3000")).toBe("␣");
    expect(marks("\r\n")).toBe("␍|⏎");
  });

  it("name controls, and characters that cannot be seen", () => {
    expect(marks("\u0000")).toBe("␀");
    expect(marks("\u0007")).toBe("␇");
    expect(marks("\u007f")).toBe("␡");
    expect(marks("\u0085")).toBe("U+0085");
    expect(marks("a\u200bb")).toBe("a|ZWSP|b");
    expect(marks("\ufeff")).toBe("BOM");
    expect(marks("\ue000")).toBe("U+E000");
    expect(marks("\ud83d")).toBe("U+D83D");
    expect(visibleLabel(plain("a\u200bb"))).toBe("a⟨ZWSP⟩b");
  });

  it("take overrides of direction out of the page", () => {
    const parts = visibleParts(plain("\u202eevil\u2066"));
    expect(parts.map((part) => part.text).join("")).toBe("evil");
    expect(marks("\u202eevil\u2066")).toBe("RLO|evil|LRI");
  });

  it("keep joiners that shape what stands around them", () => {
    expect(marks("👩\u200d🚀")).toBe("👩\u200d🚀");
    expect(marks("می\u200cخواهم")).toBe("می\u200cخواهم");
    expect(marks("\u200d")).toBe("ZWJ");
  });

  it("show a special token as one chip, whatever is in it", () => {
    const special = { text: "", piece: "<|im_start|>", special: true };
    expect(visibleParts(special)).toEqual([
      { kind: "chip", text: "<|im_start|>", mark: "<|im_start|>" },
    ]);
    expect(visibleLabel(special)).toBe("<|im_start|>");
  });

  it("show the bytes of a token that is a part of a character", () => {
    const part = (piece: string) => visibleLabel({ text: "", piece, special: false });
    expect(part("<0xF0>")).toBe("⟨0xF0⟩");
    expect(part("ðŁĺ")).toBe("⟨F0 9F 98⟩");
    expect(part("▁")).toBe("⟨▁⟩");
    expect(part("")).toBe("⟨∅⟩");
  });

  it("give a lone accent something to stand on", () => {
    expect(visibleLabel(plain("\u0301"))).toBe("◌\u0301");
  });

  it("have names where they are spoken", () => {
    expect(spokenLabel(plain("\n\n"))).toBe("newline newline");
    expect(spokenLabel(plain(" "))).toBe("space");
    expect(spokenLabel(plain(" nurse"))).toBe("nurse");
  });

  it("show something for every text, and never leave an invisible character in it", () => {
    const invisible = /[\p{Cc}\p{Cs}\p{Co}\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/u;
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), (text) => {
        const label = visibleLabel(plain(text));
        expect(label.length).toBeGreaterThan(0);
        expect(invisible.test(label)).toBe(false);
      }),
    );
  });
});

describe("writing direction", () => {
  it("is that of the first letter", () => {
    expect(isRightToLeft("مرحبا")).toBe(true);
    expect(isRightToLeft("12 שלום")).toBe(true);
    expect(isRightToLeft("hello مرحبا")).toBe(false);
    expect(isRightToLeft("12…")).toBe(false);
  });
});

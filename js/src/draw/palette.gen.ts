// Colour ramps at 26 places, packed by js/scripts/palette.mjs and unpacked in colour.ts.
// Generated with `npm run generate`: do not edit.
export const SURFACES = {"light":"#ffffff","dark":"#111214"};
export const RAMPS = {
  light: {
    positive:
      "ůopnooopopoppnlllllklfefffůjijijiihihihghgggggghhhhiů__cdcccdcccbehhhhihipppop",
    negative:
      "ůfegffgffgfggfefffffgijkjlůkkkkkkjkkjkkihhhighhgfggfůooonoononnonnlllmlllhhihh",
  },
  dark: {
    positive:
      "|yyyzzzzz{z{{{z{{{{zwuvuvssttttttttutuwwwwxwx~~nprrrqqrpqqpqpppoomm",
    negative:
      "rqrrrrrrqrqqruuuuvuv}~~uuuvuvuvvvvvwyyxyyzy{|{|{z{z{z|{{||||{xyxyyxyuuuvu",
  },
} as const;

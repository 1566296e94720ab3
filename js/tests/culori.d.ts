/** The few functions of culori that the tests call; the package has no types of its own. */
declare module "culori" {
  interface Rgb {
    mode: "rgb";
    r: number;
    g: number;
    b: number;
  }
  export function parse(colour: string): Rgb;
  export function converter(mode: "oklch"): (colour: Rgb) => { l: number; c: number; h: number };
  export function differenceCiede2000(): (one: Rgb, other: Rgb) => number;
  export function filterDeficiencyProt(severity: number): (colour: Rgb) => Rgb;
  export function filterDeficiencyDeuter(severity: number): (colour: Rgb) => Rgb;
  export function filterDeficiencyTrit(severity: number): (colour: Rgb) => Rgb;
}

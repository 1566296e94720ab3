export const SURFACES: { light: string; dark: string };
export function tables(): Record<
  "sequential" | "diverging",
  Record<"light" | "dark", [number, number, number][]>
>;
export function typescriptText(): string;
export function jsonText(): string;

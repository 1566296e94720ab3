/** Light or dark: the figure's own choice, else what the page around it says. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Appearance } from "./draw/colour";
import type { Theme } from "./protocol";

/** Reads the theme that a page declares, by the marks of the hosts; null when it declares none. */
export function pageAppearance(page: Document): Appearance | null {
  const { body, documentElement: html } = page;
  const jupyter = body?.dataset.jpThemeLight ?? html.dataset.jpThemeLight;
  if (jupyter !== undefined) return jupyter === "false" ? "dark" : "light";
  const code = body?.dataset.vscodeThemeKind;
  if (code !== undefined) return /light$/.test(code) ? "light" : "dark";
  const marks = [html.getAttribute("theme"), html.dataset.theme, body?.dataset.theme];
  for (const mark of marks) {
    if (mark === "dark" || mark === "light") return mark;
  }
  if (html.classList.contains("dark") || body?.classList.contains("dark")) return "dark";
  return null;
}

export interface FollowedTheme {
  readonly appearance: ReadonlySignal<Appearance>;
  dispose(): void;
}

/** Follows the choice, the page and the reader's system. */
export function followTheme(choice: ReadonlySignal<Theme>, page: Document): FollowedTheme {
  const system = page.defaultView?.matchMedia("(prefers-color-scheme: dark)");
  const surroundings = (): Appearance =>
    pageAppearance(page) ?? (system?.matches === true ? "dark" : "light");
  const around = signal(surroundings());
  const look = () => {
    around.value = surroundings();
  };
  const observer = new MutationObserver(look);
  const attributeFilter = [
    "class",
    "theme",
    "data-theme",
    "data-jp-theme-light",
    "data-vscode-theme-kind",
  ];
  observer.observe(page.documentElement, { attributeFilter });
  if (page.body !== null) observer.observe(page.body, { attributeFilter });
  system?.addEventListener("change", look);
  return {
    appearance: computed(() => (choice.value === "auto" ? around.value : choice.value)),
    dispose() {
      observer.disconnect();
      system?.removeEventListener("change", look);
    },
  };
}

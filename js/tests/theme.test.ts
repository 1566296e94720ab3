import { signal } from "@preact/signals";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Theme } from "../src/protocol";
import { followTheme, pageAppearance } from "../src/theme";

afterEach(() => {
  for (const element of [document.documentElement, document.body]) {
    for (const { name } of [...element.attributes]) element.removeAttribute(name);
  }
});

describe("the theme of a page", () => {
  it.each([
    ["JupyterLab", () => document.body.setAttribute("data-jp-theme-light", "false"), "dark"],
    ["JupyterLab, light", () => document.body.setAttribute("data-jp-theme-light", "true"), "light"],
    ["VS Code", () => document.body.setAttribute("data-vscode-theme-kind", "vscode-dark"), "dark"],
    [
      "VS Code, light",
      () => document.body.setAttribute("data-vscode-theme-kind", "vscode-light"),
      "light",
    ],
    [
      "VS Code, high contrast",
      () => document.body.setAttribute("data-vscode-theme-kind", "vscode-high-contrast"),
      "dark",
    ],
    [
      "VS Code, high contrast light",
      () => document.body.setAttribute("data-vscode-theme-kind", "vscode-high-contrast-light"),
      "light",
    ],
    ["Colab", () => document.documentElement.setAttribute("theme", "dark"), "dark"],
    ["a class", () => document.documentElement.classList.add("dark"), "dark"],
    ["data-theme", () => document.documentElement.setAttribute("data-theme", "dark"), "dark"],
    ["nothing", () => {}, null],
  ])("is read in %s", (_, declare, expected) => {
    declare();
    expect(pageAppearance(document)).toBe(expected);
  });

  it("is JupyterLab's own word before any other mark", () => {
    document.documentElement.classList.add("dark");
    document.body.setAttribute("data-jp-theme-light", "true");
    expect(pageAppearance(document)).toBe("light");
  });
});

describe("the theme of a figure", () => {
  it("follows the page while it runs", async () => {
    const theme = followTheme(signal<Theme>("auto"), document);
    expect(theme.appearance.value).toBe("light");
    document.body.setAttribute("data-jp-theme-light", "false");
    await vi.waitFor(() => expect(theme.appearance.value).toBe("dark"));
    theme.dispose();
  });

  it("is its own choice before the page's", () => {
    document.body.setAttribute("data-jp-theme-light", "true");
    const choice = signal<Theme>("dark");
    const theme = followTheme(choice, document);
    expect(theme.appearance.value).toBe("dark");
    choice.value = "auto";
    expect(theme.appearance.value).toBe("light");
    theme.dispose();
  });

  it("is the reader's system's where the page says nothing", () => {
    const query = { matches: true, addEventListener: vi.fn(), removeEventListener: vi.fn() };
    vi.spyOn(window, "matchMedia").mockReturnValue(query as unknown as MediaQueryList);
    const theme = followTheme(signal<Theme>("auto"), document);
    expect(theme.appearance.value).toBe("dark");
    theme.dispose();
    expect(query.removeEventListener).toHaveBeenCalledWith(
      ...(query.addEventListener.mock.calls[0] ?? []),
    );
  });
});

/** Light or dark: the system setting, until the user chooses one. */
const KEY = "verbatim.theme";

export type Theme = "light" | "dark";

export function chosenTheme(): Theme | undefined {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : undefined;
}

export function shownTheme(): Theme {
  return chosenTheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** Choose a theme; what the system says anyway needs no choice, and then follows the system again. */
export function chooseTheme(theme: Theme): void {
  localStorage.removeItem(KEY);
  if (shownTheme() !== theme) localStorage.setItem(KEY, theme);
  applyTheme();
}

export function applyTheme(): void {
  const chosen = chosenTheme();
  if (chosen === undefined) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

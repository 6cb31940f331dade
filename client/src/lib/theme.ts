/** Light or dark: by system, or by choice, which this browser keeps. `public/theme.js` does the same before the first paint. */
import { keep, kept } from "@/lib/storage";
import { Store } from "@/lib/store";

/** What the person chose. */
export type ThemeChoice = "system" | "light" | "dark";

const KEY = "errand.theme";

function stored(): ThemeChoice {
  const value = kept(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

/** The choice now. */
export const themeChoice = new Store<ThemeChoice>("system");

/** Reads the kept choice and follows the system while that is the choice. Call once, in a browser. */
export function startTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const choice = themeChoice.get();
    const dark = choice === "dark" || (choice === "system" && system.matches);
    document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  };
  themeChoice.set(stored());
  themeChoice.subscribe(apply);
  system.addEventListener("change", apply);
  apply();
}

/** Chooses. */
export function chooseTheme(choice: ThemeChoice): void {
  keep(KEY, choice === "system" ? null : choice);
  themeChoice.set(choice);
}

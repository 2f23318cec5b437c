/** Switches between light and dark. */
import { useState } from "react";

import { Moon, Sun } from "../ui/icons";
import { chooseTheme, shownTheme } from "./theme";

export function ThemeButton() {
  const [theme, setTheme] = useState(shownTheme);
  const other = theme === "dark" ? "light" : "dark";
  return (
    <button
      type="button"
      className="quiet icon"
      aria-label={`Switch to ${other} colours`}
      title={`Switch to ${other} colours`}
      onClick={() => {
        chooseTheme(other);
        setTheme(other);
      }}
    >
      {other === "dark" ? <Moon /> : <Sun />}
    </button>
  );
}

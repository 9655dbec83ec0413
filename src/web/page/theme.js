/** The choice of light or dark colours. */

import { $, put, setText } from "./elements.js";

export const theme = {
  /** The user's choice; browsers can forbid to store it. */
  stored() {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  },
  system: matchMedia("(prefers-color-scheme: dark)"),
  current() {
    return document.documentElement.dataset.theme ?? (this.system.matches ? "dark" : "light");
  },
  show() {
    setText($("theme"), this.current() === "dark" ? "Light" : "Dark");
    put($("theme"), "aria-label", `Show in ${this.current() === "dark" ? "light" : "dark"} colours`);
  },
  build() {
    const stored = this.stored();
    if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
    this.show();
    this.system.addEventListener("change", () => this.show());
    $("theme").addEventListener("click", () => {
      const wanted = this.current() === "dark" ? "light" : "dark";
      const system = this.system.matches ? "dark" : "light";
      if (wanted === system) delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = wanted;
      try {
        if (wanted === system) localStorage.removeItem("theme");
        else localStorage.setItem("theme", wanted);
      } catch {
        // The choice is not stored.
      }
      this.show();
    });
  },
};

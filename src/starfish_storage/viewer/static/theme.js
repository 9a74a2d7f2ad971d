// Runs before anything is painted, so that a page never flashes in the other theme. A cookie, because it is the same at
// every port: each viewer has its own. In files of a bundle there are no cookies.
"use strict";
{
  const root = document.documentElement;
  const stored = () => {
    try {
      return document.cookie.match(/starfish_storage_theme=(light|dark)/)?.[1] ?? localStorage.getItem("theme");
    } catch {
      return null; // storage may be forbidden
    }
  };
  const show = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  root.classList.add("js");
  show(stored());
  // After the theme of the system come light and dark.
  window.changeTheme = () => {
    const next = { undefined: "light", light: "dark", dark: "" }[root.dataset.theme];
    show(next);
    try {
      document.cookie = `starfish_storage_theme=${next}; path=/; max-age=${next ? 31536000 : 0}; samesite=strict`;
      if (next) localStorage.setItem("theme", next);
      else localStorage.removeItem("theme");
    } catch {
      // it lasts as long as the page
    }
    return next || "as the system";
  };
}

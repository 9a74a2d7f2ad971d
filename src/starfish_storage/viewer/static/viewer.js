// Everything works without this file but copying a command, and keys.
"use strict";

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it, and copy it by hand";
    }
  });
}

const keys = document.getElementById("keys");
const opener = document.getElementById("open-keys");
opener.hidden = false;
opener.addEventListener("click", () => keys.showModal());

const follow = (...selectors) => selectors.map((one) => document.querySelector(one)).find((one) => one)?.click();
const pressed = {
  n: () => follow("a[rel=next]"),
  p: () => follow("a[rel=prev]"),
  u: () => follow("header nav a:last-of-type", "header a.store"),
  "/": () => document.querySelector("main input[type=search]")?.focus(),
  "?": () => keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  const action = pressed[event.key];
  const isTyping = event.target.closest("input, select, textarea") !== null;
  if (!action || isTyping || keys.open || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});

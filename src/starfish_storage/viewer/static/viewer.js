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

// What scrolls can be reached by keyboard; not every browser does that by itself.
const letScroll = () => {
  for (const one of document.querySelectorAll(".wide, pre")) {
    const scrolls = one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight;
    if (scrolls) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
};
letScroll();
window.addEventListener("resize", letScroll);
document.addEventListener("toggle", letScroll, true); // details that open

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

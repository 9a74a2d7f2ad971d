// Keys of the pages of reviews: each control says its own in data-key. Everything works without this file but them.
"use strict";

const typing = (target) => target.closest("input:not([type=hidden]), select, textarea") !== null;
let sent = false; // a key that repeats must not judge the next record

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.key === "Enter") {
    const button = event.target.closest("form")?.querySelector("button");
    if (button && typing(event.target)) {
      event.preventDefault();
      button.click();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector("dialog[open]")) return;
  const control = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (typing(event.target) && event.key === "Escape") {
    event.preventDefault();
    if (control) control.click();
    else event.target.blur();
    return;
  }
  if (typing(event.target) || !control || sent) return;
  event.preventDefault();
  if (control.matches("input, textarea")) control.focus();
  else control.click();
}, true); // before the keys of all pages

document.addEventListener("submit", () => { sent = true; });
window.addEventListener("pageshow", () => { sent = false; }); // also a page that comes back from the history

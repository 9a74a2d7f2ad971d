// Everything works without this file but copying, the theme, and keys. Elements may come and go: htmx swaps parts.
"use strict";
{
  const copy = async (button) => {
    if (button.dataset.copiesFrom) {
      try {
        const answer = await fetch(button.dataset.copiesFrom);
        if (!answer.ok) throw new Error(answer.statusText);
        await navigator.clipboard.writeText(await answer.text());
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not copied: download it";
      }
      return;
    }
    const source = document.getElementById(button.dataset.copies ?? "") ?? button.parentElement.querySelector("code, pre");
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source); // the address is not one that browsers trust: Ctrl-C copies
      button.textContent = "Ctrl-C";
    }
  };

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
  document.addEventListener("htmx:after:swap", letScroll);

  const theme = document.getElementById("theme");
  const changeTheme = () => {
    theme.title = `Theme: ${window.changeTheme()}`;
    theme.setAttribute("aria-label", theme.title);
  };
  theme.addEventListener("click", changeTheme);

  const keys = document.getElementById("keys");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
    if (!event.target.closest("#open-keys") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    keys.showModal();
  });

  // Rows are what can be opened: each has a link, which Enter follows.
  const rows = () => [...document.querySelectorAll("main tbody tr, main [data-row]")].filter((one) => one.querySelector("a[href]"));
  const move = (step) => {
    const all = rows();
    const now = all.findIndex((one) => one.contains(document.activeElement));
    const next = now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(now + step, 0), all.length - 1);
    const link = all[next]?.querySelector("a[href]");
    link?.focus({ preventScroll: true });
    all[next]?.scrollIntoView({ block: "nearest" });
  };

  const follow = (...selectors) => {
    const found = selectors.map((one) => document.querySelector(one)).find((one) => one);
    found?.click();
    return Boolean(found);
  };
  const pressed = {
    j: () => move(1),
    k: () => move(-1),
    n: () => follow("a[rel=next]"),
    p: () => follow("a[rel=prev]"),
    u: () => follow("main nav.pages a.up", "header nav a:last-of-type", "header a.store"),
    s: () => follow("#news a"),
    t: changeTheme,
    "/": () => document.querySelector("main input[type=search], header input[type=search]")?.focus(),
    "?": () => keys.showModal(),
    "g h": () => follow("header a.store"),
    "g k": () => follow("#open-keys"),
  };

  let prefix = "";
  let forgets;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");
    if (typing && event.key === "Escape") typing.blur();
    if (typing || document.querySelector("dialog[open]") || event.key === "Shift") return;
    const key = prefix + event.key;
    prefix = "";
    clearTimeout(forgets);
    // A page names keys of its own: <a data-key="g r">.
    const own = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (own) own.click();
    else if (pressed[key]) pressed[key]();
    else if (key === "g") {
      prefix = "g ";
      forgets = setTimeout(() => (prefix = ""), 1500);
    } else return;
    event.preventDefault();
  });
}

// What has changed in the store comes as server-sent events. Parts that show it have hx-trigger="progress from:body" and
// are asked for again; new records are announced, and never move what is being read.
"use strict";
{
  const address = document.body.dataset.events;
  const problem = document.getElementById("problem");
  const news = document.getElementById("news");
  let stream;
  let again;
  let wasOver;

  const say = (element, text) => {
    if (element.textContent !== text) element.textContent = text; // or it would be read out again
  };

  const count = (records, statuses) =>
    Object.entries(records)
      .filter(([status]) => statuses.length === 0 || statuses.includes(status))
      .reduce((sum, [, some]) => sum + some, 0);

  const announce = (records) => {
    const known = document.querySelector("[data-records]"); // what the page was made of
    if (!known) return;
    const statuses = known.dataset.statuses ? known.dataset.statuses.split(" ") : [];
    const added = count(records, statuses) - count(JSON.parse(known.dataset.records), statuses);
    if (added <= 0) return news.replaceChildren();
    const text = `${added.toLocaleString("en")} new record${added === 1 ? "" : "s"}${known.dataset.where ?? ""}`;
    const link = news.querySelector("a") ?? document.createElement("a");
    if (!link.isConnected) {
      link.href = known.dataset.show;
      link.textContent = "Show";
      news.replaceChildren(document.createElement("span"), " ", link);
    }
    say(news.firstChild, text);
  };

  const listen = (name, does) =>
    stream.addEventListener(name, (event) => {
      if (name !== "problem") say(problem, "");
      does(JSON.parse(event.data));
    });

  const open = () => {
    clearTimeout(again);
    if (stream || document.hidden) return;
    stream = new EventSource(address);
    listen("records", announce);
    listen("progress", ({ over }) => {
      document.body.dispatchEvent(new CustomEvent("progress"));
      if (wasOver === false && over) document.body.dispatchEvent(new CustomEvent("finished"));
      wasOver = over;
    });
    listen("problem", ({ text }) => say(problem, `${text} What you see may be out of date; the viewer tries again.`));
    stream.addEventListener("open", () => clearTimeout(again));
    stream.addEventListener("error", () => {
      // A stream that ends is opened again by the browser. One that is refused is not.
      const isRefused = stream.readyState === EventSource.CLOSED;
      clearTimeout(again);
      again = setTimeout(() => {
        if (stream?.readyState === EventSource.OPEN) return;
        say(problem, "The viewer does not answer. If it has ended, start it again; what you see may be out of date.");
        if (isRefused) {
          close();
          open();
        }
      }, 5000);
    });
  };

  const close = () => {
    clearTimeout(again);
    stream?.close();
    stream = undefined;
  };

  if (address) {
    open();
    // A browser opens six connections to a server: pages that nobody sees leave them to the others.
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", open);
  }

  // A page that says that the store cannot be read shows it once it can.
  const failed = document.querySelector("[data-retry]");
  const retry = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { method: "HEAD" });
        if (answer.status < 500) return location.reload();
      } catch {
        // the viewer itself is gone
      }
    }
    setTimeout(retry, 3000);
  };
  if (failed) setTimeout(retry, 3000);
}

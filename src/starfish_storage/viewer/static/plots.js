// Draws what a run did over time, in place of what the server drew, and keeps it up to date: plots and table alike.
"use strict";
{
  const HEIGHT = 170; // of .drawing
  let drawn = []; // of each plot: its figure, its uPlot, and what it was made of
  let asked = 0;
  let isFinal = false;
  let again;

  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };

  const figure = (plot) => {
    const lines = plot.lines.flatMap((line) => [" ", make("span", `line ${line.style}`, line.name)]);
    const caption = make("figcaption", "", make("span", "", plot.title), ...lines);
    return make("figure", "plot", caption, make("div", "drawing"));
  };

  const written = (value, unit) => {
    if (value === null || value === undefined) return "none";
    const digits = value !== 0 && Math.abs(value) < 10 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 };
    const text = value.toLocaleString("en", digits);
    return unit === "$" ? `$${text}` : `${text}${unit ? ` ${unit}` : ""}`;
  };

  const shortNumber = (value, unit) =>
    value >= 10_000 ? value.toLocaleString("en", { notation: "compact" }) : written(value, unit.replace("/s", ""));

  const shortTime = (seconds, step) => {
    const text = new Date(seconds * 1000).toISOString();
    return step >= 86_400 ? text.slice(5, 10) : step >= 60 ? text.slice(11, 16) : text.slice(11, 19);
  };

  // At 11 pixels a character is at most 7 wide; 18 are for the tick and the gap beside it.
  const labelRoom = (texts) => Math.max(52, 18 + 7 * Math.max(...texts.map((text) => text.length)));

  // A value without neighbours is part of no line: it is drawn as a point.
  const isThere = (value) => value !== null && value !== undefined;
  const alone = (values) =>
    [...values.keys()].filter((place) => isThere(values[place]) && !isThere(values[place - 1]) && !isThere(values[place + 1]));

  // Around a single time uPlot would show years.
  const timesShown = (times, first, last) => (times.length === 1 ? [times[0] - 5, times[0] + 5] : [first, last]);

  // In a run of a second or two, several marks have the same time: it is written once.
  const shortTimes = (splits, step) => {
    const texts = splits.map((value) => shortTime(value, step));
    return texts.map((text, place) => (text === texts[place - 1] ? "" : text));
  };

  const colour = (element) => getComputedStyle(element).color;
  const time = (seconds) => `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;

  const draw = (plot, box) => {
    const drawing = box.querySelector(".drawing");
    const [weak, line] = [colour(box.querySelector("figcaption")), getComputedStyle(drawing).borderBottomColor];
    const at = make("div", "at");
    const axis = { stroke: weak, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "11px system-ui, sans-serif" };
    const chart = new uPlot(
      {
        width: drawing.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: "timeline" }, points: { size: 6 } },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { x: { time: true, range: (_, first, last) => timesShown(plot.times, first, last) }, y: { range: (_, least, most) => [0, most > 0 ? most * 1.05 : 1] } },
        axes: [
          { ...axis, size: 28, space: 70, values: (_, splits, _axis, _space, step) => shortTimes(splits, step) },
          { ...axis, size: (_, texts) => labelRoom(texts ?? []), values: (_, splits) => splits.map((value) => shortNumber(value, plot.unit)) },
        ],
        series: [
          {},
          ...plot.lines.map((one, number) => ({
            label: one.name,
            stroke: colour(box.querySelectorAll(".line")[number]),
            width: 1.5,
            points: { show: true, filter: (self, place) => alone(self.data[place]) },
          })),
        ],
        hooks: {
          setCursor: [
            (self) => {
              const place = self.cursor.idx;
              const values = plot.lines.map((one) => `${one.name} ${written(one.values[place], plot.unit)}`);
              at.textContent = place === null || place === undefined ? "" : [time(plot.times[place]), ...values].join(" · ");
            },
          ],
        },
      },
      [plot.times, ...plot.lines.map((one) => one.values)],
    );
    drawing.replaceChildren(chart.root, at);
    return chart;
  };

  const fillTable = (details, [head, ...rows]) => {
    details.hidden = !head;
    if (!head) return;
    const cells = (row, isHead) =>
      row.map((text, place) => {
        const cell = make(isHead || place === 0 ? "th" : "td", place === 0 ? (isHead ? "" : "time") : "num", text);
        if (cell.tagName === "TH") cell.scope = isHead ? "col" : "row";
        return cell;
      });
    const table = details.querySelector("table");
    const body = rows.map((row) => make("tr", "", ...cells(row, false)));
    table.replaceChildren(make("thead", "", make("tr", "", ...cells(head, true))), make("tbody", "", ...body));
  };

  const show = (section, { plots, rows, age }, anew) => {
    const box = section.querySelector(".plots");
    const same = (one, plot) => one.key === JSON.stringify([plot.title, plot.lines.map((line) => line.name)]);
    const stands = drawn.length === plots.length && plots.every((plot, place) => same(drawn[place], plot) && box.contains(drawn[place].chart.root));
    if (!stands || anew) {
      for (const one of drawn) one.chart.destroy();
      const figures = plots.map(figure);
      box.replaceChildren(...figures);
      drawn = plots.map((plot, place) => ({
        key: JSON.stringify([plot.title, plot.lines.map((line) => line.name)]),
        content: "",
        chart: draw(plot, figures[place]),
        box: figures[place],
      }));
    }
    plots.forEach((plot, place) => {
      const content = JSON.stringify(plot);
      const one = drawn[place];
      if (one.content && one.content !== content) {
        one.chart.destroy();
        one.chart = draw(plot, one.box);
      }
      one.content = content;
    });
    section.querySelector(".empty")?.remove();
    fillTable(section.querySelector(".numbers"), rows);
    section.querySelector("#timeline-age").textContent = age > 30 ? `Counted ${age} s ago.` : "";
  };

  let last;
  const refresh = async () => {
    clearTimeout(again);
    const section = document.getElementById("timeline");
    if (!section || document.hidden) return;
    asked = Date.now();
    try {
      const answer = await fetch(section.dataset.source);
      if (!answer.ok) return; // the page says elsewhere that the store cannot be read
      last = await answer.json();
    } catch {
      return;
    }
    isFinal = last.is_final;
    if (last.age !== null) show(section, last);
    // What is counted beside the pages may be of before the last change.
    if (!isFinal) again = setTimeout(refresh, last.age === null ? 1000 : 10_000);
  };

  const redraw = () => {
    const section = document.getElementById("timeline");
    if (section && last && last.age !== null) show(section, last, true);
  };

  document.body.addEventListener("progress", () => {
    if (isFinal) return;
    clearTimeout(again);
    again = setTimeout(refresh, Math.max(0, asked + 2000 - Date.now()));
  });
  document.body.addEventListener("finished", refresh);
  document.addEventListener("visibilitychange", () => {
    if (!isFinal) refresh();
  });
  // The page was made anew, and has what the server drew.
  document.addEventListener("htmx:after:swap", () => {
    if (drawn.length && !document.body.contains(drawn[0].chart.root)) refresh();
  });
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) redraw();
    width = innerWidth;
  });
  refresh();
}

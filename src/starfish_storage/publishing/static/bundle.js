// The pages of a bundle. A page that is a file may read no other file, so all that it shows comes in scripts, each of
// which calls `bundle.add` with a shard. A shard is asked for when it is needed, and few are kept.
"use strict";
const bundle = (() => {
  const PAGE = 50;
  const KEPT = 16; // shards, of a megabyte each
  const AHEAD = 4; // shards that are asked for before a search gets there
  const LONGEST_RAW = 200_000; // characters of raw JSON that are shown
  const STALE = Symbol("the reader has gone on");
  const [UID, STATUS, ERROR, ENDED, ATTEMPTS, COST, CELLS] = [0, 1, 2, 3, 4, 5, 6]; // of a line of the table
  const CONTROLS =
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  let contents; // how many records there are, and which are in which shard
  let current = 0; // of the page that is shown; what was begun for an earlier one ends
  let halted = false;
  let download = null;
  const shards = new Map();
  const element = (id) => document.getElementById(id);
  const number = (count) => count.toLocaleString("en");

  // What would hide or turn text is shown as an escape, as in the pages of the viewer.
  const escape = (found) => {
    const code = found.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  };
  const plain = (text) => text.replace(CONTROLS, escape);

  const made = (tag, properties = {}, ...children) => {
    const one = Object.assign(document.createElement(tag), properties);
    one.append(...children);
    return one;
  };

  // --- shards

  const load = (kind, place) => {
    const key = `${kind}-${String(place).padStart(5, "0")}`;
    const known = shards.get(key);
    if (known) {
      shards.delete(key); // and back at the end: the first ones are forgotten first
      shards.set(key, known);
      return known.items;
    }
    const shard = { isHere: false };
    shard.items = new Promise((resolve, reject) => {
      const script = made("script", { src: `data/${key}.js` });
      shard.resolve = (items) => {
        shard.isHere = true;
        resolve(items);
      };
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        shards.delete(key);
        reject(new Error(`The file data/${key}.js cannot be read. Copy the folder again, with all that is in it.`));
      };
      document.head.append(script);
    });
    shard.items.catch(() => {}); // whoever waits for it is told; one that was asked for ahead of time, nobody
    shards.set(key, shard);
    for (const [old, one] of shards) {
      if (shards.size <= KEPT) break;
      if (one.isHere) shards.delete(old);
    }
    return shard.items;
  };

  const add = (kind, place, items) => shards.get(`${kind}-${String(place).padStart(5, "0")}`)?.resolve(items);

  const reach = (kind, place) => {
    const begins = contents.begins[kind];
    return [begins[place], begins[place + 1] ?? contents.records];
  };

  const placeOf = (kind, n) => {
    const begins = contents.begins[kind];
    let low = 0;
    let high = begins.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (begins[middle] <= n) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  const item = async (kind, n) => {
    const place = placeOf(kind, n);
    return (await load(kind, place))[n - contents.begins[kind][place]];
  };

  // --- search: every word, or "every phrase", somewhere in what the record says

  const termsOf = (text) =>
    [...text.toLowerCase().matchAll(/"([^"]+)"|(\S+)/g)]
      .map(([, phrase, word]) => (phrase ?? word).replaceAll('"', ""))
      .filter((one) => one)
      .map((one) => ({ text: one, inJson: JSON.stringify(one).slice(1, -1) }))
      .map((one) => ({ ...one, pieces: piecesOf(one.inJson) }));

  // Three letters in a row, as numbers: `signature.py` has the same arithmetic.
  const piecesOf = (text) => {
    const letters = [...text].map((one) => one.codePointAt(0));
    return letters.slice(2).map((_, at) => {
      let piece = 2166136261;
      for (const letter of letters.slice(at, at + 3)) piece = Math.imul(piece ^ letter, 16777619) >>> 0;
      return piece;
    });
  };

  // Return whether a shard may hold all terms, by its signature; without one it may hold anything.
  const mayHold = (terms, signature) => {
    if (signature === null) return true;
    const bits = atob(signature);
    const mask = bits.length * 8 - 1;
    const has = (bit) => (bits.charCodeAt(bit >>> 3) >> (bit & 7)) & 1;
    return terms.every(({ pieces }) =>
      pieces.every((one) => has((one & mask) >>> 0) && has(((Math.imul(one ^ (one >>> 15), 2246822519) >>> 7) & mask) >>> 0)),
    );
  };

  const textsOf = (value, found = []) => {
    if (typeof value === "string") found.push(value);
    else if (typeof value === "number" || typeof value === "boolean") found.push(String(value));
    else if (value !== null) for (const one of Object.values(value)) textsOf(one, found);
    return found;
  };

  const saidIn = (data) => {
    if (data === null) return [];
    return typeof data === "string" ? textsOf(JSON.parse(data)) : [data.beginning];
  };

  const matches = (terms, line, data) => {
    const head = `${line[UID]}\n${line[ERROR]}`.toLowerCase();
    const open = terms.filter((one) => !head.includes(one.text));
    if (!open.length) return true;
    const raw = (typeof data === "string" ? data : (data?.beginning ?? "")).toLowerCase();
    // Most records end here: to parse one takes ten times as long as to look into its text.
    if (!open.every((one) => raw.includes(one.inJson) || raw.includes("\\u"))) return false;
    const texts = saidIn(data).map((one) => one.toLowerCase());
    return open.every((term) => texts.some((one) => one.includes(term.text)));
  };

  const snippet = (terms, line, data) => {
    for (const { text: term } of terms) {
      for (const text of [...saidIn(data), line[ERROR], line[UID]]) {
        const at = text.toLowerCase().indexOf(term);
        if (at < 0) continue;
        const end = at + term.length;
        const before = (at > 40 ? "…" : "") + text.slice(Math.max(0, at - 40), at);
        const after = text.slice(end, end + 80) + (text.length > end + 80 ? "…" : "");
        return [plain(before), made("mark", { textContent: plain(text.slice(at, end)) }), plain(after)];
      }
    }
    return [];
  };

  // --- which records fit

  // Ask for the next shards of data that may hold the terms, while the search looks into one.
  const askAhead = async (terms, place, step) => {
    const { length } = contents.begins.data;
    for (let next = place, left = AHEAD; left > 0 && next >= 0 && next < length; next += step) {
      if (!mayHold(terms, await item("signatures", next))) continue;
      load("data", next);
      left -= 1;
    }
  };

  // Return up to `most` records that fit, from one on, and where the look ended. It goes on shard by shard, and asks for
  // none in which nothing can fit.
  const find = async (query, from, step, most, turn, tell) => {
    const { statuses, terms } = query;
    const found = [];
    let n = from;
    const goesOn = () => n >= 0 && n < contents.records && found.length < most && !halted;
    halted = false;
    while (goesOn()) {
      if (turn !== current) throw STALE;
      const place = placeOf("lines", n);
      let [first, past] = reach("lines", place);
      let data = null;
      let dataFirst = 0;
      if (statuses.length && !statuses.some((one) => contents.counts[place][one])) {
        n = step > 0 ? past : first - 1;
        continue;
      }
      if (terms.length) {
        tell?.(Math.abs(n - from), found.length);
        const wanted = placeOf("data", n);
        const [begin, end] = reach("data", wanted);
        if (!mayHold(terms, await item("signatures", wanted))) {
          n = step > 0 ? end : begin - 1;
          continue;
        }
        askAhead(terms, wanted + step, step).catch(() => {}); // the search itself says what is missing
        data = await load("data", wanted);
        [first, past, dataFirst] = [Math.max(first, begin), Math.min(past, end), begin];
      }
      const lines = await load("lines", place);
      if (turn !== current) throw STALE;
      const linesFirst = contents.begins.lines[place];
      for (; goesOn() && n >= first && n < past; n += step) {
        const line = lines[n - linesFirst];
        if (statuses.length && !statuses.includes(line[STATUS])) continue;
        if (!terms.length || matches(terms, line, data[n - dataFirst])) found.push(n);
      }
    }
    if (turn !== current) throw STALE;
    return [found, n];
  };

  const queryOf = (hash) => {
    const given = new URLSearchParams(hash);
    const place = (name) => {
      const n = Number.parseInt(given.get(name) ?? "", 10);
      return n >= 0 && n < contents.records ? n : null;
    };
    const q = given.get("q") ?? "";
    const places = { after: place("after"), before: place("before"), record: place("record") };
    return { q, terms: termsOf(q), statuses: given.getAll("status"), ...places };
  };

  const link = (query, more = {}) => {
    const parameters = new URLSearchParams();
    if (query.q) parameters.set("q", query.q);
    for (const one of query.statuses) parameters.append("status", one);
    for (const [name, value] of Object.entries(more)) if (value !== null) parameters.set(name, value);
    return `#${parameters}`;
  };

  const lead = (nav, previous, next, [before, after]) => {
    const links = [];
    if (previous !== null) links.push(made("a", { rel: "prev", href: previous, textContent: before }));
    if (next !== null) links.push(made("a", { rel: "next", href: next, textContent: after }));
    nav.replaceChildren(...links);
  };

  // --- the table

  const rowOf = async (query, n) => {
    const line = await item("lines", n);
    const { after, before } = query;
    const uid = made("a", { href: link(query, { record: n, after, before }), textContent: line[UID] });
    const field = (text) =>
      made("td", { className: "field", dir: "auto" }, made("div", { className: "clamp", textContent: text }));
    const found = query.terms.length ? snippet(query.terms, line, await item("data", n)) : null;
    return made(
      "tr",
      {},
      made("th", { scope: "row" }, uid),
      made("td", {}, made("span", { className: `status ${line[STATUS]}`, textContent: line[STATUS] })),
      ...(found ? [made("td", { className: "field found", dir: "auto" }, ...found)] : []),
      ...line[CELLS].map(field),
      made("td", { className: "num", textContent: line[ATTEMPTS] }),
      made("td", { className: "num", textContent: line[COST] }),
      made("td", { className: "error", dir: "auto" }, made("div", { className: "clamp", textContent: line[ERROR] })),
      made("td", { className: "time", textContent: line[ENDED] }),
    );
  };

  // Return what is said above the table, of the records that are shown and of those that were looked at.
  const summary = (query, found, first, last) => {
    if (!contents.records) return "There are no records.";
    const of = number(contents.records);
    const range = `${number(first + 1)} to ${number(last + 1)} of ${of}`;
    if (query.terms.length) return `${number(found.length)} found in records ${range}.`;
    if (!found.length) return "No record fits.";
    if (!query.statuses.length) return `Records ${range}.`;
    const fitting = contents.counts.flatMap((one) => query.statuses.map((status) => one[status] ?? 0));
    return `${number(found.length)} of ${number(fitting.reduce((sum, one) => sum + one, 0))} that fit.`;
  };

  const showTable = async (query, turn) => {
    const step = query.before === null ? 1 : -1;
    const from = step < 0 ? query.before - 1 : query.after === null ? 0 : query.after + 1;
    const tell = (looked, count) => {
      element("told").textContent = `Searched ${number(looked)} records, ${number(count)} found.`;
      element("stop").hidden = false;
    };
    if (query.terms.length) tell(0, 0);
    const [found, ended] = await find(query, from, step, PAGE + 1, turn, tell);
    const isCut = halted;
    const hasMore = isCut || found.length > PAGE;
    found.length = Math.min(found.length, PAGE);
    const stop = !isCut && found.length === PAGE ? found.at(-1) : ended - step; // the last one that was looked at
    const rows = await Promise.all(found.map((n) => rowOf(query, n)));
    if (turn !== current) throw STALE;
    const [first, last] = step > 0 ? [from, stop] : [stop, from];
    element("found").hidden = !query.terms.length;
    element("rows").replaceChildren(...(step > 0 ? rows : rows.reverse()));
    element("table").hidden = !rows.length;
    element("told").textContent = summary(query, found, first, last);
    const hasEarlier = step > 0 ? first > 0 : hasMore;
    const hasLater = step > 0 ? hasMore : last < contents.records - 1;
    const onwards = isCut ? "Look further" : "Next";
    const earlier = hasEarlier ? link(query, { before: first }) : null;
    lead(element("pages"), earlier, hasLater ? link(query, { after: last }) : null, ["Previous", onwards]);
  };

  // --- a record

  const showRaw = async (n) => {
    const data = await item("data", n);
    const raw = element("raw");
    raw.open = false;
    raw.hidden = typeof data !== "string";
    if (raw.hidden) return;
    if (download) URL.revokeObjectURL(download);
    download = URL.createObjectURL(new Blob([data], { type: "application/json" }));
    Object.assign(element("download"), { href: download, download: `record-${n + 1}.json` });
    const text = JSON.stringify(JSON.parse(data), null, 2);
    const rest = text.length > LONGEST_RAW ? "\n… (the download has all of it)" : "";
    element("raw-text").textContent = plain(text.slice(0, LONGEST_RAW)) + rest;
  };

  const showRecord = async (query, turn) => {
    const n = query.record;
    const { after, before } = query;
    const html = await item("pages", n);
    if (turn !== current) throw STALE;
    await showRaw(n);
    if (turn !== current) throw STALE;
    reveal(true);
    element("article").innerHTML = html; // of the templates, which escape all that is not theirs
    window.scrollTo(0, 0);
    element("count").textContent = `Record ${number(n + 1)} of ${number(contents.records)}`;
    element("trail").replaceChildren(made("a", { href: link(query, { after, before }), textContent: "records" }));
    document.title = `${element("article").querySelector("h1").textContent.trim()} · ${contents.title}`;
    lead(element("neighbours"), null, null, []);
    const neighbour = async (step) => {
      const [[found]] = await find(query, n + step, step, 1, turn);
      return found === undefined ? null : link(query, { record: found, after, before });
    };
    const previous = await neighbour(-1);
    lead(element("neighbours"), previous, await neighbour(1), ["Previous record", "Next record"]);
  };

  // --- what the address says

  // Only one of the two is in the page, so that it has one heading; it changes when what is new is here.
  const overview = element("overview");
  const reveal = (isRecord) => {
    if (isRecord) overview.remove();
    else {
      element("problem").after(overview);
      element("article").replaceChildren();
    }
    element("record").hidden = !isRecord;
    element("records").hidden = isRecord;
  };

  const show = async () => {
    current += 1;
    const turn = current;
    const query = queryOf(location.hash.slice(1));
    const isRecord = query.record !== null;
    for (const id of ["problem", "stop"]) element(id).hidden = true;
    try {
      if (isRecord) {
        await showRecord(query, turn);
        return;
      }
      reveal(false);
      document.title = contents.title;
      element("trail").replaceChildren();
      const form = element("filters");
      form.elements.q.value = query.q;
      for (const box of form.querySelectorAll("[name=status]")) box.checked = query.statuses.includes(box.value);
      await showTable(query, turn);
    } catch (error) {
      if (error === STALE) return;
      element("problem").hidden = false;
      element("problem").querySelector("p").textContent = error.message;
    } finally {
      if (turn === current) element("stop").hidden = true;
    }
  };

  const open = (given) => {
    contents = given;
    element("filters").addEventListener("submit", (event) => {
      event.preventDefault();
      const typed = new FormData(event.target);
      const wanted = link({ q: typed.get("q").trim(), statuses: typed.getAll("status") });
      if (wanted === (location.hash || "#")) show();
      else location.hash = wanted;
    });
    element("stop").addEventListener("click", () => (halted = true));
    window.addEventListener("hashchange", show);
    show();
  };

  return { add, open };
})();

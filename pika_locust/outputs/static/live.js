// The live page: draws what /verdict/data.json says of the test that runs, in a tab of Locust's page or in its own.
"use strict";
(() => {
  const BASE = new URL("../", document.currentScript.src);
  const POLL_MS = 1000, POLL_ENDED_MS = 3000, SPARK = 60, TAB = "verdict", TITLE = "Verdict";
  // States in which Locust's page shows that a test ends, and asks for no news of it any more.
  const ENDING_STATES = ["stopping", "cleanup"], STALE_MS = 2500;
  const { chart, clock, format, last } = window.pikaCharts;

  // Everything that comes from a test becomes text of a node, never markup.
  const el = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {}))
      if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
    made.append(...children.filter(child => child != null));
    return made;
  };
  const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const isDark = () => {
    try {
      if (localStorage.theme) return localStorage.theme === "dark";
    } catch { /* a browser that keeps nothing */ }
    return matchMedia("(prefers-color-scheme: dark)").matches;
  };

  // What is known of the test: the newest answer, and all points of its timeline.

  const known = { answer: null, points: null, locustState: "", lost: false, stamp: "", show: null, timer: 0,
    views: new Set() };

  function joined(old, fresh, since) {
    // Columns that are new have nothing before; those that are old and not in the answer have nothing now.
    const before = old ? old.times_s.slice(0, since).length : 0, added = fresh.times_s.length;
    const column = (a, b) => {
      const head = (a || []).slice(0, before);
      while (head.length < before) head.push(null);
      return head.concat(b || Array(added).fill(null));
    };
    const group = (a, b) => Object.fromEntries(
      [...new Set([...Object.keys(a || {}), ...Object.keys(b || {})])].map(k => [k, column((a || {})[k], (b || {})[k])]));
    const was = old || {}, metrics = {};
    for (const series of new Set([...Object.keys(was.metrics || {}), ...Object.keys(fresh.metrics)]))
      metrics[series] = group((was.metrics || {})[series], fresh.metrics[series]);
    return {
      times_s: (was.times_s || []).slice(0, before).concat(fresh.times_s), metrics, marks: fresh.marks,
      load: group(was.load, fresh.load), errors: group(was.errors, fresh.errors),
      thresholds: group(was.thresholds, fresh.thresholds),
    };
  }

  async function poll() {
    clearTimeout(known.timer);
    const query = new URLSearchParams({ stamp: known.stamp });
    if (known.show) query.set("show", known.show);
    try {
      const response = await fetch(new URL(`data.json?${query}`, BASE), { cache: "no-store", redirect: "error" });
      if (response.status === 200) take(await response.json());
      else if (response.status !== 204) throw new Error(response.statusText);
      known.lost = false;
    } catch {
      // The process is gone, or is being started anew: what is shown stays, and it says so.
      known.lost = true;
    }
    for (const view of known.views) view.draw();
    const ended = known.answer && known.answer.phase === "ended";
    known.timer = setTimeout(poll, document.hidden ? 5000 : ended ? POLL_ENDED_MS : POLL_MS);
  }

  function take(answer) {
    known.stamp = answer.stamp;
    known.locustState = answer.locust_state;
    // From the first point on, it is another test, or its points have become fewer.
    known.points = answer.points ? joined(answer.since ? known.points : null, answer.points, answer.since) : null;
    known.answer = { ...answer.test, downloads: answer.downloads, taken_ms: performance.now() };
  }

  function show(number) {
    known.show = number;
    known.stamp = "";
    poll();
  }

  const outcome = () => {
    const answer = known.answer;
    if (!answer || answer.phase === "ready" || answer.phase === "starting") return "idle";
    return answer.outcome;
  };

  // Parts of the page. Each is made once and then kept up to date, so that what is pointed at or read stays in place.

  function table(name, columns) {
    const body = el("tbody"), rows = new Map(), kind = name.toLowerCase().replaceAll(" ", "-");
    const head = el("tr", null, ...columns.map(c => el("th", { scope: "col", class: c.class }, c.title)));
    const caption = el("caption", null, name);
    const whole = el("table", { class: `pika-${kind}` }, caption, el("thead", null, head), body);
    return {
      caption,
      element: el("div", { class: "pika-scroll", tabindex: "0", role: "region", "aria-label": name }, whole),
      set(items, key) {
        const wanted = new Set(items.map(key));
        for (const [k, row] of rows) if (!wanted.has(k)) { row.remove(); rows.delete(k); }
        let place = body.firstChild;
        for (const item of items) {
          let row = rows.get(key(item));
          if (!row) {
            row = el("tr", null, ...columns.map(c => el("td", { class: c.class })));
            rows.set(key(item), row);
          }
          if (place === row) place = row.nextSibling;
          else body.insertBefore(row, place);
          columns.forEach((column, i) => column.fill(row.children[i], item, row));
        }
      },
    };
  }

  const text = (title, field, kind) => ({ title, class: kind, fill(cell, item) {
    const value = item[field] ?? "";
    say(cell, typeof value === "number" ? format(value) : value);
  } });

  function chip(cell, status, word) {
    if (!cell.firstChild) cell.append(el("span", { class: "pika-chip" }));
    if (cell.firstChild.dataset.status !== status) cell.firstChild.dataset.status = status;
    say(cell.firstChild, word);
  }

  function spark(cell, column, failing) {
    const values = (column || []).slice(-SPARK), there = values.filter(v => v != null);
    const NS = "http://www.w3.org/2000/svg", W = 110, H = 22;
    let line = cell.querySelector("polyline");
    if (!line) {
      const svg = document.createElementNS(NS, "svg");
      line = document.createElementNS(NS, "polyline");
      svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
      svg.setAttribute("aria-hidden", "true");
      svg.append(line);
      cell.append(svg);
    }
    line.setAttribute("class", failing ? "pika-bad" : "pika-good");
    if (there.length < 2) return line.setAttribute("points", "");
    const low = Math.min(...there), range = Math.max(...there) - low;
    const y = v => range ? H - 3 - (v - low) / range * (H - 6) : H / 2;
    line.setAttribute("points", values.map((v, i) => v == null ? null :
      `${(i * W / (values.length - 1)).toFixed(1)},${y(v).toFixed(1)}`).filter(Boolean).join(" "));
  }

  function metricCell(cell, row) {
    if (!cell.firstChild) {
      const button = el("button", { type: "button", "aria-expanded": "false" }), more = el("div", { class: "pika-more" });
      more.hidden = true;
      button.addEventListener("click", () => {
        more.hidden = !more.hidden;
        button.setAttribute("aria-expanded", String(!more.hidden));
      });
      cell.append(button, more);
    }
    const lines = [row.about, row.worst && `worst: ${row.worst}`, row.grade && `grade: ${row.grade}`,
      ...row.failures].filter(Boolean);
    say(cell.firstChild, row.metric);
    cell.firstChild.title = lines.join("\n");
    say(cell.lastChild, lines.join("\n"));
  }

  const thresholdColumns = () => [
    { title: "Status", fill: (cell, row) => chip(cell, row.status, row.word) },
    { title: "Metric", class: "pika-name", fill: metricCell },
    text("Threshold", "expression", "pika-code"),
    text("Now", "value", "pika-number pika-now"),
    text("95 % interval", "interval", "pika-number pika-wide"),
    text("Samples", "samples", "pika-number pika-wide"),
    { title: "So far", class: "pika-spark", fill: (cell, row) =>
      spark(cell, known.points.thresholds[row.key], row.status === "fail") },
  ];

  // Tiles and charts, from the points.

  const rateOf = name => (known.points.metrics[name] || {}).rate;

  function errorsPerSecond() {
    const columns = Object.values(known.points.errors);
    return known.points.times_s.map((_, i) => columns.reduce((s, c) => s + (c[i] || 0), 0));
  }

  function tiles() {
    const { answer, points } = known, running = answer.phase === "running", found = [];
    // Over the whole time, as the report has it: intervals are not equally long, and where nothing came there is no value.
    const mean = column => {
      const ends = points.times_s, lasted = last(ends);
      return lasted ? column.reduce((all, v, at) => all + (v || 0) * (ends[at] - (ends[at - 1] || 0)), 0) / lasted : null;
    };
    const figure = column => running ? column.at(-1) : mean(column), shown = v => v == null ? "–" : format(v);
    const perSecond = running ? "a second" : "a second, mean";
    const rate = (title, column, note) => column && found.push({ title, value: shown(figure(column)), note: note || perSecond });
    const planned = last(points.load.users_planned), arrivals = last(points.load.arrivals_planned);
    found.push(running
      ? { title: "Users", value: shown(last(points.load.users)), note: planned == null ? "" : `of ${format(planned)} planned` }
      : { title: "Users", value: shown(answer.users_peak), note: "at peak" });
    if (arrivals != null)
      rate("Arrivals", rateOf("iterations_started"), running ? `of ${format(arrivals)} a second planned` : "");
    rate("Requests", rateOf("http_reqs"));
    rate("Messages in", rateOf("ws_messages_received"));
    rate("Messages out", rateOf("ws_messages_sent"));
    const errors = figure(errorsPerSecond());
    found.push({ title: "Errors", value: shown(errors), note: perSecond, bad: errors > 0 });
    found.push({ title: "Dropped", value: format(answer.dropped_iterations), note: "iterations, in all",
      bad: answer.dropped_iterations > 0 });
    return found;
  }

  function chartSpecs() {
    const { answer, points } = known, m = points.metrics, found = [];
    const add = (key, title, note, unit, lines, limits, rows) => {
      const there = lines.filter(line => line.column && line.column.some(v => v != null));
      if (there.length) found.push({ key, title, note, unit, lines: there, limits: limits || [], rows: rows || [] });
    };
    const line = (label, column, more) => ({ label, column, ...more });
    if (points.load.arrivals_planned)
      add("arrivals", "Arrivals", "and the plan, a second", "", [
        line("arrivals", rateOf("iterations_started"), { fill: true }),
        line("plan", points.load.arrivals_planned, { colour: "grey", dash: [5, 4] })]);
    add("users", "Users", "and the plan", "", [
      line("users", points.load.users, { fill: true }),
      line("plan", points.load.users_planned, { colour: "grey", dash: [5, 4] })]);
    add("traffic", "Messages and requests", "a second", "", [
      line("received", rateOf("ws_messages_received")), line("sent", rateOf("ws_messages_sent")),
      line("requests", rateOf("http_reqs"))]);
    const byMetric = new Map();
    for (const row of [...answer.thresholds].sort((a, b) => a.key < b.key ? -1 : 1))
      if ((row.kind === "trend" || row.kind === "gauge") && row.metric !== "generator_lag_ms")
        byMetric.set(row.metric, [...(byMetric.get(row.metric) || []), row]);
    for (const [metric, rows] of byMetric) {
      const limits = rows.filter(r => r.limit_line != null).map(r => ({ at: r.limit_line, label: r.expression }));
      const columns = m[metric] || {}, unit = (rows.find(row => row.unit) || rows[0]).unit;
      if (rows[0].kind === "gauge") add(metric, metric, unit, unit, [line("level", columns.value)], limits,
        rows);
      else add(metric, metric, `${unit || "value"}, each interval by itself`, unit, [
        line("p50", columns.p50), line("p95", columns.p95), line("p99", columns.p99)], limits, rows);
    }
    const kinds = Object.keys(points.errors);
    add("errors", "Errors by kind", "a second", "",
      kinds.map(kind => line(kind, points.errors[kind], { fill: kinds.length === 1 })));
    add("lag", "Load generator: timer lag", "p95 of all processes, ms", "ms",
      [line("lag p95", (m.generator_lag_ms || {}).p95)], [{ at: answer.limits.lag_ms, label: "limit" }]);
    add("cpu", "Load generator: CPU", "busiest process, % of a core", "%",
      [line("CPU", points.load.cpu_percent, { fill: true })], [{ at: answer.limits.cpu_percent, label: "limit" }]);
    if (!byMetric.has("target_memory_mb"))
      add("memory", "Target: memory", "MB", "MB", [line("memory", (m.target_memory_mb || {}).value)]);
    if (!byMetric.has("health_latency"))
      add("health", "Target: health page", "round trip p95, ms", "ms",
        [line("p95", (m.health_latency || {}).p95)]);
    return found;
  }

  // The whole.

  class View {
    constructor(parent) {
      this.root = el("div", { class: "pika" });
      this.word = el("b", { role: "status", "aria-live": "polite" });
      this.facts = el("span");
      this.time = el("span");
      this.exit = el("span", { class: "pika-exit" });
      this.progress = el("i");
      this.bar = el("header", { class: "pika-bar" }, this.word, this.facts, this.time, this.exit, this.progress);
      this.lost = el("p", { class: "pika-lost", role: "alert" });
      this.reasons = el("ul", { class: "pika-reasons", "aria-label": "Reasons" });
      this.empty = el("p", { class: "pika-empty" }, "No test has been started yet. Its verdict will be here while it runs.");
      this.thresholds = table("Thresholds", thresholdColumns());
      this.tiles = el("dl", { class: "pika-tiles" });
      this.grid = el("section", { class: "pika-grid", "aria-label": "Charts" });
      this.marks = el("ol", { class: "pika-marks", "aria-label": "What happened" });
      this.audits = table("Data-integrity checks", [
        { title: "Status", fill: (cell, row) => chip(cell, row.status, { open: "at the end", pass: "pass", fail: "FAIL",
          not_observed: "not observed" }[row.status] || row.status) },
        text("Check", "name", "pika-name"), text("Acknowledged", "acknowledged", "pika-number"),
        text("Held at the end", "held", "pika-number"), text("Unanswered", "unanswered", "pika-number"),
        text("Detail", "detail", "pika-detail")]);
      this.errors = table("Errors", [text("Count", "count", "pika-number"), text("Request", "name", "pika-name"),
        text("Error", "error", "pika-detail")]);
      this.workers = table("Load generators", [text("#", "index", "pika-number"), text("Host", "host", "pika-name"),
        text("State", "state"), text("Users", "users", "pika-number"), text("Lag p95", "lag_p95", "pika-number"),
        text("CPU", "cpu", "pika-number"), text("Memory", "memory", "pika-number")]);
      this.finished = table("Tests of this process", [
        { title: "Verdict", fill: (cell, run) => chip(cell, run.verdict, run.verdict.toUpperCase()) },
        { title: "Test", fill: (cell, run) => {
          if (!cell.firstChild) {
            const button = el("button", { type: "button" });
            button.addEventListener("click", () => show(run.number));
            cell.append(button);
          }
          say(cell.firstChild, `Show test ${run.number}`);
        } },
        text("Exit code", "exit_code", "pika-number"), text("Users", "users_peak", "pika-number"),
        text("Took", "duration", "pika-number"), text("First reason", "reason", "pika-detail"),
        { title: "Downloads", class: "pika-links", fill: (cell, run) => {
          if (cell.firstChild) return;
          for (const { title, path } of known.answer.downloads || [])
            cell.append(el("a", { href: new URL(`${path}?run=${run.number}`, BASE), download: true }, title), " ");
        } }]);
      this.back = el("button", { type: "button", class: "pika-back" }, "Back to the newest test");
      this.back.addEventListener("click", () => show(null));
      this.ofTest = [this.thresholds.element, this.tiles, this.grid, this.marks, this.audits.element, this.errors.element,
        this.workers.element, this.finished.element];
      this.root.append(this.bar, this.lost, this.reasons, this.back, this.empty, ...this.ofTest);
      this.charts = new Map();
      parent.append(this.root);
      this.resized = new ResizeObserver(() => {
        for (const one of this.charts.values()) one.resize();
      });
      this.resized.observe(this.root);
      known.views.add(this);
      if (known.answer) this.draw();
    }

    close() {
      known.views.delete(this);
      this.resized.disconnect();
      for (const one of this.charts.values()) one.destroy();
      this.root.remove();
    }

    draw() {
      const { answer, points } = known;
      const dark = isDark();
      this.root.classList.toggle("pika-dark", dark);
      this.lost.hidden = !known.lost;
      say(this.lost, known.lost ? "Locust does not answer at the moment. Asking again…" : "");
      if (!answer || (answer === this.shown && dark === this.isDark)) return;
      this.shown = answer;
      this.isDark = dark;
      this.root.dataset.outcome = outcome();
      this.root.dataset.phase = answer.phase;
      say(this.word, answer.word);
      const there = !!points;
      for (const section of this.ofTest) section.hidden = !there;
      this.empty.hidden = there;
      this.reasons.hidden = true;
      this.back.hidden = !known.show;
      for (const node of [this.facts, this.time, this.exit]) say(node, "");
      this.progress.style.width = "0";
      if (there) this.drawTest(answer, points);
    }

    drawTest(answer, points) {
      say(this.facts, [answer.scenario, answer.target, answer.stage].filter(Boolean).join(" · "));
      this.drawTime();
      say(this.exit, answer.exit_code_words);
      const more = answer.reasons_left_out ? [`and ${answer.reasons_left_out} more`] : [];
      this.reasons.hidden = !answer.reasons.length;
      const reasons = [...answer.reasons, ...more];
      if (this.reasons.dataset.said !== reasons.join("\n")) {
        this.reasons.dataset.said = reasons.join("\n");
        this.reasons.replaceChildren(...reasons.map(reason => el("li", null, reason)));
      }
      this.thresholds.set(answer.thresholds, row => row.key);
      this.thresholds.element.hidden = !answer.thresholds.length;
      this.drawTiles();
      this.drawCharts(points);
      const marks = points.marks.filter(mark => mark.kind !== "stage" || points.marks.length < 12);
      this.marks.hidden = !marks.length;
      const told = marks.map(mark => `${clock(mark.at_s)} ${mark.text}`);
      if (this.marks.dataset.said !== told.join("\n")) {
        this.marks.dataset.said = told.join("\n");
        this.marks.replaceChildren(...marks.map(mark =>
          el("li", { "data-kind": mark.kind }, el("time", null, clock(mark.at_s)), mark.text)));
      }
      this.audits.set(answer.audits, audit => audit.name);
      this.audits.element.hidden = !answer.audits.length;
      this.errors.set(answer.errors, error => `${error.name}\n${error.error}`);
      this.errors.element.hidden = !answer.errors.length;
      say(this.errors.caption, answer.errors_left_out ? `Errors, and ${answer.errors_left_out} more kinds` : "Errors");
      this.workers.set(answer.workers, worker => `${worker.index} ${worker.host}`);
      this.finished.set([...answer.finished].reverse(), run => run.number);
      this.finished.element.hidden = !answer.finished.length;
    }

    drawTime() {
      const answer = known.answer;
      const since = answer.phase === "running" && !known.lost ? (performance.now() - answer.taken_ms) / 1000 : 0;
      const elapsed = answer.elapsed_s + since, planned = answer.planned_s;
      const left = answer.left_s == null ? "" : ` · ${clock(Math.max(0, answer.left_s - since))} left`;
      say(this.time, clock(elapsed) + (planned ? ` of ${clock(planned)}` : "") + left);
      this.progress.style.width = planned ? `${Math.min(100, elapsed / planned * 100)}%` : "0";
    }

    drawTiles() {
      const found = tiles();
      while (this.tiles.children.length > found.length) this.tiles.lastChild.remove();
      while (this.tiles.children.length < found.length)
        this.tiles.append(el("div", null, el("dt"), el("dd"), el("dd", { class: "pika-note" })));
      found.forEach((tile, i) => {
        const [title, value, note] = this.tiles.children[i].children;
        say(title, tile.title);
        say(value, tile.value);
        say(note, tile.note);
        this.tiles.children[i].classList.toggle("pika-alarm", !!tile.bad);
      });
    }

    drawCharts(points) {
      const specs = chartSpecs(), dark = isDark();
      const name = spec => spec.key + "\n" + spec.lines.map(line => line.label).join("\n");
      const wanted = new Set(specs.map(name));
      for (const [key, one] of this.charts) if (!wanted.has(key)) { one.destroy(); this.charts.delete(key); }
      let place = this.grid.firstChild;
      for (const spec of specs) {
        let one = this.charts.get(name(spec));
        if (!one) {
          const caption = el("figcaption", null, el("b", null, spec.title), " ", el("span", null, spec.note));
          const figure = el("figure", { class: "pika-chart" }, caption);
          this.grid.insertBefore(figure, place);
          one = { figure, ...chart(figure, { unit: spec.unit, series: spec.lines, dark }) };
          this.charts.set(name(spec), one);
        } else if (place === one.figure) place = place.nextSibling;
        else this.grid.insertBefore(one.figure, place);
        one.figure.classList.toggle("pika-failing", spec.rows.some(row => row.status === "fail"));
        one.theme(dark);
        one.resize();
        one.set(points.times_s, spec.lines.map(line => line.column),
          { marks: points.marks, limits: spec.limits, isLive: known.answer.phase !== "ended" });
        one.say([`${spec.title}, ${spec.note}`, ...spec.lines.map(line => `${line.label} ${format(last(line.column) ?? 0)}`),
          ...spec.rows.map(row => `${row.expression}: ${row.word}, so far ${row.value}`)].join("; "));
      }
    }
  }

  // Inside Locust's page. It is React's: what is added stands beside what React has made, and is added again when that
  // is exchanged. Where its parts are not as expected, Locust's own table of text is what is there.

  let view = null, chosen = false;

  function tabOf(bar) {
    return [...bar.querySelectorAll("[role=tab]")].find(tab => tab.textContent.trim() === TITLE);
  }

  function arrange() {
    const bar = document.querySelector("[role=tablist]"), tab = bar && tabOf(bar);
    badge();
    if (!tab) return close();
    tab.style.order = "-1";
    const asked = new URLSearchParams(location.search).get("tab");
    if (!chosen) {
      chosen = true;
      // Who has come without a wish is shown what decides.
      if (!asked) return tab.click();
    }
    if (tab.getAttribute("aria-selected") !== "true") return close();
    const tabs = bar.closest(".MuiTabs-root"), host = tabs && tabs.parentElement && tabs.parentElement.parentElement;
    if (!host || (view && host.contains(view.root))) return;
    close();
    const slot = el("section", { class: "pika-slot", "aria-label": TITLE });
    host.classList.add("pika-host");
    host.append(slot);
    view = new View(slot);
  }

  function close() {
    if (!view) return;
    const slot = view.root.parentElement;
    view.close();
    view = null;
    if (slot) {
      if (slot.parentElement) slot.parentElement.classList.remove("pika-host");
      slot.remove();
    }
  }

  function badge() {
    const toolbar = document.querySelector("header .MuiToolbar-root"), answer = known.answer;
    let mark = document.getElementById("pika-badge");
    if (!toolbar || !answer || answer.phase === "ready") { if (mark) mark.remove(); return; }
    if (!mark) {
      mark = el("a", { id: "pika-badge", href: `?tab=${TAB}` });
      mark.addEventListener("click", event => {
        const bar = document.querySelector("[role=tablist]"), tab = bar && tabOf(bar);
        if (tab) { event.preventDefault(); tab.click(); }
      });
    }
    const failing = answer.thresholds.filter(row => row.status === "fail").length;
    const words = known.lost ? "NO ANSWER" : answer.word;
    say(mark, words.replace(" SO FAR", ""));
    place(mark, toolbar);
    const state = known.lost ? "idle" : outcome();
    if (mark.dataset.outcome !== state) mark.dataset.outcome = state;
    const label = `Verdict: ${words}` + (failing ? `, ${failing} of ${answer.thresholds.length} thresholds fail` : "");
    if (mark.title !== label) { mark.title = label; mark.setAttribute("aria-label", label); }
  }

  // Loads Locust's page again where it still shows that a test ends, although that is over: it would show it for ever,
  // and offer no new test. It asks for nothing more by then, and what it was told last may be two seconds old.
  let staleSince_ms = null;
  function reloadIfStale() {
    const shown = [...document.querySelectorAll("header p, header span")].map(node => node.textContent.toLowerCase());
    const isOver = !known.lost && known.locustState && !ENDING_STATES.includes(known.locustState);
    if (!isOver || !ENDING_STATES.some(state => shown.includes(state))) staleSince_ms = null;
    else if (staleSince_ms == null) staleSince_ms = performance.now();
    else if (performance.now() - staleSince_ms > STALE_MS) location.reload();
  }

  // The badge stands in the header, and where that has no room left, in the row of tabs.
  function place(mark, toolbar) {
    const tabs = document.querySelector(".MuiTabs-root"), row = tabs && tabs.parentElement;
    const width = document.documentElement.clientWidth;
    const isThere = mark.isConnected && (mark.parentElement === toolbar || mark.parentElement === row);
    if (isThere && mark.dataset.width === String(width)) return;
    mark.dataset.width = width;
    toolbar.firstElementChild.after(mark);
    if (row && (toolbar.scrollWidth > toolbar.clientWidth || document.documentElement.scrollWidth > width)) {
      row.classList.add("pika-row");
      row.append(mark);
    }
  }

  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; arrange(); });
  }

  const alone = document.getElementById("pika-page");
  if (alone) {
    alone.replaceChildren();
    view = new View(alone);
  } else {
    new MutationObserver(soon).observe(document.getElementById("root") || document.body,
      { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-selected"] });
    known.views.add({ draw() { badge(); reloadIfStale(); } });
    addEventListener("resize", soon);
    arrange();
  }
  const redraw = () => { for (const one of known.views) one.draw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("storage", redraw);
  document.addEventListener("click", () => setTimeout(() => {
    // Locust's own switch says nothing to anybody else.
    if (view && view.root.classList.contains("pika-dark") !== isDark()) redraw();
  }));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
  setInterval(() => { if (view && known.answer && known.points) view.drawTime(); }, 1000);
  poll();
})();

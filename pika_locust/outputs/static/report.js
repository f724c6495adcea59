// Draws the charts of a report from the data in its page; one cursor for all of them.
(() => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const COLOURS = ["#0b8ae0", "#f59e0b", "#9b6dd6", "#16a34a", "#e0529c", "#0fb5ae", "#b07a4f", "#94a3b8"];
  const STYLES = { good: "#16a34a", bad: "#ef4444", plan: "#94a3b8" };
  const MARKS = { stage: "#94a3b8", end: "#94a3b8", edit: "#0b8ae0" };
  const drawn = new Map();

  // As the tables have them: fractions of a second are cut, and no digit before the point is rounded away.
  const two = (n) => String(n).padStart(2, "0");
  const clock = (s) => {
    const whole = Math.max(0, Math.floor(s)), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    return (h ? h + ":" + two(m) : m) + ":" + two(whole % 60);
  };
  const digits = (v) => (Math.abs(v) >= 99.95 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
  const number = (v) => (v == null ? "–" : v.toLocaleString("en", digits(v)));

  function overlay(u, one) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    for (const [at, kind] of one.marks) {
      const x = u.valToPos(at, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = MARKS[kind] || "#ef4444";
      ctx.setLineDash(kind === "stage" ? [2, 4] : [6, 3]);
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    }
    if (one.limit != null) {
      const y = u.valToPos(one.limit, "y", true);
      if (y >= bbox.top) {
        ctx.strokeStyle = "#ef4444"; ctx.setLineDash([8, 4]);
        ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
      }
    }
    ctx.restore();
  }

  function draw(figure) {
    const one = charts[figure.dataset.chart];
    if (drawn.has(figure)) drawn.get(figure).destroy();
    const ink = dark.matches ? "#9aa4b2" : "#667085", grid = dark.matches ? "#2a323d" : "#e3e7ec";
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui" };
    const lines = one.lines.map(([label, style], at) => ({
      label,
      stroke: STYLES[style] || COLOURS[at % COLOURS.length],
      width: 1.6,
      dash: style === "plan" ? [4, 4] : undefined,
      // A value between two gaps has no line to be on.
      points: { show: (u, s) => lonely(u.data[s]), size: 5 },
      value: (u, v) => number(v) + (one.unit && v != null ? " " + one.unit : ""),
    }));
    drawn.set(figure, new uPlot({
      width: Math.max(240, figure.clientWidth - 20),
      height: 180,
      cursor: { sync: { key: "report" } },
      scales: { x: { time: false }, y: { range: (u, low, high) => [Math.min(0, low || 0), top(high, one.limit)] } },
      axes: [{ ...axis, values: (u, v) => v.map(clock) }, { ...axis, size: 58, values: (u, v) => v.map(number) }],
      series: [{ label: "time", value: (u, v) => (v == null ? "–" : near(one, v)) }, ...lines],
      hooks: { draw: [(u) => overlay(u, one)] },
    }, [one.t, ...one.lines.map((line) => line[2])], figure));
  }

  // A limit far above all values would press them to the floor.
  const top = (high, limit) => Math.max((high || 0) * 1.1, limit != null && limit < (high || 0) * 6 ? limit * 1.1 : 0) || 1;
  const lonely = (column) => column.some((v, i) => v != null && column[i - 1] == null && column[i + 1] == null);
  const near = (one, at) => {
    const step = one.t.length > 1 ? (one.t[one.t.length - 1] - one.t[0]) / (one.t.length - 1) : 1;
    const found = one.marks.filter((mark) => Math.abs(mark[0] - at) <= step);
    return clock(at) + (found.length ? " " + found.map((mark) => mark[2]).join("; ") : "");
  };

  const visible = () => [...document.querySelectorAll("figure.chart")].filter((figure) => figure.clientWidth > 0);
  const all = () => visible().forEach(draw);
  all();
  document.querySelectorAll("details").forEach((one) => one.addEventListener("toggle", () =>
    one.open && [...one.querySelectorAll("figure.chart")].filter((f) => f.clientWidth > 0 && !drawn.has(f)).forEach(draw)));
  dark.addEventListener("change", all);
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });
  addEventListener("beforeprint", () => { document.querySelectorAll("details").forEach((one) => (one.open = true)); all(); });
})();

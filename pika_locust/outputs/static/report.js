// Draws the charts of a report from the data in its page, as soon as they can be seen.
"use strict";
(() => {
  const { chart, format } = window.pikaCharts, drawn = new Map();
  const data = JSON.parse(document.getElementById("charts").textContent);
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");

  function made(figure) {
    const one = data[figure.dataset.chart], columns = one.lines.map(line => line[2]);
    const withUnit = v => format(v) + (one.unit ? ` ${one.unit}` : "");
    const series = one.lines.map(([label, style]) => style === "plan" ? { label, colour: "grey", dash: [5, 4] } : { label });
    const caption = figure.querySelector("figcaption").textContent.trim();
    const drawing = chart(figure, { unit: one.unit, series, dark: prefersDark.matches });
    drawing.set(one.t, columns, {
      marks: one.marks.map(([at_s, kind, text]) => ({ at_s, kind, text })),
      limits: one.limit == null ? [] : [{ at: one.limit, label: `limit ${withUnit(one.limit)}` }],
    });
    drawing.say([caption, ...one.lines.map(([label, , column]) => {
      const there = column.filter(v => v != null);
      return `${label} from ${withUnit(Math.min(...there))} to ${withUnit(Math.max(...there))}`;
    })].join("; "));
    return drawing;
  }

  function draw() {
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      // What is folded has no width yet.
      if (!figure.clientWidth) continue;
      if (drawn.has(figure)) drawn.get(figure).resize();
      else drawn.set(figure, made(figure));
    }
  }

  draw();
  new ResizeObserver(draw).observe(document.body);
  prefersDark.addEventListener("change", () => drawn.forEach(drawing => drawing.theme(prefersDark.matches)));
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach(one => (one.open = true));
    draw();
  });
})();

// Charts of a run's timeline: time series with a synchronised cursor, limits as lines and marks of what happened.
"use strict";
window.pikaCharts = (() => {
  const COLOURS = {
    light: {
      blue: "#2563eb", orange: "#d97706", purple: "#9333ea", green: "#15803d", red: "#dc2626", grey: "#94a3b8",
      text: "#57606a", grid: "#e7eaee", fault: "#b45309",
    },
    dark: {
      blue: "#60a5fa", orange: "#fbbf24", purple: "#c084fc", green: "#4ade80", red: "#f87171", grey: "#7d8590",
      text: "#9aa4af", grid: "#2f353d", fault: "#fbbf24",
    },
  };
  const MARKS = { stage: ["grey", [2, 4]], fault: ["fault", [5, 3]], outage: ["red", [2, 2]], abort: ["red", []],
    worker: ["red", [5, 3]], threshold: ["red", [1, 3]], edit: ["grey", [5, 3]], end: ["grey", []] };
  const HEIGHT = 180;

  const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  // No digit before the point is rounded away: 12,345 users are not 12,300.
  const number = v => (Math.abs(v) >= 99.95 ? whole : exact).format(v);
  const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
  const clock = s => {
    const whole = Math.max(0, Math.floor(s)), two = n => String(n).padStart(2, "0");
    const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    return h ? `${h}:${two(m)}:${two(whole % 60)}` : `${m}:${two(whole % 60)}`;
  };
  const colours = dark => COLOURS[dark ? "dark" : "light"];

  // Steps that make whole seconds, minutes and hours.
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

  // Points that have no neighbour would not be seen in a line.
  function lonely(u, series) {
    const data = u.data[series], found = [];
    for (let i = 0; i < data.length; i++)
      if (data[i] != null && data[i - 1] == null && data[i + 1] == null) found.push(i);
    return found;
  }

  function drawMarks(u, marks, palette) {
    const { ctx, bbox } = u;
    ctx.save();
    for (const mark of marks) {
      const x = Math.round(u.valToPos(mark.at_s, "x", true));
      if (x <= bbox.left || x >= bbox.left + bbox.width) continue;
      const [colour, dash] = MARKS[mark.kind] || MARKS.stage;
      ctx.strokeStyle = palette[colour];
      ctx.globalAlpha = mark.kind === "stage" || mark.kind === "threshold" ? 0.7 : 1;
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash(dash.map(d => d * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  function drawLimits(u, limits, palette) {
    const { ctx, bbox } = u, ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * ratio}px sans-serif`;
    ctx.textAlign = "right";
    for (const limit of limits) {
      const y = Math.round(u.valToPos(limit.at, "y", true));
      const outside = y < bbox.top;
      ctx.strokeStyle = ctx.fillStyle = palette.red;
      ctx.lineWidth = 1.25 * ratio;
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      if (!outside) {
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      const below = y - 16 * ratio < bbox.top;
      ctx.textBaseline = below ? "top" : "bottom";
      const place = outside ? bbox.top + 2 * ratio : y + (below ? 3 : -3) * ratio;
      ctx.fillText((outside ? "↑ " : "") + limit.label, bbox.left + bbox.width - 4 * ratio, place);
    }
    ctx.restore();
  }

  // How high a chart goes: over all values, and over a limit unless that would press the values flat.
  function ceiling(limits, most) {
    let top = most > 0 ? most * 1.12 : 1;
    for (const { at } of limits) if (at <= 4 * (most || at)) top = Math.max(top, at * 1.15);
    return top;
  }

  /**
   * A chart in `parent`. `spec`: title, note, unit, series [{label, colour, dash, fill}], limits [{at, label}],
   * height, sync (a name that charts share whose cursors go together), whole (shows no decimals).
   * Returns {set(times, columns, marks), theme(dark), resize(), say(text), destroy(), element}.
   */
  function chart(parent, spec) {
    let limits = spec.limits || [], marks = [], dark = !!spec.dark, plot = null, data = [[]], width = 0;
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const title = document.createElement("b"), note = document.createElement("span"), box = document.createElement("div");
    figure.className = "pika-chart";
    title.textContent = spec.title;
    note.textContent = spec.note || "";
    caption.append(title, note);
    // What is drawn says nothing to who cannot see it; the sentence does.
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", spec.title);
    figure.append(caption, box);
    parent.append(figure);
    const format = v => v == null ? "–" : number(v) + (spec.unit ? ` ${spec.unit}` : "");

    function make() {
      const palette = colours(dark);
      if (plot) plot.destroy();
      width = Math.max(220, Math.floor(box.clientWidth || figure.clientWidth - 24));
      const axis = { stroke: palette.text, grid: { stroke: palette.grid, width: 1 }, font: "11px sans-serif",
        ticks: { show: false } };
      plot = new uPlot({
        width, height: spec.height || HEIGHT,
        cursor: { sync: { key: spec.sync || "pika" }, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { live: true, markers: { width: 2 } },
        scales: {
          x: { time: false, range: (u, min, max) => [0, Math.max(10, max || 0)] },
          y: { range: (u, min, max) => [0, ceiling(limits, max)] },
        },
        axes: [
          { ...axis, size: 26, gap: 4, incrs: STEPS_S, space: 56, values: (u, ticks) => ticks.map(clock) },
          { ...axis, size: 50, gap: 4, space: 34, values: (u, ticks) => ticks.map(v => short.format(v)) },
        ],
        series: [
          { label: "at", value: (u, v) => v == null ? "–" : clock(v) },
          ...spec.series.map(one => ({
            label: one.label, stroke: palette[one.colour], width: one.width || 1.75, dash: one.dash,
            fill: one.fill ? palette[one.colour] + "26" : undefined, spanGaps: false,
            points: { show: true, filter: lonely, size: 5, fill: palette[one.colour] },
            value: (u, v) => format(v),
          })),
        ],
        hooks: { drawAxes: [u => drawMarks(u, marks, palette)], draw: [u => drawLimits(u, limits, palette)] },
      }, data, box);
      plot.over.addEventListener("mouseleave", () => setTimeout(latest));
      latest();
    }

    // Without a cursor in a chart, its legend has the newest values.
    function latest() {
      if (plot && data[0].length && (plot.cursor.left == null || plot.cursor.left < 0))
        plot.setLegend({ idx: data[0].length - 1 }, false);
    }

    make();
    return {
      element: figure,
      set(times, columns, newMarks, newLimits) {
        marks = newMarks || marks;
        limits = newLimits || limits;
        data = [times, ...columns];
        plot.setData(data);
        latest();
      },
      theme(isDark) {
        if (isDark !== dark) { dark = isDark; make(); }
      },
      resize() {
        const now = Math.max(220, Math.floor(box.clientWidth));
        if (now !== width) { width = now; plot.setSize({ width, height: spec.height || HEIGHT }); }
      },
      say(text) {
        if (box.getAttribute("aria-label") !== text) box.setAttribute("aria-label", text);
      },
      destroy() {
        plot.destroy();
        figure.remove();
      },
    };
  }

  return { chart, clock, colours, format: number };
})();

// Charts of a run's timeline, in the live page and in reports: time series with a cursor that all charts share, limits
// as lines, and marks of what happened.
"use strict";
window.pikaCharts = (() => {
  const COLOURS = {
    light: {
      blue: "#2563eb", orange: "#d97706", purple: "#9333ea", green: "#15803d", pink: "#db2777", teal: "#0d9488",
      red: "#dc2626", grey: "#94a3b8", text: "#57606a", grid: "#e7eaee", fault: "#b45309",
    },
    dark: {
      blue: "#60a5fa", orange: "#fbbf24", purple: "#c084fc", green: "#4ade80", pink: "#f472b6", teal: "#2dd4bf",
      red: "#f87171", grey: "#7d8590", text: "#9aa4af", grid: "#2f353d", fault: "#fbbf24",
    },
  };
  // Those of lines that ask for none, one after the other.
  const NEXT = ["blue", "orange", "purple", "green", "pink", "teal"];
  const MARKS = { stage: ["grey", [2, 4]], fault: ["fault", [5, 3]], outage: ["red", [2, 2]], abort: ["red", []],
    worker: ["red", [5, 3]], threshold: ["red", [1, 3]], edit: ["grey", [5, 3]], end: ["grey", []] };
  // Steps of the time axis that make whole seconds, minutes and hours.
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const HEIGHT = 180, LEAST_WIDTH = 220, LABEL_HEIGHT = 12;

  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
  // No digit before the point is rounded away: 12,345 users are not 12,300.
  const format = v => (Math.abs(v) >= 99.95 ? whole : precise).format(v);
  const clock = s => {
    const seconds = Math.max(0, Math.floor(s)), two = n => String(n).padStart(2, "0");
    const h = Math.floor(seconds / 3600), m = Math.floor(seconds / 60) % 60;
    return h ? `${h}:${two(m)}:${two(seconds % 60)}` : `${m}:${two(seconds % 60)}`;
  };
  // The newest value that there is in a column.
  const last = column => (column || []).findLast(v => v != null) ?? null;

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
    let taken = bbox.top;
    ctx.save();
    ctx.font = `${11 * ratio}px sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.strokeStyle = ctx.fillStyle = palette.red;
    ctx.lineWidth = 1.25 * ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    for (const limit of [...limits].sort((a, b) => b.at - a.at)) {
      const y = Math.round(u.valToPos(limit.at, "y", true)), isAbove = y < bbox.top;
      if (!isAbove) {
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      // A label is above its line; below it, where the frame or the label of the line above leaves no room.
      const free = taken + LABEL_HEIGHT * ratio, place = y - 3 * ratio;
      taken = isAbove ? free : place >= free ? place : Math.max(free, y + (LABEL_HEIGHT + 2) * ratio);
      ctx.fillText((isAbove ? "↑ " : "") + limit.label, bbox.left + bbox.width - 4 * ratio, taken);
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
   * A chart in a <figure>, below its caption. `spec`: unit, series [{label, colour, dash, fill}], dark.
   * Returns {set(times, columns, {marks, limits, isLive}), theme(dark), resize(), say(text), destroy()}; a mark is
   * {at_s, kind, text}, a limit {at, label}; isLive: the legend has the newest values as long as no cursor is in the
   * chart, and not none.
   */
  function chart(figure, spec) {
    let limits = [], marks = [], isLive = false, dark = spec.dark, data = [[]], width = 0, plot = null;
    const box = document.createElement("div");
    // What is drawn says nothing to who cannot see it; the sentence does.
    box.setAttribute("role", "img");
    figure.append(box);
    const measured = () => Math.max(LEAST_WIDTH, Math.floor(box.clientWidth));
    const value = v => v == null ? "–" : format(v) + (spec.unit ? ` ${spec.unit}` : "");

    function time(at) {
      const step = data[0].length > 1 ? (data[0].at(-1) - data[0][0]) / (data[0].length - 1) : 1;
      return [clock(at), ...marks.filter(mark => Math.abs(mark.at_s - at) <= step / 2).map(mark => mark.text)].join(" · ");
    }

    function make() {
      const palette = COLOURS[dark ? "dark" : "light"];
      if (plot) plot.destroy();
      width = measured();
      const axis = { stroke: palette.text, grid: { stroke: palette.grid, width: 1 }, font: "11px sans-serif",
        ticks: { show: false } };
      plot = new uPlot({
        width, height: HEIGHT,
        cursor: { sync: { key: "pika" }, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { markers: { width: 2 } },
        scales: {
          x: { time: false, range: (u, min, max) => [0, Math.max(10, max || 0)] },
          y: { range: (u, min, max) => [Math.min(0, min || 0), ceiling(limits, max)] },
        },
        axes: [
          { ...axis, size: 26, gap: 4, incrs: STEPS_S, space: 56, values: (u, ticks) => ticks.map(clock) },
          { ...axis, size: 50, gap: 4, space: 34, values: (u, ticks) => ticks.map(v => short.format(v)) },
        ],
        series: [
          { label: "at", value: (u, v, series, index) => index == null ? "" : time(v) },
          ...spec.series.map((one, i) => {
            const colour = palette[one.colour || NEXT[i % NEXT.length]];
            return {
              label: one.label, stroke: colour, width: 1.75, dash: one.dash, fill: one.fill ? colour + "26" : undefined,
              points: { show: true, filter: lonely, size: 5, fill: colour },
              value: (u, v, series, index) =>
                index != null ? value(v) : isLive ? value(last(u.data[series])) : "",
            };
          }),
        ],
        hooks: { drawAxes: [u => drawMarks(u, marks, palette)], draw: [u => drawLimits(u, limits, palette)] },
      }, data, box);
      // A long one is cut short.
      for (const label of box.querySelectorAll(".u-label")) label.title = label.textContent;
    }

    make();
    return {
      set(times, columns, about) {
        ({ marks, limits, isLive } = about);
        data = [times, ...columns];
        plot.setData(data);
      },
      theme(isDark) {
        if (isDark !== dark) { dark = isDark; make(); }
      },
      resize() {
        if (measured() !== width) { width = measured(); plot.setSize({ width, height: HEIGHT }); }
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

  return { chart, clock, format, last };
})();

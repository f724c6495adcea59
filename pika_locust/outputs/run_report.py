"""What a summary says of one run, as a document: the verdict first, what it rests on below, everything else folded.

It is made from the summary JSON alone, so that a report can be made again later, and of a run that was killed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pika_locust.format import amount, clock, number, percent, plural, span
from pika_locust.judge.expressions import parse
from pika_locust.judge.verdict import CPU_PERCENT, OWN_TIMES
from pika_locust.metrics.histogram import Histogram, bucket_edges
from pika_locust.metrics.metric import scale_of
from pika_locust.metrics.snapshot import PERCENTILES, histogram_of
from pika_locust.outputs.comparison import Comparison, Outcome, shown
from pika_locust.outputs.document import (
    Banner,
    Bars,
    Block,
    Bullets,
    Chart,
    Code,
    Document,
    Fold,
    Heading,
    Line,
    Paragraph,
    Tiles,
    table,
)
from pika_locust.outputs.recorded import judged_in, tally
from pika_locust.outputs.run_findings import findings
from pika_locust.outputs.table import Span, Tone

MOST_SECTIONS = 16
"""Parts of trends, by name, that get a section of their own."""
MOST_ERRORS = 50
BARS = 48
_TONES: dict[str, Tone] = {
    "pass": "good",
    "fail": "bad",
    "invalid": "doubt",
    "no_data": "bad",
    "healthy": "good",
    "warning": "doubt",
    "critical": "bad",
    "worse": "bad",
    "better": "good",
    "changed": "doubt",
}
_OUTCOMES: dict[Outcome, str] = {"worse": "WORSE", "better": "better", "changed": "changed", "same": "no difference"}
_TRAFFIC = (
    ("http_reqs", "HTTP requests"),
    ("ws_messages_received", "messages received"),
    ("ws_messages_sent", "messages sent"),
    ("iterations", "iterations"),
)
_TARGET = ("health_latency", "target_memory_mb", "target_cpu_percent")
_PHASES = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")
_PARTS = ("min", "avg", "med", *(f"p({one})" for one in PERCENTILES), "max")


def run_report(summary: Mapping[str, Any], comparison: Comparison | None = None) -> Document:
    """The report of one run; `comparison` is with the runs of a baseline."""
    title = f"Load test: {summary['scenario']}"
    return Document(title, (Heading(title, 1), *run_blocks(summary, comparison)))


def run_blocks(
    summary: Mapping[str, Any], comparison: Comparison | None = None, alone: Mapping[str, Any] | None = None
) -> Iterator[Block]:
    """All that there is to say of one run; `alone` are the metrics of a run of the same with hardly any load."""
    yield from _verdict(summary)
    yield from _tiles(summary)
    yield from _thresholds(summary)
    yield from _findings(summary)
    if comparison is not None:
        yield Heading("Compared with the baseline")
        yield from comparison_blocks(comparison)
    yield from _audits(summary)
    yield from _timeline(summary)
    yield from _target(summary)
    yield from _sections(summary)
    yield from _metrics(summary, alone or {})
    yield from _checks(summary)
    yield from _errors(summary)
    yield from _generator(summary)
    yield from _settings(summary)


def _verdict(summary: Mapping[str, Any]) -> Iterator[Block]:
    verdict, reasons = str(summary["verdict"]), summary["reasons"]
    thresholds = [one["status"] for one in summary["thresholds"]]
    held = tally(thresholds, "thresholds ") if thresholds else "no thresholds"
    if any(reason["code"] == "unfinished" for reason in reasons):
        word, tone, held = "NOT FINISHED", "doubt", f"{held} so far"
    else:
        word, tone = verdict.upper(), _TONES.get(verdict, "doubt")
    yield Banner(word, f"{held}; exit code {summary['exit_code']}", tone)  # type: ignore[arg-type]
    if reasons:
        yield Bullets(tuple(Span(_reason(reason), "bad" if verdict == "fail" else "doubt") for reason in reasons))
    notes = summary.get("notes") or ()
    if notes:
        yield Fold(plural(len(notes), "note"), (Bullets(tuple(Span(note) for note in notes)),))


def _reason(reason: Mapping[str, Any]) -> str:
    subject, text = str(reason["subject"]), str(reason["text"])
    return text if not subject or subject in text else f"{subject}: {text}"


def _tiles(summary: Mapping[str, Any]) -> Iterator[Block]:
    load, metrics = summary["load"], summary["metrics"]
    items = [("Users at the peak", number(load.get("users_peak")), str(load.get("profile") or ""))]
    planned = f"{clock(load['planned_s'])} planned" if load.get("planned_s") else ""
    items.append(("Time", clock(summary["duration_s"]), planned))
    for name, title in _TRAFFIC:
        figure = metrics.get(name)
        if figure and figure.get("count"):
            rate = figure.get("rate")
            items.append(
                (title[0].upper() + title[1:], number(figure["count"]), f"{number(rate)} a second" if rate else "")
            )
    for name in ("http_req_duration", "ws_message_latency"):
        figure = metrics.get(name)
        if figure and figure.get("count"):
            items.append(
                (
                    f"{name} p(95)",
                    amount(figure["p(95)"], figure["unit"]),
                    f"median {amount(figure['med'], figure['unit'])}",
                )
            )
    errors = sum(one["count"] for one in summary["errors"])
    if summary["duration_s"]:
        items.append(("Errors", number(errors), plural(len(summary["errors"]), "kind") if errors else ""))
    if load.get("dropped_iterations"):
        items.append(("Dropped iterations", number(load["dropped_iterations"]), "found no free user"))
    yield Tiles(tuple(items))


def _thresholds(summary: Mapping[str, Any]) -> Iterator[Block]:
    rows = []
    order = {"fail": 0, "no_data": 0, "pass": 1, "not_observed": 2}
    judged = [one for one in judged_in(summary) if one.limit]
    pairs = sorted(zip(judged, summary["thresholds"], strict=True), key=lambda pair: order.get(pair[0].status, 1))
    for one, result in pairs:
        interval, worst = result.get("interval"), result.get("worst_window")
        unit = _unit(result)
        limit = parse(result["expression"]).limit
        window_s = result.get("window_s")
        judged_by = "" if window_s is None else f" in the worst {number(window_s)} s"
        rows.append(
            [
                Span(_status(one.status, bool(result["conclusive"])), _TONES.get(one.status, "dim")),
                result["metric"],
                result["expression"] + judged_by,
                amount(result["value"], unit, limit),
                _interval(interval, unit, limit) if interval else "",
                _worst(worst, unit, limit) if worst else "",
                number(result["samples"]),
                Span(result["grade"] or "", _TONES.get(result["grade"] or "", "")),
                Span(result.get("why") or result.get("about") or "", "dim"),
            ]
        )
    if not rows:
        return
    yield Heading("Thresholds")
    titles = ["", "metric", "threshold", "value", "95 % interval", "worst window", "samples", "grade", "meaning"]
    yield table(titles, rows, right=(3, 4, 5, 6))
    if any(not result["conclusive"] for _, result in pairs):
        yield Paragraph("? the limit lies inside the 95 % interval: more samples could turn the result", "doubt")
    if summary.get("resolving_power"):
        items = tuple(Span(sentence) for sentence in summary["resolving_power"])
        yield Fold("The smallest failures that this run would have found", (Bullets(items),))


def _status(status: str, conclusive: bool) -> str:
    words = status.upper() if status in ("fail", "no_data") else status
    return words.replace("_", " ") + ("" if conclusive or status not in ("pass", "fail") else " ?")


def _unit(threshold: Mapping[str, Any]) -> str:
    unit, aggregation = str(threshold.get("unit") or ""), parse(threshold["expression"]).aggregation
    if threshold.get("kind") == "rate":
        return "%"
    return f"{unit}/s" if threshold.get("kind") == "counter" and aggregation == "rate" else unit


def _interval(interval: Sequence[float | None], unit: str, limit: float) -> str:
    low, high = interval
    return span(-math.inf if low is None else low, math.inf if high is None else high, unit, limit=limit)


def _worst(window: Mapping[str, Any], unit: str, limit: float) -> str:
    seconds = number(round(window["seconds"]))
    return f"{amount(window['value'], unit, limit)} in the {seconds} s from {clock(window['from_s'])}"


def _findings(summary: Mapping[str, Any]) -> Iterator[Block]:
    found = findings(summary)
    if not found:
        return
    yield Heading("Findings and actions")
    rows: list[list[Span | str]] = [
        [Span(one.what, "strong"), one.evidence, one.action, Span("; ".join(one.thresholds), "bad")] for one in found
    ]
    yield table(["finding", "evidence", "action", "explains"], rows)


def comparison_blocks(comparison: Comparison) -> Iterator[Block]:
    """Before and after: thresholds, and what else differs by more than noise."""
    count = len(comparison.regressions) + len(comparison.broken)
    yield Paragraph(plural(count, "regression") if count else "nothing is worse", "bad" if count else "good")
    yield Paragraph(comparison.method, "dim")
    sentences = [*(Span(one, "bad") for one in comparison.broken), *(Span(one, "doubt") for one in comparison.warnings)]
    if sentences:
        yield Bullets(tuple(sentences))
    several = len({row.scenario for row in comparison.rows}) > 1
    rows: list[list[Span | str]] = [
        [
            row.scenario if several else "",
            f"{row.series} {row.statistic}",
            *shown(row),
            Span(_OUTCOMES[row.outcome], _TONES.get(row.outcome, "dim")),
            Span(row.expression or "", "dim"),
        ]
        for row in comparison.rows
        if row.expression is not None or row.outcome != "same"
    ]
    titles = ["scenario", "figure", "before", "after", "difference", "noise up to", "", "threshold"]
    yield table(titles, rows, right=(2, 3, 4, 5))


def _audits(summary: Mapping[str, Any]) -> Iterator[Block]:
    if not summary["audits"]:
        return
    yield Heading("Data-integrity checks")
    rows = [
        [
            Span(_status(one["status"], True), _TONES.get(one["status"], "dim")),
            one["name"],
            number(one["expected"]),
            number(one["actual"], one["expected"]),
            number(one["unanswered"]),
            one["detail"],
        ]
        for one in summary["audits"]
    ]
    yield table(["", "check", "acknowledged", "stored", "unanswered", ""], rows, right=(2, 3, 4))


class _Times:
    """The timeline of a summary, and the charts that can be made of it."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        found = summary.get("timeline") or {}
        times_s: Sequence[float] = found.get("times_s") or ()
        # The last interval ends with the run, and may be so short that its rates say nothing.
        lengths = [end - start for start, end in zip((0.0, *times_s), times_s, strict=False)]
        is_cut = len(lengths) > 2 and lengths[-1] < lengths[-2] / 2
        self.times_s = times_s[:-1] if is_cut else times_s
        self.load: Mapping[str, Any] = found.get("load") or {}
        self.metrics: Mapping[str, Mapping[str, Any]] = found.get("metrics") or {}
        self.errors: Mapping[str, Any] = found.get("errors") or {}
        self.marks: tuple[Mapping[str, Any], ...] = tuple(found.get("marks") or ())

    def chart(
        self, title: str, note: str, lines: Iterable[Line], unit: str = "", limit: float | None = None
    ) -> Iterator[Chart]:
        """A chart of the lines that have any value; none where no line has."""
        cut = [Line(line.label, line.values[: len(self.times_s)], line.style) for line in lines]
        kept = tuple(line for line in cut if any(value is not None for value in line.values))
        if kept and self.times_s:
            yield Chart(title, note, self.times_s, kept, unit, limit, self.marks)

    def line(self, series: str, statistic: str, label: str, style: str = "main") -> Iterator[Line]:
        """The line of one statistic of a series, if it was recorded."""
        column = self.metrics.get(series, {}).get(statistic)
        if column is not None:
            yield Line(label, column, style)

    def percentiles(self, series: str) -> list[Line]:
        return [line for one in ("p50", "p95", "p99") for line in self.line(series, one, one)]


def _timeline(summary: Mapping[str, Any]) -> Iterator[Block]:
    times = _Times(summary)
    if not times.times_s:
        return
    yield Heading("Timeline")
    load = times.load
    users = [Line("users", load["users"])] if "users" in load else []
    users += [Line("planned", load["users_planned"], "plan")] if "users_planned" in load else []
    yield from times.chart("Users", "and the plan", users)
    arrivals = [*times.line("iterations", "rate", "iterations")] if "arrivals_planned" in load else []
    arrivals += [Line("planned", load["arrivals_planned"], "plan")] if "arrivals_planned" in load else []
    if any(value is not None for value in load.get("arrivals_planned", ())):
        yield from times.chart("Arrivals", "a second, and the plan", arrivals)
    traffic = [line for name, label in _TRAFFIC[:3] for line in times.line(name, "rate", label)]
    yield from times.chart("Requests and messages", "a second", traffic)
    for metric, unit, limit, expressions in _trends_with_thresholds(summary):
        yield from times.chart(metric, f"{', '.join(expressions)} {unit}", times.percentiles(metric), unit, limit)
    errors = [Line(kind, column) for kind, column in times.errors.items()]
    yield from times.chart("Errors", "by kind, a second", errors)
    yield from times.chart("Load generator", "lag p(95)", times.line("generator_lag_ms", "p95", "lag p(95)"), "ms")
    if "cpu_percent" in load:
        yield from times.chart(
            "Load generator", "CPU of its busiest process", [Line("CPU", load["cpu_percent"])], "%", CPU_PERCENT
        )
    if times.marks:
        rows = [[clock(mark["at_s"]), str(mark["kind"]), str(mark["text"])] for mark in times.marks]
        yield Fold(f"What happened ({len(rows)})", (table(["at", "", ""], rows),))


def _trends_with_thresholds(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, float | None, list[str]]]:
    """Trends that thresholds judge, each with the limit to be drawn."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for threshold in summary["thresholds"]:
        if threshold.get("kind") == "trend" and not parse(threshold["expression"]).is_slope:
            found.setdefault(threshold["metric"], []).append(threshold)
    for metric, thresholds in found.items():
        unit, expressions = str(thresholds[0].get("unit") or ""), [one["expression"] for one in thresholds]
        yield metric, unit, _line_of_limit(summary, metric), expressions


def _line_of_limit(summary: Mapping[str, Any], metric: str) -> float | None:
    """The tightest limit of what a chart of this metric shows: not a number of samples, and no growth over time."""
    judged = [parse(one["expression"]) for one in summary["thresholds"] if one["metric"] == metric]
    drawn = [one for one in judged if not one.is_slope and one.aggregation != "count"]
    highest = [one.limit for one in drawn if not one.operator.startswith(">")]
    return min(highest) if highest else max((one.limit for one in drawn), default=None)


def _target(summary: Mapping[str, Any]) -> Iterator[Block]:
    times, metrics = _Times(summary), summary["metrics"]
    charts: list[Block] = []
    own = [name for name in metrics if name.startswith("target_")]
    names = dict.fromkeys([*_TARGET, *own, *(summary.get("observed_metrics") or ())])
    for name in names:
        unit = str(metrics.get(name, {}).get("unit") or "")
        label = "share" if metrics.get(name, {}).get("kind") == "rate" else "a second"
        lines = times.percentiles(name) or [*times.line(name, "value", name), *times.line(name, "rate", label)]
        charts += times.chart(name, "", lines, unit, _line_of_limit(summary, name))
    outages = [mark for mark in times.marks if mark["kind"] == "outage"]
    rows = [
        [
            one["query"],
            ", ".join(f"{label}={value}" for label, value in one["labels"].items()),
            number(one["start"]),
            number(one["end"]),
            number(one["difference"]),
            one["note"],
        ]
        for one in summary.get("observed") or ()
    ]
    traces = _traces(summary)
    if not charts and not rows and not outages and not traces:
        return
    yield Heading("The target meanwhile")
    if outages:
        yield Bullets(tuple(Span(f"{clock(one['at_s'])} {one['text']}", "bad") for one in outages))
    yield from charts
    if rows:
        titles = ["query", "series", "before", "after", "difference", ""]
        yield table(titles, rows, right=(2, 3, 4))
    yield from traces


def _traces(summary: Mapping[str, Any]) -> list[Block]:
    """The sampled requests whose trace ids lead into the target's own tracing."""
    found = summary.get("traces") or ()
    if not found:
        return []
    rows = [
        [str(one["why"]), one["name"], amount(one["duration_ms"], "ms"), one.get("error") or "", one["trace_id"]]
        for one in found
    ]
    text = (
        "Requests and WebSocket handshakes with a traceparent, by whose ids the target's tracing finds them: "
        "the slowest, and failed ones."
    )
    return [Paragraph(text, "dim"), table(["", "request", "took", "error", "trace id"], rows, right=(2,))]


def _sections(summary: Mapping[str, Any]) -> Iterator[Block]:
    """What was measured under one name: how it is distributed, its percentiles over time, and how often."""
    times, metrics = _Times(summary), summary["metrics"]
    trends = [name for name, one in metrics.items() if one["kind"] == "trend" and one["count"] and _is_told_apart(name)]
    named = sorted((name for name in trends if "{" in name), key=lambda name: -metrics[name]["count"])
    whole = [name for name in trends if "{" not in name]
    kept = [*whole, *named][: max(MOST_SECTIONS, len(whole))]
    if not kept:
        return
    yield Heading("By name")
    for name in kept:
        figure = metrics[name]
        parts = ", ".join(f"{part} {amount(figure[part], figure['unit'])}" for part in ("med", "p(95)", "p(99)", "max"))
        inner: list[Block] = [*_bars(summary, name)]
        inner += times.chart(f"{name} over time", figure["unit"], times.percentiles(name), figure["unit"])
        inner += times.chart(f"{name} count", "in each interval", times.line(name, "count", "samples"))
        yield Fold(f"{name}: {number(figure['count'])} samples, {parts}", tuple(inner))
    if left := len(trends) - len(kept):
        yield Paragraph(f"{plural(left, 'more')} in the table of metrics.".replace("mores", "more"), "dim")


def _is_told_apart(name: str) -> bool:
    metric, tags, rest = name.partition("{")
    if metric in OWN_TIMES or metric.removeprefix("http_req_") in _PHASES:
        return False
    return not tags or (rest.startswith("name:") and "," not in rest)


def _bars(summary: Mapping[str, Any], name: str) -> Iterator[Bars]:
    distribution = summary["distributions"].get(name)
    if distribution is None:
        return
    histogram = histogram_of(distribution)
    unit = str(summary["metrics"][name]["unit"])
    scale = scale_of(unit)
    low, *middle, high = histogram.quantiles((0.001, 0.5, 0.95, 0.99, 0.999))
    marks = tuple((label, value / scale) for label, value in zip(("p50", "p95", "p99"), middle, strict=True))
    yield Bars(f"{name}: how values are distributed", unit, _shares(histogram, low, high, scale), marks)


def _shares(histogram: Histogram, low: float, high: float, scale: int) -> tuple[tuple[float, float, float], ...]:
    """Bars from `low` to `high`, equally wide on a logarithmic scale where values spread over more than a power of ten;
    what lies outside is in the outermost bars."""
    total = histogram.count
    by_logarithm = low > 0 and high / low > 10
    count = BARS if high > low else 1
    if by_logarithm:
        edges = [low * (high / low) ** (at / count) for at in range(count + 1)]
    else:
        edges = [low + (high - low) * at / count for at in range(count + 1)]
    shares = [0.0] * count
    for index, samples in histogram.buckets.items():
        middle = sum(bucket_edges(index)) / 2
        if by_logarithm:
            place = math.log(max(middle, low) / low) / math.log(high / low)
        else:
            place = (middle - low) / (high - low) if high > low else 0.0
        shares[min(count - 1, max(0, int(place * count)))] += samples / total
    return tuple((edges[at] / scale, edges[at + 1] / scale, shares[at]) for at in range(count))


def _metrics(summary: Mapping[str, Any], alone: Mapping[str, Any]) -> Iterator[Block]:
    """k6's table of everything that has samples; beside trends the median and p(95) of the run without load."""
    trends, others = [], []
    for name, figure in summary["metrics"].items():
        if not figure["count"]:
            continue
        unit = str(figure.get("unit") or "")
        if figure["kind"] == "trend":
            cells = [number(figure["count"]), *(amount(figure.get(part), unit) for part in _PARTS)]
            was = alone.get(name) or {}
            trends.append([name, *cells, *(amount(was.get(part), unit) for part in ("med", "p(95)") if alone)])
        else:
            others.append([name, str(figure["kind"]), figure_in_words(figure)])
    inner: list[Block] = []
    if trends:
        titles = ["trend", "count", *_PARTS, *(["baseline med", "baseline p(95)"] if alone else [])]
        inner.append(table(titles, trends, right=range(1, len(titles))))
    if others:
        inner.append(table(["metric", "kind", "value"], others))
    if inner:
        yield Heading("All metrics")
        yield Fold(f"{len(trends) + len(others)} series with samples", tuple(inner))


def figure_in_words(figure: Mapping[str, Any]) -> str:
    """A rate, gauge or counter: its value and what it is of."""
    unit = str(figure.get("unit") or "")
    if figure["kind"] == "rate":
        return f"{percent(figure['rate'])} ({number(figure['passes'])} of {number(figure['count'])})"
    if figure["kind"] == "gauge":
        least, most = (amount(figure.get(part), unit) for part in ("min", "max"))
        return f"{amount(figure.get('value'), unit)} (min {least}, max {most})"
    return f"{amount(figure['count'], unit)} ({amount(figure.get('rate'), f'{unit}/s')})"


def _checks(summary: Mapping[str, Any]) -> Iterator[Block]:
    if not summary["checks"]:
        return
    yield Heading("Checks")
    rows: list[list[Span | str]] = [
        [
            one["name"],
            number(one["passes"]),
            Span(number(one["fails"]), "bad" if one["fails"] else ""),
            percent(one["passes"] / total) if (total := one["passes"] + one["fails"]) else "",
        ]
        for one in summary["checks"]
    ]
    yield table(["check", "passed", "failed", "share"], rows, right=(1, 2, 3))


def _errors(summary: Mapping[str, Any]) -> Iterator[Block]:
    if not summary["errors"]:
        return
    yield Heading("Errors")
    most = sorted(summary["errors"], key=lambda one: -one["count"])
    rows = [[number(one["count"]), one["name"], one["error"]] for one in most[:MOST_ERRORS]]
    yield table(["count", "where", "error"], rows, right=(0,))
    if len(most) > MOST_ERRORS:
        yield Paragraph(f"{len(most) - MOST_ERRORS} more kinds are in the summary.", "dim")


def _generator(summary: Mapping[str, Any]) -> Iterator[Block]:
    rows: list[list[Span | str]] = []
    everybody = [("all", summary["generator"], True, None)] if len(summary["workers"]) > 1 else []
    workers = [(f"{one['index']} on {one['host']}", one, one["final"], one["lost_at_s"]) for one in summary["workers"]]
    for name, one, final, lost_at_s in (*everybody, *workers):
        lag = one["lag_ms"]
        state = Span(
            f"lost at {clock(lost_at_s)}" if lost_at_s is not None else "" if final else "no final figures", "bad"
        )
        cells = [amount(lag.get(part), "ms") for part in ("med", "p(95)", "p(99)", "max")]
        rows.append([name, *cells, number(one["cpu_percent_max"]), number(one["rss_mb_max"]), state])
    if not rows:
        return
    yield Heading("Load generator")
    titles = ["worker", "lag med", "lag p(95)", "lag p(99)", "lag max", "CPU max %", "memory max MB", ""]
    yield table(titles, rows, right=(1, 2, 3, 4, 5, 6))


def _settings(summary: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("This run")
    sandbox = " (sandbox)" if summary["sandbox"] else ""
    load = summary["load"]
    stages = ", ".join(f"{one['duration_s']:g}s:{one['target']}" for one in load.get("stages") or ())
    rows = [
        ("run", summary.get("run_id") or ""),
        ("began", summary["started_at"]),
        ("target", f"{summary['target']}{sandbox}" if summary["target"] else ""),
        ("stages", stages),
        ("workers", number(load.get("workers"))),
        ("seed", "" if summary.get("seed") is None else str(summary["seed"])),
        ("made with", ", ".join(f"{name} {version}" for name, version in (summary.get("versions") or {}).items())),
        *((name, str(value)) for name, value in (summary.get("settings") or {}).items()),
    ]
    yield table(["", ""], [[name, words] for name, words in rows if words])
    if summary.get("command"):
        yield Code(str(summary["command"]))

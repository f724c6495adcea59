"""The table of all metrics in the report, with k6's columns: `--summary-mode` says how much of it.

`compact` shows the metrics that have samples, without their parts by tag and without what is only of use when one looks
for a cause; `full` shows all of it; `disabled` nothing. The summary JSON always has everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pika_locust.format import amount, number, plural
from pika_locust.judge.report import Report
from pika_locust.outputs.redact import one_line
from pika_locust.outputs.table import Column, Line, Medium, Span, heading, prose, table

SummaryMode = Literal["compact", "full", "disabled"]
MODES: tuple[SummaryMode, ...] = get_args(SummaryMode)

_DETAILS = frozenset(
    {
        *("http_req_blocked", "http_req_connecting", "http_req_tls_handshaking"),
        *("http_req_sending", "http_req_waiting", "http_req_receiving", "http_retries"),
        *("vus_max", "iterations_started", "iteration_service_time", "arrival_lateness"),
        *("generator_lag_ms", "health_success", "health_latency"),
        *("latencies_one_clock", "latencies_two_clocks", "latencies_negative", "latencies_left_out", "clock_error"),
    }
)
"""Not in the compact table: phases of what is in it, and the load generator's own figures."""

_AGGREGATIONS = ("avg", "min", "med", "max", "p(90)", "p(95)", "p(99)")
_FOLDS = (2, 4, 1, 3, 5, 0, 6)
_ONLY_FULL = 2
"""The last columns of trends, as k6's default leaves them out."""
_OTHER_COLUMNS = (
    Column("metric"),
    *(Column(name, right=True) for name in ("count", "rate", "value", "min", "max")),
)


def metrics(report: Report, medium: Medium, mode: SummaryMode = "compact") -> list[Line]:
    """Every metric that has samples on a row: trends first, then counters, rates and gauges."""
    if mode == "disabled" or not report.metrics:
        return []
    names = sorted(name for name in report.metrics if mode == "full" or _is_main(name))
    figures = {name: report.metrics[name] for name in names if report.metrics[name].get("count")}
    others = [_other(name, figure) for name, figure in figures.items() if figure.get("kind") != "trend"]
    lines = _trends({name: figure for name, figure in figures.items() if figure.get("kind") == "trend"}, mode, medium)
    lines += table(_OTHER_COLUMNS, others, medium) if others else []
    without = [name for name in names if name not in figures]
    if mode == "full" and without:
        lines += prose(f"without samples: {one_line(', '.join(without))}", medium, "dim")
    words = plural(len(figures), "series", "series") if mode == "full" else "the others with --summary-mode=full"
    return [heading("Metrics", words), *lines] if lines else []


def _is_main(name: str) -> bool:
    return "{" not in name and name not in _DETAILS


def _trends(figures: Mapping[str, Mapping[str, Any]], mode: SummaryMode, medium: Medium) -> list[Line]:
    """The rows of all trends. Their unit is in the title where all have the same, so that the full table fits a log."""
    if not figures:
        return []
    units = {str(figure.get("unit") or "") for figure in figures.values()}
    unit = units.pop() if len(units) == 1 else ""
    columns = [
        Column(f"trend, {unit}" if unit else "trend"),
        *(Column(name, right=True, folds=folds) for name, folds in zip(_AGGREGATIONS, _FOLDS, strict=True)),
        Column("count", right=True),
    ]
    rows = [_trend(name, figure, with_unit=not unit) for name, figure in figures.items()]
    shown = len(columns) - (0 if mode == "full" else _ONLY_FULL)
    return table(columns[:shown], [row[:shown] for row in rows], medium)


def _trend(name: str, figure: Mapping[str, Any], *, with_unit: bool) -> list[Span]:
    unit = str(figure.get("unit") or "")
    words = [amount(figure.get(aggregation), unit) for aggregation in _AGGREGATIONS]
    values = [Span(text if with_unit else text.removesuffix(f" {unit}")) for text in words]
    return [Span(one_line(name)), *values, Span(number(figure["count"]))]


def _other(name: str, figure: Mapping[str, Any]) -> Sequence[Span]:
    kind, unit, count = figure.get("kind"), str(figure.get("unit") or ""), figure["count"]
    cells = {"name": one_line(name)}
    if kind == "rate":
        cells["count"] = f"{number(figure.get('passes'))} of {number(count)}"
        cells["rate"] = amount(figure.get("rate"), "%")
    elif kind == "gauge":
        cells |= {part: amount(figure.get(part), unit) for part in ("value", "min", "max")}
    else:
        cells |= {"count": amount(count, unit), "rate": amount(figure.get("rate"), f"{unit}/s")}
    return [Span(cells.get(part, "")) for part in ("name", "count", "rate", "value", "min", "max")]

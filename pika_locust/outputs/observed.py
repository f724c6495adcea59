"""What a Prometheus showed of the target, before and after the load: a table that decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pika_locust.judge.report import Observed, Report
from pika_locust.outputs.humanise import cut, number, plural
from pika_locust.outputs.layout import Column, Line, Medium, Span, heading, table
from pika_locust.outputs.redact import one_line

MAX_QUERY_WIDTH, MAX_NAME_WIDTH = 60, 110
"""Columns for a query and for the name of a series; the summary JSON has the whole."""

_COLUMNS = (
    Column("query"),
    Column("start", right=True),
    Column("end", right=True),
    Column("difference", right=True),
    Column("", folds=1),
    Column("series", folds=2),
)


def section(report: Report, medium: Medium) -> list[Line]:
    """Every series on a row, with the name that tells it from others of its query."""
    if not report.observed:
        return []
    rows = [_series(series, medium) for series in report.observed]
    queries = len({series.query for series in report.observed})
    words = f"{plural(queries, 'query', 'queries')} to Prometheus, before and after the load"
    return [heading("Observed", words), *table(_COLUMNS, rows, medium)]


def _series(series: Observed, medium: Medium) -> list[Span]:
    dots = medium.choose("…", "...")
    seen = series.start is not None or series.end is not None
    return [
        Span(cut(one_line(series.query), MAX_QUERY_WIDTH, dots)),
        Span(number(series.start) if seen else ""),
        Span(number(series.end) if seen else ""),
        Span(_signed(series.difference) if seen else ""),
        Span(one_line(series.note), "doubt"),
        Span(cut(one_line(_name(series.labels, series.query)), MAX_NAME_WIDTH, dots), "dim"),
    ]


def _signed(difference: float | None) -> str:
    return f"+{number(difference)}" if difference is not None and difference > 0 else number(difference)


def _name(labels: Mapping[str, str], query: str) -> str:
    """A series as PromQL writes it, without the metric's name where that is the query."""
    metric = labels.get("__name__", "")
    words = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{metric if metric != query else ''}{'{' + words + '}' if words else ''}"

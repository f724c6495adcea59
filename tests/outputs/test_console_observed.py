from __future__ import annotations

import math
from dataclasses import replace

from pika_locust.judge.report import Observed
from pika_locust.outputs import console
from pika_locust.outputs.console import render
from pika_locust.outputs.table import Medium, paint
from tests.outputs.samples import GREEN, RED

ROWS = (
    Observed("redis_connected_clients", {"__name__": "redis_connected_clients", "job": "redis"}, 12, 15, 3),
    Observed("redis_used_memory_bytes", {}, None, None, None, "not observed: no such series"),
    Observed('{datname=~"v.*"}', {"__name__": "xacts", "job": "pg"}, 1_284_567, 1_234_567.5, -49_999.5),
    Observed('{datname=~"v.*"}', {"datname": "x"}, None, 4, None, "not observed at the start: no such series"),
    Observed("scalar(up)", {}, math.nan, math.inf, None, "NaN at the start; +Inf at the end"),
    Observed("time()", {}, 5, 5, 0),
)


WIDE = """\
Observed  5 queries to Prometheus, before and after the load
  query                        start        end  difference                                             series
  redis_connected_clients         12         15          +3                                             {job="redis"}
  redis_used_memory_bytes                                    not observed: no such series
  {datname=~"v.*"}         1,284,567  1,234,568     -50,000                                             xacts{job="pg"}
  {datname=~"v.*"}                 -          4           -  not observed at the start: no such series  {datname="x"}
  scalar(up)                       -          -           -  NaN at the start; +Inf at the end
  time()                           5          5           0
"""
NARROW = """\
Observed  3 queries to Prometheus, before and after the load
  query                        start        end  difference
  redis_connected_clients         12         15          +3
      series {job="redis"}
  redis_used_memory_bytes
      not observed: no such series
  {datname=~"v.*"}         1,284,567  1,234,568     -50,000
      series xacts{job="pg"}
  {datname=~"v.*"}                 -          4           -
      not observed at the start: no such series
      series {datname="x"}
"""


def shown(*rows: Observed, width: int = 160, terminal: bool = False) -> str:
    medium = Medium(terminal, width)
    return paint(console.observed(replace(GREEN, observed=rows), medium), medium)


def test_every_series_is_a_row() -> None:
    assert shown(*ROWS) == WIDE


def test_a_narrow_page_loses_nothing() -> None:
    assert shown(*ROWS[:4], width=60) == NARROW


def test_without_a_prometheus_there_is_no_such_part() -> None:
    assert shown() == ""
    assert "Prometheus" not in render(GREEN, terminal=False, width=160)


def test_it_stands_before_what_decides_last() -> None:
    text = render(replace(RED, observed=ROWS), terminal=False, width=160)
    assert text.index("\nErrors") < text.index("\nObserved") < text.index("\nLoad generator") < text.index("\nReasons")


def test_what_the_server_said_is_cut_and_cleaned() -> None:
    labels = {"a": "x" * 500, "b": "\x1b[31mred"}
    row = Observed("sum(" * 100, labels, 1, 2, 1, "answered 401: Bearer abc.def.123456\x07")
    for terminal, dots in ((False, "..."), (True, "…")):
        text = shown(row, terminal=terminal)
        assert dots in text
        assert "sum(" * 15 not in text
        assert "x" * console.MAX_NAME_WIDTH not in text
        assert "Bearer REDACTED" in text
        assert "\x07" not in text

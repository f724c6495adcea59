from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pika_locust.format import width_of
from pika_locust.metrics import Metric, Registry, results
from pika_locust.metrics.builtin import BASE_METRICS, HTTP_METRICS
from pika_locust.outputs import figures
from pika_locust.outputs.figures import SummaryMode
from pika_locust.outputs.table import Medium, paint
from tests.outputs.samples import GREEN


def measured(*metrics: Metric) -> Registry:
    registry = Registry((*BASE_METRICS, *HTTP_METRICS, *metrics))
    duration = registry.trend("http_req_duration")
    for took_ms in range(1, 101):
        duration.tagged(name="join" if took_ms % 2 else "leave").add(took_ms * 1000)
    registry.trend("http_req_waiting").add(700)
    registry.counter("http_reqs").add(1100)
    registry.rate("http_req_failed").add(False, 99)
    registry.rate("http_req_failed").add(True)
    registry.gauge("vus").set(20)
    registry.gauge("vus").set(7)
    return registry


def shown(mode: SummaryMode, width: int = 140, **figures_of: Any) -> str:
    found = figures_of or results(measured().snapshot(), 11.0)
    medium = Medium(False, width)
    return paint(figures.metrics(replace(GREEN, metrics=found), medium, mode), medium)


def test_by_default_each_metric_with_samples_has_a_row_with_the_columns_of_k6() -> None:
    assert (
        shown("compact")
        == """\
Metrics  the others with --summary-mode=full
  trend, ms           avg   min   med  max  p(90)  p(95)
  http_req_duration  50.5  1.00  50.5  100   90.1   95.1
  metric              count    rate  value  min  max
  http_req_failed  1 of 100  1.00 %
  http_reqs           1,100  100 /s
  vus                                    7    7   20
"""
    )


def test_the_full_table_has_every_part_and_detail_and_names_what_has_no_samples() -> None:
    text = shown("full")
    lines = text.splitlines()
    assert lines[1].split() == ["trend,", "ms", "avg", "min", "med", "max", "p(90)", "p(95)", "p(99)", "count"]
    names = [line.split()[0] for line in lines[2:6]]
    assert names == [
        "http_req_duration",
        "http_req_duration{name:join}",
        "http_req_duration{name:leave}",
        "http_req_waiting",
    ]
    assert lines[2].split()[-2:] == ["99.0", "100"]
    assert lines[0] == "Metrics  7 series"
    without = lines[-1]
    assert without.startswith("  without samples: arrival_lateness, ")
    assert "http_req_tls_handshaking" in without
    assert "http_reqs" not in without.split(", ")


def test_disabled_and_a_run_without_samples_show_none() -> None:
    assert shown("disabled") == ""
    assert shown("compact", http_reqs={"kind": "counter", "count": 0, "rate": None}) == ""


def test_a_narrow_table_loses_no_figure() -> None:
    text = shown("full", width=60)
    lines = [line for line in text.splitlines() if not line.startswith("  without")]
    assert max(map(width_of, lines)) <= 60
    for figure in ("min 1.00", "max 100", "p(90) 90.1", "p(99) 99.0"):
        assert figure in text


@pytest.mark.parametrize("unit", ["", "B"])
def test_a_counter_has_its_unit_in_both_columns(unit: str) -> None:
    figure = {"kind": "counter", "unit": unit, "count": 2048, "rate": 204.8}
    row = shown("compact", data_sent=figure).splitlines()[-1].split()
    assert row == (["data_sent", "2,048", "205", "/s"] if not unit else ["data_sent", "2,048", "B", "205", "B/s"])


def test_trends_of_different_units_have_them_in_each_cell() -> None:
    trend = {"kind": "trend", "count": 1, "avg": 5.0, "min": 5.0, "med": 5.0, "max": 5.0, "p(90)": 5.0, "p(95)": 5.0}
    lines = shown("compact", basket={**trend, "unit": "items"}, wait={**trend, "unit": "ms"}).splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["trend", "avg", "min"],
        ["basket", "5", "items"],
        ["wait", "5.00", "ms"],
    ]


def test_names_from_the_target_hold_no_control_characters() -> None:
    figure = {"kind": "counter", "unit": "", "count": 1, "rate": 0.1}
    assert "\x1b" not in shown("full", **{"nacks{text:\x1b[31mred}": figure})

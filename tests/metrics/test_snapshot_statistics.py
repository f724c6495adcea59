from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics import plain
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import counter, gauge, rate, trend
from pika_locust.metrics.registry import Registry
from pika_locust.metrics.snapshot import distributions, histogram_of, results

METRICS = [counter("sent", unit="B"), gauge("vus"), rate("checks"), trend("latency"), trend("width", unit="px")]


@pytest.fixture
def registry() -> Registry:
    return Registry(METRICS)


def test_every_kind_reports_its_statistics_in_its_unit(registry: Registry) -> None:
    registry.counter("sent").add(500)
    registry.gauge("vus").set(3)
    registry.gauge("vus").set(2)
    for ok in (True, True, True, False):
        registry.rate("checks").add(ok)
    for hundreds in range(1, 12):
        registry.trend("latency").add(hundreds * 100)
        registry.trend("width").add(hundreds)
    found = results(registry.snapshot(), duration_s=10)
    assert found["sent"] == {"kind": "counter", "unit": "B", "count": 500, "rate": 50.0}
    assert found["vus"] == {"kind": "gauge", "unit": "", "count": 2, "value": 2, "min": 2, "max": 3}
    assert found["checks"] == {"kind": "rate", "unit": "", "count": 4, "rate": 0.75, "passes": 3, "fails": 1}
    latency = found["latency"]
    assert list(latency) == ["kind", "unit", "count", "min", "avg", "med", "max", "p(90)", "p(95)", "p(99)", "p(99.9)"]
    assert (latency["kind"], latency["unit"], latency["count"]) == ("trend", "ms", 11)
    assert (latency["min"], latency["avg"], latency["med"], latency["max"]) == (0.1, 0.6, 0.6, 1.1)
    assert latency["p(90)"] == pytest.approx(1.0, rel=1e-3)
    assert latency["p(95)"] == pytest.approx(1.05, rel=1e-3)
    assert latency["p(99.9)"] == pytest.approx(1.099, rel=1e-3)
    assert (found["width"]["unit"], found["width"]["med"], found["width"]["max"]) == ("px", 6, 11)


def test_what_has_no_samples_is_there_and_says_nothing(registry: Registry) -> None:
    assert results(registry.snapshot(), duration_s=10) == {
        "sent": {"kind": "counter", "unit": "B", "count": 0, "rate": None},
        "vus": {"kind": "gauge", "unit": "", "count": 0, "value": None, "min": None, "max": None},
        "checks": {"kind": "rate", "unit": "", "count": 0, "rate": None, "passes": 0, "fails": 0},
        **{
            name: {"kind": "trend", "unit": unit, "count": 0}
            | dict.fromkeys(["min", "avg", "med", "max", "p(90)", "p(95)", "p(99)", "p(99.9)"])
            for name, unit in (("latency", "ms"), ("width", "px"))
        },
    }
    assert distributions(registry.snapshot()) == {}


def test_a_run_of_no_length_has_no_rate_per_second(registry: Registry) -> None:
    registry.counter("sent").add(5)
    assert results(registry.snapshot(), duration_s=0)["sent"]["rate"] is None


@pytest.mark.parametrize(
    ("values", "apart"),
    [
        pytest.param([5], {}, id="nothing out of range: neither is mentioned"),
        pytest.param([0, -2], {"underflow": 2}, id="below a microsecond"),
        pytest.param([4_000_000_000], {"overflow": 1}, id="above an hour"),
    ],
)
def test_values_out_of_range_are_mentioned(registry: Registry, values: list[int], apart: dict[str, int]) -> None:
    for value in values:
        registry.trend("latency").add(value)
    entry = results(registry.snapshot(), 1)["latency"]
    assert {name: entry[name] for name in ("underflow", "overflow") if name in entry} == apart


def test_each_tagged_series_has_an_entry_that_includes_further_tags(registry: Registry) -> None:
    sent = registry.counter("sent")
    sent.add(1)
    sent.tagged(region="eu").add(10)
    sent.tagged(region="eu", tier="a").add(100)
    found = results(registry.snapshot(), 1)
    assert {text: entry["count"] for text, entry in found.items() if text.startswith("sent")} == {
        "sent": 111,
        "sent{region:eu}": 110,
        "sent{region:eu,tier:a}": 100,
    }


def test_a_part_that_is_asked_for_has_an_entry_as_far_as_samples_tell(registry: Registry) -> None:
    for metric in (registry.counter("sent"), registry.trend("latency")):
        metric.tagged(region="eu", tier="a").add(100)
        metric.tagged(region="eu", tier="b").add(10)
    parts = ["sent{tier:a}", "sent{region:eu}", "sent{region:us}", "sent{color:red}", "latency{region:eu}"]
    found = results(registry.snapshot(), 1, parts)
    assert {text: entry["count"] for text, entry in found.items() if text.startswith("sent")} == {
        "sent": 110,
        "sent{region:eu}": 110,
        "sent{region:eu,tier:a}": 100,
        "sent{region:eu,tier:b}": 10,
        "sent{region:us}": 0,
        "sent{tier:a}": 100,
    }
    assert found["latency{region:eu}"]["count"] == 2
    assert distributions(registry.snapshot(), parts)["latency{region:eu}"]["buckets"] == {"10": 1, "100": 1}


def test_distributions_are_the_buckets_of_trends_with_samples(registry: Registry) -> None:
    registry.trend("latency").tagged(region="eu").add(2_049)
    registry.trend("latency").add(7)
    registry.trend("latency").add(7)
    registry.counter("sent").add(1)
    registry.trend("width").add(300)
    found = distributions(registry.snapshot())
    assert list(found) == ["latency", "latency{region:eu}", "width"]
    assert found["latency"] == {
        "scheme": "log-linear-512",
        "unit": "us",
        "buckets": {"7": 2, "1536": 1},
        "count": 3,
        "total": 2_063,
        "min": 7,
        "max": 2_049,
        "underflow": 0,
        "overflow": 0,
    }
    assert (found["width"]["unit"], found["width"]["buckets"]) == ("px", {"300": 1})


@given(st.lists(st.integers(-10, 10**11), min_size=1, max_size=30))
def test_a_distribution_read_from_json_is_the_whole_histogram(values: list[int]) -> None:
    registry = Registry(METRICS)
    for value in values:
        registry.trend("latency").add(value)
    written: dict[str, Any] = json.loads(json.dumps(distributions(registry.snapshot())))
    assert histogram_of(written["latency"]) == Histogram(values)


WHOLE = {"scheme": "log-linear-512", "buckets": {"1": 1, "2": 1}, "total": 3, "min": 1, "max": 2}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        pytest.param({"scheme": "hdr", "buckets": {}}, "scheme 'hdr': only log-linear-512 can be read", id="scheme"),
        pytest.param({}, "scheme None", id="no scheme"),
        pytest.param({"scheme": "log-linear-512", "buckets": {"1": 1}}, "distribution without 'total'", id="cut short"),
        pytest.param({**WHOLE, "buckets": None}, "None is not a mapping", id="no buckets"),
        pytest.param({**WHOLE, "total": "3"}, "'3' is not a whole number", id="a text where a number belongs"),
        pytest.param({**WHOLE, "max": 900}, "are not the extremes of these buckets", id="parts of two histograms"),
        pytest.param({**WHOLE, "total": 10**400}, "larger than anything", id="beyond any number"),
    ],
)
def test_other_distributions_are_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        histogram_of(entry)


def test_a_whole_number_beyond_all_floats_is_no_number() -> None:
    with pytest.raises(ValueError, match="is not a finite number"):
        plain.number(10**400)

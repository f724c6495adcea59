"""What a point is: the difference of two snapshots, which add up to the summary."""

from __future__ import annotations

import math
from itertools import pairwise

from pika_locust.metrics import Registry, Snapshot, counter, gauge, rate, results, trend
from pika_locust.metrics.values import GaugeValue
from pika_locust.outputs.points import Window, aggregate, bounds_of, classic_buckets, points_between, single_value

METRICS = (trend("latency"), trend("size", unit="B"), counter("hits"), rate("ok"), gauge("vus"))
NAMES = {metric.name for metric in METRICS}


def measured(*steps: tuple[int, ...]) -> list[Snapshot]:
    """A snapshot after each step, whose latencies in microseconds are given; an even one is a success."""
    registry = Registry(METRICS)
    taken = [registry.snapshot()]
    for step in steps:
        for us in step:
            registry.trend("latency").tagged(name="/a" if us % 2 else "/b").add(us)
            registry.counter("hits").add(1)
            registry.rate("ok").add(us % 2 == 0)
        registry.gauge("vus").set(len(step))
        taken.append(registry.snapshot())
    return taken


def test_the_points_of_a_run_add_up_to_its_summary() -> None:
    steps = tuple(tuple(range(1_000 * at + 1, 1_000 * at + 400, 3)) for at in range(5))
    snapshots = measured(*steps)
    whole = results(snapshots[-1], 10.0)
    points = [point for before, now in pairwise(snapshots) for point in points_between(before, now, NAMES)]
    of = {name: [aggregate(p, 2.0) for p in points if p.metric.name == name] for name in NAMES}
    latencies = of["latency"]
    assert sum(one["count"] for one in latencies) == whole["latency"]["count"] == sum(map(len, steps))
    assert math.isclose(sum(one["sum"] for one in latencies), sum(map(sum, steps)) / 1000)
    assert min(one["min"] for one in latencies) == whole["latency"]["min"] == 0.001
    assert max(one["max"] for one in latencies) == whole["latency"]["max"]
    assert sum(one["count"] for one in of["hits"]) == whole["hits"]["count"]
    assert sum(one["passes"] for one in of["ok"]) == whole["ok"]["passes"]
    assert sum(one["fails"] for one in of["ok"]) == whole["ok"]["fails"]
    assert not of["size"]


def test_what_has_not_moved_has_no_point_but_a_level_has() -> None:
    before, now = measured((1, 2, 3))[1], measured((1, 2, 3))[1]
    (level,) = points_between(before, now, NAMES)
    assert level.metric.name == "vus"
    assert isinstance(level.value, GaugeValue)
    assert (single_value(level), aggregate(level, 2.0)) == (3, {"value": 3, "min": 3, "max": 3})
    assert list(points_between(before, now, {"latency"})) == []


def test_figures_that_start_anew_are_measured_since() -> None:
    before, now = measured((10, 20, 30, 40))[1], measured((10, 20))[1]
    counts = {p.metric.name: aggregate(p, 2.0).get("count") for p in points_between(before, now, NAMES)}
    assert (counts["hits"], counts["latency"]) == (2, 2)


def test_single_values_are_those_of_k6() -> None:
    before, now = measured((1_000, 3_000, 5_001))
    values = {(p.metric.name, p.tags): single_value(p) for p in points_between(before, now, NAMES)}
    assert values["hits", ()] == 3
    assert values["ok", ()] == 2 / 3
    assert values["vus", ()] == 3
    assert values["latency", (("name", "/b"),)] == 2.0
    assert values["latency", (("name", "/a"),)] == 5.001


def test_the_size_of_a_window_is_known_before_its_points_are() -> None:
    snapshots = measured((1, 2, 3), (), (4,))
    for before, now in pairwise(snapshots):
        window = Window(before, now, NAMES, (0, 1_000, 3_000))
        size = window.size
        interval = window.interval()
        assert size == len(interval.points) == window.size
        assert (interval.began_ms, interval.ended_ms, interval.seconds) == (0, 3_000, 2.0)


def test_every_sample_is_in_the_bucket_of_its_bound() -> None:
    metric = METRICS[0]
    registry = Registry(METRICS)
    for us in (1, 999, 1_000, 1_001, 1_500, 75_000_000):
        registry.trend("latency").add(us)
    (point,) = points_between(Snapshot(), registry.snapshot(), NAMES)
    counts = classic_buckets(metric, point.total)  # type: ignore[arg-type]
    assert len(counts) == len(bounds_of(metric)) + 1
    assert counts[:2] == [3, 2]
    assert (counts[-1], sum(counts)) == (1, 6)


def test_tags_of_the_targets_words_hold_no_secret_and_no_line_break() -> None:
    registry = Registry(METRICS)
    registry.counter("hits").tagged(error="Bearer 5dXkq0vTjzYb3hPw1\nsecond").add(1)
    (point,) = points_between(Snapshot(), registry.snapshot(), NAMES)
    assert point.tags == (("error", "Bearer REDACTED second"),)
    registry.counter("hits").tagged(error="Bearer another0123456789\nsecond").add(2)
    (both,) = points_between(Snapshot(), registry.snapshot(), NAMES)
    assert (both.tags, single_value(both)) == (point.tags, 3)

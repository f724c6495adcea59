from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pika_locust.metrics.builtin import CLOCK_METRICS
from pika_locust.metrics.snapshot import fold
from pika_locust.runtime.clock_sync import CrossHostLatency, clock_notes
from pika_locust.runtime.clocks import Offset
from pika_locust.runtime.machine import boot_id
from pika_locust.testing.worker import RecordingContext
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context

MS = 1_000_000
S = 1_000_000_000
CROSSED = replace(SAMPLE_SCENARIO, metrics=(*SAMPLE_SCENARIO.metrics, *CLOCK_METRICS))
AHEAD_NS = 7 * S
AWAY = "00ff00ff"
NOW = 100 * S


def process(error_ns: int = MS, thresholds: tuple[str, ...] = (), metrics: tuple[str, ...] = ("latency",)) -> Any:
    """A process that knows another machine's clock as closely as `error_ns`; and its latency."""
    worker = make_context(CROSSED, thresholds=thresholds)
    worker.clocks.learn(AWAY, Offset(AHEAD_NS, error_ns, NOW + AHEAD_NS), {})
    return worker, CrossHostLatency(worker, *metrics)


def figures(worker: RecordingContext) -> dict[str, int]:
    """What was counted, without what was not."""
    names = [metric.name for metric in CLOCK_METRICS if metric.name.startswith("latencies_")]
    counts = {name.removeprefix("latencies_"): worker.metrics.counter(name).read().count for name in names}  # type: ignore[union-attr]
    return {name: int(count) for name, count in counts.items() if count}


CASES: dict[str, tuple[str, int, int | None, dict[str, int]]] = {
    "one clock": (boot_id(), NOW - 3 * MS, 3_000, {"one_clock": 1}),
    "two clocks": (AWAY, NOW + AHEAD_NS - 3 * MS, 3_000, {"two_clocks": 1}),
    "two clocks, and nothing in between": (AWAY, NOW + AHEAD_NS, 1, {"two_clocks": 1}),
    "below zero by less than the clocks may be wrong": (
        AWAY,
        NOW + AHEAD_NS + MS,
        1,
        {"two_clocks": 1, "negative": 1},
    ),
    "below zero by more than that: the offset is wrong": (AWAY, NOW + AHEAD_NS + MS + 1, None, {"left_out": 1}),
    "a clock that nobody knows": ("0badc10c", NOW, None, {"left_out": 1}),
}


@pytest.mark.parametrize(("machine", "sent_ns", "wanted_us", "counted"), CASES.values(), ids=CASES)
def test_how_long_something_took(machine: str, sent_ns: int, wanted_us: int | None, counted: dict[str, int]) -> None:
    worker, crossing = process()
    assert crossing.latency_us(machine, sent_ns, NOW) == wanted_us
    assert figures(worker) == counted


RULES: dict[str, tuple[tuple[str, ...], float]] = {
    "no limit": ((), 50.0),
    "a tenth of the limit": (("latency:p(95)<200",), 20.0),
    "at most 50 ms, however lax the limit": (("latency:p(95)<5000",), 50.0),
    "the tightest limit counts": (("latency:p(95)<300", "latency:med<40", "latency:max<900"), 4.0),
    "a tagged part's limit counts": (("latency{kind:a}:p(95)<=100",), 10.0),
    "limits of everything that takes the latency": (("latency:p(95)<300", "iteration_duration:p(95)<150"), 15.0),
    "other metrics' limits do not": (("latency:p(95)<300", "errors:count<10"), 30.0),
    "nor does what it must exceed": (("latency:p(95)<300", "latency:min>1"), 30.0),
}


@pytest.mark.parametrize(("thresholds", "most_ms"), RULES.values(), ids=RULES)
def test_how_closely_clocks_must_be_known(thresholds: tuple[str, ...], most_ms: float) -> None:
    for error_ns, wanted_us in ((round(most_ms * MS), 3_000), (round(most_ms * MS) + 1, None)):
        _, crossing = process(error_ns, thresholds, ("latency", "iteration_duration"))
        assert crossing.latency_us(AWAY, NOW + AHEAD_NS - 3 * MS, NOW) == wanted_us


def test_what_nobody_asked_about_for_long_is_left_out() -> None:
    _, crossing = process(MS, ("latency:p(95)<200",))
    # 19 ms more at 0.1 ms a second.
    assert crossing.latency_us(AWAY, NOW + AHEAD_NS, NOW + 190 * S) == 190 * 1_000_000
    assert crossing.latency_us(AWAY, NOW + AHEAD_NS, NOW + 191 * S) is None


def test_when_something_was_sent_is_known_as_well_as_the_clocks_are() -> None:
    _, crossing = process(3 * S)
    sent = crossing.sent(AWAY, NOW + AHEAD_NS, NOW)
    assert sent is not None
    assert (sent.ns, sent.error_ns) == (NOW, 3 * S)
    assert crossing.sent(AWAY, NOW + AHEAD_NS + 4 * S, NOW) is None


# What the report says


def notes(*shares: RecordingContext) -> tuple[str, ...]:
    return clock_notes(fold(worker.metrics.snapshot() for worker in shares))


def test_one_clock_is_nothing_to_speak_of() -> None:
    worker, crossing = process()
    assert notes(worker) == ()
    crossing.latency_us(boot_id(), NOW, NOW)
    assert notes(worker) == ()
    assert notes(make_context()) == ()


def test_the_report_says_which_clocks_latencies_were_measured_by() -> None:
    one, near = process()
    two, far = process(error_ns=391_000)
    for _ in range(1_200):
        near.latency_us(boot_id(), NOW - MS, NOW)
        far.latency_us(AWAY, NOW + AHEAD_NS - MS, NOW)
    assert notes(one, two) == (
        "latency: 1,200 samples by one clock, 1,200 across machines after an estimated offset (error at most 0.4 ms)",
    )


def test_the_largest_error_of_all_processes_is_told() -> None:
    shares = []
    for error_ns in (2 * MS, 30 * MS, 1 * MS):
        worker, crossing = process(error_ns)
        crossing.latency_us(AWAY, NOW + AHEAD_NS, NOW)
        shares.append(worker)
    (note,) = notes(*shares)
    assert note.endswith("3 across machines after an estimated offset (error at most 30 ms)")


def test_what_came_out_below_zero_and_what_was_left_out_is_told() -> None:
    worker, crossing = process()
    for sent_ns in (NOW + AHEAD_NS, NOW + AHEAD_NS + MS // 2, NOW + AHEAD_NS + 2 * MS, NOW + AHEAD_NS + 3 * MS):
        crossing.latency_us(AWAY, sent_ns, NOW)
    (note,) = notes(worker)
    assert note.startswith("latency: 0 samples by one clock, 2 across machines after an estimated offset")
    assert ", 1 of these below zero and counted as 0.001 ms, 2 across machines left out: their clocks" in note


def test_where_nothing_could_be_compared_no_offset_is_spoken_of() -> None:
    worker, crossing = process(error_ns=S)
    crossing.latency_us(AWAY, NOW + AHEAD_NS - MS, NOW)
    (note,) = notes(worker)
    assert note == (
        "latency: 0 samples by one clock, 1 across machines left out: their clocks could not be compared closely "
        "enough (to a tenth of the tightest limit, and 50 ms)"
    )

"""Latencies that begin in one process and end in another: by one clock where they can be, else by two, with care."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from pika_locust.judge import parse_option
from pika_locust.measure import CounterValue, GaugeValue, Snapshot, counter, gauge
from pika_locust.runtime.clocks import LocalTime

if TYPE_CHECKING:
    from pika_locust.runtime.context import WorkerContext

CLOCK_METRICS = (
    counter("latencies_one_clock", "latencies between processes that read the same clock"),
    counter("latencies_two_clocks", "latencies between machines, after an estimated offset of their clocks"),
    counter("latencies_negative", "of these, what came out below zero and counts as 0.001 ms"),
    counter("latencies_left_out", "latencies between machines whose clocks could not be compared closely enough"),
    gauge("clock_error", "how wrong the estimated offsets that were used may have been", "ms", merge="max"),
)
"""For scenarios with such latencies to declare. Each is tagged with the metric that it is about, `of`."""

ERROR_SHARE = 0.1
"""An offset may be wrong by this share of the tightest limit on the latency..."""
ERROR_MOST_MS = 50.0
"""...and by so much beside a lax limit, or none."""


class CrossHostLatency:
    """Measures one latency between processes, and keeps account of which clocks it was measured by.

    What two clocks cannot tell closely enough is left out, counted and noted in the report. Kept, such samples could
    turn a verdict: a clock that is wrong by 100 ms makes a target that needs 550 ms pass a limit of 500. Left out, they
    cost nothing but number, and where all are left out the threshold has no data and the run fails, as it must when
    nothing was measured. A tenth of the limit is what the verdict can bear: the sample's error is at most that, and
    mostly far less.
    """

    def __init__(self, worker: WorkerContext, *metrics: str) -> None:
        """`metrics` are those that take the latency; the account goes by the first. Limits are those of all."""
        self._clocks = worker.clocks
        self._error_most_ns = round(_error_most_ms(worker.begin.thresholds, metrics) * 1e6)
        books, of = worker.metrics, metrics[0]
        self._one_clock = books.counter("latencies_one_clock").tagged(of=of)
        self._two_clocks = books.counter("latencies_two_clocks").tagged(of=of)
        self._negative = books.counter("latencies_negative").tagged(of=of)
        self._left_out = books.counter("latencies_left_out").tagged(of=of)
        self._error = books.gauge("clock_error").tagged(of=of)

    def latency_us(self, machine: str, sent_ns: int, received_ns: int) -> int | None:
        """Microseconds from `sent_ns` by the clock of `machine` to `received_ns` by ours; None: left out."""
        if machine == self._clocks.machine:
            self._one_clock.add()
            return (received_ns - sent_ns) // 1000
        sent = self.sent(machine, sent_ns, received_ns)
        if sent is None or sent.error_ns > self._error_most_ns:
            self._left_out.add()
            return None
        self._two_clocks.add()
        self._error.set(sent.error_ns / 1e6)
        if sent.ns > received_ns:
            self._negative.add()
        return max(1, (received_ns - sent.ns) // 1000)

    def sent(self, machine: str, sent_ns: int, received_ns: int) -> LocalTime | None:
        """When, by our clock, something was sent that we have received by now; None when nobody can say. An offset by
        which it would have come before it was sent is wrong, whatever its bound promises: that is nobody's knowledge.
        """
        sent = self._clocks.here(machine, sent_ns, received_ns)
        return None if sent is None or sent.ns - sent.error_ns > received_ns else sent


def _error_most_ms(thresholds: Sequence[str], metrics: Sequence[str]) -> float:
    known = [parse_option(threshold) for threshold in thresholds]
    limits = [
        threshold.expression.limit
        for threshold in known
        if threshold.name in metrics and threshold.expression.operator in ("<", "<=")
    ]
    return min([ERROR_MOST_MS, *(ERROR_SHARE * limit for limit in limits)])


def clock_notes(snapshot: Snapshot) -> tuple[str, ...]:
    """A sentence for each metric with latencies between machines: which clocks it was measured by."""
    counted = ("latencies_two_clocks", "latencies_left_out")
    metrics = {
        dict(tags)["of"] for name in counted for tags, value in snapshot.of_metric(name) if tags and value.samples
    }
    return tuple(_note(snapshot, metric) for metric in sorted(metrics))


def _note(snapshot: Snapshot, metric: str) -> str:
    one, two, negative, left_out = (
        _count(snapshot, f"latencies_{kind}{{of:{metric}}}")
        for kind in ("one_clock", "two_clocks", "negative", "left_out")
    )
    said = [f"{metric}: {one:,} samples by one clock"]
    if two:
        error = snapshot.select(f"clock_error{{of:{metric}}}")
        assert isinstance(error, GaugeValue)
        worst_ms = ceil(error.max * 100) / 100
        said.append(f"{two:,} across machines after an estimated offset (error at most {worst_ms:g} ms)")
    if negative:
        said.append(f"{negative:,} of these below zero and counted as 0.001 ms")
    if left_out:
        said.append(
            f"{left_out:,} across machines left out: their clocks could not be compared closely enough (to a tenth of "
            f"the tightest limit, and {ERROR_MOST_MS:g} ms)"
        )
    return ", ".join(said)


def _count(snapshot: Snapshot, series: str) -> int:
    value = snapshot.select(series)
    return int(value.count) if isinstance(value, CounterValue) else 0

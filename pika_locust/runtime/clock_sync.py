"""Clock synchronisation between the processes of a run, and latencies that begin on one machine and end on another.

Workers ask (`ClockClient`), the master answers (`ClockServer`); `CrossHostLatency` measures with the result.
A question takes what its worker has found so far along, and the answer what all have found, so no other message is
needed. Locust's master takes one message after another, and a worker is busy with its users; what either costs is in
the samples' bounds (`runtime.clocks`), and one of several gets through quickly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import gevent

from pika_locust.clock import monotonic_ns
from pika_locust.judge import parse_option
from pika_locust.metrics import CounterValue, GaugeValue, Snapshot, plain
from pika_locust.runtime import messages
from pika_locust.runtime.clocks import Clocks, LocalTime, Offset, OffsetTable
from pika_locust.runtime.machine import boot_id

if TYPE_CHECKING:
    from pika_locust.runtime.context import WorkerContext

logger = logging.getLogger(__name__)

ERROR_SHARE = 0.1
"""An offset may be wrong by this share of the tightest limit on the latency..."""
ERROR_MOST_MS = 50.0
"""...and by so much beside a lax limit, or none."""


class CrossHostLatency:
    """Measures one latency between processes, by one clock or by two, and counts which.

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
        registry, of = worker.metrics, metrics[0]
        self._one_clock = registry.counter("latencies_one_clock").tagged(of=of)
        self._two_clocks = registry.counter("latencies_two_clocks").tagged(of=of)
        self._negative = registry.counter("latencies_negative").tagged(of=of)
        self._left_out = registry.counter("latencies_left_out").tagged(of=of)
        self._error = registry.gauge("clock_error").tagged(of=of)

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
        """As `sent_here` says."""
        return sent_here(self._clocks, machine, sent_ns, received_ns)


def sent_here(clocks: Clocks, machine: str, sent_ns: int, received_ns: int) -> LocalTime | None:
    """When, by our clock, something was sent that we have received by now; None when nobody can say. An offset by
    which it would have come before it was sent is wrong, whatever its bound promises: that is nobody's knowledge.
    """
    sent = clocks.here(machine, sent_ns, received_ns)
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


BURST = 8
BURST_EVERY_S = 0.1
"""At first in quick succession, so that a worker that joins late knows the clocks before its users need them."""
EVERY_S = 1.0
"""Later: an offset that is a second old is uncertain by 0.1 ms more. The master answers a hundred workers at 1 % of a
processor."""


class ClockClient:
    """Asks the master for its time, as long as the worker lives, since the next test may begin at any time."""

    def __init__(self, send: Callable[[str, Mapping[str, Any]], object]) -> None:
        self.clocks = Clocks(boot_id())
        self._send = send
        self._waiting: Callable[[], None] | None = None
        self._asking: Any = None

    def start(self) -> None:
        """Ask at once, before anything else is sent: then the answer, too, comes before other answers."""
        self._ask()
        self._asking = gevent.spawn(self._ask_forever)

    def when_answered(self, act: Callable[[], None]) -> None:
        """Call `act` after the next answer, in place of what was to be called before."""
        self._waiting = act

    def _ask_forever(self) -> None:
        for _ in range(1, BURST):
            gevent.sleep(BURST_EVERY_S)
            self._ask()
        while True:
            gevent.sleep(EVERY_S)
            self._ask()

    def _ask(self) -> None:
        found = self.clocks.to_report()
        offset = found.to_wire() if found is not None else None
        self._send(
            messages.CLOCK_REQUEST, {"machine": self.clocks.machine, "offset": offset, "sent_ns": monotonic_ns()}
        )

    def on_answer(self, environment: Any, msg: Any) -> None:
        """The master's answer."""
        back_ns = monotonic_ns()
        said = msg.data
        sample = Offset.between(said["sent_ns"], said["heard_ns"], said["answered_ns"], back_ns)
        self.clocks.learn(said["machine"], sample, said["offsets"])
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()


class ClockServer:
    """Answers the workers' questions in the master, and keeps the offsets that they found."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._offsets = OffsetTable()
        runner.register_message(messages.CLOCK_REQUEST, self._on_question)

    def _on_question(self, environment: Any, msg: Any) -> None:
        heard_ns = monotonic_ns()
        try:
            asked = plain.mapping(msg.data)
            sent_ns = plain.whole(asked.get("sent_ns"))
            if asked.get("offset") is not None:
                self._offsets.note(plain.text(asked.get("machine")), Offset.from_wire(asked["offset"]))
        except ValueError as error:
            # Nobody else's clocks may suffer; who gets no answer leaves out what it cannot compare, and says so.
            logger.error("Worker %s asked for the time in a way that cannot be read: %s", msg.node_id, error)
            return
        answer = {
            "machine": boot_id(),
            "offsets": self._offsets.to_wire(heard_ns),
            "sent_ns": sent_ns,
            "heard_ns": heard_ns,
        }
        self._runner.send_message(
            messages.CLOCK_REPLY, {**answer, "answered_ns": monotonic_ns()}, client_id=msg.node_id
        )

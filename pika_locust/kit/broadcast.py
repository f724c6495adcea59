"""Whether every broadcast of one user reached every other that was connected, and how soon.

Who misses a broadcast cannot know it. So the sender tells all processes of the run, past the target, what was
broadcast and when; five seconds later each process looks which of its receivers were connected then and got it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pika_locust.clock import monotonic_ns
from pika_locust.metrics import Counter, Rate, Trend
from pika_locust.runtime.clock_sync import CrossHostLatency
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import every, later

TOPIC = "broadcast"
DEADLINE_S = 5.0
LEAVING_MARGIN_NS = 2_000_000_000
"""A broadcast so short before a receiver left is not owed: its connection may have closed on the server first."""

HEARING_MARGIN_NS = 2_000_000_000
"""Where the clocks cannot be compared, all that is known is that a broadcast was sent before we hear of it, by less
than this."""

SWEEP_EVERY_S = 5.0
FORGET_AFTER_S = 60.0
"""So long after the first receipt of a broadcast no news of it come any more, and so long after it was settled no
receipts."""

Broadcast = tuple[str, int]


class Sent(Protocol):
    """What a broadcast carries, so that its receiver knows which one it is and when it was sent."""

    @property
    def number(self) -> int:
        """Different for each broadcast of one kind."""

    @property
    def boot(self) -> str:
        """The machine, as `runtime.machine.boot_id` names it."""

    @property
    def sent_ns(self) -> int:
        """When it was sent, on the monotonic clock of that machine."""


@dataclass(frozen=True, slots=True)
class BroadcastMetrics:
    """Where broadcasts are counted: handles bound once in a process."""

    latency: Mapping[str, Trend]
    """By kind of broadcast: from the send to a receipt."""
    any_latency: Trend
    """The same of all kinds, with other latencies of messages."""
    delivered: Mapping[str, Rate]
    """By kind of broadcast: whether it reached a receiver that was connected, in time."""
    duplicates: Mapping[str, Counter]
    """By kind of broadcast: how many reached a receiver that had it already."""

    @classmethod
    def of(cls, worker: WorkerContext, kinds: Iterable[str]) -> BroadcastMetrics:
        """The built-in ones (`metrics.builtin.FANOUT_METRICS` and `WEBSOCKET_METRICS`)."""
        names = tuple(kinds)
        latency, delivered = worker.metrics.trend("fanout_latency"), worker.metrics.rate("fanout_delivery")
        duplicates = worker.metrics.counter("fanout_duplicates")
        return cls(
            latency={kind: latency.tagged(kind=kind) for kind in names},
            any_latency=worker.metrics.trend("ws_message_latency"),
            delivered={kind: delivered.tagged(kind=kind) for kind in names},
            duplicates={kind: duplicates.tagged(kind=kind) for kind in names},
        )


def announcement(kind: str, sent: Sent) -> dict[str, Any]:
    """What to tell all processes about `TOPIC`, once the server has taken a broadcast."""
    return {"kind": kind, "number": sent.number, "sent_ns": sent.sent_ns, "boot": sent.boot}


class BroadcastDelivery:
    """Who of this process's receivers was connected when, and what they got. Receivers are known by number.

    Arguments:
        worker: this process's part of the run.
        metrics: where broadcasts are counted.
        latencies: the names of the metrics of `metrics.latency` and `metrics.any_latency`, whose limits say how exact
            clocks of several machines must be.
    """

    def __init__(self, worker: WorkerContext, metrics: BroadcastMetrics, *latencies: str) -> None:
        self._worker = worker
        self._metrics = metrics
        self._crossing = CrossHostLatency(worker, *latencies)
        self._present: dict[int, int] = {}
        self._left: list[tuple[int, int, int]] = []
        self._received: dict[Broadcast, tuple[int, set[int]]] = {}
        """When the first receiver got it, and all who did."""
        self._open: dict[Broadcast, tuple[int, int]] = {}
        self._settled: dict[Broadcast, int] = {}
        """When each was."""
        worker.listen(TOPIC, self._on_broadcast)
        worker.on_end(self._settle_all)
        worker.on_end(every(worker, SWEEP_EVERY_S, self._forget).stop)

    def joined(self, receiver: int) -> None:
        """A receiver is subscribed from now on."""
        self._present[receiver] = monotonic_ns()

    def left(self, receiver: int) -> None:
        """A receiver begins to leave, or was cut off."""
        since_ns = self._present.pop(receiver, None)
        if since_ns is not None:
            self._left.append((receiver, since_ns, monotonic_ns()))

    def received(self, kind: str, sent: Sent, receiver: int, at_ns: int) -> None:
        """A receiver got a broadcast when it was sent, and not as a replay; `at_ns` is the monotonic clock."""
        latency_us = self._crossing.latency_us(sent.boot, sent.sent_ns, at_ns)
        if latency_us is not None:
            self._metrics.latency[kind].add(latency_us)
            self._metrics.any_latency.add(latency_us)
        self.received_unstamped(kind, sent.number, receiver)

    def received_unstamped(self, kind: str, number: int, receiver: int) -> None:
        """A receiver got a broadcast that says which one it is, and not when it was sent."""
        broadcast = (kind, number)
        if broadcast in self._settled:
            return
        received = self._received.get(broadcast)
        if received is None:
            received = self._received[broadcast] = monotonic_ns(), set()
        receivers = received[1]
        if receiver in receivers:
            self._metrics.duplicates[kind].add()
        receivers.add(receiver)

    def reached(self, kind: str, times: int) -> None:
        """A broadcast reached one receiver so many times, which was owed it once: where nothing needs to be told."""
        self._metrics.delivered[kind].add(times > 0)
        self._metrics.duplicates[kind].add(max(0, times - 1))

    def _on_broadcast(self, data: Mapping[str, Any]) -> None:
        heard_ns = monotonic_ns()
        sent = self._crossing.sent(data["boot"], data["sent_ns"], heard_ns)
        broadcast = (data["kind"], data["number"])
        if sent is None:
            self._open[broadcast] = (heard_ns - HEARING_MARGIN_NS, heard_ns)
        else:
            self._open[broadcast] = (sent.ns - sent.error_ns, min(heard_ns, sent.ns + sent.error_ns))
        later(self._worker, DEADLINE_S, self._settle, broadcast)

    def _settle_all(self) -> None:
        for broadcast in list(self._open):
            self._settle(broadcast)

    def _settle(self, broadcast: Broadcast) -> None:
        between_ns = self._open.pop(broadcast, None)
        if between_ns is None:
            return
        earliest_ns, latest_ns = between_ns
        self._settled[broadcast] = monotonic_ns()
        _, receivers = self._received.pop(broadcast, (0, set()))
        delivered = self._metrics.delivered[broadcast[0]]
        owed = [receiver for receiver, since_ns in self._present.items() if since_ns < earliest_ns]
        owed += [
            receiver
            for receiver, since_ns, left_ns in self._left
            if since_ns < earliest_ns and left_ns > latest_ns + LEAVING_MARGIN_NS
        ]
        for receiver in owed:
            delivered.add(receiver in receivers)

    def _forget(self) -> None:
        """Let go of what no broadcast is compared with any more: a run of hours has many. Of one whose sender got no
        acknowledgement no news come at all."""
        now_ns = monotonic_ns()
        left_ns, since_ns = now_ns - int(2 * DEADLINE_S * 1e9), now_ns - int(FORGET_AFTER_S * 1e9)
        self._left = [entry for entry in self._left if entry[2] > left_ns]
        self._settled = {one: at_ns for one, at_ns in self._settled.items() if at_ns > since_ns}
        self._received = {one: received for one, received in self._received.items() if received[0] > since_ns}

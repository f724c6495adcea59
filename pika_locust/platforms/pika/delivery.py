"""Did every broadcast of our DJ reach every dancer who was there?

A dancer who misses a broadcast cannot know it. So the DJ tells all processes of the test, past the target, what was
broadcast and when; five seconds later each process looks which of its dancers were connected then and got it.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic_ns
from typing import Any

from pika_locust.platforms.pika.messages import Stamp
from pika_locust.platforms.pika.scenarios import Meters
from pika_locust.runtime.clock_sync import CrossHostLatency
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import later

TOPIC = "broadcast"
DEADLINE_S = 5.0
LEAVING_MARGIN_NS = 2_000_000_000
"""A broadcast so short before a dancer left is not owed: its connection may have closed on the server first."""

HEARING_MARGIN_NS = 2_000_000_000
"""Where the clocks cannot be compared, all that is known is that a broadcast was sent before we hear of it, by less
than this."""

Broadcast = tuple[str, int]


class BroadcastDelivery:
    """Who of this process's dancers was there when, and what they got."""

    def __init__(self, worker: WorkerContext, meters: Meters) -> None:
        self._worker = worker
        self._meters = meters
        self._crossing = CrossHostLatency(worker, "fanout_latency", "ws_message_latency")
        self._present: dict[int, int] = {}
        self._left: list[tuple[int, int, int]] = []
        self._received: dict[Broadcast, set[int]] = {}
        self._open: dict[Broadcast, tuple[int, int]] = {}
        self._settled: set[Broadcast] = set()
        worker.listen(TOPIC, self._on_broadcast)
        worker.on_end(self._settle_all)

    def joined(self, dancer: int) -> None:
        """A dancer is subscribed from now on."""
        self._present[dancer] = monotonic_ns()

    def left(self, dancer: int) -> None:
        """A dancer begins to leave, or was cut off."""
        since_ns = self._present.pop(dancer, None)
        if since_ns is not None:
            self._left.append((dancer, since_ns, monotonic_ns()))

    def received(self, kind: str, stamp: Stamp, dancer: int, at_ns: int) -> None:
        """A dancer got a live broadcast of our DJ."""
        latency_us = self._crossing.latency_us(stamp.boot, stamp.sent_ns, at_ns)
        if latency_us is not None:
            self._meters.fanout_latency[kind].add(latency_us)
            self._meters.message_latency.add(latency_us)
        broadcast = (kind, stamp.number)
        if broadcast in self._settled:
            return
        receivers = self._received.setdefault(broadcast, set())
        if dancer in receivers:
            self._meters.fanout_duplicates.add()
        receivers.add(dancer)

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
        self._settled.add(broadcast)
        receivers = self._received.pop(broadcast, set())
        delivered = self._meters.fanout_delivery[broadcast[0]]
        owed = [dancer for dancer, since_ns in self._present.items() if since_ns < earliest_ns]
        owed += [
            dancer
            for dancer, since_ns, left_ns in self._left
            if since_ns < earliest_ns and left_ns > latest_ns + LEAVING_MARGIN_NS
        ]
        for dancer in owed:
            delivered.add(dancer in receivers)
        forget_ns = monotonic_ns() - int(2 * DEADLINE_S * 1e9)
        self._left = [entry for entry in self._left if entry[2] > forget_ns]

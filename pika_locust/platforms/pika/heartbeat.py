"""A dancer's PINGs, and how long each PONG takes."""

from __future__ import annotations

from time import monotonic_ns

from pika_locust.metrics import Trend
from pika_locust.platforms.pika.line import PikaConnection
from pika_locust.runtime.timers import UserTimers

PING_EVERY_S = 10.0
PONG_WITHIN_S = 30.0


class Heartbeat:
    """Pings while a line is open, and gives it up when no PONG comes."""

    __slots__ = ("_latency", "_line", "_sent_ns", "_timers")

    def __init__(self, line: PikaConnection, timers: UserTimers, latency: Trend) -> None:
        self._line = line
        self._timers = timers
        self._latency = latency
        self._sent_ns = 0
        """When the oldest PING went out that has no PONG yet; 0: none."""

    def start(self) -> None:
        """The line has just been opened."""
        self._sent_ns = 0
        self._timers.start("ping", PING_EVERY_S, self._beat)

    def on_pong(self, at_ns: int) -> None:
        """A PONG was read at `at_ns`."""
        if self._sent_ns:
            self._latency.add((at_ns - self._sent_ns) // 1000)
            self._sent_ns = 0

    def _beat(self) -> None:
        if not self._line.is_open:
            return
        now_ns = monotonic_ns()
        if self._sent_ns and now_ns - self._sent_ns > PONG_WITHIN_S * 1e9:
            self._line.abort(f"no PONG for {PONG_WITHIN_S:g} s")
            return
        if not self._sent_ns:
            self._sent_ns = now_ns
        self._line.ping()
        self._timers.start("ping", PING_EVERY_S, self._beat)

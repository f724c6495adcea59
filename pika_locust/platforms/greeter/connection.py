"""Whoever connects to Ghost Greeter: what all its users have in common, and the one who only holds a connection."""

from __future__ import annotations

from typing import Any, ClassVar

from pika_locust import clock
from pika_locust.kit import SocketIoActor, on
from pika_locust.kit.meters import named
from pika_locust.platforms.greeter.scenarios import CONNECTION_METRICS


def now_ms() -> int:
    """The time as browsers send it: milliseconds since the epoch."""
    return int(clock.time() * 1000)


class GreeterActor(SocketIoActor):
    """A user with a connection, of which every attempt is counted once."""

    abstract = True

    upgrade_trend: ClassVar[str | None] = "ws_connection_time"
    open_trend: ClassVar[str | None] = "engine_open_time"
    connect_trend: ClassVar[str | None] = "socketio_connect_time"
    connect_rate: ClassVar[str | None] = "connection_success_rate"
    connect_counters: ClassVar[tuple[str | None, str | None]] = (None, "connection_failures")
    connect_check = "WebSocket connected"

    def closed(self, kept: bool) -> None:
        self.meters.ws_connection_kept.add(kept)

    @on("error")
    def on_error(self, data: Any, at_ns: int) -> None:
        """What the server says when it cannot do something; whoever asked for that has its answer in it as well."""
        words = data.get("code") if isinstance(data, dict) else None
        self.worker.error("error", str(words or data)[:80])


class Connection(GreeterActor):
    """Connects, holds the connection for a while, answers pings, and leaves."""

    meters: Any = named(CONNECTION_METRICS)
    connect_rate = "ws_connection_success_rate"
    connect_counters = ("ws_connection_successes", "ws_connection_failures")
    sent_counter = "ws_messages_sent"
    received_counter = "ws_messages_received"
    think_s = (0.0, 2.0)

    def act(self) -> None:
        if self.connect():
            settings = self.worker.settings
            self.stay(self.dice.uniform(settings["HOLD_TIME_MIN"], settings["HOLD_TIME_MAX"]))
            self.disconnect()
            self.think()

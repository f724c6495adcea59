"""Pika's world as the server of users in virtual time: what either side sends reaches the other after a while."""

from __future__ import annotations

from typing import Any

from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.sandbox.world import Effects
from pika_locust.testing.world_driver import START_S, WorldDriver
from pika_locust.wire.websocket import Close
from tests.platforms.pika.harness import Harness, VirtualSocket


class VirtualServer(WorldDriver):
    """Accepts the users of `harness`. `way_s` is how long a message takes, each way, in seconds."""

    def __init__(self, harness: Harness, *faults: str, way_s: float = 0.001) -> None:
        super().__init__(PLATFORM, *faults)
        self.connections: dict[int, VirtualSocket] = {}
        self._harness = harness
        self._later = harness.later
        self._way_s = way_s
        self._timer: Any = None
        harness.connect = self._connect
        self._set_timer()

    def state(self) -> dict[str, Any]:
        self._read_clock()
        return super().state()

    def cut(self, connection: VirtualSocket) -> None:
        """The connection breaks."""
        number = next(number for number, other in self.connections.items() if other is connection)
        del self.connections[number]
        connection.drop(Close(1006, error="the server ended the connection without a close frame"))
        self._read_clock()
        self.close(number)

    def carry_out(self, effects: Effects) -> None:
        super().carry_out(effects)
        self._set_timer()

    def on_message(self, socket: int, data: str | bytes) -> None:
        if socket in self.connections:
            self._later(self._way_s, self.connections[socket].hear, data)

    def on_close(self, socket: int, code: int | None, reason: str) -> None:
        self.connections.pop(socket).drop(Close(code or 1006, reason))

    def _connect(self, handler: Any) -> VirtualSocket:
        self._read_clock()
        number, connection = self.open(), VirtualSocket(self._harness, handler)
        self.connections[number] = connection
        connection.on_send = lambda payload: self._later(self._way_s, self._receive, number, payload) and None
        connection.on_leave = lambda: self._later(self._way_s, self._leave, number) and None
        return connection

    def _receive(self, number: int, payload: bytes) -> None:
        if number in self.connections:
            self._read_clock()
            self.send(number, payload.decode())

    def _leave(self, number: int) -> None:
        connection = self.connections.pop(number, None)
        if connection is not None:
            self._read_clock()
            self.close(number)
            self._later(self._way_s, connection.drop, Close(1000, by_us=True))

    def _read_clock(self) -> None:
        self.now = START_S + self._harness.time.elapsed_s

    def _tick_now(self) -> None:
        self._read_clock()
        self.carry_out(self.world.tick(self.now))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._read_clock()
        self._timer = self._later(max(0.0, self.world.due - self.now), self._tick_now)

"""Pika's world behind the sockets of an evening: what is sent reaches it after a moment, and so do its effects."""

from __future__ import annotations

from typing import Any

from pika_locust.platforms.pika.world import PikaWorld
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.world import Close as WorldClose
from pika_locust.sandbox.world import Effects, Publish, Request, Send
from pika_locust.wire.websocket import Close
from tests.platforms.pika.evening import Evening, Wire

START_S = 1_795_230_000.0
REQUEST = Request("GET", "/ws", "", {})


class Hall:
    """Lets the evening's actors in. `way_s` is how long a message takes, each way."""

    def __init__(self, evening: Evening, *faults: str, way_s: float = 0.001) -> None:
        self._clock = evening.clock
        self._evening = evening
        self._way_s = way_s
        self.world = PikaWorld(FaultSwitches(faults=parse_faults(faults)), {}, START_S)
        self.wires: dict[int, Wire] = {}
        self._numbers = 0
        self._beat: Any = None
        evening.connect = self._open
        self._watch()

    @property
    def now(self) -> float:
        return START_S + self._clock.now_s

    def state(self) -> dict[str, Any]:
        return self.world.state(self.now)

    def cut(self, wire: Wire) -> None:
        """The connection breaks."""
        number = next(number for number, other in self.wires.items() if other is wire)
        del self.wires[number]
        wire.drop(Close(1006, error="the server ended the connection without a close frame"))
        self._carry_out(self.world.closed(number, self.now))

    def _open(self, handler: Any) -> Wire:
        wire = Wire(self._evening, handler)
        self._numbers += 1
        number = self._numbers
        self.wires[number] = wire
        wire.on_send = lambda payload: self._clock.push(self._way_s, self._receive, number, payload) and None
        wire.on_leave = lambda: self._clock.push(self._way_s, self._leave, number) and None
        self._carry_out(self.world.opened(number, REQUEST, self.now))
        return wire

    def _receive(self, number: int, payload: bytes) -> None:
        if number in self.wires:
            self._carry_out(self.world.received(number, payload.decode(), self.now, 0))

    def _leave(self, number: int) -> None:
        wire = self.wires.pop(number, None)
        if wire is not None:
            self._carry_out(self.world.closed(number, self.now))
            self._clock.push(self._way_s, wire.drop, Close(1000, by_us=True))

    def _tick(self) -> None:
        self._carry_out(self.world.tick(self.now))

    def _watch(self) -> None:
        if self._beat is not None:
            self._beat[-1] = None
        self._beat = self._clock.push(max(0.0, self.world.due - self.now), self._tick)

    def _carry_out(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Send(number, data):
                    self._tell(number, data)
                case Publish(text, without, _):
                    for number in list(self.wires):
                        if number != without:
                            self._tell(number, text)
                case WorldClose(number, code, reason):
                    wire = self.wires.pop(number)
                    wire.drop(Close(code or 1006, reason))
                    self._carry_out(self.world.closed(number, self.now))
        self._watch()

    def _tell(self, number: int, data: str | bytes) -> None:
        wire = self.wires.get(number)
        if wire is not None:
            self._clock.push(self._way_s, wire.hear, data)

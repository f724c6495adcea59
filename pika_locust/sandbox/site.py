"""A world at work: events go in with the time, effects are carried out, faults of the wire are applied on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pika_locust.sandbox.board import FaultBoard
from pika_locust.sandbox.cuts import Cuts
from pika_locust.sandbox.delay import DelayLine
from pika_locust.sandbox.fanout import Fanout
from pika_locust.sandbox.http import Exchange
from pika_locust.sandbox.kinds import RequestKinds
from pika_locust.sandbox.losses import Losses
from pika_locust.sandbox.websocket import WebSocketHalf, binary_frame, text_frame
from pika_locust.sandbox.world import (
    Answer,
    Begin,
    Chunk,
    Close,
    Effect,
    Effects,
    End,
    Ping,
    Platform,
    Publish,
    Reply,
    Request,
    Send,
    World,
)

_SERVER_ERROR = Answer.text("Internal Server Error", 500)
_UNAVAILABLE = Answer.text("Service Unavailable", 503)

SHORTEST_TIMER_S = 0.001

Clock = Callable[[], float]


class Site:
    """One platform's world with its sockets and exchanges.

    Arguments:
        platform: whose world it is; `world` has been made by it with `faults`.
        clock: seconds since the epoch, never running backwards.
        loop: the running event loop.
    """

    def __init__(
        self, platform: Platform, world: World, faults: FaultBoard, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.platform = platform
        self.world = world
        self.faults = faults
        self._clock = clock
        self._loop = loop
        self._sockets: dict[int, WebSocketHalf] = {}
        self._exchanges: dict[int, Exchange] = {}
        self._last_exchange = 0
        self._fanout = Fanout(loop.call_soon)
        self._delays = DelayLine(loop, faults, self._perform)
        self._close_after = Cuts(loop, faults)
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._losses = Losses(faults)
        self._kinds = RequestKinds()
        self.counts: Counter[str] = Counter()
        self._frames_of_closed: Counter[str] = Counter()
        self._carry_out: dict[type[Effect], Callable[[Any], None]] = {
            Send: self._send,
            Publish: self._publish,
            Ping: self._ping,
            Close: self._close,
            Reply: self._reply,
            Begin: self._begin,
            Chunk: self._chunk,
            End: self._end,
        }
        self._schedule_tick()

    # what connections report

    def handle(self, exchange: Exchange, request: Request) -> None:
        """A plain HTTP request for this world."""
        self.counts["http_requests"] += 1
        self._last_exchange += 1
        number = self._last_exchange
        self._exchanges[number] = exchange
        exchange.on_abandoned = lambda: self._abandoned(number)
        if "error" in self.faults.on and self.faults.hits("error", self._kinds.of(request.path)):
            self._run((Reply(number, _SERVER_ERROR),))
        else:
            self._run(self.world.request(number, request, self._clock()))

    def upgrade(self, socket: WebSocketHalf, request: Request) -> Answer | None:
        refusal = _UNAVAILABLE if self.faults.hits("refuse") else self.world.upgrade(request, self._clock())
        if refusal is not None:
            self.counts["connections_refused"] += 1
        return refusal

    def opened(self, socket: WebSocketHalf, request: Request) -> None:
        self._sockets[socket.id] = socket
        self._fanout.join(socket)
        socket.joined_at = self._fanout.published
        self.counts["connections_total"] += 1
        self._run(self.world.opened(socket.id, request, self._clock()))
        self._close_after.opened(socket)

    def received(self, socket: WebSocketHalf, data: str | bytes) -> None:
        self.counts["frames_received"] += 1
        self._run(self.world.received(socket.id, data, self._clock(), socket.waiting_bytes()))

    def ponged(self, socket: WebSocketHalf) -> None:
        self._run(self.world.ponged(socket.id, self._clock()))

    def paused(self, socket: WebSocketHalf, paused: bool) -> None:
        self._fanout.pause(socket, paused)

    def slow(self, socket: WebSocketHalf) -> None:
        self.counts["dropped_slow_clients"] += 1

    def gone(self, socket: WebSocketHalf) -> None:
        self._fanout.leave(socket)
        self._frames_of_closed[self.world.group(socket.id)] += self._frames_to(socket)
        self._sockets.pop(socket.id, None)
        self._close_after.gone(socket)
        self._run(self.world.closed(socket.id, self._clock()))

    # the server's wishes

    def shutdown(self) -> None:
        """Carries out what the world does when it is told to stop."""
        self._perform(self.world.shutdown(self._clock()))
        self._fanout.flush()

    def reset(self) -> None:
        """Cuts all sockets and starts the world and all counts afresh; the faults stay."""
        for socket in list(self._sockets.values()):
            socket.cut()
        self._delays.clear()
        for exchange in list(self._exchanges.values()):
            exchange.answer(_UNAVAILABLE)
        self._exchanges.clear()
        self.world.reset(self._clock())
        self.counts.clear()
        self._frames_of_closed.clear()
        self.faults.forget_counts()
        self._due = float("inf")
        self._schedule_tick()

    def state(self) -> dict[str, Any]:
        """What the world holds and what went over the wire."""
        frames = self._frames_of_closed.copy()
        for socket in self._sockets.values():
            frames[self.world.group(socket.id)] += self._frames_to(socket)
        counts = ("connections_total", "connections_refused", "dropped_slow_clients", "frames_received")
        return {
            "platform": self.platform.name,
            **self.world.state(self._clock()),
            **{f"frames_to_{group}": frames[group] for group in self.platform.groups},
            "frames_sent": frames.total(),
            "connections_open": len(self._sockets),
            **{name: self.counts[name] for name in (*counts, "http_requests")},
            "faults": self.faults.to_json(),
            "fault_hits": self.faults.counts(),
        }

    # carrying effects out

    def _run(self, effects: Effects) -> None:
        if effects:
            self._delays.put(effects)
        if self.world.due < self._due:
            self._schedule_tick()

    def _perform(self, effects: Iterable[Effect]) -> None:
        carry_out = self._carry_out
        for effect in effects:
            carry_out[type(effect)](effect)

    def _send(self, effect: Send) -> None:
        socket = self._sockets.get(effect.socket)
        if socket is not None:
            socket.direct += 1
            frame = text_frame(effect.data) if isinstance(effect.data, str) else binary_frame(effect.data)
            self._fanout.send(socket.id, frame)

    def _publish(self, effect: Publish) -> None:
        without = effect.without
        self._fanout.publish(text_frame(effect.text), without)
        if without in self._sockets:
            self._sockets[without].missed += 1
        if "lose-fanout" in self.faults.on:
            for number in self._losses.of(effect.kind, (other for other in self._sockets if other != without)):
                self._fanout.withhold(number)
                self._sockets[number].missed += 1

    def _ping(self, effect: Ping) -> None:
        if (socket := self._sockets.get(effect.socket)) is not None:
            socket.ping()

    def _close(self, effect: Close) -> None:
        socket = self._sockets.get(effect.socket)
        if socket is None:
            return
        self._fanout.flush()
        if effect.code is None:
            socket.cut()
        else:
            socket.close(effect.code, effect.reason)

    def _reply(self, effect: Reply) -> None:
        if (exchange := self._exchanges.pop(effect.exchange, None)) is not None:
            answer = effect.answer
            if exchange.request.path.endswith("/health"):
                headers = (*answer.headers, ("x-pika-sandbox", self.platform.name))
                answer = Answer(answer.status, answer.body, headers)
            exchange.answer(answer)

    def _begin(self, effect: Begin) -> None:
        if (exchange := self._exchanges.get(effect.exchange)) is not None:
            exchange.begin(effect.status, effect.headers)

    def _chunk(self, effect: Chunk) -> None:
        if (exchange := self._exchanges.get(effect.exchange)) is not None:
            exchange.chunk(effect.data)

    def _end(self, effect: End) -> None:
        if (exchange := self._exchanges.pop(effect.exchange, None)) is not None:
            exchange.end()

    def _abandoned(self, number: int) -> None:
        if self._exchanges.pop(number, None) is not None:
            self._run(self.world.abandoned(number, self._clock()))

    # time

    def _schedule_tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = self.world.due
        if self._due < float("inf"):
            left_s = self._due - self._clock()
            # the loop counts whole milliseconds and rounds: less than one would make it spin until the time has come
            self._timer = self._loop.call_later(max(left_s, SHORTEST_TIMER_S) if left_s > 0 else 0.0, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        if now >= self._due:
            self._run(self.world.tick(now))
        self._schedule_tick()

    def _frames_to(self, socket: WebSocketHalf) -> int:
        return self._fanout.published - socket.joined_at - socket.missed + socket.direct

"""Runs a world: events go in with the time, its effects are carried out, connection faults applied."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pika_locust.sandbox.fanout import Fanout
from pika_locust.sandbox.fault_effects import CloseAfter, Latency
from pika_locust.sandbox.faults import FanoutLoss, FaultSwitches, RequestKinds
from pika_locust.sandbox.http import Exchange
from pika_locust.sandbox.websocket import WebSocketConnection, binary_frame, text_frame
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


class EffectExecutor:
    """Carries out the effects of one world on its connections, which it knows by their numbers.

    `name` is the platform's, which its health page shows. The fault `lose-fanout` is applied here.
    """

    def __init__(self, name: str, faults: FaultSwitches, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._faults = faults
        self._losses = FanoutLoss(faults)
        self._fanout = Fanout(loop.call_soon)
        self._last_exchange = 0
        self._exchanges: dict[int, Exchange] = {}
        self.sockets: dict[int, WebSocketConnection] = {}
        """Those that are open; `enter` and `leave` keep them."""
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

    # who is there

    def enter(self, socket: WebSocketConnection) -> None:
        """From now on the socket can be reached."""
        self.sockets[socket.id] = socket
        self._fanout.join(socket)
        socket.joined_at = self._fanout.published

    def leave(self, socket: WebSocketConnection) -> int:
        """It cannot any more; how many frames it was sent."""
        self._fanout.leave(socket)
        self.sockets.pop(socket.id, None)
        return self.frames_to(socket)

    def pause(self, socket: WebSocketConnection, paused: bool) -> None:
        """The socket's transport cannot keep up, or can again."""
        self._fanout.pause(socket, paused)

    def frames_to(self, socket: WebSocketConnection) -> int:
        """How many frames the socket was sent so far."""
        return self._fanout.published - socket.joined_at - socket.missed + socket.direct

    def admit(self, exchange: Exchange) -> int:
        """An HTTP request is to be answered; gives the exchange its number."""
        self._last_exchange += 1
        self._exchanges[self._last_exchange] = exchange
        return self._last_exchange

    def abandoned(self, number: int) -> bool:
        """Its client has gone; False when it had been answered."""
        return self._exchanges.pop(number, None) is not None

    def answer_all(self, answer: Answer) -> None:
        """End every exchange like this."""
        for exchange in list(self._exchanges.values()):
            exchange.answer(answer)
        self._exchanges.clear()

    # what is done

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carry effects out, in their order; those on connections that are gone have no effect."""
        carry_out = self._carry_out
        for effect in effects:
            carry_out[type(effect)](effect)

    def flush(self) -> None:
        """Hand all frames to the transports now, and not at the end of this turn of the loop."""
        self._fanout.flush()

    def _send(self, effect: Send) -> None:
        socket = self.sockets.get(effect.socket)
        if socket is not None:
            socket.direct += 1
            frame = text_frame(effect.data) if isinstance(effect.data, str) else binary_frame(effect.data)
            self._fanout.send(socket.id, frame)

    def _publish(self, effect: Publish) -> None:
        without = effect.without
        self._fanout.publish(text_frame(effect.text), without)
        if without in self.sockets:
            self.sockets[without].missed += 1
        if "lose-fanout" in self._faults.on:
            for number in self._losses.of(effect.kind, (other for other in self.sockets if other != without)):
                self._fanout.withhold(number)
                self.sockets[number].missed += 1

    def _ping(self, effect: Ping) -> None:
        if (socket := self.sockets.get(effect.socket)) is not None:
            socket.ping()

    def _close(self, effect: Close) -> None:
        socket = self.sockets.get(effect.socket)
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
                headers = (*answer.headers, ("x-pika-sandbox", self._name))
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


SHORTEST_TIMER_S = 0.001

Clock = Callable[[], float]


class WorldTimer:
    """Calls `tick(now)` as soon as `world.due` has come, and not before; `look` is for when that may have changed."""

    def __init__(
        self, world: World, clock: Clock, loop: asyncio.AbstractEventLoop, tick: Callable[[float], None]
    ) -> None:
        self._world = world
        self._clock = clock
        self._loop = loop
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self.schedule()

    def look(self) -> None:
        """Something has happened to the world: it may be due sooner now."""
        if self._world.due < self._due:
            self.schedule()

    def schedule(self) -> None:
        """Wait for what is due next, whatever was waited for before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = self._world.due
        if self._due < float("inf"):
            left_s = self._due - self._clock()
            # the loop counts whole milliseconds and rounds: less than one would make it spin until the time has come
            self._timer = self._loop.call_later(max(left_s, SHORTEST_TIMER_S) if left_s > 0 else 0.0, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock()
        try:
            if now >= self._due:
                self._tick(now)
        finally:
            # also for a world whose timer has just failed
            self.schedule()


_SERVER_ERROR = Answer.text("Internal Server Error", 500)
_UNAVAILABLE = Answer.text("Service Unavailable", 503)


class WorldHost:
    """One platform's world with its sockets and exchanges.

    Arguments:
        platform: whose world it is; `world` has been made by it with `faults`.
        clock: seconds since the epoch, never running backwards.
        loop: the running event loop.
    """

    def __init__(
        self, platform: Platform, world: World, faults: FaultSwitches, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.platform = platform
        self.world = world
        self.faults = faults
        self._clock = clock
        self._loop = loop
        self._executor = EffectExecutor(platform.name, faults, loop)
        self._latency = Latency(loop, faults, self._executor.perform)
        self._close_after = CloseAfter(loop, faults)
        self._timer = WorldTimer(world, clock, loop, self._tick)
        self._kinds = RequestKinds()
        self.counts: Counter[str] = Counter()
        self._frames_of_closed: Counter[str] = Counter()

    # what connections report

    def handle(self, exchange: Exchange, request: Request) -> None:
        """A plain HTTP request for this world."""
        self.counts["http_requests"] += 1
        number = self._executor.admit(exchange)
        exchange.on_abandoned = lambda: self._abandoned(number)
        if "error" in self.faults.on and self.faults.hits("error", self._kinds.of(request.path)):
            self._latency.put((Reply(number, _SERVER_ERROR),))
        else:
            self._run(self.world.request, number, request, self._clock())

    def upgrade(self, socket: WebSocketConnection, request: Request) -> Answer | None:
        refused = self.faults.hits("refuse") or self._is_full()
        refusal = _UNAVAILABLE if refused else self.world.upgrade(request, self._clock())
        if refusal is not None:
            self.counts["connections_refused"] += 1
        return refusal

    def _is_full(self) -> bool:
        """Whether `max-sockets` leaves no place for one more."""
        most = self.faults.on.get("max-sockets")
        full = most is not None and len(self._executor.sockets) >= most.value
        if full:
            self.faults.count("max-sockets")
        return full

    def opened(self, socket: WebSocketConnection, request: Request) -> None:
        self._executor.enter(socket)
        self.counts["connections_total"] += 1
        self._run(self.world.opened, socket.id, request, self._clock())
        self._close_after.opened(socket)

    def received(self, socket: WebSocketConnection, data: str | bytes) -> None:
        self.counts["frames_received"] += 1
        self._run(self.world.received, socket.id, data, self._clock(), socket.waiting_bytes())

    def ponged(self, socket: WebSocketConnection) -> None:
        self._run(self.world.ponged, socket.id, self._clock())

    def paused(self, socket: WebSocketConnection, paused: bool) -> None:
        self._executor.pause(socket, paused)

    def slow(self, socket: WebSocketConnection) -> None:
        self.counts["dropped_slow_clients"] += 1

    def gone(self, socket: WebSocketConnection) -> None:
        frames = self._executor.leave(socket)
        self._frames_of_closed[self.world.group(socket.id)] += frames
        self._close_after.gone(socket)
        self._run_end(self.world.closed, socket.id, self._clock())

    def _abandoned(self, number: int) -> None:
        if self._executor.abandoned(number):
            self._run_end(self.world.abandoned, number, self._clock())

    # events and effects

    def _run(self, event: Callable[..., Effects], *arguments: Any) -> None:
        """Passes an event on to the world. What that raises is for the server to count; timers run all the same."""
        try:
            effects = event(*arguments)
            if effects:
                self._latency.put(effects)
        finally:
            self._timer.look()

    def _run_end(self, event: Callable[..., Effects], *arguments: Any) -> None:
        """The same for the end of a connection, maybe amid other effects: what is raised must not stop those."""
        try:
            self._run(event, *arguments)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": "a world failed at the end of a connection", "exception": error}
            )

    def _tick(self, now: float) -> None:
        self._run(self.world.tick, now)

    # for the server

    def shutdown(self) -> None:
        """Carries out what the world does when it is asked to stop."""
        self._executor.perform(self.world.shutdown(self._clock()))
        self._executor.flush()

    def reset(self) -> None:
        """Cuts all sockets and starts the world and all counts afresh; the faults stay."""
        for socket in list(self._executor.sockets.values()):
            socket.cut()
        self._latency.clear()
        self._executor.answer_all(_UNAVAILABLE)
        self.world.reset(self._clock())
        self.counts.clear()
        self._frames_of_closed.clear()
        self.faults.forget_counts()
        self._timer.schedule()

    def state(self) -> dict[str, Any]:
        """What the world holds and what went over the wire."""
        sockets = self._executor.sockets
        frames = self._frames_of_closed.copy()
        for socket in sockets.values():
            frames[self.world.group(socket.id)] += self._executor.frames_to(socket)
        counts = ("connections_total", "connections_refused", "dropped_slow_clients", "frames_received")
        return {
            "platform": self.platform.name,
            **self.world.state(self._clock()),
            **{f"frames_to_{group}": frames[group] for group in self.platform.groups},
            "frames_sent": frames.total(),
            "connections_open": len(sockets),
            **{name: self.counts[name] for name in (*counts, "http_requests")},
            "faults": self.faults.to_json(),
            "fault_hits": self.faults.counts(),
        }

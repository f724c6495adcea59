"""A world at work: events go in with the time, effects are carried out, faults of the wire are applied on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from pika_locust.sandbox.board import FaultSwitches
from pika_locust.sandbox.cuts import CloseAfter
from pika_locust.sandbox.delay import Latency
from pika_locust.sandbox.http import Exchange
from pika_locust.sandbox.kinds import RequestKinds
from pika_locust.sandbox.performer import EffectExecutor
from pika_locust.sandbox.ticks import Clock, WorldTimer
from pika_locust.sandbox.websocket import WebSocketConnection
from pika_locust.sandbox.world import Answer, Effects, Platform, Reply, Request, World

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
        self._performer = EffectExecutor(platform.name, faults, loop)
        self._delays = Latency(loop, faults, self._performer.perform)
        self._close_after = CloseAfter(loop, faults)
        self._ticks = WorldTimer(world, clock, loop, self._tick)
        self._kinds = RequestKinds()
        self.counts: Counter[str] = Counter()
        self._frames_of_closed: Counter[str] = Counter()

    # what connections report

    def handle(self, exchange: Exchange, request: Request) -> None:
        """A plain HTTP request for this world."""
        self.counts["http_requests"] += 1
        number = self._performer.admit(exchange)
        exchange.on_abandoned = lambda: self._abandoned(number)
        if "error" in self.faults.on and self.faults.hits("error", self._kinds.of(request.path)):
            self._run((Reply(number, _SERVER_ERROR),))
        else:
            self._run(self.world.request(number, request, self._clock()))

    def upgrade(self, socket: WebSocketConnection, request: Request) -> Answer | None:
        refusal = _UNAVAILABLE if self.faults.hits("refuse") else self.world.upgrade(request, self._clock())
        if refusal is not None:
            self.counts["connections_refused"] += 1
        return refusal

    def opened(self, socket: WebSocketConnection, request: Request) -> None:
        self._performer.enter(socket)
        self.counts["connections_total"] += 1
        self._run(self.world.opened(socket.id, request, self._clock()))
        self._close_after.opened(socket)

    def received(self, socket: WebSocketConnection, data: str | bytes) -> None:
        self.counts["frames_received"] += 1
        self._run(self.world.received(socket.id, data, self._clock(), socket.waiting_bytes()))

    def ponged(self, socket: WebSocketConnection) -> None:
        self._run(self.world.ponged(socket.id, self._clock()))

    def paused(self, socket: WebSocketConnection, paused: bool) -> None:
        self._performer.pause(socket, paused)

    def slow(self, socket: WebSocketConnection) -> None:
        self.counts["dropped_slow_clients"] += 1

    def gone(self, socket: WebSocketConnection) -> None:
        frames = self._performer.leave(socket)
        self._frames_of_closed[self.world.group(socket.id)] += frames
        self._close_after.gone(socket)
        self._run(self.world.closed(socket.id, self._clock()))

    def _abandoned(self, number: int) -> None:
        if self._performer.abandoned(number):
            self._run(self.world.abandoned(number, self._clock()))

    # what the world says to it

    def _run(self, effects: Effects) -> None:
        if effects:
            self._delays.put(effects)
        self._ticks.look()

    def _tick(self, now: float) -> None:
        self._run(self.world.tick(now))

    # the server's wishes

    def shutdown(self) -> None:
        """Carries out what the world does when it is told to stop."""
        self._performer.perform(self.world.shutdown(self._clock()))
        self._performer.flush()

    def reset(self) -> None:
        """Cuts all sockets and starts the world and all counts afresh; the faults stay."""
        for socket in list(self._performer.sockets.values()):
            socket.cut()
        self._delays.clear()
        self._performer.answer_all(_UNAVAILABLE)
        self.world.reset(self._clock())
        self.counts.clear()
        self._frames_of_closed.clear()
        self.faults.forget_counts()
        self._ticks.schedule()

    def state(self) -> dict[str, Any]:
        """What the world holds and what went over the wire."""
        sockets = self._performer.sockets
        frames = self._frames_of_closed.copy()
        for socket in sockets.values():
            frames[self.world.group(socket.id)] += self._performer.frames_to(socket)
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

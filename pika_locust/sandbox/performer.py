"""What a world wants done, done: on the sockets and the exchanges that are open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from pika_locust.sandbox.board import FaultSwitches
from pika_locust.sandbox.fanout import Fanout
from pika_locust.sandbox.http import Exchange
from pika_locust.sandbox.losses import FanoutLoss
from pika_locust.sandbox.websocket import WebSocketConnection, binary_frame, text_frame
from pika_locust.sandbox.world import Answer, Begin, Chunk, Close, Effect, End, Ping, Publish, Reply, Send


class EffectExecutor:
    """The connections of one world by their numbers, and how each effect is carried out on them.

    `name` is the platform's, which its health page tells. The fault `lose-fanout` is applied here.
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

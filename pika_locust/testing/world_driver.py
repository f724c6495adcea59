"""Drives a world without a server: requests and sockets by method calls, its effects carried out, its clock by hand.

    class Orders(App):
        name, about = "orders", "a shop that takes orders"
        covers = (Cover("lose-write", "lose-write=0.1", "orders", "orders"),)

        def start(self) -> None:
            self.orders: list[str] = []

        def state(self, now: float) -> dict[str, Any]:
            return {"orders": len(self.orders)}

        @route("POST", "/orders")
        def order(self, call: Call) -> None:
            self.orders += [call.body["id"]] * self.copies("order")
            self.after(0.2, call.answer, {"id": call.body["id"]}, 201)

    class OrdersDriver(WorldDriver):
        def order(self, item: str) -> int:
            status, _ = self.ask("POST", "/orders", {"id": item})
            return status

    def test_an_order_is_kept_and_acknowledged_after_a_while() -> None:
        driver = OrdersDriver(Orders.platform())
        assert driver.order("a") == 201
        assert driver.now == START_S + 0.2
        assert driver.state() == {"orders": 1}

    def test_a_lost_write_is_acknowledged_all_the_same() -> None:
        driver = OrdersDriver(Orders.platform(), "lose-write=1")
        assert driver.order("a") == 201
        assert driver.state() == {"orders": 0}

What a world is told and what it answers is what the sandbox would tell it and send on; only what the sandbox does by
itself is not there: faults of the wire (`latency`, `error`, `lose-fanout` on `Publish`...) and limits on slow clients.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.server import legal_faults
from pika_locust.sandbox.world import (
    Answer,
    Begin,
    Chunk,
    Close,
    Effects,
    End,
    Headers,
    Ping,
    Platform,
    Publish,
    Reply,
    Request,
    Send,
)

START_S = 1_795_230_000.0
"""When a world begins unless a test says otherwise, in seconds since the epoch."""
MAX_TICKS = 10_000
"""How often a world may tick at one and the same time before it is taken to be stuck."""

PING = "<ping>"
"""Stands for a ping frame among the messages of a socket."""


class Closed(NamedTuple):
    """Stands for the end of a socket among its messages; `code` is None where the world cut the connection."""

    code: int | None
    reason: str


@dataclass(slots=True)
class Stream:
    """An answer that comes in pieces."""

    status: int
    headers: Headers
    chunks: list[bytes] = field(default_factory=list)


class WorldDriver:
    """One world with its clients.

    Subclass it for a platform's own words (`sign_in`, `order`), and override `decode` if its messages are not JSON.
    """

    def __init__(
        self,
        platform: Platform,
        *faults: str,
        settings: Mapping[str, str] | None = None,
        now: float = START_S,
        answers_pings: bool = True,
    ) -> None:
        """A fresh world of `platform`.

        Arguments:
            faults: the planted faults that are on, as `--sandbox-fault` has them.
            settings: the environment variables that the world reads.
            now: the time at its beginning, in seconds since the epoch.
            answers_pings: whether clients answer pings; those that do not are seen as `PING` among the messages.
        """
        self.platform = platform
        self.faults = FaultSwitches()
        self.switch(*faults)
        self.now = now
        """The time, in seconds since the epoch."""
        self.answers_pings = answers_pings
        self.world: Any = platform.create(self.faults, settings or {}, now)
        self.answers: dict[int, Answer] = {}
        """Answers that `request` was given and nobody has taken, by exchange."""
        self.requests: dict[int, Request] = {}
        """Requests whose answers are not complete, by exchange."""
        self.streams: dict[int, Stream] = {}
        """Answers that have begun and not ended, by exchange."""
        self.messages: dict[int, list[Any]] = {}
        """What came on each socket, open or closed, oldest first: messages as `decode` has them, PING and Closed."""
        self._open: dict[int, None] = {}
        self._abandoned: set[int] = set()
        self._numbers = count(1)

    @property
    def sockets(self) -> list[int]:
        """The sockets that are open, oldest first."""
        return list(self._open)

    def switch(self, *faults: str) -> None:
        """From now on exactly these faults are on."""
        self.faults.replace(parse_faults(faults, legal_faults([self.platform])))

    def state(self) -> dict[str, Any]:
        """The world's state, as audits read it."""
        state: dict[str, Any] = self.world.state(self.now)
        return state

    # Time

    def wait(self, seconds: float) -> None:
        """Let so many seconds go by; the world does in them what is due."""
        self.wait_until(self.now + seconds)

    def wait_until(self, at: float) -> None:
        """Let time go by until then, in seconds since the epoch; the world does by then what is due."""
        while self.world.due <= at:
            self._tick()
        self.now = at

    def _tick(self) -> None:
        self.now = max(self.now, self.world.due)
        for _ in range(MAX_TICKS):
            self.carry_out(self.world.tick(self.now))
            if self.world.due > self.now:
                return
        raise AssertionError(f"after {MAX_TICKS} ticks at {self.now} the world is still due at {self.world.due}")

    # HTTP

    def request(self, method: str, path: str, body: Any = None, peer: str = "127.0.0.1", **headers: str) -> int:
        """Send a request; returns the number under which its answer will be in `answers`.

        Arguments:
            path: with the query, if there is one.
            body: what is sent: bytes as they are, anything but None as JSON.
            peer: the client's address.
            headers: an underscore stands for a hyphen.
        """
        names = _hyphened(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            names.setdefault("content-type", "application/json")
        path, _, query = path.partition("?")
        exchange = next(self._numbers)
        self.requests[exchange] = request = Request(method, path, query, names, body or b"", peer)
        self.carry_out(self.world.request(exchange, request, self.now))
        return exchange

    def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        peer: str = "127.0.0.1",
        *,
        within_s: float = 10.0,
        **headers: str,
    ) -> Answer:
        """Send a request and give its answer. One that comes later moves the clock to its moment, by `within_s` at
        most; AssertionError when there is none by then. The other arguments are those of `request`."""
        exchange = self.request(method, path, body, peer, **headers)
        until = self.now + within_s
        while exchange not in self.answers:
            assert self.world.due <= until, f"{method} {path} has no answer within {within_s:g} s"
            self._tick()
        return self.answers.pop(exchange)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        peer: str = "127.0.0.1",
        *,
        within_s: float = 10.0,
        **headers: str,
    ) -> tuple[int, Any]:
        """`http`, as the status and the JSON of the body; None where the answer has no body."""
        answer = self.http(method, path, body, peer, within_s=within_s, **headers)
        return answer.status, json.loads(answer.body) if answer.body else None

    def abandon(self, exchange: int) -> None:
        """The client of an exchange gives up before its answer is there; what the world still sends is dropped."""
        del self.requests[exchange]
        self._abandoned.add(exchange)
        self.streams.pop(exchange, None)
        self.carry_out(self.world.abandoned(exchange, self.now))

    # Sockets

    def refusal(self, path: str = "/ws", peer: str = "127.0.0.1", **headers: str) -> Answer | None:
        """What the world answers to whoever asks for a socket; None when it would accept."""
        answer: Answer | None = self.world.upgrade(_upgrade(path, peer, headers), self.now)
        return answer

    def open(self, path: str = "/ws", peer: str = "127.0.0.1", *, into: list[Any] | None = None, **headers: str) -> int:
        """Open a socket; returns its number. AssertionError when the world refuses it.

        What comes on it is collected in `messages`, and in the list `into` where several sockets are to share one.
        """
        opened = self.try_open(path, peer, into=into, **headers)
        assert isinstance(opened, int), f"refused with {opened.status}: {opened.body!r}"
        return opened

    def try_open(
        self, path: str = "/ws", peer: str = "127.0.0.1", *, into: list[Any] | None = None, **headers: str
    ) -> int | Answer:
        """`open`, but a refusal is returned."""
        request = _upgrade(path, peer, headers)
        refusal: Answer | None = self.world.upgrade(request, self.now)
        if refusal is not None:
            return refusal
        socket = next(self._numbers)
        self.messages[socket] = [] if into is None else into
        self._open[socket] = None
        self.on_open(socket)
        self.carry_out(self.world.opened(socket, request, self.now))
        return socket

    def send(self, socket: int, data: Any, queued_bytes: int = 0) -> list[Any]:
        """Send a message, anything but text and bytes as JSON; returns what came on this socket because of it.

        `queued_bytes` is how much waits in the server to be written to the socket.
        """
        before = len(self.messages[socket])
        raw = data if isinstance(data, str | bytes) else json.dumps(data)
        self.carry_out(self.world.received(socket, raw, self.now, queued_bytes))
        return self.messages[socket][before:]

    def ping(self, socket: int) -> None:
        """Send a ping or pong frame; the server answers pings by itself."""
        self.carry_out(self.world.ponged(socket, self.now))

    def close(self, socket: int) -> None:
        """The client ends a socket, or its connection breaks."""
        del self._open[socket]
        self.carry_out(self.world.closed(socket, self.now))

    def take(self, socket: int) -> list[Any]:
        """What came on a socket since this was asked last."""
        messages = self.messages[socket]
        taken = list(messages)
        messages.clear()
        return taken

    # The server's end, and a new beginning

    def shutdown(self) -> None:
        """The server is told to stop: the world says its last, then all connections break."""
        self.carry_out(self.world.shutdown(self.now))
        for socket in self.sockets:
            del self._open[socket]
            self.on_close(socket, None, "")
        self._abandoned.update(self.requests)
        self.requests.clear()

    def reset(self) -> None:
        """The world starts afresh, as by `POST /__sandbox/reset`: sockets break, requests are not answered."""
        for socket in self.sockets:
            self.on_close(socket, None, "")
            self.close(socket)
        for exchange in list(self.requests):
            self.abandon(exchange)
        self.world.reset(self.now)

    # What the world wants done

    def decode(self, data: str | bytes) -> Any:
        """A message as tests see it: by default its JSON."""
        return json.loads(data)

    def on_open(self, socket: int) -> None:
        """The world has accepted a socket, and has said nothing on it yet."""

    def on_message(self, socket: int, data: str | bytes) -> None:
        """A message comes on an open socket; override it for clients that answer by themselves."""
        self.messages[socket].append(self.decode(data))

    def on_ping(self, socket: int) -> None:
        """A ping frame comes."""
        if self.answers_pings:
            self.ping(socket)
        else:
            self.messages[socket].append(PING)

    def on_close(self, socket: int, code: int | None, reason: str) -> None:
        """The world has ended a socket."""
        self.messages[socket].append(Closed(code, reason))

    def on_answer(self, exchange: int, answer: Answer) -> None:
        """The answer of an exchange is complete."""
        self.answers[exchange] = answer

    def carry_out(self, effects: Effects) -> None:
        """Do what the world wants done, in order; what is for clients that are gone is dropped, as the server does.

        AssertionError when it answers an exchange twice, or one that there never was.
        """
        for effect in effects:
            match effect:
                case Reply(exchange, answer):
                    if self._is_for_client(exchange):
                        self.on_answer(exchange, answer)
                        del self.requests[exchange]
                case Send(socket, data):
                    if socket in self._open:
                        self.on_message(socket, data)
                case Publish(text, without, _):
                    for socket in self.sockets:
                        if socket != without and socket in self._open:
                            self.on_message(socket, text)
                case Ping(socket):
                    if socket in self._open:
                        self.on_ping(socket)
                case Close(socket, code, reason):
                    if socket in self._open:
                        self.on_close(socket, code, reason)
                        self.close(socket)
                case Begin(exchange, status, headers):
                    if self._is_for_client(exchange):
                        self.streams[exchange] = Stream(status, headers)
                case Chunk(exchange, piece):
                    if self._is_for_client(exchange):
                        self.streams[exchange].chunks.append(piece)
                case End(exchange):
                    if self._is_for_client(exchange):
                        stream = self.streams.pop(exchange)
                        self.on_answer(exchange, Answer(stream.status, b"".join(stream.chunks), stream.headers))
                        del self.requests[exchange]

    def _is_for_client(self, exchange: int) -> bool:
        """Whether somebody waits for this answer; False when that client has given up."""
        if exchange in self._abandoned:
            return False
        assert exchange in self.requests, f"exchange {exchange} is answered twice, or nobody asked"
        return True


class SocketIoWorldDriver(WorldDriver):
    """A driver for worlds that speak Socket.IO: its messages are packets as text; Engine.IO's pings are answered.

    Clients that do not (`answers_pings=False`) find them among their messages, as "2".
    """

    def decode(self, data: str | bytes) -> Any:
        return data

    def on_message(self, socket: int, data: str | bytes) -> None:
        if data == "2" and self.answers_pings:
            self.send(socket, "3")
        else:
            super().on_message(socket, data)

    def open(
        self,
        path: str = "/socket.io/?EIO=4&transport=websocket",
        peer: str = "127.0.0.1",
        *,
        into: list[Any] | None = None,
        **headers: str,
    ) -> int:
        """Open a connection; namespaces are entered by `join`."""
        return super().open(path, peer, into=into, **headers)

    def join(self, socket: int, namespace: str = "/", auth: Any = None) -> list[Any]:
        """Ask for a namespace; returns the packets that came because of it."""
        return self.send(socket, f"40{_of(namespace)}{'' if auth is None else json.dumps(auth)}")

    def leave(self, socket: int, namespace: str = "/") -> list[Any]:
        """Leave a namespace; returns the packets that came because of it."""
        return self.send(socket, f"41{_of(namespace)}")

    def emit(self, socket: int, namespace: str, event: str, *data: Any, ack: int | None = None) -> list[Any]:
        """Send an event, with the number under which it is to be acknowledged; returns the packets that came."""
        number = "" if ack is None else str(ack)
        return self.send(socket, f"42{_of(namespace)}{number}{json.dumps([event, *data])}")

    @staticmethod
    def events(packets: Iterable[Any]) -> list[tuple[Any, ...]]:
        """The events among packets of all namespaces: each its name and its data."""
        found = [_EVENT.fullmatch(packet) for packet in packets if isinstance(packet, str)]
        return [tuple(json.loads(match["data"])) for match in found if match]


_EVENT = re.compile(r"42(/[^,]*,)?\d*(?P<data>\[.*)", re.DOTALL)


def _of(namespace: str) -> str:
    """How a packet says its namespace: not at all when it is the main one."""
    return "" if namespace == "/" else f"{namespace},"


def _hyphened(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _upgrade(path: str, peer: str, headers: Mapping[str, str]) -> Request:
    path, _, query = path.partition("?")
    return Request("GET", path, query, _hyphened(headers), b"", peer)

"""A world that speaks Socket.IO 4 over Engine.IO 4, by WebSocket only: namespaces, rooms, events, acknowledgements.

    class Orders(SocketIoApp):
        name, about = "orders", "a shop that announces its orders"
        namespaces = ("/orders",)

        def admit(self, client: Client, auth: Any) -> str | None:
            return None if auth == {"token": "good"} else "unauthorized"

        @event("buy", namespace="/orders")
        def buy(self, client: Client, what: Any = None) -> Any:
            client.join("buyers")
            self.emit_to("/orders", "buyers", "bought", what)
            return {"ok": True}

What `sandbox.app.App` has for HTTP, time and faults is here, too. `drop` takes acknowledgements away, `lose-fanout`
what `emit_to` sends.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qs

from pika_locust.sandbox.app import App, Handler, Socket, mark
from pika_locust.sandbox.timers import Timer
from pika_locust.sandbox.world import Answer, Effects, Headers, Reply, Request, to_json

PING_EVERY_S = 25.0
PONG_WITHIN_S = 20.0
LARGEST_PACKET_BYTES = 1_000_000
MAIN = "/"
"""The namespace that there always is."""
_JSON: Headers = (("content-type", "application/json; charset=utf-8"),)
NO_TRANSPORT = Answer(400, b'{"code":0,"message":"Transport unknown"}', _JSON)
OLD_PROTOCOL = Answer(400, b'{"code":5,"message":"Unsupported protocol version"}', _JSON)
NO_CODE = 1005
"""Engine.IO ends a connection with a close frame that has no code."""


@dataclass(frozen=True, slots=True)
class Event:
    """What `event` says of a handler."""

    name: str
    namespace: str


def event(name: str, *, namespace: str = MAIN) -> Callable[[Handler], Handler]:
    """Marks a method of a `SocketIoApp` as the handler of an event that clients emit.

    It is called with the `Client` and the event's values, and returns what it is acknowledged with, if the client asks
    for that: a JSON value, or None for an acknowledgement without one. Events without a handler have no effect.
    """
    return mark(Event(name, namespace))


@dataclass(slots=True, eq=False)
class Client:
    """One connection in one namespace."""

    app: SocketIoApp
    socket: Socket
    namespace: str
    data: Any = None
    """The world's own."""
    rooms: dict[str, None] = field(default_factory=dict)

    def emit(self, name: str, *values: Any) -> None:
        """Sends an event to this client only."""
        self.socket.send(event_packet(self.namespace, name, *values))

    def join(self, room: str) -> None:
        """From now on `emit_to` this room reaches this client."""
        self.rooms[room] = None
        self.app._rooms.setdefault((self.namespace, room), {})[self] = None

    def leave(self, room: str) -> None:
        """Takes it out of a room."""
        if room in self.rooms:
            del self.rooms[room]
            members = self.app._rooms[self.namespace, room]
            del members[self]
            if not members:
                del self.app._rooms[self.namespace, room]

    def kick(self) -> None:
        """Puts its connection out of all namespaces, and closes it."""
        for namespace in self.app._connections[self.socket].clients:
            self.socket.send(f"41{_prefix(namespace)}")
        self.socket.close(NO_CODE)


@dataclass(slots=True, eq=False)
class _Connection:
    """A socket's namespaces in the order they were entered, and the next step of its heartbeat."""

    heartbeat: Timer
    clients: dict[str, Client] = field(default_factory=dict)


class SocketIoApp(App):
    """A world with Socket.IO at `socket_path`. Subclasses write what `App`'s do, and handlers of events."""

    socket_path = "/socket.io/"
    namespaces: ClassVar[tuple[str, ...]] = ()
    """Those that exist besides the main one."""

    _events: ClassVar[dict[tuple[str, str], str]] = {}

    def __init_subclass__(cls) -> None:
        cls._events = {}
        super().__init_subclass__()

    @classmethod
    def _add(cls, what: Any, handler: str) -> None:
        if isinstance(what, Event):
            cls._events[what.namespace, what.name] = handler
        else:
            super()._add(what, handler)

    def reset(self, now: float) -> None:
        self._connections: dict[Socket, _Connection] = {}
        self._rooms: dict[tuple[str, str], dict[Client, None]] = {}
        self._random, self._sids = Random(), 0
        super().reset(now)

    # For the platform to write

    def admit(self, client: Client, auth: Any) -> str | None:
        """A connection asks for a namespace: None lets it in, a text is the message it is refused with.

        Arguments:
            client: what it would be; `client.socket.request` is the request by which the connection was opened.
            auth: the value that it sent to be let in, parsed; None when there is none.
        """
        return None

    def on_enter(self, client: Client, auth: Any) -> None:
        """A connection is in a namespace."""

    def on_leave(self, client: Client) -> None:
        """It has left, by a packet or by its end. It is in no room any more."""

    # For the platform to use

    def clients(self, namespace: str, room: str) -> list[Client]:
        """Who is in a room of a namespace."""
        return list(self._rooms.get((namespace, room), ()))

    def emit_to(self, namespace: str, room: str, name: str, *values: Any) -> None:
        """Sends an event to all clients in a room; `lose-fanout` counts it by the event's name."""
        members = self._rooms.get((namespace, room))
        if members:
            self.emit([one.socket for one in members], event_packet(namespace, name, *values), kind=name)

    # `sandbox.app.App`

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        if request.path == self.socket_path:
            return [Reply(exchange, NO_TRANSPORT)]  # polling is not offered
        return super().request(exchange, request, now)

    def accept(self, request: Request) -> Answer | None:
        if request.path != self.socket_path:
            return self.not_found(request)
        query = parse_qs(request.query)
        if query.get("transport") != ["websocket"]:
            return NO_TRANSPORT
        return None if query.get("EIO") == ["4"] else OLD_PROTOCOL

    def on_open(self, socket: Socket) -> None:
        offer = {
            "sid": self._new_sid(),
            "upgrades": [],
            "pingInterval": int(PING_EVERY_S * 1000),
            "pingTimeout": int(PONG_WITHIN_S * 1000),
            "maxPayload": LARGEST_PACKET_BYTES,
        }
        socket.send(f"0{to_json(offer)}")
        self._connections[socket] = _Connection(self.after(PING_EVERY_S, self._ping, socket))

    def on_close(self, socket: Socket) -> None:
        connection = self._connections.pop(socket)
        connection.heartbeat.cancel()
        for client in connection.clients.values():
            self._left(client)

    def is_answer(self, data: str | bytes) -> bool:
        return isinstance(data, str) and data.startswith("43")

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        """A packet; whatever is none, and a wish to close, ends the connection."""
        self.now = now
        one = self.sockets[socket]
        one.queued_bytes = queued
        connection = self._connections[one]
        packet = data if isinstance(data, str) else ""
        emitted = None
        match packet[:2]:
            case _ if len(data) > LARGEST_PACKET_BYTES:
                one.close(1009)
            case "40":
                self._enter(one, connection, packet[2:])
            case "41":
                client = connection.clients.pop(_parted(packet[2:])[0], None)
                if client is not None:
                    self._left(client)
            case "42":
                emitted = self._emitted(one, connection, packet[2:])
            case "43":
                pass  # the server asks for no acknowledgement
            case kind if kind[:1] == "3":
                connection.heartbeat.cancel()
                connection.heartbeat = self.after(PING_EVERY_S, self._ping, one)
            case kind if kind[:1] == "6":
                pass
            case _:
                one.close(NO_CODE)
        effects = self._take()
        return effects if emitted is None else self._without_answers(effects, socket, emitted)

    def _enter(self, socket: Socket, connection: _Connection, packet: str) -> None:
        namespace, payload = _parted(packet)
        if namespace != MAIN and namespace not in self.namespaces:
            socket.send(f'44{_prefix(namespace)}{{"message":"Invalid namespace"}}')
            return
        if namespace in connection.clients:
            socket.close(NO_CODE)
            return
        client, auth = Client(self, socket, namespace), _parsed(payload)
        refusal = self.admit(client, auth)
        if refusal is not None:
            socket.send(f"44{_prefix(namespace)}{to_json({'message': refusal})}")
            return
        connection.clients[namespace] = client
        socket.send(f'40{_prefix(namespace)}{{"sid":"{self._new_sid()}"}}')
        self.on_enter(client, auth)

    def _left(self, client: Client) -> None:
        for room in list(client.rooms):
            client.leave(room)
        self.on_leave(client)

    def _emitted(self, socket: Socket, connection: _Connection, packet: str) -> str | None:
        """Handles an event; its name, if it has a handler."""
        namespace, payload = _parted(packet)
        ack_id = payload[: len(payload) - len(payload.lstrip("0123456789"))]
        content = _parsed(payload[len(ack_id) :])
        if not isinstance(content, list) or not content or not isinstance(content[0], str):
            socket.close(NO_CODE)
            return None
        name, *values = content
        client, handler = connection.clients.get(namespace), self._events.get((namespace, name))
        if client is None or handler is None:
            return None
        answer = getattr(self, handler)(client, *values)
        if ack_id:
            socket.send(f"43{_prefix(namespace)}{ack_id}{to_json([] if answer is None else [answer])}")
        return str(name)

    def _ping(self, socket: Socket) -> None:
        socket.send("2")
        self._connections[socket].heartbeat = self.after(PONG_WITHIN_S, socket.close, NO_CODE)

    def _new_sid(self) -> str:
        """An id as Engine.IO and Socket.IO make them: 20 characters that end in a counter."""
        self._sids = (self._sids + 1) % (1 << 24)
        return urlsafe_b64encode(self._random.randbytes(12) + self._sids.to_bytes(3, "big")).decode()


def event_packet(namespace: str, name: str, *values: Any) -> str:
    """An event in the text form of Socket.IO 4 over Engine.IO 4."""
    return f"42{_prefix(namespace)}{to_json([name, *values])}"


def _prefix(namespace: str) -> str:
    return "" if namespace == MAIN else f"{namespace},"


def _parted(packet: str) -> tuple[str, str]:
    """Namespace and payload of what follows the two type digits."""
    if not packet.startswith("/"):
        return MAIN, packet
    namespace, _, payload = packet.partition(",")
    return namespace.partition("?")[0], payload


def _parsed(payload: str) -> Any:
    """The JSON of a payload; None when it is none."""
    try:
        return json.loads(payload) if payload else None
    except (ValueError, RecursionError):
        return None

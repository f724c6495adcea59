"""A world that speaks Socket.IO 4 over Engine.IO 4, by WebSocket only: namespaces, rooms, events, acknowledgements.

    class Orders(SocketIoApp):
        name, about = "orders", "a shop that announces its orders"
        namespaces = ("/orders",)

        def admit(self, client: Client, auth: Any) -> str | None:
            return None if auth == {"token": "good"} else "unauthorized"

        @event("buy", namespace="/orders", body={"item": text(1)})
        def buy(self, client: Client, body: dict[str, Any]) -> Any:
            client.join("buyers")
            self.emit_to("/orders", "buyers", "bought", body["item"])
            return {"ok": True}

What `sandbox.app.App` has for HTTP, time and faults is here, too. `drop` takes away what the sender of an event is
sent because of it (acknowledgement and `Client.emit`), `lose-fanout` what `emit_to` sends.
"""

from __future__ import annotations

import inspect
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qs

from pika_locust.sandbox.app import App, Call, Handler, Route, Socket, mark
from pika_locust.sandbox.schema import Refused, Schema, read_fields
from pika_locust.sandbox.timers import Timer
from pika_locust.sandbox.world import Answer, Effects, Headers, Request, to_json

PING_EVERY_S = 25.0
PONG_WITHIN_S = 20.0
CONNECT_WITHIN_S = 45.0
"""A connection that is in no namespace by then is closed."""
LARGEST_PACKET_BYTES = 1_000_000
MAIN = "/"
"""The namespace that there always is."""
_JSON: Headers = (("content-type", "application/json; charset=utf-8"),)
NO_TRANSPORT = Answer(400, b'{"code":0,"message":"Transport unknown"}', _JSON)
OLD_PROTOCOL = Answer(400, b'{"code":5,"message":"Unsupported protocol version"}', _JSON)
NO_CODE = 1005
"""Engine.IO ends a connection with a close frame that has no code."""

# Why a client has left a namespace, as Socket.IO names it.
LEFT = "client namespace disconnect"
PUT_OUT = "server namespace disconnect"
GONE = "transport close"
SILENT = "ping timeout"
BAD_PACKET = "forced close"
OUT_OF_TURN = "forced server close"


@dataclass(frozen=True, slots=True)
class Event:
    """What `event` says of a handler."""

    name: str
    namespace: str
    body: Schema | None
    later: bool


def event(
    name: str, *, namespace: str = MAIN, body: Schema | None = None, later: bool = False
) -> Callable[[Handler], Handler]:
    """Marks a method of a `SocketIoApp` as the handler of an event that clients emit.

    It is called with the `Client` and the event's values: as in JavaScript, None for those that are missing, and
    without those it has no parameter for. What it returns is the acknowledgement, if the client asks for one; after
    None the event is not acknowledged. Events without a handler have no effect.

    Arguments:
        name: of the event.
        namespace: the one it is emitted in.
        body: what each field of the first value, a JSON object, must be (see `sandbox.schema`); the handler gets the
            accepted fields in its place, and only them. Whatever else comes is `SocketIoApp.refused_event`.
        later: the handler gets an `Ack` after the client, to acknowledge by when it likes, also out of a timer.
    """
    return mark(Event(name, namespace, body, later))


@dataclass(slots=True, eq=False)
class Client:
    """One connection in one namespace."""

    app: SocketIoApp
    socket: Socket
    namespace: str
    id: str
    """What Socket.IO calls the id of the socket; the client knows it, too."""
    data: Any = None
    """The world's own."""
    rooms: dict[str, None] = field(default_factory=dict)

    @property
    def is_connected(self) -> bool:
        """Whether it is still in its namespace; what is sent to it afterwards has no effect."""
        connection = self.app._connections.get(self.socket)
        return connection is not None and connection.clients.get(self.namespace) is self

    def emit(self, name: str, *values: Any) -> None:
        """Sends an event to this client only."""
        handling = self.app._handling
        if self.is_connected and not (
            handling is not None and handling.client.socket is self.socket and handling.is_dropped
        ):
            self.socket.send(event_packet(self.namespace, name, *values))

    def join(self, room: str) -> None:
        """From now on `emit_to` this room reaches this client."""
        if self.is_connected:
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

    def disconnect(self) -> None:
        """Puts it out of its namespace; its connection stays open."""
        if self.is_connected:
            self.socket.send(f"41{_prefix(self.namespace)}")
            del self.app._connections[self.socket].clients[self.namespace]
            self.app._left(self, PUT_OUT)

    def kick(self) -> None:
        """Puts its connection out of all namespaces, and closes it."""
        if self.is_connected:
            for namespace in self.app._connections[self.socket].clients:
                self.socket.send(f"41{_prefix(namespace)}")
            self.app._end(self.socket, PUT_OUT)


class _Handling:
    """An event that is being handled. Whether `drop` hits it is decided once, when its sender is sent something."""

    __slots__ = ("_dropped", "client", "name")

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self._dropped: bool | None = None

    @property
    def is_dropped(self) -> bool:
        if self._dropped is None:
            self._dropped = self.client.app.hit("drop", self.name)
        return self._dropped


class Ack:
    """Acknowledges an event when called, with any number of values; without effect unless the client asked for it."""

    __slots__ = ("_handling", "_id")

    def __init__(self, handling: _Handling, ack_id: str) -> None:
        self._handling = handling
        self._id = ack_id

    def __call__(self, *values: Any) -> None:
        client = self._handling.client
        ack_id, self._id = self._id, ""
        if ack_id and client.is_connected and not self._handling.is_dropped:
            client.socket.send(f"43{_prefix(client.namespace)}{ack_id}{to_json(list(values))}")


@dataclass(slots=True, eq=False)
class _Connection:
    """A socket's namespaces in the order they were entered, and the next step of its heartbeat.

    `entry` ends it if no namespace is entered in time. `is_ending` says that the server has closed it.
    """

    heartbeat: Timer
    entry: Timer
    clients: dict[str, Client] = field(default_factory=dict)
    is_ending: bool = False


class SocketIoApp(App):
    """A world with Socket.IO at `socket_path`. Subclasses write what `App`'s do, and handlers of events.

    What `App` has for WebSockets that speak otherwise (`message`, `broadcast`, `emit`, `on_open` and the like) is not
    for them: clients are what `Client` stands for.
    """

    socket_path = "/socket.io/"
    namespaces: ClassVar[tuple[str, ...]] = ()
    """Those that exist besides the main one."""

    _events: ClassVar[dict[tuple[str, str], tuple[Event, str, int | None]]] = {}
    _handling: _Handling | None

    def __init_subclass__(cls) -> None:
        cls._events = {}
        super().__init_subclass__()
        for method in ("GET", "POST"):
            cls._add(Route(method, cls.socket_path, exempt=True), "no_polling")

    @classmethod
    def _add(cls, what: Any, handler: str) -> None:
        if isinstance(what, Event):
            takes = _values_taken(getattr(cls, handler), 3 if what.later else 2)
            cls._events[what.namespace, what.name] = what, handler, takes
        else:
            super()._add(what, handler)

    def reset(self, now: float) -> None:
        self._connections: dict[Socket, _Connection] = {}
        self._rooms: dict[tuple[str, str], dict[Client, None]] = {}
        self._handling = None
        self._random, self._sids = Random(), 0
        super().reset(now)

    # For the platform to write

    def admit(self, client: Client, auth: Any) -> str | Mapping[str, Any] | None:
        """A connection asks for a namespace: None lets it in, all else refuses it.

        A text is the message of the client's `connect_error`; a mapping is all of that, as {"message", "data"}.

        Arguments:
            client: what it would be; `client.socket.request` is the request by which the connection was opened.
            auth: the value that it sent to be let in, parsed; None when there is none.
        """
        return None

    def on_enter(self, client: Client, auth: Any) -> None:
        """A connection is in a namespace."""

    def on_leave(self, client: Client, reason: str) -> None:
        """It has left, for one of the reasons that are constants of this module. It is in no room any more."""

    def refused_event(self, client: Client, name: str, problems: list[str]) -> None:
        """An event's first value is not what its schema asks for."""
        client.emit("error", {"message": "; ".join(problems)})

    # For the platform to use

    def clients(self, namespace: str, room: str | None = None) -> list[Client]:
        """Who is in a room of a namespace, or in the namespace at all."""
        if room is not None:
            return list(self._rooms.get((namespace, room), ()))
        found = (connection.clients.get(namespace) for connection in self._connections.values())
        return [client for client in found if client is not None]

    def emit_to(self, namespace: str, room: str | None, name: str, *values: Any, without: Client | None = None) -> None:
        """Sends an event to the clients in a room, or (None) to all in a namespace, except one.

        `lose-fanout` counts it by the event's name.
        """
        members = self.clients(namespace) if room is None else self._rooms.get((namespace, room))
        if members:
            sockets = [one.socket for one in members if one is not without]
            self.emit(sockets, event_packet(namespace, name, *values), kind=name)

    # `sandbox.app.App`

    def no_polling(self, call: Call) -> Answer:
        """Only WebSockets are offered."""
        return NO_TRANSPORT

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
        self._connections[socket] = _Connection(
            self.after(PING_EVERY_S, self._ping, socket), self.after(CONNECT_WITHIN_S, self._end, socket, OUT_OF_TURN)
        )

    def on_close(self, socket: Socket) -> None:
        connection = self._connections.pop(socket)
        connection.heartbeat.cancel()
        connection.entry.cancel()
        for client in connection.clients.values():
            self._left(client, GONE)

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        """A packet; whatever is none, and a wish to close, ends the connection."""
        self.now = now
        one = self.sockets[socket]
        one.queued_bytes = queued
        connection = self._connections[one]
        if connection.is_ending:
            return ()
        packet = data if isinstance(data, str) else ""
        match packet[:2]:
            case _ if len(data) > LARGEST_PACKET_BYTES:
                self._end(one, GONE, 1009)
            case "40":
                self._enter(one, connection, packet[2:])
            case "41" | "42" | "43" as kind:
                self._of_client(one, connection, kind, packet[2:])
            case kind if kind[:1] == "3":
                connection.heartbeat.cancel()
                connection.heartbeat = self.after(PING_EVERY_S, self._ping, one)
            case kind if kind[:1] == "6":
                pass
            case _:
                self._end(one, BAD_PACKET)
        return self._take()

    def _end(self, socket: Socket, reason: str, code: int = NO_CODE) -> None:
        connection = self._connections[socket]
        if not connection.is_ending:
            connection.is_ending = True
            connection.heartbeat.cancel()
            socket.close(code)
            clients, connection.clients = connection.clients, {}
            for client in clients.values():
                self._left(client, reason)

    def _enter(self, socket: Socket, connection: _Connection, packet: str) -> None:
        namespace, payload = _parted(packet)
        if namespace in connection.clients:
            self._end(socket, OUT_OF_TURN)
            return
        if namespace != MAIN and namespace not in self.namespaces:
            socket.send(f'44{_prefix(namespace)}{{"message":"Invalid namespace"}}')
            return
        client, auth = Client(self, socket, namespace, self._new_sid()), _parsed(payload)
        refusal = self.admit(client, auth)
        if refusal is not None:
            error = {"message": refusal} if isinstance(refusal, str) else refusal
            socket.send(f"44{_prefix(namespace)}{to_json(error)}")
            return
        connection.entry.cancel()
        connection.clients[namespace] = client
        socket.send(f'40{_prefix(namespace)}{{"sid":"{client.id}"}}')
        self.on_enter(client, auth)

    def _of_client(self, socket: Socket, connection: _Connection, kind: str, packet: str) -> None:
        """A packet that only who is in its namespace may send."""
        namespace, payload = _parted(packet)
        client = connection.clients.get(namespace)
        if client is None:
            self._end(socket, OUT_OF_TURN)
        elif kind == "41":
            del connection.clients[namespace]
            self._left(client, LEFT)
        elif kind == "42":
            self._emitted(client, payload)
        # of 43 nothing is expected: the server asks for no acknowledgement

    def _left(self, client: Client, reason: str) -> None:
        for room in list(client.rooms):
            client.leave(room)
        self.on_leave(client, reason)

    def _emitted(self, client: Client, payload: str) -> None:
        ack_id = payload[: len(payload) - len(payload.lstrip("0123456789"))]
        content = _parsed(payload[len(ack_id) :])
        if not isinstance(content, list) or not content or not isinstance(content[0], str):
            self._end(client.socket, BAD_PACKET)
            return
        name, *values = content
        found = self._events.get((client.namespace, name))
        if found is None:
            return
        self._handling = _Handling(client, name)
        try:
            self._handle_event(client, *found, values, Ack(self._handling, ack_id))
        finally:
            self._handling = None

    def _handle_event(
        self, client: Client, wanted: Event, handler: str, takes: int | None, values: list[Any], ack: Ack
    ) -> None:
        if wanted.body is not None:
            try:
                values = [read_fields(values[0] if values else None, wanted.body)]
            except Refused as refused:
                self.refused_event(client, wanted.name, refused.problems)
                return
        if takes is not None:
            values = [*values, *[None] * (takes - len(values))][:takes]
        first = (client, ack) if wanted.later else (client,)
        answer = getattr(self, handler)(*first, *values)
        if answer is not None:
            ack(answer)

    def _ping(self, socket: Socket) -> None:
        socket.send("2")
        self._connections[socket].heartbeat = self.after(PONG_WITHIN_S, self._end, socket, SILENT)

    def _new_sid(self) -> str:
        """An id as Engine.IO and Socket.IO make them: 20 characters that end in a counter."""
        self._sids = (self._sids + 1) % (1 << 24)
        return urlsafe_b64encode(self._random.randbytes(12) + self._sids.to_bytes(3, "big")).decode()


def _values_taken(handler: Callable[..., Any], given: int) -> int | None:
    """How many values of an event a handler has parameters for behind the first `given`; None for any number."""
    parameters = inspect.signature(handler).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in positional for one in parameters) - given


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

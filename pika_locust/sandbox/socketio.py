"""The server's half of Socket.IO 4 over Engine.IO 4, by WebSocket only: handshake, pings, namespaces, rooms, events."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.timers import Timers
from pika_locust.sandbox.world import Answer, Close, Effect, Headers, Reply, Request, Send, to_json

PING_EVERY_S = 25.0
PONG_WITHIN_S = 20.0
LARGEST_PACKET_BYTES = 1_000_000
DEFAULT = "/"
_JSON: Headers = (("content-type", "application/json; charset=utf-8"),)
NO_TRANSPORT = Answer(400, b'{"code":0,"message":"Transport unknown"}', _JSON)
OLD_PROTOCOL = Answer(400, b'{"code":5,"message":"Unsupported protocol version"}', _JSON)


class Outbox:
    """Collects what goes out, and knows which sockets are in which room of a namespace. `lose-fanout` is obeyed here.

    A socket has one place for each time that it joined, so that who joins a room twice leaves it twice.
    """

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults
        self._effects: list[Effect] = []
        self._rooms: dict[tuple[str, str], list[int]] = {}
        self._sizes: dict[str, int] = {}

    def take(self) -> list[Effect]:
        """What has been collected since the last time."""
        effects, self._effects = self._effects, []
        return effects

    def reply(self, exchange: int, answer: Answer) -> None:
        """The answer of an HTTP request."""
        self._effects.append(Reply(exchange, answer))

    def send(self, socket: int, packet: str) -> None:
        """A packet of Engine.IO to one socket."""
        self._effects.append(Send(socket, packet))

    def close(self, socket: int) -> None:
        """Ends a socket as Engine.IO does: a close frame without a code."""
        self._effects.append(Close(socket, 1005))

    def join(self, namespace: str, room: str, socket: int) -> None:
        """Puts a socket into a room."""
        self._rooms.setdefault((namespace, room), []).append(socket)
        self._sizes[namespace] = self._sizes.get(namespace, 0) + 1

    def leave(self, namespace: str, room: str, socket: int) -> None:
        """Takes a socket out of a room that it is in."""
        sockets = self._rooms[namespace, room]
        sockets.remove(socket)
        self._sizes[namespace] -= 1
        if not sockets:
            del self._rooms[namespace, room]

    def listeners(self, namespace: str) -> int:
        """How many sockets are in rooms of a namespace."""
        return self._sizes.get(namespace, 0)

    def emit(self, namespace: str, room: str, event: str, payload: Any) -> None:
        """An event to all sockets of a room; to nobody when there are none."""
        sockets = self._rooms.get((namespace, room))
        if sockets and not self._faults.hits("lose-fanout", event):
            packet = event_packet(namespace, event, payload)
            for socket in sockets:
                self.send(socket, packet)

    def emit_to_all(self, namespace: str, rooms: Iterable[str], event: str, payload: Any) -> None:
        """One event, the same for many rooms."""
        packet, sockets, effects = event_packet(namespace, event, payload), self._rooms, self._effects
        for room in rooms:
            for socket in sockets.get((namespace, room), ()):
                effects.append(Send(socket, packet))


@dataclass(frozen=True, slots=True)
class Event:
    """An event that a client emitted; `ack_id` is there when the client asks for an acknowledgement.

    `room` is the one that the connection was let into when it joined the namespace.
    """

    socket: int
    namespace: str
    room: str
    name: str
    arguments: list[Any]
    ack_id: str = ""


Admit = Callable[[str, Any, Request, float], str | None]
"""Told namespace, `auth` value, request of the handshake and time: the room to be in ("" for none); None refuses."""
Left = Callable[[str, str, float], None]
"""Told namespace, room and time when a connection leaves a namespace, in whatever way."""
OnEvent = Callable[[Event, float], None]


def refuse_events(event: Event, now: float) -> None:
    """A server that listens to no event: Socket.IO drops what has no listener."""


@dataclass(slots=True, eq=False)
class _Connection:
    """An open socket: its namespaces in the order they were joined, each with its room.

    `beats` counts the heartbeat's steps, so that a timer knows whether the pong it waits for has come.
    """

    socket: int
    request: Request
    namespaces: dict[str, str] = field(default_factory=dict)
    beats: int = 0


class SocketIoServer:
    """Takes the packets of all sockets in; what goes out is put into `outbox`.

    Arguments:
        outbox: shared with the rest of the world.
        timers: run the heartbeat: a ping 25 s after the last pong, and the end 20 s after a ping without one.
        new_sid: makes the ids of connections.
        namespaces: those that exist besides the default one.
        admit: decides who may join a namespace. As in servers that authenticate when connected, who is refused is
            let in first, and then put out of all namespaces with the connection closed.
        left: told of every connection that leaves a namespace in which it had a room.
        on_event: told of the events that clients emit in namespaces they have joined.
    """

    def __init__(
        self,
        outbox: Outbox,
        timers: Timers,
        *,
        new_sid: Callable[[], str],
        namespaces: Collection[str],
        admit: Admit,
        left: Left,
        on_event: OnEvent = refuse_events,
    ) -> None:
        self._outbox = outbox
        self._timers = timers
        self._new_sid = new_sid
        self._namespaces = {DEFAULT, *namespaces}
        self._admit = admit
        self._left = left
        self._on_event = on_event
        self._open: dict[int, _Connection] = {}

    def handshake(self, request: Request) -> Answer | None:
        """Why an upgrade is refused; None when it is in order."""
        query = parse_qs(request.query)
        if query.get("transport") != ["websocket"]:
            return NO_TRANSPORT
        return None if query.get("EIO") == ["4"] else OLD_PROTOCOL

    def opened(self, socket: int, request: Request, now: float) -> None:
        """A socket has been upgraded."""
        connection = self._open[socket] = _Connection(socket, request)
        offer = {
            "sid": self._new_sid(),
            "upgrades": [],
            "pingInterval": int(PING_EVERY_S * 1000),
            "pingTimeout": int(PONG_WITHIN_S * 1000),
            "maxPayload": LARGEST_PACKET_BYTES,
        }
        self._outbox.send(socket, f"0{to_json(offer)}")
        self._timers.at(now + PING_EVERY_S, partial(self._ping, connection, connection.beats))

    def received(self, socket: int, data: str | bytes, now: float) -> None:
        """A packet; whatever is none, and a wish to close, ends the connection."""
        connection = self._open[socket]
        packet = data if isinstance(data, str) else ""
        match packet[:1]:
            case "3":
                connection.beats += 1
                self._timers.at(now + PING_EVERY_S, partial(self._ping, connection, connection.beats))
            case "4" if packet[1:2] == "0":
                self._connect(connection, packet[2:], now)
            case "4" if packet[1:2] == "1":
                self._disconnect(connection, _parted(packet[2:])[0], now)
            case "4" if packet[1:2] == "2":
                self._emitted(connection, packet[2:], now)
            case "4" if packet[1:2] == "3":
                pass  # the server asks for no acknowledgement
            case "6":
                pass
            case _:
                self._outbox.close(socket)

    def acknowledge(self, event: Event, *values: Any) -> None:
        """Answers an event, if its client asked for that."""
        if event.ack_id:
            self._outbox.send(event.socket, f"43{_prefix(event.namespace)}{event.ack_id}{to_json(list(values))}")

    def closed(self, socket: int, now: float) -> None:
        """A socket has ended."""
        connection = self._open.pop(socket, None)
        if connection is not None:
            for namespace in list(connection.namespaces):
                self._disconnect(connection, namespace, now)

    def _connect(self, connection: _Connection, packet: str, now: float) -> None:
        socket = connection.socket
        namespace, payload = _parted(packet)
        if namespace not in self._namespaces:
            self._outbox.send(socket, f'44{_prefix(namespace)}{{"message":"Invalid namespace"}}')
            return
        if namespace in connection.namespaces:
            self._outbox.close(socket)
            return
        room = self._admit(namespace, _parsed(payload), connection.request, now)
        connection.namespaces[namespace] = room or ""
        self._outbox.send(socket, f'40{_prefix(namespace)}{{"sid":"{self._new_sid()}"}}')
        if room:
            self._outbox.join(namespace, room, socket)
        elif room is None:
            for joined in connection.namespaces:
                self._outbox.send(socket, f"41{_prefix(joined)}")
            self._outbox.close(socket)

    def _disconnect(self, connection: _Connection, namespace: str, now: float) -> None:
        room = connection.namespaces.pop(namespace, "")
        if room:
            self._outbox.leave(namespace, room, connection.socket)
            self._left(namespace, room, now)

    def _emitted(self, connection: _Connection, packet: str, now: float) -> None:
        namespace, payload = _parted(packet)
        ack_id = payload[: len(payload) - len(payload.lstrip("0123456789"))]
        content = _parsed(payload[len(ack_id) :])
        if not isinstance(content, list) or not content or not isinstance(content[0], str):
            self._outbox.close(connection.socket)
        elif (room := connection.namespaces.get(namespace)) is not None:
            name, *arguments = content
            self._on_event(Event(connection.socket, namespace, room, name, arguments, ack_id), now)

    def _ping(self, connection: _Connection, beat: int, now: float) -> None:
        if connection.socket in self._open and connection.beats == beat:
            connection.beats += 1
            self._outbox.send(connection.socket, "2")
            self._timers.at(now + PONG_WITHIN_S, partial(self._expect_pong, connection, connection.beats))

    def _expect_pong(self, connection: _Connection, beat: int, now: float) -> None:
        if connection.socket in self._open and connection.beats == beat:
            self._outbox.close(connection.socket)


def event_packet(namespace: str, event: str, payload: Any) -> str:
    """An event with one argument in the text form of Socket.IO 4 over Engine.IO 4."""
    return f"42{_prefix(namespace)}{to_json([event, payload])}"


def _prefix(namespace: str) -> str:
    return "" if namespace == DEFAULT else f"{namespace},"


def _parted(packet: str) -> tuple[str, str]:
    """Namespace and payload of what follows the two type digits."""
    if not packet.startswith("/"):
        return DEFAULT, packet
    namespace, _, payload = packet.partition(",")
    return namespace.partition("?")[0], payload


def _parsed(payload: str) -> Any:
    """The JSON of a payload; None when it is none."""
    try:
        return json.loads(payload) if payload else None
    except (ValueError, RecursionError):
        return None

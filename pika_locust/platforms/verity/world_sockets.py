"""Socket.IO 4 over Engine.IO 4, by WebSocket only: handshake, heartbeat, namespaces, and who is behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qs

from pika_locust.platforms.verity.world_accounts import reply
from pika_locust.platforms.verity.world_hub import Outbox
from pika_locust.platforms.verity.world_model import Ids, User
from pika_locust.platforms.verity.world_timers import Timers
from pika_locust.sandbox.auth import bearer_token
from pika_locust.sandbox.world import Answer, Request, to_json

PING_EVERY_S = 25.0
PONG_WITHIN_S = 20.0
LARGEST_PACKET = 1_000_000
DEFAULT = "/"
GUARDED = ("/queue", "/video", "/chat")
NO_TRANSPORT = reply({"code": 0, "message": "Transport unknown"}, 400)
OLD_PROTOCOL = reply({"code": 5, "message": "Unsupported protocol version"}, 400)

Whose = Callable[[str, float], User | None]
"""Finds the user of an access token."""
Gone = Callable[[User, float], None]


@dataclass(slots=True, eq=False)
class _Connection:
    """An open socket: its namespaces in the order they were joined, each with its user (the default one has none).

    `beats` counts the heartbeat's steps, so that a timer knows whether the pong it waits for has come.
    """

    socket: int
    authorization: str
    namespaces: dict[str, User | None] = field(default_factory=dict)
    beats: int = 0


class Sockets:
    """Takes packets in; `gone(user, now)` is called when a connection of a user leaves /queue, in whatever way."""

    def __init__(self, hub: Outbox, timers: Timers, ids: Ids, whose: Whose, gone: Gone) -> None:
        self._hub = hub
        self._timers = timers
        self._ids = ids
        self._whose = whose
        self._gone = gone
        self._open: dict[int, _Connection] = {}

    def handshake(self, request: Request) -> Answer | None:
        """None when an upgrade is in order."""
        query = parse_qs(request.query)
        if query.get("transport") != ["websocket"]:
            return NO_TRANSPORT
        return None if query.get("EIO") == ["4"] else OLD_PROTOCOL

    def opened(self, socket: int, request: Request, now: float) -> None:
        connection = self._open[socket] = _Connection(socket, request.headers.get("authorization", ""))
        offer = {
            "sid": self._ids.socket(),
            "upgrades": [],
            "pingInterval": int(PING_EVERY_S * 1000),
            "pingTimeout": int(PONG_WITHIN_S * 1000),
            "maxPayload": LARGEST_PACKET,
        }
        self._hub.send(socket, f"0{to_json(offer)}")
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
            case "4" if packet[1:2] in ("2", "3"):
                pass  # the real server listens to no event, and asks for no acknowledgement
            case "6":
                pass
            case _:
                self._hub.close(socket)

    def closed(self, socket: int, now: float) -> None:
        connection = self._open.pop(socket, None)
        if connection is not None:
            for namespace in list(connection.namespaces):
                self._disconnect(connection, namespace, now)

    def _connect(self, connection: _Connection, packet: str, now: float) -> None:
        namespace, payload = _parted(packet)
        prefix = "" if namespace == DEFAULT else f"{namespace},"
        if namespace != DEFAULT and namespace not in GUARDED:
            self._hub.send(connection.socket, f'44{prefix}{{"message":"Invalid namespace"}}')
            return
        if namespace in connection.namespaces:
            self._hub.close(connection.socket)
            return
        user = self._authenticated(connection, payload, now) if namespace != DEFAULT else None
        connection.namespaces[namespace] = user
        # a bad token is accepted first and kicked afterwards, with all that the connection has
        self._hub.send(connection.socket, f'40{prefix}{{"sid":"{self._ids.socket()}"}}')
        if user is not None:
            self._hub.join(namespace, user, connection.socket)
        elif namespace != DEFAULT:
            for joined in connection.namespaces:
                self._hub.send(connection.socket, f"41{joined}," if joined != DEFAULT else "41")
            self._hub.close(connection.socket)

    def _authenticated(self, connection: _Connection, payload: str, now: float) -> User | None:
        try:
            auth = json.loads(payload) if payload else None
        except (ValueError, RecursionError):
            auth = None
        token = auth.get("token") if isinstance(auth, dict) else None
        if not isinstance(token, str) or not token:
            token = bearer_token(connection.authorization)
        return self._whose(token, now)

    def _disconnect(self, connection: _Connection, namespace: str, now: float) -> None:
        user = connection.namespaces.pop(namespace, None)
        if user is not None:
            self._hub.leave(namespace, user, connection.socket)
            if namespace == "/queue":
                self._gone(user, now)

    def _ping(self, connection: _Connection, beat: int, now: float) -> None:
        if connection.socket in self._open and connection.beats == beat:
            connection.beats += 1
            self._hub.send(connection.socket, "2")
            self._timers.at(now + PONG_WITHIN_S, partial(self._expect_pong, connection, connection.beats))

    def _expect_pong(self, connection: _Connection, beat: int, now: float) -> None:
        if connection.socket in self._open and connection.beats == beat:
            self._hub.close(connection.socket)


def _parted(packet: str) -> tuple[str, str]:
    """Namespace and payload of what follows the two type digits."""
    if not packet.startswith("/"):
        return DEFAULT, packet
    namespace, _, payload = packet.partition(",")
    return namespace.partition("?")[0], payload

"""Pika's world with a clock moved by hand: say something on a socket, see what every socket hears."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pika_locust.platforms.pika.world import PikaWorld
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.world import Answer, Close, Effects, Ping, Publish, Reply, Request, Send

START_S = 1_795_230_000.0
SESSION = "friday-social"
TRACK = {"title": "Blue Bossa", "artist": "Kenny Dorham", "bpm": 148}
OTHER = {"title": "Moondance", "artist": "Van Morrison"}


class Room:
    """`heard[socket]` collects messages as objects, pings as "ping", and closes as (code, reason)."""

    def __init__(self, *faults: str, settings: Mapping[str, str] | None = None, answers_pings: bool = False) -> None:
        self.answers_pings = answers_pings
        self.faults = FaultSwitches(faults=parse_faults(faults))
        self.now = START_S
        self.world = PikaWorld(self.faults, settings or {}, self.now)
        self.heard: dict[int, list[Any]] = {}
        self.open_sockets: list[int] = []

    # moving on

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.world.due <= until:
            self.now = self.world.due
            self._carry_out(self.world.tick(self.now))
        self.now = until

    # sockets

    def open(self, **headers: str) -> int:
        request = self._upgrade(headers)
        assert self.world.upgrade(request, self.now) is None
        socket = len(self.heard) + 1
        self.heard[socket] = []
        self.open_sockets.append(socket)
        self._carry_out(self.world.opened(socket, request, self.now))
        return socket

    def refused(self, **headers: str) -> Answer | None:
        return self.world.upgrade(self._upgrade(headers), self.now)

    def close(self, socket: int) -> None:
        self.open_sockets.remove(socket)
        self._carry_out(self.world.closed(socket, self.now))

    def say(self, socket: int, type_: str, queued: int = 0, **fields: Any) -> list[Any]:
        """Sends a message; returns what its sender hears because of it."""
        return self.say_raw(socket, json.dumps({"type": type_, **fields}), queued)

    def say_raw(self, socket: int, data: str | bytes, queued: int = 0) -> list[Any]:
        before = len(self.heard[socket])
        self._carry_out(self.world.received(socket, data, self.now, queued))
        return self.heard[socket][before:]

    def take(self, socket: int) -> list[Any]:
        """What a socket heard since it was last asked."""
        heard, self.heard[socket] = self.heard[socket], []
        return heard

    # who is usually there

    def dj(self, session: str = SESSION, **fields: Any) -> int:
        socket = self.open()
        self.say(socket, "REGISTER_SESSION", sessionId=session, djName="DJ Mila", **fields)
        return socket

    def dancer(self, name: str = "client_one", session: str = SESSION) -> int:
        socket = self.open()
        self.say(socket, "SUBSCRIBE", sessionId=session, clientId=name)
        self.take(socket)
        return socket

    def like(self, socket: int, track: Mapping[str, Any] = TRACK, **fields: Any) -> list[Any]:
        fields = {"sessionId": SESSION, "messageId": "m", **fields}
        return self.say(socket, "SEND_LIKE", payload={"track": track}, **fields)

    # HTTP

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        data = json.dumps(body).encode() if body is not None else b""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        (effect,) = self.world.request(1, Request(method, path, "", names, data), self.now)
        assert isinstance(effect, Reply)
        return effect.answer

    def get(self, path: str, **headers: str) -> Any:
        return json.loads(self.ask("GET", path, **headers).body)

    def state(self) -> dict[str, Any]:
        return self.world.state(self.now)

    def _upgrade(self, headers: Mapping[str, str]) -> Request:
        return Request("GET", "/ws", "", {name.replace("_", "-"): value for name, value in headers.items()})

    def _carry_out(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Send(socket, data):
                    assert isinstance(data, str)
                    self.heard[socket].append(json.loads(data))
                case Publish(text, without, kind):
                    assert json.loads(text)["type"] == kind
                    for socket in self.open_sockets:
                        if socket != without:
                            self.heard[socket].append(json.loads(text))
                case Ping(socket) if self.answers_pings:
                    self._carry_out(self.world.ponged(socket, self.now))
                case Ping(socket):
                    self.heard[socket].append("ping")
                case Close(socket, code, reason):
                    self.heard[socket].append((code, reason))
                    self.close(socket)


def types(messages: list[Any]) -> list[str]:
    """The types of messages; a refusal with its text."""
    return [f"NACK {m['error']}" if m["type"] == "NACK" else m["type"] for m in messages]

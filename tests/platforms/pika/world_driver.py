"""Drives Pika's world without a server, in its own words: DJs, dancers, likes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.testing.world_driver import WorldDriver

SESSION = "friday-social"
TRACK = {"title": "Blue Bossa", "artist": "Kenny Dorham", "bpm": 148}
OTHER = {"title": "Moondance", "artist": "Van Morrison"}


class PikaDriver(WorldDriver):
    def __init__(self, *faults: str, settings: Mapping[str, str] | None = None, answers_pings: bool = True) -> None:
        super().__init__(PLATFORM, *faults, settings=settings, answers_pings=answers_pings)

    def say(self, socket: int, type_: str, queued_bytes: int = 0, **fields: Any) -> list[Any]:
        """Sends a message of this type; returns what its sender is sent because of it."""
        return self.send(socket, {"type": type_, **fields}, queued_bytes)

    def dj(self, session: str = SESSION) -> int:
        """A socket that has registered a session."""
        socket = self.open()
        self.say(socket, "REGISTER_SESSION", sessionId=session, djName="DJ Mila")
        return socket

    def dancer(self, name: str = "client_one", session: str = SESSION) -> int:
        """A socket that has subscribed to a session, with nothing received since."""
        socket = self.open()
        self.say(socket, "SUBSCRIBE", sessionId=session, clientId=name)
        self.take(socket)
        return socket

    def like(self, socket: int, track: Mapping[str, Any] = TRACK, **fields: Any) -> list[Any]:
        fields = {"sessionId": SESSION, "messageId": "m", **fields}
        return self.say(socket, "SEND_LIKE", payload={"track": track}, **fields)

    def get(self, path: str) -> Any:
        """The JSON of a page."""
        return json.loads(self.http("GET", path).body)


def types(messages: list[Any]) -> list[str]:
    """The types of messages; a refusal with its text."""
    return [f"NACK {m['error']}" if m["type"] == "NACK" else m["type"] for m in messages]

"""One turn of Pika's world: something happens at a time, and effects are collected in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pika_locust.platforms.pika.world_model import Database, LiveState, Socket
from pika_locust.platforms.pika.world_schema import Message
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.world import Effect, Publish, Send, to_json

QUEUE_LIMIT_BYTES = 64 * 1024
"""A socket with this much waiting is not sent the list of sessions, and its messages are not broadcast."""


def iso(now: float) -> str:
    """A time as JavaScript's `toISOString` writes it."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Activity:
    """When every socket last took part in a broadcast, without touching every socket at each broadcast.

    A broadcast reaches all but one, so it is enough to know the latest, whom it left out, and the latest that left out
    somebody else.
    """

    latest_at: float = 0.0
    latest_without: int | None = None
    other_at: float = 0.0

    def published(self, now: float, without: int | None) -> None:
        if without != self.latest_without:
            self.other_at = self.latest_at
            self.latest_without = without
        self.latest_at = now

    def seen_by(self, socket: int) -> float:
        return self.other_at if socket == self.latest_without else self.latest_at


@dataclass(slots=True)
class ServerState:
    """Everything the world is made of, handed from turn to turn."""

    faults: FaultSwitches
    max_sessions: int
    memory: LiveState = field(default_factory=LiveState)
    archive: Database = field(default_factory=Database)
    activity: Activity = field(default_factory=Activity)
    poll_ends: list[tuple[float, int]] = field(default_factory=list)
    """Heap of (time, poll id)."""

    def copies(self, write: str) -> int:
        """How often an acknowledged write of this kind is kept: once, unless a fault loses or doubles it."""
        if self.faults.hits("lose-write", write):
            return 0
        return 2 if self.faults.hits("double", write) else 1


class MessageContext:
    """What a handler works with: the state, who speaks, what was said, and where its answers go."""

    __slots__ = ("effects", "live", "memory", "message", "now", "queued", "socket")

    def __init__(self, live: ServerState, socket: Socket, message: Message, now: float, queued: int = 0) -> None:
        self.live = live
        self.memory = live.memory
        self.socket = socket
        self.message = message
        self.now = now
        self.queued = queued
        self.effects: list[Effect] = []

    def send(self, **message: Any) -> None:
        """To the one who speaks."""
        self.effects.append(Send(self.socket.id, to_json(message)))

    def publish(self, **message: Any) -> None:
        """To everyone else."""
        self.effects.append(published(self.live, self.now, self.socket.id, message))

    def ack(self) -> None:
        """Confirms a message that carries a messageId."""
        self._answer("ACK", "status", "ok")

    def nack(self, error: str) -> None:
        """Refuses a message that carries a messageId; without one the refusal is silent."""
        self._answer("NACK", "error", error)

    def identify(self) -> str | None:
        """The client's identity: the first one named on this connection, whatever the message says."""
        if self.socket.client_id is None:
            self.socket.client_id = self.message.get("clientId")
        return self.socket.client_id

    def _answer(self, type_: str, key: str, value: str) -> None:
        message_id = self.message.get("messageId")
        if message_id and not self.live.faults.hits("drop", self.message["type"]):
            self.send(type=type_, messageId=message_id, **{key: value}, timestamp=iso(self.now))


Handler = Callable[[MessageContext], None]


def published(live: ServerState, now: float, without: int | None, message: dict[str, Any]) -> Publish:
    """A broadcast through the socket `without`, which is the only one that does not get it."""
    live.activity.published(now, without)
    return Publish(to_json(message), without, message["type"])

"""What goes out of the world: answers of HTTP, and events to users through the namespaces they are connected to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pika_locust.platforms.verity.world_model import User
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.world import Answer, Close, Effect, Reply, Send, to_json


class Outbox:
    """Collects effects, and knows which sockets a user has in which namespace. The fault `lose-fanout` is here."""

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
        self._effects.append(Reply(exchange, answer))

    def send(self, socket: int, packet: str) -> None:
        """A packet of Engine.IO to one socket."""
        self._effects.append(Send(socket, packet))

    def close(self, socket: int) -> None:
        """Ends a socket as the real server does: a close frame without a code."""
        self._effects.append(Close(socket, 1005))

    def join(self, namespace: str, user: User, socket: int) -> None:
        self._rooms.setdefault((namespace, user.id), []).append(socket)
        self._sizes[namespace] = self._sizes.get(namespace, 0) + 1

    def leave(self, namespace: str, user: User, socket: int) -> None:
        room = self._rooms[namespace, user.id]
        room.remove(socket)
        self._sizes[namespace] -= 1
        if not room:
            del self._rooms[namespace, user.id]

    def listeners(self, namespace: str) -> int:
        """How many sockets are connected to a namespace."""
        return self._sizes.get(namespace, 0)

    def emit(self, namespace: str, user: User, event: str, payload: dict[str, Any]) -> None:
        """An event to all sockets of a user in a namespace; to nobody when there are none."""
        sockets = self._rooms.get((namespace, user.id))
        if sockets and not self._faults.hits("lose-fanout", event):
            packet = packet_of(namespace, event, payload)
            for socket in sockets:
                self.send(socket, packet)

    def emit_to_all(self, namespace: str, user_ids: Iterable[str], event: str, payload: dict[str, Any]) -> None:
        """One event, the same for all of them."""
        packet, rooms, effects = packet_of(namespace, event, payload), self._rooms, self._effects
        for user_id in user_ids:
            for socket in rooms.get((namespace, user_id), ()):
                effects.append(Send(socket, packet))


def packet_of(namespace: str, event: str, payload: dict[str, Any]) -> str:
    """An event in the text form of Socket.IO 4 over Engine.IO 4."""
    return f"42{namespace},{to_json([event, payload])}"

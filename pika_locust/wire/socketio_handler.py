"""What a Socket.IO connection tells its user: a handler's methods, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pika_locust.wire.websocket import Close

OnAck = Callable[[bytes | None, int], None]
"""Called once: with the JSON array that the server acknowledged with and the moment it was read, or with None and the
moment when the namespace or the connection ended before."""


class Handler(Protocol):
    """Who listens. All methods are called in the event loop and must not block."""

    def on_connect(self, namespace: str) -> None:
        """The server accepted a namespace. It may yet kick us out of it: Verity accepts a bad token first."""

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        """The server refused a namespace; `data` is its JSON, such as `{"message":"Invalid namespace"}`."""

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        """An event. `payload` is the whole JSON array, name included (`socketio_codec.arguments` reads it); `at_ns` is
        the monotonic clock at the moment its last bytes were read. Some servers send events before they confirm the
        namespace, so one may come before `on_connect`."""

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        """An event that the server wants acknowledged, with `SocketIo.ack`."""

    def on_kicked(self, namespace: str) -> None:
        """The server ended a namespace that we had opened or asked for."""

    def on_trouble(self, words: str) -> None:
        """The server sent what cannot be understood or is not supported; it was counted and passed over.

        The words are the same for every such message, so they can be counted by themselves.
        """

    def on_close(self, close: Close) -> None:
        """The connection is over; called once, last. Its namespaces are gone without an `on_kicked`."""

    def on_internal_error(self, error: BaseException) -> None:
        """One of the methods above, or an `OnAck`, raised: a mistake in the handler, never in the target."""


@dataclass(slots=True)
class Counts:
    """What happened on one connection, or on all that share it."""

    received: int = 0
    """Messages from the server, of every kind, pings included."""
    sent: int = 0
    """Messages to the server, of every kind, pongs included."""
    unsent: int = 0
    """What was not sent because its namespace was not connected, or because the connection was closing."""
    opens: int = 0
    """Open packets: connections that are ready for namespaces."""
    connects: int = 0
    connect_errors: int = 0
    kicks: int = 0
    events: int = 0
    calls: int = 0
    """Events that ask for an acknowledgement; they are not among `events`."""
    acks: int = 0
    acks_lost: int = 0
    """Acknowledgements that were still due when the namespace or the connection ended."""
    pings: int = 0
    ping_timeouts: int = 0
    strays: int = 0
    """Packets of namespaces that were not open, and acknowledgements that nobody waited for."""
    malformed: int = 0
    unsupported: int = 0
    """Binary events and acknowledgements, and binary messages that belong to none."""

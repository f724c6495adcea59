"""An actor's line to the session: what is said on it, and how many answers it still waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pika_locust.judge import Ledger
from pika_locust.kit.pending import OnReply
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.context import PikaContext
from pika_locust.wire.websocket import Handler, Limits, WebSocket, connect

LIMITS = Limits(connect_s=5.0)


class PikaConnection:
    """One actor's connection, which may be lost and opened again.

    `count_sent` is called for every message that goes out and wants an answer.
    """

    __slots__ = ("_count_sent", "_room", "_socket", "failures", "unanswered")

    def __init__(self, room: PikaContext, count_sent: Callable[[], None] = lambda: None) -> None:
        self._room = room
        self._count_sent = count_sent
        self._socket: WebSocket | None = None
        self.unanswered = 0
        """Messages that wait for their answer; the table of answers counts them."""
        self.failures = 0
        """How many times in a row the connection could not be made, or was lost: the pause before the next one grows
        with them. Whoever has the line counts, as only they know what is a failure."""

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, handler: Handler, headers: Mapping[str, str] | None = None) -> None:
        """Connect; waits for the end of the handshake. Raises ConnectError. `handler` must call `lost` at the end."""
        self._socket = connect(self._room.url, handler, headers=headers, limits=LIMITS)

    def expect(
        self, kind: str, *, ledger: Ledger | None = None, items: int = 1, on_reply: OnReply | None = None
    ) -> str:
        """Announce a message to the table of replies (see `PendingReplies.expect`); gives the id to `say` it with."""
        pending = self._room.pending
        message_id = pending.next_id()
        pending.expect(message_id, kind, self, ledger, items, on_reply)
        return message_id

    def say(self, payload: bytes) -> None:
        """Send a message that has been announced. Without a connection nothing goes out, and nothing is counted."""
        if self._socket is not None and self._socket.send(payload):
            self._count_sent()

    def ping(self) -> None:
        """Send a PING."""
        if self._socket is not None:
            self._socket.send(messages.PING)

    def close(self) -> None:
        """Hang up in good order."""
        if self._socket is not None:
            self._socket.close()

    def abort(self, error: str) -> None:
        """Drop the connection at once; `error` says why."""
        if self._socket is not None:
            self._socket.abort(error)

    def lost(self) -> None:
        """The connection is over, in whatever way: no answer can come any more."""
        self._socket = None
        self._room.pending.connection_lost(self)

"""A dancer's place in the session: asked for, live, or ended, as the server tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.line import PikaConnection
from pika_locust.platforms.pika.room import PikaContext

State = Literal["asked", "live", "ended"]


class Subscription:
    """One dancer's, kept through all its connections.

    `on_live` is called each time that the place has become live. What the DJ broadcasts is owed to the dancer from
    then until it leaves, and counted here as delivered.
    """

    __slots__ = ("_number", "_on_live", "_room", "answered", "client_id", "line", "state")

    def __init__(
        self, room: PikaContext, line: PikaConnection, number: int, client_id: str, on_live: Callable[[], None]
    ) -> None:
        self._room = room
        self._number = number
        self._on_live = on_live
        self.line = line
        self.client_id = client_id
        """The identity that the server knows the dancer by, the same on all connections."""
        self.state: State = "asked"
        self.answered = False
        """Whether the server has said anything on this connection: what sessions there are, or an ACK."""

    @property
    def is_live(self) -> bool:
        return self.state == "live"

    def ask(self) -> None:
        """Send SUBSCRIBE."""
        message_id = self.line.expect("subscribe", on_answer=self.on_answer)
        self.line.say(messages.subscribe(self._room.session_id, self.client_id, message_id))

    def on_answer(self, ok: bool, why: str) -> None:
        """SUBSCRIBE was acknowledged, refused, or not answered."""
        if not self.line.is_open or self.state == "ended":
            return
        if ok:
            self.on_sessions_list()
        if not self.answered:
            # The server took the connection and says nothing: neither its sessions nor an ACK.
            self.line.abort("SUBSCRIBE was not answered")
            return
        self.state = "live"
        self._room.delivery.joined(self._number)
        self._on_live()

    def on_sessions_list(self) -> None:
        """The server has told which sessions there are, and so that it is alive."""
        if not self.answered:
            self.answered = True
            self.line.failures = 0
            self._room.meters.connection_success.add(True)

    def on_session_ended(self, message: Mapping[str, Any]) -> bool:
        """A session has ended, or was not there at all; whether it is ours, and this is news."""
        if message.get("sessionId") != self._room.session_id or self.state == "ended":
            return False
        self.state = "ended"
        self._room.meters.session_live.add(False)
        self._room.worker.error("session", "the session is not live")
        self.leave()
        return True

    def on_session_started(self, message: Mapping[str, Any]) -> None:
        """A session has begun: ours is joined again on the same connection."""
        if message.get("sessionId") == self._room.session_id and self.state == "ended":
            self.state = "asked"
            self.ask()

    def note_delivery(self, kind: str, payload: bytes, at_ns: int) -> None:
        """Count one of our DJ's broadcasts, unless it is a replay: those come before SUBSCRIBE is acknowledged."""
        if self.state == "live":
            stamp = messages.find_stamp(payload)
            if stamp is not None and stamp.run_id == self._room.worker.begin.run_id:
                self._room.delivery.received(kind, stamp, self._number, at_ns)

    def leave(self) -> None:
        """From now on nothing is owed to the dancer."""
        self._room.delivery.left(self._number)

    def on_close(self, kept: bool) -> None:
        """The connection is over; `kept` is whether it was as long as we wanted it."""
        self.leave()
        if not self.answered:
            self._room.meters.connection_success.add(False)
        elif kept and self.state == "live":
            self._room.meters.session_live.add(True)
        self.answered = False
        self.state = "asked"

"""A dancer: listens to the DJ, likes, votes, asks for another tempo, and says thank you at the end.

The user's greenlet connects and then sleeps until the connection is over. Everything between happens in callbacks of
the event loop: a frame is classified by its type, and only what a dancer reacts to is parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from gevent.event import Event

from pika_locust.load.backoff import Backoff
from pika_locust.platforms.pika import habits, messages
from pika_locust.platforms.pika.heartbeat import Heartbeat
from pika_locust.platforms.pika.line import PikaConnection
from pika_locust.platforms.pika.lobby import Lobby
from pika_locust.platforms.pika.reactions import Reactions
from pika_locust.platforms.pika.room import PikaContext
from pika_locust.platforms.pika.subscription import Subscription
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.thoughts import UserTimers
from pika_locust.wire.handshake import ConnectError
from pika_locust.wire.websocket import Close

BACKOFF = Backoff(first_s=1.0, jitter_s=1.0, factor=1.3, cap_s=10.0)
HEADERS = {"X-Pika-Client": "pika-load-test"}


class Dancer(Actor):
    """One virtual dancer; an iteration is one connection."""

    _leaving = False
    """Whether this dancer has begun to leave: it decides once how."""

    def begin(self) -> None:
        self.room = room = self.worker.shared(PikaContext)
        client_id = room.client_id(self.number, self.dice)
        self.line = line = PikaConnection(room, room.meters.sent.add)
        self.subscription = Subscription(room, line, self.number, client_id, self._on_live)
        self._count_received = room.meters.received.add
        self._thoughts = UserTimers(self.worker)
        self._heartbeat = Heartbeat(line, self._thoughts, room.meters.ping_latency)
        self._reactions = Reactions(room, self.subscription, self._thoughts, self.dice)
        self._gone = Event()
        self._opened_ns = 0

    # One connection, in the user's greenlet

    def act(self) -> None:
        failures = self.line.failures
        if failures and self.released.wait(BACKOFF.delay_s(failures, self.dice)):
            return
        if not self._arrive():
            self.line.failures += 1
            return
        if self.released.is_set():
            self.release()
        self._gone.wait()

    def _arrive(self) -> bool:
        """What the app does to join; False without a connection. Nothing of it may be kept while a dancer dances."""
        lobby = Lobby(self.room)
        try:
            lobby.look_in()
            if not self._connect():
                return False
            lobby.read_history()
        finally:
            lobby.close()
        return True

    def _connect(self) -> bool:
        meters, worker = self.room.meters, self.worker
        self._gone.clear()
        began_ns = monotonic_ns()
        try:
            self.line.open(self, HEADERS)
        except ConnectError as error:
            meters.connection_success.add(False)
            meters.connection_errors.add()
            worker.check("WebSocket connected", False)
            worker.error("connect", str(error))
            worker.request("WS", "connect", (monotonic_ns() - began_ns) / 1e6, 0, error)
            return False
        if self._opened_ns:
            meters.reconnects.add()
        self._opened_ns = opened_ns = monotonic_ns()
        meters.connecting.add((opened_ns - began_ns) // 1000)
        worker.check("WebSocket connected", True)
        worker.request("WS", "connect", (opened_ns - began_ns) / 1e6, 0)
        self._heartbeat.start()
        self.subscription.ask()
        return True

    def _on_live(self) -> None:
        self._reactions.send_offline_likes()

    # What arrives, in the event loop

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self._count_received()
        # The same as messages.type_of, without the call: this line runs for every frame of every dancer.
        handle = _HANDLERS.get(payload[9 : payload.find(34, 9)], Dancer._on_unknown)
        if handle is not None:
            handle(self, payload, at_ns)

    def _on_ack(self, payload: bytes, at_ns: int) -> None:
        self.room.answers.on_ack(payload, at_ns)

    def _on_nack(self, payload: bytes, at_ns: int) -> None:
        self.room.answers.on_nack(payload, at_ns)

    def _on_pong(self, payload: bytes, at_ns: int) -> None:
        self._heartbeat.on_pong(at_ns)

    def _on_sessions_list(self, payload: bytes, at_ns: int) -> None:
        self.subscription.on_sessions_list()

    def _on_session_started(self, payload: bytes, at_ns: int) -> None:
        self.subscription.on_session_started(messages.parse(payload) or {})

    def _on_session_ended(self, payload: bytes, at_ns: int) -> None:
        if self.subscription.on_session_ended(messages.parse(payload) or {}):
            self._thoughts.forget_all(but="ping")
            if self._leaving:
                self._leave()

    def _on_now_playing(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload) or {}
        if message.get("sessionId") == self.room.session_id:
            self.subscription.note_delivery("track", payload, at_ns)
            if not self.released.is_set():
                self._reactions.to_track(message.get("track"))

    def _on_poll_started(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload) or {}
        # A replay to a late joiner has no sessionId; a broadcast has, and reaches the dancers of all sessions.
        if message.get("sessionId", self.room.session_id) == self.room.session_id:
            self.subscription.note_delivery("poll", payload, at_ns)
            if not self.released.is_set():
                self._reactions.to_poll(message)

    def _on_poll_ended(self, payload: bytes, at_ns: int) -> None:
        self._reactions.to_end_of_poll((messages.parse(payload) or {}).get("pollId"))

    def _on_announcement(self, payload: bytes, at_ns: int) -> None:
        self.subscription.note_delivery("announcement", payload, at_ns)

    def _on_unknown(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload)
        kind = message.get("type") if message is not None else None
        if message is None:
            self.worker.error("receive", "a message that is not a JSON object")
            return
        known = str(kind).encode(errors="replace")
        if known not in _HANDLERS:
            self.worker.error("receive", f"a message of the unknown type {str(kind)[:40]}")
        elif (handle := _HANDLERS[known]) is not None:
            # Spelt in another way than the server's own: read it as if it were not.
            handle(self, messages.respelt(message), at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.worker.error("receive", "a binary message, which the protocol does not have")

    def on_internal_error(self, error: BaseException) -> None:
        self.worker.internal_error(error)

    def on_close(self, close: Close) -> None:
        meters = self.room.meters
        self._thoughts.forget_all(but="like")
        self.line.lost()
        meters.session_duration.add((monotonic_ns() - self._opened_ns) // 1000)
        kept = close.by_us and not close.error
        meters.connection_kept.add(kept)
        if not kept:
            meters.connection_errors.add()
            self.line.failures += 1
            self.worker.error("connection", close.error or f"closed by the server: {close.code} {close.reason}".strip())
        self.subscription.on_close(kept)
        self._gone.set()

    # Leaving

    def release(self) -> None:
        """Leave: at the end of the night with a thank-you, on a ramp-down at once."""
        super().release()
        if self._leaving or not hasattr(self, "line") or not self.line.is_open:
            return
        self._leaving = True
        self._thoughts.forget_all()
        at_the_end = self.role in self.worker.draining
        if at_the_end and self.subscription.is_live and self.dice.chance(habits.THANKS_CHANCE):
            self._thoughts.think("leave", self.dice.uniform(0, habits.THANKS_WITHIN_S), self._thank)
        else:
            self._leave()

    def _thank(self) -> None:
        message_id = self.line.expect("thank_you")
        self.line.say(messages.thank_you(self.room.session_id, self.subscription.client_id, message_id))
        self._leave()

    def _leave(self) -> None:
        """Close as soon as nothing is unanswered any more: answers come, or are given up, within seconds."""
        if not self.line.is_open:
            return
        if self.line.unanswered:
            self._thoughts.think("leave", 0.05, self._leave)
            return
        self.subscription.leave()
        self.line.close()

    def on_stop(self) -> None:
        if hasattr(self, "line"):
            self.line.abort("the user was killed")
        super().on_stop()


OnMessage = Callable[[Dancer, bytes, int], None]

# None: broadcasts that a dancer's app shows and that nothing follows from. They are counted, and not looked into.
_HANDLERS: dict[bytes, OnMessage | None] = {
    b"ACK": Dancer._on_ack,
    b"NACK": Dancer._on_nack,
    b"PONG": Dancer._on_pong,
    b"SESSIONS_LIST": Dancer._on_sessions_list,
    b"SESSION_STARTED": Dancer._on_session_started,
    b"SESSION_ENDED": Dancer._on_session_ended,
    b"SESSION_EXPIRED": Dancer._on_session_ended,
    b"NOW_PLAYING": Dancer._on_now_playing,
    b"POLL_STARTED": Dancer._on_poll_started,
    b"POLL_ENDED": Dancer._on_poll_ended,
    b"ANNOUNCEMENT_RECEIVED": Dancer._on_announcement,
    b"ANNOUNCEMENT_CANCELLED": None,
    b"LIKE_RECEIVED": None,
    b"LISTENER_COUNT": None,
    b"METADATA_UPDATED": None,
    b"POLL_UPDATE": None,
    b"REACTION_RECEIVED": None,
    b"SERVER_SHUTDOWN": None,
    b"SESSION_REGISTERED": None,
    b"SESSION_VALID": None,
    b"TEMPO_FEEDBACK": None,
    b"TEMPO_RESET": None,
    b"TRACK_STOPPED": None,
}

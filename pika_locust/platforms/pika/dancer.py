"""A dancer: listens to the DJ, likes, votes, asks for another tempo, and says thank you at the end.

The user's greenlet connects and then sleeps until the connection is over. Everything between happens in callbacks of
the event loop: a frame is classified by its type, and only what a dancer reacts to is parsed. Reactions are thoughts,
scheduled and not slept, so that a dancer who thinks goes on reading, as an app does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic_ns
from typing import Any, Literal

from gevent.event import Event

from pika_locust.load.backoff import Backoff
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.habits import (
    LIKE_CHANCE,
    LIKE_WITHIN_S,
    LIKES_A_MINUTE,
    TEMPO_CHANCE,
    TEMPO_WITHIN_S,
    THANKS_CHANCE,
    THANKS_WITHIN_S,
    VOTE_CHANCE,
    VOTE_WITHIN_S,
)
from pika_locust.platforms.pika.lobby import Lobby
from pika_locust.platforms.pika.room import Room
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.thoughts import Thoughts
from pika_locust.wire.handshake import ConnectError
from pika_locust.wire.websocket import Close, Limits, WebSocket, connect

PING_EVERY_S = 10.0
PONG_WITHIN_S = 30.0
BACKOFF = Backoff(first_s=1.0, jitter_s=1.0, factor=1.3, cap_s=10.0)
LIMITS = Limits(connect_s=5.0)
HEADERS = {"X-Pika-Client": "pika-load-test"}

SessionState = Literal["asked", "live", "ended"]


class Dancer(Actor):
    """One virtual dancer; an iteration is one connection."""

    _leaving = False
    """Whether this dancer has begun to leave: it decides once how."""

    def begin(self) -> None:
        self.room = room = self.share.shared(Room)
        self.client_id = room.client_id(self.number, self.dice)
        self.unanswered = 0
        self._count_received = room.meters.received.add
        self._failures = 0
        self._socket: WebSocket | None = None
        self._gone = Event()
        self._opened_ns = 0
        self._answered = False
        self._session: SessionState = "asked"
        self._ping_sent_ns = 0
        self._thoughts = Thoughts(self.share)
        self._song = 0
        self._liked: set[int] = set()
        self._like_times_ns: list[int] = []
        self._likes_offline: list[Mapping[str, Any]] = []
        self._polls_done: set[int] = set()

    # One connection, in the user's greenlet

    def act(self) -> None:
        if self._failures:
            self.released.wait(BACKOFF.delay_s(self._failures, self.dice))
            if self.released.is_set():
                return
        lobby = Lobby(self.room)
        try:
            lobby.look_in()
            if not self._connect():
                self._failures += 1
                return
            lobby.read_history()
        finally:
            lobby.close()
        if self.released.is_set():
            self.release()
        self._gone.wait()

    def _connect(self) -> bool:
        meters, share = self.room.meters, self.share
        self._gone.clear()
        self._answered = False
        began_ns = monotonic_ns()
        try:
            self._socket = connect(self.room.url, self, headers=HEADERS, limits=LIMITS)
        except ConnectError as error:
            meters.connection_success.add(False)
            meters.connection_errors.add()
            share.check("WebSocket connected", False)
            share.error("connect", str(error))
            share.request("WS", "connect", (monotonic_ns() - began_ns) / 1e6, 0, error)
            return False
        if self._opened_ns:
            meters.reconnects.add()
        self._opened_ns = opened_ns = monotonic_ns()
        meters.connecting.add((opened_ns - began_ns) // 1000)
        share.check("WebSocket connected", True)
        share.request("WS", "connect", (opened_ns - began_ns) / 1e6, 0)
        self._ping_sent_ns = 0
        self._thoughts.think("ping", PING_EVERY_S, self._ping)
        self._subscribe()
        return True

    def release(self) -> None:
        """Leave: at the end of the night with a thank-you, on a ramp-down at once."""
        super().release()
        if self._leaving or getattr(self, "_socket", None) is None:
            return
        self._leaving = True
        self._thoughts.forget_all()
        at_the_end = self.role in self.share.draining
        if at_the_end and self._session == "live" and self.dice.chance(THANKS_CHANCE):
            self._thoughts.think("leave", self.dice.uniform(0, THANKS_WITHIN_S), self._thank)
        else:
            self._leave()

    def on_stop(self) -> None:
        socket = getattr(self, "_socket", None)
        if socket is not None:
            socket.abort("the user was killed")
        super().on_stop()

    # What arrives, in the event loop

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self._count_received()
        # The same as messages.type_of, without the call: this line runs for every frame of every dancer.
        handle = _HANDLERS.get(payload[9 : payload.find(34, 9)], Dancer._on_unknown)
        if handle is not None:
            handle(self, payload, at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.share.error("receive", "a binary message, which the protocol does not have")

    def on_fault(self, error: BaseException) -> None:
        self.share.fault(error)

    def on_close(self, close: Close) -> None:
        room, meters = self.room, self.room.meters
        self._socket = None
        self._thoughts.forget_all(but="like")
        room.delivery.left(self.number)
        room.answers.connection_lost(self)
        meters.session_duration.add((monotonic_ns() - self._opened_ns) // 1000)
        kept = close.by_us and not close.error
        meters.connection_kept.add(kept)
        if not kept:
            meters.connection_errors.add()
            self._failures += 1
            self.share.error("connection", close.error or f"closed by the server: {close.code} {close.reason}".strip())
        if not self._answered:
            meters.connection_success.add(False)
        elif kept and self._session == "live":
            meters.session_live.add(True)
        self._session = "asked"
        self._gone.set()

    def _on_ack(self, payload: bytes, at_ns: int) -> None:
        self.room.answers.on_ack(payload, at_ns)

    def _on_nack(self, payload: bytes, at_ns: int) -> None:
        self.room.answers.on_nack(payload, at_ns)

    def _on_pong(self, payload: bytes, at_ns: int) -> None:
        if self._ping_sent_ns:
            self.room.meters.ping_latency.add((at_ns - self._ping_sent_ns) // 1000)
            self._ping_sent_ns = 0

    def _on_sessions_list(self, payload: bytes, at_ns: int) -> None:
        if not self._answered:
            self._answered = True
            self._failures = 0
            self.room.meters.connection_success.add(True)

    def _on_session_ended(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload) or {}
        if message.get("sessionId") == self.room.session_id and self._session != "ended":
            self._session = "ended"
            self.room.meters.session_live.add(False)
            self.share.error("session", "the session is not live")
            self.room.delivery.left(self.number)
            self._thoughts.forget_all(but="ping")
            if self._leaving:
                self._leave()

    def _on_session_started(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload) or {}
        if message.get("sessionId") == self.room.session_id and self._session == "ended":
            self._session = "asked"
            self._subscribe()

    def _on_now_playing(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload) or {}
        if message.get("sessionId") != self.room.session_id:
            return
        self._note_delivery("track", payload, at_ns)
        track, song = message.get("track"), _song_of(message.get("track"))
        # A song that goes on is nothing new: who comes back is shown it again, and the server keeps its votes.
        if self.released.is_set() or song in (0, self._song):
            return
        self._song = song
        self._thoughts.forget("tempo")
        # What is decided here draws the same dice whatever was done before, so that a seed repeats a whole evening.
        dice = self.dice
        if dice.chance(LIKE_CHANCE):
            self._thoughts.think("like", dice.uniform(0, LIKE_WITHIN_S), self._like, track)
        if dice.chance(TEMPO_CHANCE):
            preference = dice.choice(messages.TEMPOS)
            self._thoughts.think("tempo", dice.uniform(0, TEMPO_WITHIN_S), self._ask_tempo, preference)

    def _on_poll_started(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload) or {}
        # A replay to a late joiner has no sessionId; a broadcast has, and reaches the dancers of all sessions.
        if message.get("sessionId", self.room.session_id) != self.room.session_id:
            return
        self._note_delivery("poll", payload, at_ns)
        poll_id, options = message.get("pollId"), message.get("options")
        if not isinstance(poll_id, int) or not isinstance(options, list) or not options:
            return
        if self.released.is_set() or message.get("hasVoted") or poll_id in self._polls_done:
            return
        if self.dice.chance(VOTE_CHANCE):
            option = self.dice.below(len(options))
            self._thoughts.think("vote", self.dice.uniform(0, VOTE_WITHIN_S), self._vote, poll_id, option)

    def _on_poll_ended(self, payload: bytes, at_ns: int) -> None:
        poll_id = (messages.parse(payload) or {}).get("pollId")
        if isinstance(poll_id, int):
            self._polls_done.add(poll_id)

    def _on_announcement(self, payload: bytes, at_ns: int) -> None:
        self._note_delivery("announcement", payload, at_ns)

    def _on_unknown(self, payload: bytes, at_ns: int) -> None:
        message = messages.parse(payload)
        kind = message.get("type") if message is not None else None
        if message is None:
            self.share.error("receive", "a message that is not a JSON object")
            return
        known = str(kind).encode(errors="replace")
        if known not in _HANDLERS:
            self.share.error("receive", f"a message of the unknown type {str(kind)[:40]}")
        elif (handle := _HANDLERS[known]) is not None:
            # Spelt in another way than the server's own: read it as if it were not.
            handle(self, messages.respelt(message), at_ns)

    def _note_delivery(self, kind: str, payload: bytes, at_ns: int) -> None:
        """Count one of our DJ's broadcasts, unless it is a replay: those come before SUBSCRIBE is acknowledged."""
        if self._session == "live":
            stamp = messages.find_stamp(payload)
            if stamp is not None and stamp.run_id == self.share.begin.run_id:
                self.room.delivery.received(kind, stamp, self.number, at_ns)

    # What a dancer does

    def _expect(self, kind: str, **booking: Any) -> str:
        """Announce a message to the table of answers; gives the id to send it with."""
        message_id = self.room.answers.next_id()
        self.room.answers.expect(message_id, kind, self, **booking)
        return message_id

    def _send(self, payload: bytes) -> None:
        if self._socket is not None and self._socket.send(payload):
            self.room.meters.sent.add()

    def _subscribe(self) -> None:
        message_id = self._expect("subscribe", on_answer=self._on_subscribed)
        self._send(messages.subscribe(self.room.session_id, self.client_id, message_id))

    def _on_subscribed(self, ok: bool, why: str) -> None:
        socket = self._socket
        if socket is None or self._session == "ended":
            return
        if ok:
            self._on_sessions_list(b"", 0)
        if not self._answered:
            # The server took the connection and says nothing: neither its sessions nor an ACK.
            socket.abort("SUBSCRIBE was not answered")
            return
        self._session = "live"
        self.room.delivery.joined(self.number)
        if self._likes_offline:
            self._like_offline()

    def _like(self, track: Mapping[str, Any]) -> None:
        song = _song_of(track)
        if song in self._liked:
            return
        now_ns = monotonic_ns()
        self._like_times_ns = [at_ns for at_ns in self._like_times_ns if at_ns > now_ns - 60_000_000_000]
        if len(self._like_times_ns) >= LIKES_A_MINUTE:
            return
        self._liked.add(song)
        self._like_times_ns.append(now_ns)
        if self._socket is None or self._session != "live":
            self._likes_offline.append(track)
            return
        message_id = self._expect("like", ledger=self.share.ledgers["likes"])
        self._send(messages.like(self.room.session_id, self.client_id, track, message_id))

    def _like_offline(self) -> None:
        """Send the likes that were made while there was no connection, as the app does after it is back."""
        tracks, self._likes_offline = self._likes_offline, []
        message_id = self._expect("bulk_like", ledger=self.share.ledgers["likes"], items=len(tracks))
        self._send(messages.bulk_like(self.room.session_id, self.client_id, tracks, message_id))

    def _ask_tempo(self, preference: str) -> None:
        if self._session != "live":
            return
        message_id = self.room.answers.next_id()
        self.share.ledgers["tempo votes"].sent(message_id)
        on_answer = partial(self._on_tempo_answer, message_id, self._song)
        self.room.answers.expect(message_id, "tempo", self, on_answer=on_answer)
        self._send(messages.tempo(self.room.session_id, self.client_id, preference, message_id))

    def _on_tempo_answer(self, message_id: str, song: int, ok: bool, why: str) -> None:
        """Book a tempo vote. The server keeps one for each dancer and song, the last one. A vote that was on its way
        when the song changed may count for the old song or for the new one, or be replaced by the dancer's next vote:
        nobody outside can tell."""
        ledger = self.share.ledgers["tempo votes"]
        if ok and song == self._song:
            ledger.acked(message_id)
        else:
            ledger.uncertain(message_id)

    def _vote(self, poll_id: int, option: int) -> None:
        if self._session == "live" and poll_id not in self._polls_done:
            self._polls_done.add(poll_id)
            message_id = self._expect("vote", ledger=self.share.ledgers["poll votes"])
            self._send(messages.vote(poll_id, self.client_id, option, message_id))

    def _thank(self) -> None:
        message_id = self._expect("thank_you")
        self._send(messages.thank_you(self.room.session_id, self.client_id, message_id))
        self._leave()

    def _leave(self) -> None:
        """Close as soon as nothing is unanswered any more: answers come, or are given up, within seconds."""
        socket = self._socket
        if socket is None:
            return
        if self.unanswered:
            self._thoughts.think("leave", 0.05, self._leave)
            return
        self.room.delivery.left(self.number)
        socket.close()

    def _ping(self) -> None:
        socket = self._socket
        if socket is None:
            return
        now_ns = monotonic_ns()
        if self._ping_sent_ns and now_ns - self._ping_sent_ns > PONG_WITHIN_S * 1e9:
            socket.abort(f"no PONG for {PONG_WITHIN_S:g} s")
            return
        if not self._ping_sent_ns:
            self._ping_sent_ns = now_ns
        socket.send(messages.PING)
        self._thoughts.think("ping", PING_EVERY_S, self._ping)


def _song_of(track: Any) -> int:
    """A number that stands for a song; 0 for what is none. Thousands of dancers keep many, so it is not the text."""
    if not isinstance(track, dict):
        return 0
    title, artist = track.get("title"), track.get("artist")
    return hash((title, artist)) if title and isinstance(title, str) and isinstance(artist, str) else 0


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

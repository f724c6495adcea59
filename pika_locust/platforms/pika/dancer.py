"""A dancer: listens to the DJ, likes, votes, asks for another tempo, and says thank you at the end.

The user's greenlet connects and then sleeps until the connection is over. Everything between happens in callbacks of
the event loop: a frame is classified by its type, and only what a dancer reacts to is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic_ns
from typing import Any, Literal
from urllib.parse import quote

from gevent.event import Event

from pika_locust.load.pauses import Backoff
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.context import SPELLING, PikaContext
from pika_locust.platforms.pika.heartbeat import Heartbeat
from pika_locust.platforms.pika.line import PikaConnection
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.timers import UserTimers
from pika_locust.wire.http import HttpClient, Timeouts
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError

# How likely a dancer is to do what, and how soon: the figures of the suite.

LIKE_CHANCE, LIKE_WITHIN_S = 0.5, 2.0
TEMPO_CHANCE, TEMPO_WITHIN_S = 0.6, 10.0
VOTE_CHANCE, VOTE_WITHIN_S = 0.8, 5.0
THANKS_CHANCE, THANKS_WITHIN_S = 0.8, 2.0

LIKES_A_MINUTE = 10
"""The app's own cap, which is also the server's quota for a client."""


# What all actors of one process have in common: the address, the session, the bound metrics, the open answers.


# What the app asks over HTTP around joining: which sessions are live, and what was played before.

_TIMEOUTS = Timeouts(total_s=10.0)


class Lobby:
    """The two requests of one arrival, on one connection; close it afterwards, or it stays open for the night."""

    def __init__(self, room: PikaContext) -> None:
        self._room = room
        self._http = HttpClient(room.http_origin, timeouts=_TIMEOUTS, observer=room.http_meter)

    def look_in(self) -> None:
        """The landing page's request."""
        self._http.get("/api/sessions/active", name="sessions_active")

    def read_history(self) -> None:
        """What the app shows as already played."""
        session_id = quote(self._room.session_id, safe="")
        self._http.get(f"/api/session/{session_id}/history", name="session_history")

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()


# A dancer's place in the session: asked for, live, or ended, as the server tells it.

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
        message_id = self.line.expect("subscribe", on_reply=self.on_answer)
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


# What a dancer makes of the night: likes, wishes for another tempo, votes.
#
# Reactions are timers, scheduled and not slept, so that a dancer who thinks goes on reading, as an app does.


class Reactions:
    """One dancer's, and its memory of what it has liked and voted on, which outlives its connections."""

    __slots__ = (
        "_dice",
        "_like_times_ns",
        "_liked",
        "_likes_offline",
        "_line",
        "_polls_done",
        "_room",
        "_song",
        "_subscription",
        "_timers",
    )

    def __init__(self, room: PikaContext, subscription: Subscription, timers: UserTimers, dice: SeededRandom) -> None:
        self._room = room
        self._subscription = subscription
        self._line = subscription.line
        self._timers = timers
        self._dice = dice
        self._song = 0
        self._liked: set[int] = set()
        self._like_times_ns: list[int] = []
        self._likes_offline: list[Mapping[str, Any]] = []
        self._polls_done: set[int] = set()

    # What is decided here draws the same dice whatever was done before, so that a seed repeats a whole evening.

    def to_track(self, track: Any) -> None:
        """A track is on; anything may come in its place."""
        song = _song_of(track)
        # A song that goes on is nothing new: who comes back is shown it again, and the server keeps its votes.
        if song in (0, self._song):
            return
        self._song = song
        self._timers.cancel("tempo")
        dice = self._dice
        if dice.chance(LIKE_CHANCE):
            self._timers.start("like", dice.uniform(0, LIKE_WITHIN_S), self._like, track)
        if dice.chance(TEMPO_CHANCE):
            preference = dice.choice(messages.TEMPOS)
            self._timers.start("tempo", dice.uniform(0, TEMPO_WITHIN_S), self.ask_tempo, preference)

    def to_poll(self, poll: Mapping[str, Any]) -> None:
        """The room is asked something."""
        poll_id, options = poll.get("pollId"), poll.get("options")
        if not isinstance(poll_id, int) or not isinstance(options, list) or not options:
            return
        if poll.get("hasVoted") or poll_id in self._polls_done:
            return
        if self._dice.chance(VOTE_CHANCE):
            option = self._dice.below(len(options))
            self._timers.start("vote", self._dice.uniform(0, VOTE_WITHIN_S), self._vote, poll_id, option)

    def to_end_of_poll(self, poll_id: Any) -> None:
        """Votes are taken no longer."""
        if isinstance(poll_id, int):
            self._polls_done.add(poll_id)

    # Likes

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
        subscription = self._subscription
        if not subscription.is_live:
            self._likes_offline.append(track)
            return
        message_id = self._line.expect("like", ledger=self._room.worker.ledgers["likes"])
        self._line.say(messages.like(self._room.session_id, subscription.client_id, track, message_id))

    def send_offline_likes(self) -> None:
        """Send the likes that were made while there was no connection, as the app does after it is back."""
        if not self._likes_offline:
            return
        tracks, self._likes_offline = self._likes_offline, []
        message_id = self._line.expect("bulk_like", ledger=self._room.worker.ledgers["likes"], items=len(tracks))
        client_id = self._subscription.client_id
        self._line.say(messages.bulk_like(self._room.session_id, client_id, tracks, message_id))

    # Tempo

    def ask_tempo(self, preference: str) -> None:
        """Wish for slower or faster music."""
        subscription = self._subscription
        if not subscription.is_live:
            return
        # Announced by hand: what becomes of it is booked below, and not by the table of replies.
        pending = self._room.pending
        message_id = pending.next_id()
        self._room.worker.ledgers["tempo votes"].sent(message_id)
        on_answer = partial(self._on_tempo_answer, message_id, self._song)
        pending.expect(message_id, "tempo", self._line, on_reply=on_answer)
        self._line.say(messages.tempo(self._room.session_id, subscription.client_id, preference, message_id))

    def _on_tempo_answer(self, message_id: str, song: int, ok: bool, why: str) -> None:
        """Book a tempo vote. The server keeps one for each dancer and song, the last one. A vote that was on its way
        when the song changed may count for the old song or for the new one, or be replaced by the dancer's next vote:
        nobody outside can tell."""
        ledger = self._room.worker.ledgers["tempo votes"]
        if ok and song == self._song:
            ledger.acked(message_id)
        else:
            ledger.uncertain(message_id)

    # Votes

    def _vote(self, poll_id: int, option: int) -> None:
        if self._subscription.is_live and poll_id not in self._polls_done:
            self._polls_done.add(poll_id)
            message_id = self._line.expect("vote", ledger=self._room.worker.ledgers["poll votes"])
            self._line.say(messages.vote(poll_id, self._subscription.client_id, option, message_id))


def _song_of(track: Any) -> int:
    """A number that stands for a song; 0 for what is none. Thousands of dancers keep many, so it is not the text."""
    if not isinstance(track, dict):
        return 0
    title, artist = track.get("title"), track.get("artist")
    return hash((title, artist)) if title and isinstance(title, str) and isinstance(artist, str) else 0


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
        self._timers = UserTimers(self.worker)
        self._heartbeat = Heartbeat(line, self._timers, room.meters.ping_latency)
        self._reactions = Reactions(room, self.subscription, self._timers, self.dice)
        self._gone = Event()
        self._opened_ns = 0

    # One connection, in the user's greenlet

    def act(self) -> None:
        failures = self.line.failures
        if failures and self.pause(BACKOFF.delay_s(failures, self.dice)):
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
        # The same as SPELLING.kind_of, without the call: this line runs for every frame of every dancer.
        handle = _HANDLERS.get(payload[9 : payload.find(34, 9)], Dancer._on_unknown)
        if handle is not None:
            handle(self, payload, at_ns)

    def _on_ack(self, payload: bytes, at_ns: int) -> None:
        self.room.pending.on_ack(payload, at_ns)

    def _on_nack(self, payload: bytes, at_ns: int) -> None:
        self.room.pending.on_nack(payload, at_ns)

    def _on_pong(self, payload: bytes, at_ns: int) -> None:
        self._heartbeat.on_pong(at_ns)

    def _on_sessions_list(self, payload: bytes, at_ns: int) -> None:
        self.subscription.on_sessions_list()

    def _on_session_started(self, payload: bytes, at_ns: int) -> None:
        self.subscription.on_session_started(SPELLING.parse(payload) or {})

    def _on_session_ended(self, payload: bytes, at_ns: int) -> None:
        if self.subscription.on_session_ended(SPELLING.parse(payload) or {}):
            self._timers.cancel_all(but="ping")
            if self._leaving:
                self._leave()

    def _on_now_playing(self, payload: bytes, at_ns: int) -> None:
        message = SPELLING.parse(payload) or {}
        if message.get("sessionId") == self.room.session_id:
            self.subscription.note_delivery("track", payload, at_ns)
            if not self.released.is_set():
                self._reactions.to_track(message.get("track"))

    def _on_poll_started(self, payload: bytes, at_ns: int) -> None:
        message = SPELLING.parse(payload) or {}
        # A replay to a late joiner has no sessionId; a broadcast has, and reaches the dancers of all sessions.
        if message.get("sessionId", self.room.session_id) == self.room.session_id:
            self.subscription.note_delivery("poll", payload, at_ns)
            if not self.released.is_set():
                self._reactions.to_poll(message)

    def _on_poll_ended(self, payload: bytes, at_ns: int) -> None:
        self._reactions.to_end_of_poll((SPELLING.parse(payload) or {}).get("pollId"))

    def _on_announcement(self, payload: bytes, at_ns: int) -> None:
        self.subscription.note_delivery("announcement", payload, at_ns)

    def _on_unknown(self, payload: bytes, at_ns: int) -> None:
        message = SPELLING.parse(payload)
        kind = message.get("type") if message is not None else None
        if message is None:
            self.worker.error("receive", "a message that is not a JSON object")
            return
        known = str(kind).encode(errors="replace")
        if known not in _HANDLERS:
            self.worker.error("receive", f"a message of the unknown type {str(kind)[:40]}")
        elif (handle := _HANDLERS[known]) is not None:
            # Spelt in another way than the server's own: read it as if it were not.
            handle(self, SPELLING.respelt(message), at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.worker.error("receive", "a binary message, which the protocol does not have")

    def on_internal_error(self, error: BaseException) -> None:
        self.worker.internal_error(error)

    def on_close(self, close: Close) -> None:
        meters = self.room.meters
        self._timers.cancel_all(but="like")
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
        self._timers.cancel_all()
        at_the_end = self.role in self.worker.draining
        if at_the_end and self.subscription.is_live and self.dice.chance(THANKS_CHANCE):
            self._timers.start("leave", self.dice.uniform(0, THANKS_WITHIN_S), self._thank)
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
            self._timers.start("leave", 0.05, self._leave)
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

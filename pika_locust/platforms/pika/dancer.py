"""`Dancer`: a listener who likes, votes, asks for another tempo, and says thank you at the end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from pika_locust.clock import monotonic_ns
from pika_locust.kit.actor import on, on_raw
from pika_locust.kit.http_actor import HttpContext
from pika_locust.kit.meters import named
from pika_locust.kit.pending import OnReply
from pika_locust.kit.websocket_actor import WebSocketActor
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.broadcasts import (
    LIKE,
    LISTENERS,
    TEMPO,
    TEMPO_RESET,
    THANKS,
    VOTE,
    broadcast_delivery,
    counted_broadcasts,
    session_id_of,
)
from pika_locust.platforms.pika.scenarios import COUNTED, LEDGERS, METRICS
from pika_locust.wire.http import Timeouts

# How likely a dancer is to do what, and how soon: the figures of the suite.

LIKE_CHANCE, LIKE_WITHIN_S = 0.5, 2.0
TEMPO_CHANCE, TEMPO_WITHIN_S = 0.6, 10.0
VOTE_CHANCE, VOTE_WITHIN_S = 0.8, 5.0
THANKS_CHANCE, THANKS_WITHIN_S = 0.8, 2.0

LIKES_A_MINUTE = 10
"""The app's own cap, which is also the server's quota for a client."""

HTTP_TIMEOUTS = Timeouts(total_s=10.0)


class Dancer(WebSocketActor):
    """One virtual dancer; an iteration is one connection. It keeps its identity through all of them."""

    meters: Any = named(METRICS)
    ledgers = LEDGERS
    spelling = messages.SPELLING
    headers = {"X-Pika-Client": "pika-load-test"}
    reply_names = ("subscribe", "like", "bulk_like", "tempo", "vote", "thank_you")
    ping = messages.PING
    confirmed_by_upgrade = False
    """A connection is a success when the server says something: what sessions there are, or an ACK."""
    ignored = (
        "ANNOUNCEMENT_CANCELLED",
        "METADATA_UPDATED",
        "SERVER_SHUTDOWN",
        "SESSION_REGISTERED",
        "SESSION_VALID",
        "TRACK_STOPPED",
    )

    session: Literal["asked", "live", "ended"] = "asked"
    """What the server says of the session: asked for and not answered yet, joined, or ended, or never there."""

    _leaving = False
    """Whether this dancer has begun to leave: it decides once how."""

    _is_listener = False
    """Whether the server has been told of this dancer: it counts each once, however often it comes back."""

    _our_poll = 0
    """The poll that our DJ started last, as far as this dancer was told."""

    def begin(self) -> None:
        super().begin()
        worker = self.worker
        self.session_id = session_id_of(worker)
        self.client_id = f"client_{worker.begin.run_id}_{worker.worker_index}_{self.number}_{self.dice.bits():016x}"
        """Of a form that the server's HTTP side takes, too."""
        self.delivery = worker.shared(broadcast_delivery)
        self.counted = worker.shared(counted_broadcasts)
        self.heard = [0] * len(COUNTED)
        """How often what was heard on this connection, where `CountedBroadcasts` looks for it."""
        self._session_mark = messages.session_mark(self.session_id)
        # A like names the track and no session: in one of ours, the tracks of this run have its id in their names.
        self._like_mark = worker.begin.run_id.encode() if worker.settings["PIKA_DJ"] == "own" else b""
        self.reactions = Reactions(self)

    @property
    def is_live(self) -> bool:
        """Whether the dancer is in a session that goes on."""
        return self.session == "live"

    # Joining, in the user's greenlet

    def act(self) -> None:
        if self.back_off() and self._arrive():
            self.wait_closed()

    def _arrive(self) -> bool:
        """What the app does to join; False without a connection. Nothing of it may be kept while a dancer dances."""
        http = self.worker.shared(HttpContext).client(self.number, HTTP_TIMEOUTS)
        try:
            http.get("/api/sessions/active", name="sessions_active")
            if not self.dial():
                return False
            http.get(f"/api/session/{quote(self.session_id, safe='')}/history", name="session_history")
        finally:
            http.close()
        return True

    def opened(self) -> None:
        self._subscribe()

    # The session, and from here on in the event loop

    def _subscribe(self) -> None:
        on_reply: OnReply = self.on_subscribed
        if not self._is_listener:
            self._is_listener = True
            on_reply = self.counted.after("listeners", self.number, on_reply=on_reply)
        message_id = self.expect("subscribe", on_reply=on_reply)
        self.send(messages.subscribe(self.session_id, self.client_id, message_id))

    def on_subscribed(self, ok: bool, why: str) -> None:
        """SUBSCRIBE was acknowledged, refused, or not answered."""
        if not self.is_open or self.session == "ended":
            return
        if ok:
            self.confirm()
        if not self.confirmed:
            # The server took the connection and says nothing: neither its sessions nor an ACK.
            self.abort("SUBSCRIBE was not answered")
            return
        self.session = "live"
        self.delivery.joined(self.number)
        self.heard = self.counted.joined(self.number)
        self.joined()

    def joined(self) -> None:
        """The session is live, and what the DJ broadcasts is owed to the dancer from now until it leaves."""
        self.reactions.send_offline_likes()

    @on_raw("SESSIONS_LIST")
    def on_sessions_list(self, payload: bytes, at_ns: int) -> None:
        self.confirm()

    @on("SESSION_ENDED", "SESSION_EXPIRED")
    def on_session_ended(self, message: Mapping[str, Any], at_ns: int) -> None:
        if message.get("sessionId") != self.session_id or self.session == "ended":
            return
        self.session = "ended"
        self.meters.ws_session_live.add(False)
        self.worker.error("session", "the session is not live")
        self._gone()
        self.timers.cancel_all(but="ping")
        if self._leaving:
            self.leave()

    @on("SESSION_STARTED")
    def on_session_started(self, message: Mapping[str, Any], at_ns: int) -> None:
        # It is joined again on the same connection.
        if message.get("sessionId") == self.session_id and self.session == "ended":
            self.session = "asked"
            self._listen_anew()
            self._subscribe()

    # What the DJ broadcasts

    @on_raw("NOW_PLAYING")
    def on_now_playing(self, payload: bytes, at_ns: int) -> None:
        message = self.spelling.parse(payload)
        if message is None:
            self.misread("NOW_PLAYING that is not a JSON object")
        elif message.get("sessionId") == self.session_id:
            self._note_delivery("track", payload, at_ns)
            if not self.released.is_set():
                self.reactions.to_track(message.get("track"))

    @on_raw("POLL_STARTED")
    def on_poll_started(self, payload: bytes, at_ns: int) -> None:
        message = self.spelling.parse(payload)
        if message is None:
            self.misread("POLL_STARTED that is not a JSON object")
            return
        # A replay to a late joiner has no sessionId; a broadcast has, and reaches the dancers of all sessions.
        if message.get("sessionId", self.session_id) == self.session_id:
            if self._note_delivery("poll", payload, at_ns):
                self._our_poll = message.get("pollId", 0)
            if not self.released.is_set():
                self.reactions.to_poll(message)

    @on("POLL_ENDED")
    def on_poll_ended(self, message: Mapping[str, Any], at_ns: int) -> None:
        poll_id = message.get("pollId")
        self.reactions.to_end_of_poll(poll_id)
        if poll_id == self._our_poll and self.session == "live":
            self.delivery.received_unstamped("poll_end", poll_id, self.number)
            for votes in messages.votes_in(message, "results"):
                self.counted.told("vote", votes, at_ns, poll_id)

    @on_raw("ANNOUNCEMENT_RECEIVED")
    def on_announcement(self, payload: bytes, at_ns: int) -> None:
        self._note_delivery("announcement", payload, at_ns)

    def _note_delivery(self, kind: str, payload: bytes, at_ns: int) -> bool:
        """Count one of our DJ's broadcasts, unless it is a replay: those come before SUBSCRIBE is acknowledged.

        Returns whether it is our DJ's.
        """
        stamp = messages.find_stamp(payload)
        if stamp is None or stamp.run_id != self.worker.begin.run_id:
            return False
        if self.session == "live":
            self.delivery.received(kind, stamp, self.number, at_ns)
        return True

    # What follows from the others' actions: by far the most of what arrives, so it is counted and not read

    @on_raw("LIKE_RECEIVED")
    def on_like(self, payload: bytes, at_ns: int) -> None:
        if self._like_mark in payload:
            self.heard[LIKE] += 1

    @on_raw("TEMPO_FEEDBACK")
    def on_tempo(self, payload: bytes, at_ns: int) -> None:
        if self._session_mark in payload:
            self.heard[TEMPO] += 1

    @on_raw("POLL_UPDATE")
    def on_vote(self, payload: bytes, at_ns: int) -> None:
        if self._session_mark in payload:
            self.heard[VOTE] += 1

    @on_raw("REACTION_RECEIVED")
    def on_thanks(self, payload: bytes, at_ns: int) -> None:
        if self._session_mark in payload:
            self.heard[THANKS] += 1

    @on_raw("TEMPO_RESET")
    def on_tempo_reset(self, payload: bytes, at_ns: int) -> None:
        if self._session_mark in payload:
            self.heard[TEMPO_RESET] += 1

    @on_raw("LISTENER_COUNT")
    def on_listener_count(self, payload: bytes, at_ns: int) -> None:
        if self._session_mark in payload and self.session == "live":
            count = messages.listeners_in(payload)
            if count is None:
                self.misread("LISTENER_COUNT without a count")
                return
            self.heard[LISTENERS] += 1
            self.counted.told("listeners", count, at_ns)

    # Leaving

    def finish(self) -> None:
        """Leave: at the end of the test with a thank-you, on a ramp-down at once."""
        if self._leaving or not self.is_open:
            return
        self._leaving = True
        self.timers.cancel_all()
        at_the_end = self.role in self.worker.draining
        if at_the_end and self.is_live and self.dice.chance(THANKS_CHANCE):
            self.timers.start("leave", self.dice.uniform(0, THANKS_WITHIN_S), self._thank)
        else:
            self.leave()

    def _thank(self) -> None:
        message_id = self.expect("thank_you", on_reply=self.counted.after("thanks", self.number))
        self.send(messages.thank_you(self.session_id, self.client_id, message_id))
        self.leave()

    def leaving(self) -> None:
        self._gone()

    def _gone(self) -> None:
        """Nothing is owed to this dancer any more."""
        self.delivery.left(self.number)
        self.counted.left(self.number)

    def closed(self, kept: bool) -> None:
        # Likes go on: the app keeps those that are made while there is no connection.
        self.timers.cancel_all(but="like")
        self._gone()
        self._listen_anew()
        if self.confirmed and kept and self.session == "live":
            self.meters.ws_session_live.add(True)
        self.session = "asked"

    def _listen_anew(self) -> None:
        """What is heard until SUBSCRIBE is acknowledged counts for nothing, least of all for the time before."""
        self.heard = [0] * len(COUNTED)


class Reactions:
    """What one dancer makes of tracks and polls: likes, wishes for another tempo, votes.

    Reactions are timers, scheduled and not slept, so that a dancer who thinks goes on reading, as an app does. What it
    has liked and voted on outlives its connections.
    """

    __slots__ = (
        "_dancer",
        "_dice",
        "_like_times_ns",
        "_liked",
        "_likes_offline",
        "_polls_done",
        "_song",
        "_timers",
    )

    def __init__(self, dancer: Dancer) -> None:
        self._dancer = dancer
        self._timers = dancer.timers
        self._dice = dancer.dice
        self._song = 0
        self._liked: set[int] = set()
        self._like_times_ns: list[int] = []
        self._likes_offline: list[Mapping[str, Any]] = []
        self._polls_done: set[int] = set()

    # What is decided here draws the same dice whatever was done before, so that a seed repeats a whole run.

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
        """A poll is on."""
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
        dancer = self._dancer
        if not dancer.is_live:
            self._likes_offline.append(track)
            return
        message_id = dancer.expect("like", ledger="likes", on_reply=dancer.counted.after("like", dancer.number))
        dancer.send(messages.like(dancer.session_id, dancer.client_id, track, message_id))

    def send_offline_likes(self) -> None:
        """Send the likes that were made while there was no connection, as the app does after it is back."""
        if not self._likes_offline:
            return
        tracks, self._likes_offline = self._likes_offline, []
        dancer = self._dancer
        on_reply = dancer.counted.after("like", dancer.number, items=len(tracks))
        message_id = dancer.expect("bulk_like", ledger="likes", items=len(tracks), on_reply=on_reply)
        dancer.send(messages.bulk_like(dancer.session_id, dancer.client_id, tracks, message_id))

    # Tempo

    def ask_tempo(self, preference: str) -> None:
        """Wish for slower or faster music."""
        dancer = self._dancer
        if not dancer.is_live:
            return
        # Announced by hand: what becomes of it is booked below, and not by the table of replies.
        pending = dancer.pending
        message_id = pending.next_id()
        dancer.worker.ledgers["tempo votes"].sent(message_id)
        booked = partial(self._on_tempo_reply, message_id, self._song)
        on_reply = dancer.counted.after("tempo", dancer.number, on_reply=booked)
        pending.expect(message_id, "tempo", dancer, on_reply=on_reply)
        dancer.send(messages.tempo(dancer.session_id, dancer.client_id, preference, message_id))

    def _on_tempo_reply(self, message_id: str, song: int, ok: bool, why: str) -> None:
        """Book a tempo vote. The server keeps one for each dancer and song, the last one. A vote that was on its way
        when the song changed may count for the old song or for the new one, or be replaced by the dancer's next vote:
        nobody outside can tell."""
        ledger = self._dancer.worker.ledgers["tempo votes"]
        if ok and song == self._song:
            ledger.acked(message_id)
        else:
            ledger.uncertain(message_id)

    # Votes

    def _vote(self, poll_id: int, option: int) -> None:
        dancer = self._dancer
        if dancer.is_live and poll_id not in self._polls_done:
            self._polls_done.add(poll_id)
            on_reply = dancer.counted.after("vote", dancer.number, about=poll_id)
            message_id = dancer.expect("vote", ledger="poll votes", on_reply=on_reply)
            dancer.send(messages.vote(poll_id, dancer.client_id, option, message_id))


def _song_of(track: Any) -> int:
    """A number that stands for a song; 0 for what is none. Thousands of dancers keep many, so it is not the text."""
    if not isinstance(track, dict):
        return 0
    title, artist = track.get("title"), track.get("artist")
    return hash((title, artist)) if title and isinstance(title, str) and isinstance(artist, str) else 0

"""`Dj`: goes live, plays a track every few seconds, starts polls, announces, and ends the session. One in a test."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from gevent.event import Event

from pika_locust.clock import monotonic, monotonic_ns
from pika_locust.kit.actor import on, on_raw
from pika_locust.kit.broadcast import DEADLINE_S, TOPIC, announcement
from pika_locust.kit.meters import named
from pika_locust.kit.pending import OnReply
from pika_locust.kit.websocket_actor import ConnectionMetrics, Listener, WebSocketActor
from pika_locust.load.pauses import Backoff
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.broadcasts import (
    LIKE,
    LISTENERS,
    TEMPO,
    THANKS,
    VOTE,
    broadcast_delivery,
    counted_broadcasts,
    session_id_of,
)
from pika_locust.platforms.pika.scenarios import COUNTED, METRICS
from pika_locust.runtime.machine import boot_id


class Polls:
    """Which poll is open, and how many voted on each, as far as the server tells the DJ.

    START_POLL is answered without the poll's number: only POLL_UPDATE, which comes with every vote, tells it.
    """

    def __init__(self) -> None:
        self._open: int | None = None
        self._ended: set[int] = set()
        self._votes: dict[int, int] = {}

    @property
    def votes(self) -> int:
        """All votes that were told of."""
        return sum(self._votes.values())

    def on_update(self, message: Mapping[str, Any]) -> bool:
        """A POLL_UPDATE of our session; whether it says anything."""
        poll_id, votes = message.get("pollId"), message.get("totalVotes")
        if not isinstance(poll_id, int) or not isinstance(votes, int):
            return False
        # The last votes may be told when the poll has been ended.
        if poll_id not in self._ended:
            self._open = poll_id
        self._votes[poll_id] = votes
        return True

    def end(self) -> int | None:
        """The number of the poll to end, if one is known to be open; from now on it counts as ended."""
        poll_id, self._open = self._open, None
        if poll_id is not None:
            self._ended.add(poll_id)
        return poll_id

    def forget_open(self) -> None:
        """The connection is lost, and with it the session: what was open is not ours to end any more."""
        self._open = None


PING_EVERY_S = 30.0
POLL_EVERY_TRACKS = 3
POLL_ENDS_AFTER_S = 8.0
"""Votes come within 5 s of a poll; what is left is for those who join while it runs."""
ANNOUNCEMENT_AT_TRACK = 2
TRACK_EVERY_S = (5.2, 20.0)
"""The server takes a track every 5 s at most; a test that is planned to be long gets one every 20 s."""
PLANNED_TRACKS = 6

What = Literal["track", "poll", "end_poll", "announcement", "ping"]


@dataclass(frozen=True, slots=True, order=True)
class ScheduledAction:
    """Something to do `at_s` seconds after the first track."""

    at_s: float
    what: What


def dj_schedule(track_every_s: float) -> Iterator[ScheduledAction]:
    """What is done when, in order and without an end: a poll by the third track and with every third after it, ended
    before the next one; one announcement; a PING every 30 s."""
    due: list[ScheduledAction] = [ScheduledAction(PING_EVERY_S, "ping")]
    for track in itertools.count(1):
        at_s = (track - 1) * track_every_s
        heapq.heappush(due, ScheduledAction(at_s, "track"))
        if track == ANNOUNCEMENT_AT_TRACK:
            heapq.heappush(due, ScheduledAction(at_s + track_every_s / 2, "announcement"))
        if track % POLL_EVERY_TRACKS == 0:
            heapq.heappush(due, ScheduledAction(at_s + 0.5, "poll"))
            heapq.heappush(due, ScheduledAction(at_s + 0.5 + POLL_ENDS_AFTER_S, "end_poll"))
        while due and due[0].at_s < at_s + track_every_s:
            action = heapq.heappop(due)
            if action.what == "ping":
                heapq.heappush(due, ScheduledAction(action.at_s + PING_EVERY_S, "ping"))
            yield action


def track_every_s(setting: float | None, planned_s: float | None) -> float:
    """Seconds between tracks: what is set, else a sixth of the planned time, within what server and dancers like."""
    low, high = TRACK_EVERY_S
    if setting is not None:
        return setting
    return high if planned_s is None else min(high, max(low, planned_s / PLANNED_TRACKS))


ANSWER_WAIT_S = 5.5
FIRST_DANCERS_S = 1.5
"""From the first listener to the first track, so that it is played to more than one."""
OPTIONS = ["Salsa", "Bachata", "Kizomba"]


class Dj(WebSocketActor):
    """The one who plays. Its connection is the session: when it ends, so does the session."""

    role = "supporter"

    meters: Any = named(METRICS)
    spelling = messages.SPELLING
    reply_names = ("register", "track", "poll", "end_poll", "announcement", "end_session")
    backoff = Backoff(first_s=1.0, jitter_s=0.0, factor=2.0, cap_s=30.0)
    confirmed_by_upgrade = False
    """A connection is a success when the session is registered."""
    connect_check = ""
    lost_as = "dj connection"

    @classmethod
    def connection_metrics(cls, meters: Any) -> ConnectionMetrics:
        """What users experience is told by the dancers' connections alone."""
        return ConnectionMetrics(
            received=meters.dj_messages_received,
            errors=meters.ws_connection_errors,
            success=meters.ws_connection_success.tagged(actor="dj"),
        )

    def begin(self) -> None:
        super().begin()
        self.session_id = session_id_of(self.worker)
        self._every_s = track_every_s(self.worker.settings["TRACK_EVERY"], self.worker.begin.planned_s)
        self._over = Event()
        """Set when there is nothing left to play for: the test is over, or the connection."""
        self._listeners = Event()
        """Set by the first listener of the test. Those who come back when the DJ does are told to nobody."""
        self._polls = Polls()
        self._sent: Counter[str] = Counter()
        self.delivery = self.worker.shared(broadcast_delivery)
        self.counted = self.worker.shared(counted_broadcasts)
        self.heard = [0] * len(COUNTED)
        """How often what was heard on this connection, where `CountedBroadcasts` looks for it."""
        self._session_mark = messages.session_mark(self.session_id)
        self._like_mark = self.worker.begin.run_id.encode()
        self._plays = False
        """Whether a track of this session has been acknowledged: the next one's tempo begins anew."""

    # The session, in the DJ's own greenlet

    def act(self) -> None:
        if not self.back_off():
            return
        self._over.clear()
        live = self.dial() and self._register()
        # Whether it worked or not, dancers wait no longer: that a session is not live is theirs to find out.
        self.worker.tell_ready("DJ")
        if not live:
            return
        self.worker.facts["session_id"] = self.session_id
        if self._wait_for_listeners():
            self._over.wait(FIRST_DANCERS_S)
            self._play_on()
        if self.is_open:
            self._end_session()
        self.wait_closed(ANSWER_WAIT_S)

    def _register(self) -> bool:
        token = self.worker.settings["PIKA_DJ_TOKEN"]
        write = partial(messages.register, self.session_id, "DJ Locust", token)
        reply = self.ask("register", write, on_reply=self._on_registered)
        if not reply.ok:
            # At once: the end of a closing handshake could be taken for that of the next connection.
            self.abort(f"REGISTER_SESSION: {reply.why}")
        return reply.ok

    def _on_registered(self, ok: bool, why: str) -> None:
        if ok:
            self.confirm()
            self._plays = False
            self.heard = self.counted.joined(self.number)

    def _wait_for_listeners(self) -> bool:
        """Wait for the first of the test, who may never come; False when the session is over before."""
        while not self._listeners.is_set() and not self.released.is_set() and self.is_open:
            self._listeners.wait(0.1)
        return bool(self._listeners.is_set())

    def _play_on(self) -> None:
        """Follow the schedule until the test is over or the connection is lost."""
        begun_s = monotonic()
        for action in dj_schedule(self._every_s):
            self._over.wait(max(0.0, begun_s + action.at_s - monotonic()))
            if self.released.is_set() or not self.is_open:
                return
            if self.worker.draining:
                # Dancers leave: it would depend on chance which of them this still reaches.
                continue
            # Whatever held this up holds up all the rest: tracks that come too soon are refused.
            begun_s = max(begun_s, monotonic() - action.at_s)
            self._do(action.what)

    def _end_session(self) -> None:
        screen = SessionScreen(self)
        try:
            poll_id = self._end_poll()
            reply = self.ask("end_session", partial(messages.end_session, self.session_id))
            if reply.ok:
                self.counted.left(self.number, has_all=True)
                screen.judge(poll_id)
        finally:
            screen.close()
        self.close()

    # What is broadcast

    def _do(self, what: What) -> None:
        match what:
            case "track":
                self._broadcast("track", self._track)
            case "poll":
                self._broadcast("poll", self._poll)
            case "end_poll":
                self._end_poll()
            case "announcement":
                self._broadcast("announcement", self._announcement)
            case "ping":
                self.send(messages.PING)

    def _broadcast(self, kind: str, write: Callable[[messages.Stamp, str], bytes]) -> None:
        """Broadcast something stamped; once it is acknowledged, tell everybody that it is under way."""
        self._sent[kind] += 1
        stamp = messages.Stamp(self._sent[kind], self.worker.begin.run_id, boot_id(), monotonic_ns())

        def acknowledged(ok: bool, why: str) -> None:
            if ok:
                self.worker.tell_all(TOPIC, announcement(kind, stamp))
                self._plays = self._plays or kind == "track"

        on_reply: OnReply = acknowledged
        if kind == "track" and self._plays:
            on_reply = self.counted.after("tempo_reset", self.number, on_reply=acknowledged)
        self.post(kind, partial(write, stamp), on_reply=on_reply)

    def _track(self, stamp: messages.Stamp, message_id: str) -> bytes:
        self.worker.facts["tracks"] = self._sent["track"]
        return messages.play(self.session_id, {"title": str(stamp), "artist": "pika-locust", "bpm": 120}, message_id)

    def _poll(self, stamp: messages.Stamp, message_id: str) -> bytes:
        return messages.start_poll(self.session_id, f"What next? {stamp}", OPTIONS, message_id)

    def _announcement(self, stamp: messages.Stamp, message_id: str) -> bytes:
        return messages.announce(self.session_id, f"Welcome! {stamp}", message_id)

    def _end_poll(self) -> int | None:
        """End the poll that is open, if there is one; gives its number."""
        poll_id = self._polls.end()
        if poll_id is not None:
            stamp = messages.Stamp(poll_id, self.worker.begin.run_id, boot_id(), monotonic_ns())

            def ended(ok: bool, why: str) -> None:
                if ok:
                    self.worker.tell_all(TOPIC, announcement("poll_end", stamp))

            self.post("end_poll", partial(messages.end_poll, poll_id), on_reply=ended)
        return poll_id

    # What arrives, in the event loop

    @on("SESSION_STARTED")
    def on_session_started(self, message: Mapping[str, Any], at_ns: int) -> None:
        # Of our own registration we are not told: this one took the session over.
        if message.get("sessionId") == self.session_id:
            self.worker.error("session", "another DJ has taken our session over")

    @on("LISTENER_COUNT")
    def on_listener_count(self, message: Mapping[str, Any], at_ns: int) -> None:
        count = message.get("count")
        if message.get("sessionId") == self.session_id and isinstance(count, int):
            self.heard[LISTENERS] += 1
            self.counted.told("listeners", count, at_ns)
            if count > 0:
                self._listeners.set()

    @on("POLL_UPDATE")
    def on_poll_update(self, message: Mapping[str, Any], at_ns: int) -> None:
        if message.get("sessionId") == self.session_id and self._polls.on_update(message):
            self.worker.facts["poll_votes_seen"] = self._polls.votes
            self.heard[VOTE] += 1
            for votes in messages.votes_in(message, "votes"):
                self.counted.told("vote", votes, at_ns, message["pollId"])

    @on("TEMPO_FEEDBACK")
    def on_tempo_feedback(self, message: Mapping[str, Any], at_ns: int) -> None:
        if message.get("sessionId") == self.session_id:
            self.heard[TEMPO] += 1
            for votes in messages.tempos_in(message):
                self.counted.told("tempo", votes, at_ns)

    @on_raw("LIKE_RECEIVED")
    def on_like(self, payload: bytes, at_ns: int) -> None:
        if self._like_mark in payload:
            self.heard[LIKE] += 1

    @on("REACTION_RECEIVED")
    def on_thanks(self, message: Mapping[str, Any], at_ns: int) -> None:
        if message.get("sessionId") == self.session_id and message.get("reaction") == messages.THANK_YOU:
            self.heard[THANKS] += 1

    def on_unknown(self, payload: bytes, at_ns: int) -> None:
        """All else is for the DJ's app to show, whatever it is, so long as it is something."""
        if not isinstance((self.spelling.parse(payload) or {}).get("type"), str):
            self.misread("a message that is not a JSON object with a type")

    def closed(self, kept: bool) -> None:
        self._polls.forget_open()
        self.counted.left(self.number)
        # What is heard before the next session is registered does not count for this one.
        self.heard = [0] * len(COUNTED)
        self._over.set()

    def finish(self) -> None:
        """End the session first, then the connection; `act` does both."""
        self._over.set()


class SessionScreen(Listener):
    """A second connection of the DJ's, which sees what the end of a session brings to whoever is still there: the
    dancers have left by then, and the DJ is not sent what it says itself."""

    def __init__(self, dj: Dj) -> None:
        super().__init__(dj)
        self._dj = dj
        self._ends = 0
        self._ended = Event()
        self._poll_ends: dict[Any, list[tuple[Mapping[str, Any], int]]] = {}

    def on_text(self, payload: bytes, at_ns: int) -> None:
        message = messages.SPELLING.parse(payload) or {}
        match message.get("type"):
            case "POLL_ENDED":
                self._poll_ends.setdefault(str(message.get("pollId")), []).append((message, at_ns))
            case "SESSION_ENDED" if message.get("sessionId") == self._dj.session_id:
                self._ends += 1
                self._ended.set()

    def judge(self, poll_id: int | None) -> None:
        """The session has been ended, and with it this poll: wait for the news, and count whether it came once."""
        if not self.is_open:
            return
        self._ended.wait(DEADLINE_S)
        delivery = self._dj.delivery
        delivery.reached("session_end", self._ends)
        if poll_id is not None:
            told = self._poll_ends.get(str(poll_id), [])
            delivery.reached("poll_end", len(told))
            for message, at_ns in told:
                for votes in messages.votes_in(message, "results"):
                    self._dj.counted.told("vote", votes, at_ns, poll_id)

"""The DJ: goes live, plays a track every few seconds, asks the room, announces, and ends the night. One in a test."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic, monotonic_ns
from typing import Any, Literal

from gevent.event import Event

from pika_locust.load.backoff import Backoff
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.answers import OnAnswer
from pika_locust.platforms.pika.delivery import TOPIC
from pika_locust.platforms.pika.room import Room
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.machine import boot_id
from pika_locust.wire.handshake import ConnectError
from pika_locust.wire.websocket import Close, Limits, WebSocket, connect

PING_EVERY_S = 30.0
ANSWER_WAIT_S = 5.5
FIRST_DANCERS_S = 1.5
"""From the first listener to the first track, so that it is played to more than one."""
POLL_EVERY_TRACKS = 3
POLL_ENDS_AFTER_S = 8.0
"""Votes come within 5 s of a poll; what is left is for those who join while it runs."""
ANNOUNCEMENT_AT_TRACK = 2
TRACK_EVERY_S = (5.2, 20.0)
"""The server takes a track every 5 s at most; a night that is planned to be long gets one every 20 s."""
PLANNED_TRACKS = 6
BACKOFF = Backoff(first_s=1.0, jitter_s=0.0, factor=2.0, cap_s=30.0)

OPTIONS = ["Salsa", "Bachata", "Kizomba"]

What = Literal["track", "poll", "end_poll", "announcement", "ping"]


@dataclass(frozen=True, slots=True, order=True)
class Cue:
    """Something to do `at_s` seconds after the first track."""

    at_s: float
    what: What


def cues(track_every_s: float) -> Iterator[Cue]:
    """The evening, in order and without an end: a poll by the third track and with every third after it, ended before
    the next one; one announcement; a PING every 30 s."""
    due: list[Cue] = [Cue(PING_EVERY_S, "ping")]
    for track in itertools.count(1):
        at_s = (track - 1) * track_every_s
        heapq.heappush(due, Cue(at_s, "track"))
        if track == ANNOUNCEMENT_AT_TRACK:
            heapq.heappush(due, Cue(at_s + track_every_s / 2, "announcement"))
        if track % POLL_EVERY_TRACKS == 0:
            heapq.heappush(due, Cue(at_s + 0.5, "poll"))
            heapq.heappush(due, Cue(at_s + 0.5 + POLL_ENDS_AFTER_S, "end_poll"))
        while due and due[0].at_s < at_s + track_every_s:
            cue = heapq.heappop(due)
            if cue.what == "ping":
                heapq.heappush(due, Cue(cue.at_s + PING_EVERY_S, "ping"))
            yield cue


def track_every_s(setting: float | None, planned_s: float | None) -> float:
    """Seconds between tracks: what is set, else a sixth of the planned time, within what server and dancers like."""
    low, high = TRACK_EVERY_S
    if setting is not None:
        return setting
    return high if planned_s is None else min(high, max(low, planned_s / PLANNED_TRACKS))


class Dj(Actor):
    """The one who plays. Its connection is the session: when it ends, so does the night."""

    role = "supporter"
    fixed_count = 1

    def begin(self) -> None:
        self.room = self.share.shared(Room)
        self.unanswered = 0
        self._every_s = track_every_s(self.share.settings["TRACK_EVERY"], self.share.begin.planned_s)
        self._socket: WebSocket | None = None
        self._gone = Event()
        self._woken = Event()
        """Set when there is nothing left to play for: the night is over, or the connection."""
        self._listeners = Event()
        self._answer = Event()
        self._answered_ok, self._answered_why = False, ""
        self._failures = 0
        self._open_poll: int | None = None
        self._ended_polls: set[int] = set()
        self._sent: Counter[str] = Counter()
        self._votes: dict[int, int] = {}

    def act(self) -> None:
        if self._failures:
            self.released.wait(BACKOFF.delay_s(self._failures, self.dice))
            if self.released.is_set():
                return
        ready = self._connect() and self._register()
        self.room.meters.connection_success.tagged(actor="dj").add(ready)
        # Whether it worked or not, dancers wait no longer: that a session is not live is theirs to find out.
        self.share.tell_all("supporters_ready", {"ok": ready})
        if not ready:
            failures = self._failures + 1
            if self._socket is not None:
                # At once: the end of a closing handshake could be taken for that of the next connection.
                self._socket.abort(f"REGISTER_SESSION: {self._answered_why}")
            self._failures = failures
            return
        self._failures = 0
        self.share.facts["session_id"] = self.room.session_id
        if self._wait_for(self._listeners):
            self._woken.wait(FIRST_DANCERS_S)
            self._play_on()
        if self._socket is not None:
            self._end_session()
        self._gone.wait(ANSWER_WAIT_S)

    def _connect(self) -> bool:
        self._gone.clear()
        self._woken.clear()
        self._listeners.clear()
        meters, share = self.room.meters, self.share
        try:
            self._socket = connect(self.room.url, self, limits=Limits(connect_s=5.0))
        except ConnectError as error:
            meters.connection_errors.add()
            share.error("connect", str(error))
            share.request("WS", "connect", None, 0, error)
            return False
        return True

    def _register(self) -> bool:
        token = self.share.settings["PIKA_DJ_TOKEN"]
        return self._ask("register", lambda id: messages.register(self.room.session_id, "DJ Locust", token, id))

    def _play_on(self) -> None:
        """Follow the cues until the night is over or the connection is lost."""
        begun_s = monotonic()
        for cue in cues(self._every_s):
            self._woken.wait(max(0.0, begun_s + cue.at_s - monotonic()))
            if self.released.is_set() or self._socket is None:
                return
            # Whatever held this cue up holds up the rest of the evening: tracks that come too soon are refused.
            begun_s = max(begun_s, monotonic() - cue.at_s)
            self._do(cue)

    def _do(self, cue: Cue) -> None:
        match cue.what:
            case "track":
                self._broadcast("track", self._send_track)
            case "poll":
                self._broadcast("poll", self._start_poll)
            case "end_poll":
                self._end_poll()
            case "announcement":
                self._broadcast("announcement", self._announce)
            case "ping":
                self._send(messages.PING)

    def _broadcast(self, kind: str, send: Callable[[messages.Stamp, str], None]) -> None:
        """Broadcast something stamped; once it is acknowledged, tell everybody that it is under way."""
        self._sent[kind] += 1
        stamp = messages.Stamp(self._sent[kind], self.share.begin.run_id, boot_id(), monotonic_ns())
        data = {"kind": kind, "number": stamp.number, "sent_ns": stamp.sent_ns, "boot": stamp.boot}

        def acknowledged(ok: bool, why: str) -> None:
            if ok:
                self.share.tell_all(TOPIC, data)

        send(stamp, self._expect(kind, on_answer=acknowledged))

    def _send_track(self, stamp: messages.Stamp, message_id: str) -> None:
        self.share.facts["tracks"] = self._sent["track"]
        track = {"title": str(stamp), "artist": "pika-locust", "bpm": 120}
        self._send(messages.play(self.room.session_id, track, message_id))

    def _start_poll(self, stamp: messages.Stamp, message_id: str) -> None:
        self._send(messages.start_poll(self.room.session_id, f"What next? {stamp}", OPTIONS, message_id))

    def _announce(self, stamp: messages.Stamp, message_id: str) -> None:
        self._send(messages.announce(self.room.session_id, f"Welcome! {stamp}", message_id))

    def _end_poll(self) -> None:
        poll_id, self._open_poll = self._open_poll, None
        if poll_id is not None:
            self._ended_polls.add(poll_id)
            self._send(messages.end_poll(poll_id, self._expect("end_poll")))

    def _end_session(self) -> None:
        self._end_poll()
        self._ask("end_session", lambda id: messages.end_session(self.room.session_id, id))
        if self._socket is not None:
            self._socket.close()

    # Waiting, in the DJ's own greenlet

    def _expect(self, kind: str, on_answer: OnAnswer | None = None) -> str:
        message_id = self.room.answers.next_id()
        self.room.answers.expect(message_id, kind, self, on_answer=on_answer)
        return message_id

    def _ask(self, kind: str, write: Callable[[str], bytes]) -> bool:
        """Send what `write` makes of a messageId, and wait for its answer; False for a refusal, too."""
        self._answer.clear()
        self._answered_ok, self._answered_why = False, ""
        self._send(write(self._expect(kind, self._note_answer)))
        self._answer.wait(ANSWER_WAIT_S)
        return self._answered_ok

    def _note_answer(self, ok: bool, why: str) -> None:
        self._answered_ok, self._answered_why = ok, why
        self._answer.set()

    def _wait_for(self, event: Event) -> bool:
        """Wait for something that may never come; False when the night is over before."""
        while not event.is_set() and not self.released.is_set() and self._socket is not None:
            event.wait(0.1)
        return bool(event.is_set())

    def _send(self, payload: bytes) -> None:
        if self._socket is not None:
            self._socket.send(payload)

    # What arrives, in the event loop

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self.room.meters.dj_received.add()
        match messages.type_of(payload):
            case b"ACK":
                self.room.answers.on_ack(payload, at_ns)
            case b"NACK":
                self.room.answers.on_nack(payload, at_ns)
            case b"LISTENER_COUNT":
                self._on_listener_count(messages.parse(payload) or {})
            case b"POLL_UPDATE":
                self._on_poll_update(messages.parse(payload) or {})

    def _on_listener_count(self, message: Mapping[str, Any]) -> None:
        count = message.get("count")
        if message.get("sessionId") == self.room.session_id and isinstance(count, int) and count > 0:
            self._listeners.set()

    def _on_poll_update(self, message: Mapping[str, Any]) -> None:
        """The only message from which a DJ learns a poll's id: START_POLL is answered without it."""
        poll_id, votes = message.get("pollId"), message.get("totalVotes")
        if message.get("sessionId") != self.room.session_id:
            return
        if isinstance(poll_id, int) and isinstance(votes, int):
            # The last votes may be told when the poll has been ended.
            if poll_id not in self._ended_polls:
                self._open_poll = poll_id
            self._votes[poll_id] = votes
            self.share.facts["poll_votes_seen"] = sum(self._votes.values())

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.share.error("receive", "a binary message, which the protocol does not have")

    def on_fault(self, error: BaseException) -> None:
        self.share.fault(error)

    def on_close(self, close: Close) -> None:
        self._socket = None
        self._open_poll = None
        self.room.answers.connection_lost(self)
        if not close.by_us or close.error:
            self._failures += 1
            self.room.meters.connection_errors.add()
            self.share.error("dj connection", close.error or f"closed by the server: {close.code} {close.reason}")
        self._gone.set()
        self._woken.set()

    def release(self) -> None:
        """End the night: the session first, then the connection."""
        super().release()
        if hasattr(self, "_woken"):
            self._woken.set()

    def on_stop(self) -> None:
        socket = getattr(self, "_socket", None)
        if socket is not None:
            socket.abort("the user was killed")
        super().on_stop()

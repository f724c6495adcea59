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

from pika_locust.kit.broadcast import TOPIC, announcement
from pika_locust.load.pauses import Backoff
from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.context import SPELLING, PikaContext
from pika_locust.platforms.pika.line import PikaConnection
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.machine import boot_id
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError

# The polls of the night, as far as the server tells the DJ of them.


class Polls:
    """Which poll is open, and how many voted on each.

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


# The DJ's evening: what is played, asked and announced when. Pure arithmetic.

PING_EVERY_S = 30.0
POLL_EVERY_TRACKS = 3
POLL_ENDS_AFTER_S = 8.0
"""Votes come within 5 s of a poll; what is left is for those who join while it runs."""
ANNOUNCEMENT_AT_TRACK = 2
TRACK_EVERY_S = (5.2, 20.0)
"""The server takes a track every 5 s at most; a night that is planned to be long gets one every 20 s."""
PLANNED_TRACKS = 6

What = Literal["track", "poll", "end_poll", "announcement", "ping"]


@dataclass(frozen=True, slots=True, order=True)
class ScheduledAction:
    """Something to do `at_s` seconds after the first track."""

    at_s: float
    what: What


def cues(track_every_s: float) -> Iterator[ScheduledAction]:
    """The evening, in order and without an end: a poll by the third track and with every third after it, ended before
    the next one; one announcement; a PING every 30 s."""
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
            cue = heapq.heappop(due)
            if cue.what == "ping":
                heapq.heappush(due, ScheduledAction(cue.at_s + PING_EVERY_S, "ping"))
            yield cue


def track_every_s(setting: float | None, planned_s: float | None) -> float:
    """Seconds between tracks: what is set, else a sixth of the planned time, within what server and dancers like."""
    low, high = TRACK_EVERY_S
    if setting is not None:
        return setting
    return high if planned_s is None else min(high, max(low, planned_s / PLANNED_TRACKS))


ANSWER_WAIT_S = 5.5
FIRST_DANCERS_S = 1.5
"""From the first listener to the first track, so that it is played to more than one."""
BACKOFF = Backoff(first_s=1.0, jitter_s=0.0, factor=2.0, cap_s=30.0)

OPTIONS = ["Salsa", "Bachata", "Kizomba"]


class Dj(Actor):
    """The one who plays. Its connection is the session: when it ends, so does the night."""

    role = "supporter"
    fixed_count = 1

    def begin(self) -> None:
        self.room = room = self.worker.shared(PikaContext)
        self.line = PikaConnection(room)
        self._every_s = track_every_s(self.worker.settings["TRACK_EVERY"], self.worker.begin.planned_s)
        self._gone = Event()
        self._woken = Event()
        """Set when there is nothing left to play for: the night is over, or the connection."""
        self._listeners = Event()
        self._answer = Event()
        self._answered_ok, self._answered_why = False, ""
        self._polls = Polls()
        self._sent: Counter[str] = Counter()

    # The night, in the DJ's own greenlet

    def act(self) -> None:
        line = self.line
        if line.failures and self.pause(BACKOFF.delay_s(line.failures, self.dice)):
            return
        ready = self._connect() and self._register()
        self.room.meters.connection_success.tagged(actor="dj").add(ready)
        # Whether it worked or not, dancers wait no longer: that a session is not live is theirs to find out.
        self.worker.tell_all("supporters_ready", {"ok": ready})
        if not ready:
            failures = line.failures + 1
            # At once: the end of a closing handshake could be taken for that of the next connection.
            line.abort(f"REGISTER_SESSION: {self._answered_why}")
            line.failures = failures
            return
        line.failures = 0
        self.worker.facts["session_id"] = self.room.session_id
        if self._wait_for_listeners():
            self._woken.wait(FIRST_DANCERS_S)
            self._play_on()
        if line.is_open:
            self._end_session()
        self._gone.wait(ANSWER_WAIT_S)

    def _connect(self) -> bool:
        self._gone.clear()
        self._woken.clear()
        self._listeners.clear()
        meters, worker = self.room.meters, self.worker
        try:
            self.line.open(self)
        except ConnectError as error:
            meters.connection_errors.add()
            worker.error("connect", str(error))
            worker.request("WS", "connect", None, 0, error)
            return False
        return True

    def _register(self) -> bool:
        token = self.worker.settings["PIKA_DJ_TOKEN"]
        return self._ask("register", lambda id: messages.register(self.room.session_id, "DJ Locust", token, id))

    def _wait_for_listeners(self) -> bool:
        """Wait for the first, who may never come; False when the night is over before."""
        while not self._listeners.is_set() and not self.released.is_set() and self.line.is_open:
            self._listeners.wait(0.1)
        return bool(self._listeners.is_set())

    def _play_on(self) -> None:
        """Follow the cues until the night is over or the connection is lost."""
        begun_s = monotonic()
        for cue in cues(self._every_s):
            self._woken.wait(max(0.0, begun_s + cue.at_s - monotonic()))
            if self.released.is_set() or not self.line.is_open:
                return
            # Whatever held this cue up holds up the rest of the evening: tracks that come too soon are refused.
            begun_s = max(begun_s, monotonic() - cue.at_s)
            self._do(cue)

    def _end_session(self) -> None:
        self._end_poll()
        self._ask("end_session", lambda id: messages.end_session(self.room.session_id, id))
        self.line.close()

    def _ask(self, kind: str, write: Callable[[str], bytes]) -> bool:
        """Send what `write` makes of a messageId, and wait for its answer; False for a refusal, too."""
        self._answer.clear()
        self._answered_ok, self._answered_why = False, ""
        self.line.say(write(self.line.expect(kind, on_reply=self._note_answer)))
        self._answer.wait(ANSWER_WAIT_S)
        return self._answered_ok

    def _note_answer(self, ok: bool, why: str) -> None:
        self._answered_ok, self._answered_why = ok, why
        self._answer.set()

    # What is broadcast

    def _do(self, cue: ScheduledAction) -> None:
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
                self.line.ping()

    def _broadcast(self, kind: str, send: Callable[[messages.Stamp, str], None]) -> None:
        """Broadcast something stamped; once it is acknowledged, tell everybody that it is under way."""
        self._sent[kind] += 1
        stamp = messages.Stamp(self._sent[kind], self.worker.begin.run_id, boot_id(), monotonic_ns())

        def acknowledged(ok: bool, why: str) -> None:
            if ok:
                self.worker.tell_all(TOPIC, announcement(kind, stamp))

        send(stamp, self.line.expect(kind, on_reply=acknowledged))

    def _send_track(self, stamp: messages.Stamp, message_id: str) -> None:
        self.worker.facts["tracks"] = self._sent["track"]
        track = {"title": str(stamp), "artist": "pika-locust", "bpm": 120}
        self.line.say(messages.play(self.room.session_id, track, message_id))

    def _start_poll(self, stamp: messages.Stamp, message_id: str) -> None:
        self.line.say(messages.start_poll(self.room.session_id, f"What next? {stamp}", OPTIONS, message_id))

    def _announce(self, stamp: messages.Stamp, message_id: str) -> None:
        self.line.say(messages.announce(self.room.session_id, f"Welcome! {stamp}", message_id))

    def _end_poll(self) -> None:
        poll_id = self._polls.end()
        if poll_id is not None:
            self.line.say(messages.end_poll(poll_id, self.line.expect("end_poll")))

    # What arrives, in the event loop

    def on_text(self, payload: bytes, at_ns: int) -> None:
        self.room.meters.dj_received.add()
        match SPELLING.kind_of(payload):
            case b"ACK":
                self.room.pending.on_ack(payload, at_ns)
            case b"NACK":
                self.room.pending.on_nack(payload, at_ns)
            case b"LISTENER_COUNT":
                self._on_listener_count(SPELLING.parse(payload) or {})
            case b"POLL_UPDATE":
                self._on_poll_update(SPELLING.parse(payload) or {})

    def _on_listener_count(self, message: Mapping[str, Any]) -> None:
        count = message.get("count")
        if message.get("sessionId") == self.room.session_id and isinstance(count, int) and count > 0:
            self._listeners.set()

    def _on_poll_update(self, message: Mapping[str, Any]) -> None:
        if message.get("sessionId") == self.room.session_id and self._polls.on_update(message):
            self.worker.facts["poll_votes_seen"] = self._polls.votes

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        self.worker.error("receive", "a binary message, which the protocol does not have")

    def on_internal_error(self, error: BaseException) -> None:
        self.worker.internal_error(error)

    def on_close(self, close: Close) -> None:
        self._polls.forget_open()
        self.line.lost()
        if not close.by_us or close.error:
            self.line.failures += 1
            self.room.meters.connection_errors.add()
            self.worker.error("dj connection", close.error or f"closed by the server: {close.code} {close.reason}")
        self._gone.set()
        self._woken.set()

    # Leaving

    def release(self) -> None:
        """End the night: the session first, then the connection."""
        super().release()
        if hasattr(self, "_woken"):
            self._woken.set()

    def on_stop(self) -> None:
        if hasattr(self, "line"):
            self.line.abort("the user was killed")
        super().on_stop()

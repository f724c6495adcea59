"""A member who wants a video call: queues, is matched, talks, chooses; listening on both sockets all the while."""

from __future__ import annotations

from typing import Any

from pika_locust.clock import monotonic_ns
from pika_locust.kit import SocketIoActor, on
from pika_locust.kit.meters import named
from pika_locust.platforms.verity.account import MemberActor
from pika_locust.platforms.verity.answers import DONE
from pika_locust.platforms.verity.limits import MATCH_WAIT_S, queue_keys
from pika_locust.platforms.verity.scenarios import (
    END_GRACE_S,
    MATCH_CHANCE,
    PAUSE_S,
    SESSIONS_METRICS,
    START_WAIT_S,
)
from pika_locust.platforms.verity.session_events import (
    MUTUAL,
    NON_MUTUAL,
    PENDING,
    STATUS_WITHIN_S,
    SessionEvents,
    Visit,
)

NOT_QUEUED, GONE = "not_queued", "gone"
FOLLOWED = 4
"""So many sessions of a user are listened for: the outcome of one may come while it is in the next."""


class SessionUser(MemberActor, SocketIoActor):
    """One virtual member; an iteration is one visit to the queue, and the session that comes of it."""

    meters: Any = named(SESSIONS_METRICS)
    namespaces = ("/queue", "/video")
    connect_within_s = START_WAIT_S
    connect_check = "sockets connected"
    sockets = 2

    def begin(self) -> None:
        super().begin()
        self.visit = Visit()
        """The running visit: a new one for each."""
        self.events = self.worker.shared(SessionEvents)
        self._followed: dict[str, Visit] = {}
        self._queue_keys = queue_keys(self.worker.settings, self.worker.begin.users_peak)
        self._is_alone = self.worker.settings["QUEUE_MODE"] == "isolated"
        self._visits = 0

    def act(self) -> None:
        if not self._ready():
            self.pause(PAUSE_S)
            return
        if self.released.is_set():
            return
        if self.worker.settings["CONTRACT"] == "suite":
            self._visit_blindly()
        elif self.connect({"token": self.account.credentials.access_token}):
            # Before joining, as what is announced is announced once.
            self._visit()
        else:
            return
        self.think()

    def _ready(self) -> bool:
        settings = self.worker.settings
        if not self.account.exists and not self.open_with_tokens():
            return False
        self.refresh_if_old()
        # The suite tops up below 1 and looks every third time, so that it runs dry in between.
        suite, every = settings["CONTRACT"] == "suite", settings["BALANCE_CHECK_EVERY"]
        if settings["AUTO_TOP_UP"] and (self._visits % every == 0 or (self.short_of_tokens and not suite)):
            self.stock_up(settings["TOP_UP_TOKENS"], 1 if suite else every)
        return True

    def _join(self) -> bool:
        settings = self.worker.settings
        self._visits += 1
        preferences: dict[str, Any] = {"mode": "video-session-sustain"}
        if settings["CONTRACT"] == "server":
            # Of a session with somebody else's user, or with one whom a killed run has left in the queue, we would see
            # one side only, as if the other had not been told.
            preferences["run"] = self.worker.begin.run_id
        if self._is_alone:
            preferences = self.queue_alone(self._visits)
        elif self._queue_keys > 1:
            # Half of the neighbours in number share a key, so that two can always meet.
            preferences["key"] = self.worker.global_number(self.number) // 2 % self._queue_keys
        self.account.tokens.maybe(-1)
        response = self.join_queue(preferences)
        joined = response.status in DONE
        if joined or response.refused or response.unsent:
            # From here on, a match says what became of the token, or leaving does. A 5xx says as little as no answer:
            # behind it, the join may have been done.
            self.account.tokens.known(-1, False)
        if joined:
            self.visit.queue_key = str(response.json_object().get("queueKey") or "")
        return joined

    def _leave(self) -> str:
        """Leave the queue; gives what the target says we were."""
        self.account.tokens.maybe(-1)
        response = self.leave_queue()
        if response.status != 200:
            if response.unsent:
                self.account.tokens.known(-1, False)
            return ""
        self.account.tokens.known(-1, False)
        status = str(response.json_object().get("status"))
        # Sent twice, the first one may have done what the second finds done.
        return GONE if status == NOT_QUEUED and response.retried else status

    def _visit_blindly(self) -> None:
        """The suite's approximation: nobody listens, and whoever is gone from the queue was matched."""
        if not self._join():
            return
        self.pause(self.worker.settings["SESSION_HOLD_SECONDS"])
        status = self._leave()
        if status == NOT_QUEUED:
            self.account.tokens.add(-1)
        elif status == GONE:
            self.account.tokens.maybe(-1)

    def _visit(self) -> None:
        visit = self.visit = Visit(joined_ns=monotonic_ns())
        if not self._join():
            return
        self.wait_for(lambda: visit.matched_ns or self.released.is_set(), MATCH_WAIT_S)
        waited_s = ((visit.matched_ns or monotonic_ns()) - visit.joined_ns) / 1e9
        if waited_s >= STATUS_WITHIN_S and self.is_connected:
            self.events.owed("queue_status", visit.statuses > 0)
        if not visit.matched_ns:
            # A match may have come while we were leaving; then we stay for it.
            left_as = self._leave()
            if left_as not in (NOT_QUEUED, GONE):
                if not self._is_alone and not self.released.is_set():
                    self.meters.match_rate.add(False)
                return
            self.wait_for(lambda: visit.matched_ns, START_WAIT_S)
            if left_as == NOT_QUEUED and not visit.matched_ns and self.is_connected:
                self.events.owed("match", False)
        self.meters.match_rate.add(visit.matched_ns != 0)
        if visit.matched_ns:
            self._talk(visit)

    def _talk(self, visit: Visit) -> None:
        """A session, from its start to its end; users stay for it even when the test is ending."""
        self.wait_for(lambda: visit.started_ns, START_WAIT_S)
        self._was_owed("session_start", visit.started_ns)
        if not self.checked("session started", visit.started_ns != 0):
            self._missed(f"no session:start within {START_WAIT_S:g} s of the match")
            return
        self.meters.users_in_session.add(1)
        try:
            self.wait_for(lambda: visit.ended_ns, self.worker.settings["SESSION_HOLD_SECONDS"] + END_GRACE_S)
        finally:
            self.meters.users_in_session.add(-1)
        self._was_owed("session_end", visit.ended_ns)
        if not self.checked("session ended", visit.ended_ns != 0):
            self._missed(f"no session:end within {END_GRACE_S:g} s of its time")
            return
        self._choose(visit)

    def _was_owed(self, kind: str, came_ns: int) -> None:
        if came_ns or self.is_connected:
            self.events.owed(kind, came_ns != 0)

    def _missed(self, what: str) -> None:
        # A connection that was lost is an error already, and then nothing could be heard.
        if self.is_connected:
            self.worker.error("session", what)

    def _choose(self, visit: Visit) -> None:
        choice = "MATCH" if self.dice.chance(MATCH_CHANCE) else "PASS"
        path = f"/sessions/{visit.session_id}/choice"
        response = self.call(
            "POST",
            path,
            {"choice": choice},
            name="session_choice",
            check="session choice ok",
            ok=DONE,
            trend="choice_latency",
        )
        if response.status not in DONE:
            return
        body = response.json_object()
        status, outcome = body.get("status"), body.get("outcome")
        if choice == "PASS":
            # Whatever the other side chooses, or has chosen.
            settled = (status, outcome) == ("resolved", NON_MUTUAL)
            self.events.said("outcome", "" if settled else f"a PASS was answered {status!r}, {outcome!r}")
        if status == "resolved":
            self.events.answered(visit.session_id, outcome, body.get("matchId"))
        elif choice == "MATCH" and status == PENDING:
            self.events.answered(visit.session_id, PENDING, None)

    # What is heard, in the event loop

    def on_event(self, name: bytes, payload: bytes, at_ns: int) -> bool:
        if name == b"queue:status":
            # With N in a queue there are N of them for each join: the first of a visit says enough.
            self.visit.statuses += 1
            if self.visit.statuses > 1:
                return True
        return super().on_event(name, payload, at_ns)

    @on("queue:status", fields={"usersSearching": int})
    def on_queue_status(self, data: dict[str, Any], at_ns: int) -> None:
        """How many wait in our queue: in one of this run's own, all of them are our users."""
        most = self.worker.users_peak
        searching = data["usersSearching"]
        told = searching >= 1 and (not most or searching <= most)
        self.events.said("queue_status", "" if told else f"told {searching:,} searching, of {most:,} users")

    @on("match", fields={"sessionId": str})
    def on_match(self, data: dict[str, Any], at_ns: int) -> None:
        """A partner was found, and a token spent."""
        visit, facts, events = self.visit, self.worker.facts, self.events
        if data["sessionId"] in self._followed:
            events.again("match")
            return
        if visit.matched_ns and not visit.ended_ns:
            facts["in_two_sessions"] = facts.get("in_two_sessions", 0) + 1
            return
        visit.session_id = data["sessionId"]
        visit.matched_ns = at_ns
        visit.client = self.client
        self._followed[visit.session_id] = visit
        if len(self._followed) > FOLLOWED:
            del self._followed[next(iter(self._followed))]
        self.account.tokens.add(-1)
        facts["matches_seen"] = facts.get("matches_seen", 0) + 1
        self.meters.match_time.add((at_ns - visit.joined_ns) // 1000)
        events.matched(visit)
        events.owed("match", True)
        other_key = visit.queue_key and data.get("queueKey") != visit.queue_key
        events.said("match", "another queueKey than was joined" if other_key else "")

    @on("session:start", fields={"sessionId": str})
    def on_session_start(self, data: dict[str, Any], at_ns: int) -> None:
        """The session has begun."""
        visit = self._followed.get(data["sessionId"])
        if visit is None:
            return
        if visit.started_ns:
            self.events.again("session_start")
            return
        visit.started_ns = at_ns
        self.meters.session_start_lag.add(max(1, (at_ns - visit.matched_ns) // 1000))
        lasts_s, rtm = data.get("durationSeconds"), data.get("rtm")
        wrong = ""
        if lasts_s != self.worker.settings["SESSION_HOLD_SECONDS"]:
            wrong = f"told durationSeconds {lasts_s!r}"
        elif not isinstance(rtm, dict) or rtm.get("userId") != self.account.user_id:
            wrong = "another user's rtm.userId"
        self.events.said("session_start", wrong)

    @on("session:end", fields={"sessionId": str})
    def on_session_end(self, data: dict[str, Any], at_ns: int) -> None:
        """The session is over."""
        visit = self._followed.get(data["sessionId"])
        if visit is None:
            return
        if visit.ended_ns:
            self.events.again("session_end")
            return
        visit.ended_ns = at_ns
        if visit.started_ns:
            self.meters.session_length.add((at_ns - visit.started_ns) // 1000)
        reason = data.get("reason")
        # None of our users ends one.
        self.events.said("session_end", "" if reason == "timeout" else f"told the reason {reason!r}")

    @on("match:mutual", fields={"sessionId": str})
    def on_mutual(self, data: dict[str, Any], at_ns: int) -> None:
        """Both want to see each other again."""
        self._on_outcome(data, MUTUAL)

    @on("match:non_mutual", fields={"sessionId": str})
    def on_non_mutual(self, data: dict[str, Any], at_ns: int) -> None:
        """One of them does not."""
        self._on_outcome(data, NON_MUTUAL)

    def _on_outcome(self, data: dict[str, Any], outcome: str) -> None:
        visit = self._followed.get(data["sessionId"])
        if visit is None:
            return
        if visit.outcome:
            self.events.again("outcome")
            return
        visit.outcome, visit.match_id = outcome, str(data.get("matchId") or "")

    # The connection

    def back_off(self) -> None:
        self.pause(PAUSE_S)

    def closed(self, kept: bool) -> None:
        if not kept:
            self.meters.error_rate.add(True)

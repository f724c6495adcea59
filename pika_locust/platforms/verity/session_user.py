"""A member who wants a video call: queues, is matched, talks, chooses; listening on both sockets all the while."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from pika_locust.platforms.verity.account import Account
from pika_locust.platforms.verity.answers import DONE, body_of
from pika_locust.platforms.verity.auditor import SampledAudit
from pika_locust.platforms.verity.ears import SessionSockets, Visit
from pika_locust.platforms.verity.habits import END_GRACE_S, MATCH_CHANCE, MATCH_WAIT_S, PAUSE_S, START_WAIT_S
from pika_locust.platforms.verity.keys import queue_keys
from pika_locust.platforms.verity.lobby import VerityContext, think_s
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.bell import Condition

NOT_QUEUED, GONE = "not_queued", "gone"


class SessionUser(Actor):
    """One virtual member; an iteration is one visit to the queue, and the session that comes of it."""

    _bell: Condition | None = None

    def begin(self) -> None:
        worker = self.worker
        self.lobby = worker.shared(VerityContext)
        self.auditor = worker.shared(SampledAudit)
        self.account = Account(self.number, self.dice, self.lobby)
        metrics = worker.metrics
        self._join_latency = metrics.trend("queue_join_latency")
        self._match_rate = metrics.rate("match_rate")
        self._choice_latency = metrics.trend("choice_latency")
        self._in_session = metrics.gauge("users_in_session")
        self._queue_keys = queue_keys(worker.settings, worker.begin.users_peak)
        self._visits = 0
        bell = Condition()
        self.ears = SessionSockets(self.lobby, self.account.tokens, bell)
        self._bell = bell

    def act(self) -> None:
        settings = self.worker.settings
        if not self._ready():
            self.released.wait(PAUSE_S)
            return
        if self.released.is_set():
            return
        if settings["CONTRACT"] == "suite":
            self._visit_blindly()
        elif self.ears.listen(self.account.entry.access_token):
            self._visit()
        else:
            self.released.wait(PAUSE_S)
            return
        self.released.wait(think_s(settings, self.dice))

    def _ready(self) -> bool:
        settings = self.worker.settings
        if not self.account.exists:
            if not self.account.sign_up():
                return False
            if settings["SEED_TOKENS"]:
                self.account.buy(settings["TOKENS_PER_USER"])
        self.account.refresh_if_old()
        if settings["AUTO_TOP_UP"] and self._visits % settings["BALANCE_CHECK_EVERY"] == 0:
            # The suite tops up below 1 and looks every third time, so that it runs dry in between.
            enough = 1 if settings["CONTRACT"] == "suite" else settings["BALANCE_CHECK_EVERY"]
            balance = self.account.balance()
            if balance is not None and balance < enough:
                self.account.buy(settings["TOP_UP_TOKENS"])
        return True

    def _join(self) -> bool:
        settings = self.worker.settings
        self._visits += 1
        preferences: dict[str, Any] = {"mode": "video-session-sustain"}
        number = self.worker.global_number(self.number)
        if settings["QUEUE_MODE"] == "isolated":
            preferences = {"seed": f"{number}-{self._visits}-{self.dice.below(1_000_000_000)}"}
        elif self._queue_keys > 1:
            # Half of the neighbours in number share a key, so that two can always meet.
            preferences["key"] = number // 2 % self._queue_keys
        body = {"region": settings["QUEUE_REGION"].lower(), "preferences": preferences}
        self.account.tokens.maybe(-1)
        response = self.account.http.post("/queue/join", json=body, name="queue_join")
        if response.error is None:
            # From here on, a match says what became of the token, or leaving does.
            self.account.tokens.known(-1, False)
        ok = self.lobby.checked("queue join ok", response.status in DONE)
        if ok:
            self._join_latency.add(response.duration_us)
        return ok

    def _leave(self) -> str:
        """Leave the queue; gives what the target says we were."""
        self.account.tokens.maybe(-1)
        response = self.account.http.delete("/queue/leave", name="queue_leave")
        if not self.lobby.checked("queue leave ok", response.status == 200):
            return ""
        self.account.tokens.known(-1, False)
        status = str(body_of(response).get("status"))
        # Sent twice, the first one may have done what the second finds done.
        return GONE if status == NOT_QUEUED and response.retried else status

    def _visit_blindly(self) -> None:
        """The suite's approximation: nobody listens, and whoever is gone from the queue was matched."""
        if not self._join():
            return
        self.released.wait(self.worker.settings["SESSION_HOLD_SECONDS"])
        status = self._leave()
        if status == NOT_QUEUED:
            self.account.tokens.credited(-1)
        elif status == GONE:
            self.account.tokens.maybe(-1)

    def _visit(self) -> None:
        visit = self.ears.visit = Visit(joined_ns=monotonic_ns())
        if not self._join():
            return
        self._wait_until(lambda: visit.matched_ns or self.released.is_set(), MATCH_WAIT_S)
        if not visit.matched_ns:
            # A match may have come while we were leaving; then we stay for it.
            if self._leave() not in (NOT_QUEUED, GONE):
                if not self.released.is_set():
                    self._match_rate.add(False)
                return
            self._wait_until(lambda: visit.matched_ns, START_WAIT_S)
        self._match_rate.add(visit.matched_ns != 0)
        if visit.matched_ns:
            self._talk(visit)

    def _talk(self, visit: Visit) -> None:
        """A session, from its start to its end; users stay for it even when the test is ending."""
        self._wait_until(lambda: visit.started_ns, START_WAIT_S)
        if not self.lobby.checked("session started", visit.started_ns != 0):
            self._missed(f"no session:start within {START_WAIT_S:g} s of the match")
            return
        self._in_session.add(1)
        try:
            self._wait_until(lambda: visit.ended_ns, self.worker.settings["SESSION_HOLD_SECONDS"] + END_GRACE_S)
        finally:
            self._in_session.add(-1)
        if not self.lobby.checked("session ended", visit.ended_ns != 0):
            self._missed(f"no session:end within {END_GRACE_S:g} s of its time")
            return
        self._choose(visit)

    def _missed(self, what: str) -> None:
        # A connection that was lost is an error already, and then nothing could be heard.
        if self.ears.are_open:
            self.worker.error("session", what)

    def _choose(self, visit: Visit) -> None:
        choice = "MATCH" if self.dice.chance(MATCH_CHANCE) else "PASS"
        path = f"/sessions/{visit.session_id}/choice"
        response = self.account.http.post(path, json={"choice": choice}, name="session_choice")
        if self.lobby.checked("session choice ok", response.status in DONE):
            self._choice_latency.add(response.duration_us)

    def _wait_until(self, condition: Callable[[], object], within_s: float) -> None:
        """Wait for what is to be heard, as long as anything can be."""
        assert self._bell is not None
        self._bell.wait_until(lambda: condition() or not self.ears.are_open, within_s)

    def release(self) -> None:
        super().release()
        if self._bell is not None:
            self._bell.ring()

    def on_stop(self) -> None:
        if self._bell is not None:
            self.ears.close()
            self.account.close()
            if self.account.exists:
                self.auditor.take(self.account.books())
        super().on_stop()

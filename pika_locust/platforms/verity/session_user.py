"""A member who wants a video call: queues, is matched, talks, chooses; listening on both sockets all the while."""

from __future__ import annotations

import time
from time import monotonic_ns
from typing import Any

from gevent.event import Event

from pika_locust.platforms.verity.account import JOINED, Account, body_of
from pika_locust.platforms.verity.lobby import Lobby, think_s
from pika_locust.runtime.actor import Actor
from pika_locust.wire import socketio
from pika_locust.wire.handshake import ConnectError
from pika_locust.wire.socketio import SocketIo
from pika_locust.wire.socketio_codec import arguments
from pika_locust.wire.websocket import Close

NAMESPACES = ("/queue", "/video")
HEARD = (b"match", b"session:start", b"session:end")
NOT_QUEUED, GONE = "not_queued", "gone"
PAUSE_S = 1.0
MATCH_WAIT_S = 30.0
"""A user who is not matched by then leaves the queue and tries again."""
START_WAIT_S = 10.0
END_GRACE_S = 15.0
"""Beyond the length of a session, for its end."""
MATCH_CHANCE = 0.5
"""How many choose to see each other again: the suite has no choices, a night of speed dating has about so many."""


class SessionUser(Actor):
    """One virtual member; an iteration is one visit to the queue, and the session that comes of it."""

    def begin(self) -> None:
        self.lobby = self.share.shared(Lobby)
        self.account = Account(self, self.lobby)
        metrics = self.share.metrics
        self._join_latency = metrics.trend("queue_join_latency")
        self._match_time = metrics.trend("match_time")
        self._match_rate = metrics.rate("match_rate")
        self._start_lag = metrics.trend("session_start_lag")
        self._length = metrics.trend("session_length")
        self._choice_latency = metrics.trend("choice_latency")
        self._in_session = metrics.gauge("users_in_session")
        self._socket: SocketIo | None = None
        self._news = Event()
        self._kicked = False
        self._visits = 0
        self._joined_ns = self._matched_ns = self._started_ns = self._ended_ns = 0
        self._session_id = ""

    # One visit, in the user's greenlet

    def act(self) -> None:
        settings = self.share.settings
        if not self._ready():
            self.released.wait(PAUSE_S)
            return
        if self.released.is_set():
            return
        if settings["CONTRACT"] == "suite":
            self._visit_blindly()
        elif self._listen():
            self._visit()
        else:
            self.released.wait(PAUSE_S)
            return
        self.released.wait(think_s(settings, self.dice))

    def _ready(self) -> bool:
        settings = self.share.settings
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
        settings = self.share.settings
        self._visits += 1
        preferences: dict[str, Any] = {"mode": "video-session-sustain"}
        number = self.share.global_number(self.number)
        if settings["QUEUE_MODE"] == "isolated":
            preferences = {"seed": f"{number}-{self._visits}-{self.dice.below(1_000_000_000)}"}
        elif self.lobby.queue_keys > 1:
            # Half of the neighbours in number share a key, so that two can always meet.
            preferences["key"] = number // 2 % self.lobby.queue_keys
        body = {"region": settings["QUEUE_REGION"].lower(), "preferences": preferences}
        self.account.tokens.maybe(-1)
        response = self.account.http.post("/queue/join", json=body, name="queue_join")
        if response.error is None:
            # From here on, a match says what became of the token, or leaving does.
            self.account.tokens.known(-1, False)
        ok = self.lobby.checked("queue join ok", response.status in JOINED)
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
        self.released.wait(self.share.settings["SESSION_HOLD_SECONDS"])
        status = self._leave()
        if status == NOT_QUEUED:
            self.account.tokens.credited(-1)
        elif status == GONE:
            self.account.tokens.maybe(-1)

    def _visit(self) -> None:
        self._matched_ns = self._started_ns = self._ended_ns = 0
        self._session_id = ""
        self._joined_ns = monotonic_ns()
        if not self._join():
            return
        if not self._wait_for("_matched_ns", MATCH_WAIT_S, until_released=True):
            # A match may have come while we were leaving; then we stay for it.
            if self._leave() not in (NOT_QUEUED, GONE):
                if not self.released.is_set():
                    self._match_rate.add(False)
                return
            if not self._wait_for("_matched_ns", START_WAIT_S):
                self._match_rate.add(False)
                return
        self._match_rate.add(True)
        self._talk()

    def _talk(self) -> None:
        """A session, from its start to its end; users stay for it even when the test is ending."""
        if not self._wait_for("_started_ns", START_WAIT_S):
            self.share.error("session", f"no session:start within {START_WAIT_S:g} s of the match")
            return
        self._in_session.add(1)
        try:
            ended = self._wait_for("_ended_ns", self.share.settings["SESSION_HOLD_SECONDS"] + END_GRACE_S)
        finally:
            self._in_session.add(-1)
        if not ended:
            self.share.error("session", "no session:end in time")
            return
        self._choose()

    def _choose(self) -> None:
        choice = "MATCH" if self.dice.chance(MATCH_CHANCE) else "PASS"
        path = f"/sessions/{self._session_id}/choice"
        response = self.account.http.post(path, json={"choice": choice}, name="session_choice")
        if self.lobby.checked("session choice ok", response.status in JOINED):
            self._choice_latency.add(response.duration_us)

    def _wait_for(self, name: str, within_s: float, *, until_released: bool = False) -> bool:
        """Wait until the event loop has noted a moment; False when it has not in time."""
        deadline_s = time.monotonic() + within_s
        while not getattr(self, name):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or self._socket is None or (until_released and self.released.is_set()):
                return False
            self._news.clear()
            self._news.wait(left_s)
        return True

    def release(self) -> None:
        super().release()
        news = getattr(self, "_news", None)
        if news is not None:
            news.set()

    # Sockets

    def _listen(self) -> bool:
        """Both namespaces open, before joining: what is announced is announced once."""
        if self._socket is not None and not self._kicked:
            return True
        self._kicked = False
        try:
            self._socket = socketio.connect(self.share.begin.target, self)
        except ConnectError as error:
            self.lobby.checked("sockets connected", False)
            self.share.error("connect", str(error))
            return False
        for namespace in NAMESPACES:
            self._socket.open(namespace, {"token": self.account.access_token})
        deadline_s = time.monotonic() + START_WAIT_S
        while self._socket is not None and not all(map(self._socket.is_connected, NAMESPACES)):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                self._socket.abort("the namespaces were not opened")
                break
            self._news.clear()
            self._news.wait(left_s)
        return self.lobby.checked("sockets connected", self._socket is not None and not self._kicked)

    def on_connect(self, namespace: str) -> None:
        self._news.set()

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        if name not in HEARD:
            return
        session_id = _session_id(payload)
        if session_id is None:
            self.share.error("receive", f"{name.decode()} without a sessionId")
        elif name == b"match":
            self._on_match(session_id, at_ns)
        elif session_id != self._session_id:
            return
        elif name == b"session:start" and not self._started_ns:
            self._started_ns = at_ns
            self._start_lag.add(max(1, (at_ns - self._matched_ns) // 1000))
            self._news.set()
        elif name == b"session:end" and not self._ended_ns:
            self._ended_ns = at_ns
            if self._started_ns:
                self._length.add((at_ns - self._started_ns) // 1000)
            self._news.set()

    def _on_match(self, session_id: str, at_ns: int) -> None:
        facts = self.share.facts
        if self._matched_ns and not self._ended_ns:
            facts["in_two_sessions"] = facts.get("in_two_sessions", 0) + 1
            return
        self._session_id = session_id
        self._matched_ns = at_ns
        self.account.tokens.credited(-1)
        facts["matches_seen"] = facts.get("matches_seen", 0) + 1
        self._match_time.add((at_ns - self._joined_ns) // 1000)
        self._news.set()

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        self.on_event(namespace, name, payload, at_ns)

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        self.share.error("connect", f"{namespace} was refused: {data[:80].decode(errors='replace')}")

    def on_kicked(self, namespace: str) -> None:
        self._kicked = True
        self.share.error("connect", f"kicked out of {namespace}")
        self._news.set()

    def on_trouble(self, words: str) -> None:
        self.share.error("receive", words)

    def on_fault(self, error: BaseException) -> None:
        self.share.fault(error)

    def on_close(self, close: Close) -> None:
        self._socket = None
        if close.error or not close.by_us:
            self.lobby.errors.add(True)
            self.share.error("connection", close.error or f"closed by the server: {close.code} {close.reason}".strip())
        self._news.set()

    def on_stop(self) -> None:
        if hasattr(self, "_news"):
            try:
                if self.account.exists and self.lobby.wants_audit():
                    self._settle()
            finally:
                if self._socket is not None:
                    self._socket.close()
                self.account.close()
        super().on_stop()

    def _settle(self) -> None:
        held = self.account.balance()
        if held is not None:
            tokens = self.account.tokens
            self.lobby.audited(self.account.user_id, tokens.least, tokens.most, held)


def _session_id(payload: bytes) -> str | None:
    """Which session an event is about; None when it does not say."""
    try:
        session_id = arguments(payload)[0]["sessionId"]
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    return session_id if isinstance(session_id, str) else None

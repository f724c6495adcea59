"""A member who wants a video call: queues, is matched, talks, chooses; listening on both sockets all the while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from pika_locust.platforms.verity.account import Account, TokenBounds, VerityContext, balance_audit, think_s
from pika_locust.platforms.verity.messages import DONE, body_of
from pika_locust.platforms.verity.scenarios import (
    END_GRACE_S,
    MATCH_CHANCE,
    MATCH_WAIT_S,
    PAUSE_S,
    START_WAIT_S,
    queue_keys,
)
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.timers import Condition
from pika_locust.wire import socketio
from pika_locust.wire.socketio import SocketIo
from pika_locust.wire.socketio_protocol import arguments
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError

# What a member hears: both namespaces of one Socket.IO connection, opened when needed, lost and opened again.

NAMESPACES = ("/queue", "/video")
HEARD = (b"match", b"session:start", b"session:end")


@dataclass(slots=True)
class Visit:
    """One visit to the queue as it was heard, by the monotonic clock; 0: not yet."""

    joined_ns: int = 0
    matched_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    session_id: str = ""


class SessionSockets:
    """Listens for one member. What comes is stamped, measured and noted in `visit`; then the bell rings."""

    def __init__(self, lobby: VerityContext, tokens: TokenBounds, bell: Condition) -> None:
        self._lobby = lobby
        self._worker = lobby.worker
        self._tokens = tokens
        self._bell = bell
        metrics = self._worker.metrics
        self._match_time = metrics.trend("match_time")
        self._start_lag = metrics.trend("session_start_lag")
        self._length = metrics.trend("session_length")
        self._socket: SocketIo | None = None
        self._kicked = False
        self.visit = Visit()
        """The running visit: a new one for each, set by whoever makes it."""

    @property
    def are_open(self) -> bool:
        """Whether there is a connection on which something could come."""
        return self._socket is not None

    def listen(self, access_token: str) -> bool:
        """Open both namespaces, unless they are: before joining, as what is announced is announced once."""
        if self._socket is not None and not self._kicked:
            return True
        self._kicked = False
        try:
            self._socket = socket = socketio.connect(self._worker.begin.target, self)
        except ConnectError as error:
            self._lobby.checked("sockets connected", False)
            self._worker.error("connect", str(error))
            return False
        for namespace in NAMESPACES:
            socket.open(namespace, {"token": access_token})

        def settled() -> bool:
            return self._socket is None or all(map(socket.is_connected, NAMESPACES))

        if not self._bell.wait_for(settled, START_WAIT_S):
            socket.abort("the namespaces were not opened")
        return self._lobby.checked("sockets connected", self._socket is not None and not self._kicked)

    def close(self) -> None:
        """Hang up in good order."""
        if self._socket is not None:
            self._socket.close()

    # Events, in the event loop

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        if name not in HEARD:
            return
        visit, session_id = self.visit, _session_id(payload)
        if session_id is None:
            self._worker.error("receive", f"{name.decode()} without a sessionId")
        elif name == b"match":
            self._on_match(visit, session_id, at_ns)
        elif session_id != visit.session_id:
            return
        elif name == b"session:start" and not visit.started_ns:
            visit.started_ns = at_ns
            self._start_lag.add(max(1, (at_ns - visit.matched_ns) // 1000))
            self._bell.notify()
        elif name == b"session:end" and not visit.ended_ns:
            visit.ended_ns = at_ns
            if visit.started_ns:
                self._length.add((at_ns - visit.started_ns) // 1000)
            self._bell.notify()

    def _on_match(self, visit: Visit, session_id: str, at_ns: int) -> None:
        facts = self._worker.facts
        if visit.matched_ns and not visit.ended_ns:
            facts["in_two_sessions"] = facts.get("in_two_sessions", 0) + 1
            return
        visit.session_id = session_id
        visit.matched_ns = at_ns
        self._tokens.credited(-1)
        facts["matches_seen"] = facts.get("matches_seen", 0) + 1
        self._match_time.add((at_ns - visit.joined_ns) // 1000)
        self._bell.notify()

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        self.on_event(namespace, name, payload, at_ns)

    # The connection, in the event loop

    def on_connect(self, namespace: str) -> None:
        self._bell.notify()

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        self._worker.error("connect", f"{namespace} was refused: {data[:80].decode(errors='replace')}")

    def on_kicked(self, namespace: str) -> None:
        self._kicked = True
        self._worker.error("connect", f"kicked out of {namespace}")
        self._bell.notify()

    def on_trouble(self, words: str) -> None:
        self._worker.error("receive", words)

    def on_internal_error(self, error: BaseException) -> None:
        self._worker.internal_error(error)

    def on_close(self, close: Close) -> None:
        self._socket = None
        if close.error or not close.by_us:
            self._lobby.errors.add(True)
            reason = f"closed by the server: {close.code} {close.reason}".strip()
            self._worker.error("connection", close.error or reason)
        self._bell.notify()


def _session_id(payload: bytes) -> str | None:
    """Which session an event is about; None when it does not say."""
    try:
        session_id = arguments(payload)[0]["sessionId"]
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    return session_id if isinstance(session_id, str) else None


NOT_QUEUED, GONE = "not_queued", "gone"


class SessionUser(Actor):
    """One virtual member; an iteration is one visit to the queue, and the session that comes of it."""

    _bell: Condition | None = None

    def begin(self) -> None:
        worker = self.worker
        self.lobby = worker.shared(VerityContext)
        self.auditor = worker.shared(balance_audit)
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
            self.pause(PAUSE_S)
            return
        if self.released.is_set():
            return
        if settings["CONTRACT"] == "suite":
            self._visit_blindly()
        elif self.ears.listen(self.account.entry.access_token):
            self._visit()
        else:
            self.pause(PAUSE_S)
            return
        self.pause(think_s(settings, self.dice))

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
        self.pause(self.worker.settings["SESSION_HOLD_SECONDS"])
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
        self._bell.wait_for(lambda: condition() or not self.ears.are_open, within_s)

    def release(self) -> None:
        super().release()
        if self._bell is not None:
            self._bell.notify()

    def on_stop(self) -> None:
        if self._bell is not None:
            self.ears.close()
            self.account.close()
            if self.account.exists:
                self.auditor.take(self.account.books())
        super().on_stop()

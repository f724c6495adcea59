"""What a member hears: both namespaces of one Socket.IO connection, opened when needed, lost and opened again."""

from __future__ import annotations

from dataclasses import dataclass

from pika_locust.platforms.verity.books import TokenBounds
from pika_locust.platforms.verity.habits import START_WAIT_S
from pika_locust.platforms.verity.lobby import VerityContext
from pika_locust.runtime.bell import Condition
from pika_locust.wire import socketio
from pika_locust.wire.handshake import ConnectError
from pika_locust.wire.socketio import SocketIo
from pika_locust.wire.socketio_codec import arguments
from pika_locust.wire.websocket import Close

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

        if not self._bell.wait_until(settled, START_WAIT_S):
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
            self._bell.ring()
        elif name == b"session:end" and not visit.ended_ns:
            visit.ended_ns = at_ns
            if visit.started_ns:
                self._length.add((at_ns - visit.started_ns) // 1000)
            self._bell.ring()

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
        self._bell.ring()

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        self.on_event(namespace, name, payload, at_ns)

    # The connection, in the event loop

    def on_connect(self, namespace: str) -> None:
        self._bell.ring()

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        self._worker.error("connect", f"{namespace} was refused: {data[:80].decode(errors='replace')}")

    def on_kicked(self, namespace: str) -> None:
        self._kicked = True
        self._worker.error("connect", f"kicked out of {namespace}")
        self._bell.ring()

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
        self._bell.ring()


def _session_id(payload: bytes) -> str | None:
    """Which session an event is about; None when it does not say."""
    try:
        session_id = arguments(payload)[0]["sessionId"]
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    return session_id if isinstance(session_id, str) else None

"""One Socket.IO connection as a greenlet uses it: it connects, asks and waits, while events are handled in the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from pika_locust.clock import monotonic_ns
from pika_locust.kit.pending import NOT_CONNECTED
from pika_locust.runtime.timers import Condition
from pika_locust.wire import socketio
from pika_locust.wire.socketio import PATH, SocketIo
from pika_locust.wire.socketio_protocol import Counts, PacketError, all_of, arguments, namespace_path
from pika_locust.wire.tracing import TraceSampler
from pika_locust.wire.websocket import Close, Limits

ACK = "ack"
"""The name of a reply that is an acknowledgement, which has no name on the wire."""
LOST = "the connection was lost before the answer"
CUT_OFF_ASKING = "cut off before the answer"
"""What is told of a question whose greenlet was killed."""
NOT_OPENED = "the namespaces were not opened"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking."""

    name: str = ""
    """The event that answered, ACK for an acknowledgement; "" where nothing did."""
    data: Any = None
    """The first thing that the answer carries; None where it carries nothing."""
    latency_us: int = 0
    """From sending to the answer."""
    size_bytes: int = 0
    refused: bool = False
    """Whether the answer is one of those that mean no."""
    error: str = ""
    """Why there is no answer."""

    @property
    def ok(self) -> bool:
        """Whether the answer came in time and does not mean no."""
        return self.name != "" and not self.refused

    def get(self, field: str, default: Any = None) -> Any:
        """A field of the answer's data; `default` where it has none, or is no object."""
        return self.data.get(field, default) if isinstance(self.data, dict) else default


class Phases(NamedTuple):
    """How long the steps of connecting took, in microseconds; 0: it did not come so far."""

    upgrade_us: int
    """From the dial to the end of the WebSocket's handshake: name, TCP and TLS included."""
    open_us: int
    """From there to Engine.IO's open packet."""
    connect_us: int
    """From there to the server's consent to the last namespace."""


class Listener(Protocol):
    """Who uses the connection. All methods are called in the event loop and must not wait."""

    def on_event(self, name: bytes, payload: bytes, at_ns: int) -> bool:
        """An event; `payload` is its JSON array (`first_argument` reads it). Whether it means anything to anybody: then
        whoever waits looks again."""

    def on_trouble(self, where: str, words: str) -> None:
        """The server did something wrong, in words that are of few kinds: `where` is "connect" or "receive"."""

    def on_disconnect(self, close: Close) -> None:
        """The connection is over, in whatever way; called once."""

    def on_internal_error(self, error: BaseException) -> None:
        """One of the methods above raised."""


class _Question:
    """What one waits for: one of some events, or an acknowledgement. `on_late` hears of one that comes too late."""

    __slots__ = ("_unless", "answer", "is_over", "names", "on_late")

    def __init__(
        self, names: frozenset[bytes], unless: Callable[[str, Any], bool] | None, on_late: Callable[[], None] | None
    ) -> None:
        self.names = names
        self._unless = unless
        self.on_late = on_late
        self.answer: tuple[str, bytes, int] | None = None
        self.is_over = False

    def is_answered_by(self, name: bytes, payload: bytes) -> bool:
        """Whether an event is what one waits for. One that cannot be read is: it will be told as what it is."""
        if self.is_over or name not in self.names:
            return False
        if self._unless is None:
            return True
        try:
            data = first_argument(payload)
        except PacketError:
            return True
        return not self._unless(name.decode(), data)


class SocketIoConnection:
    """One connection, for one greenlet: `connect` it once, `close` it at the end. It is the handler of its socket.

    `ask` and `wait_for` end when the connection does: nothing more can come then.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._changed = Condition()
        self._socket: SocketIo | None = None
        self._namespaces: tuple[str, ...] = ()
        self._refused = False
        self._question: _Question | None = None
        self._dialled_ns = self._upgraded_ns = self._opened_ns = self._connected_ns = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection on which something could come."""
        return self._socket is not None

    @property
    def is_connected(self) -> bool:
        """Whether all namespaces are open, so that everything can be said and heard."""
        return self._socket is not None and all(map(self._socket.is_connected, self._namespaces))

    @property
    def phases(self) -> Phases:
        """How long connecting took, as far as it has come."""
        stamps = pairwise((self._dialled_ns, self._upgraded_ns, self._opened_ns, self._connected_ns))
        return Phases(*(max(1, (end_ns - start_ns) // 1000) if end_ns else 0 for start_ns, end_ns in stamps))

    def connect(
        self,
        url: str,
        *,
        path: str = PATH,
        namespaces: tuple[str, ...] = ("/",),
        auth: Mapping[str, Any] | None = None,
        within_s: float = 10.0,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        counts: Counts | None = None,
        source_address: str | None = None,
        tracer: TraceSampler | None = None,
    ) -> bool:
        """Connect, and open the namespaces; False when not all of them are open within the seconds.

        Arguments:
            url, path: of the server, as `wire.socketio.endpoint` takes them.
            namespaces: what to open; `emit` and `ask` mean the first where they name none.
            auth: goes along with each namespace.
            within_s: for the namespaces, once the WebSocket is there; `limits.connect_s` is for that.
            counts: where messages are counted, by many connections where they share it.
            source_address: of this machine, to send from.
            tracer: says whether the WebSocket's handshake carries a trace id.

        Raises `wire.websocket_handshake.ConnectError` when there is no WebSocket, ValueError for a URL that is none.
        """
        self._namespaces = tuple(map(_as_served, namespaces))
        self._dialled_ns = monotonic_ns()
        self._socket = socket = socketio.connect(
            url,
            self,
            path=path,
            headers=headers,
            limits=limits,
            counts=counts,
            source_address=source_address,
            tracer=tracer,
        )
        self._upgraded_ns = monotonic_ns()
        for namespace in namespaces:
            socket.open(namespace, auth)
        # Whoever is kicked is waited for, too: a server that looks at the token after it has let one in closes next.
        self.wait_for(lambda: self._refused or self.is_connected, within_s)
        self._opened_ns = socket.opened_ns
        if not self.is_connected:
            self.abort(NOT_OPENED)
        return self.is_connected

    def emit(self, event: str, *values: Any, namespace: str = "") -> bool:
        """Send an event; False when that cannot be done now."""
        return self._socket is not None and self._socket.emit(self._space(namespace), event, *values)

    def ask(
        self,
        event: str,
        *values: Any,
        first_of: Collection[str] = (),
        refused_by: Collection[str] = (),
        unless: Callable[[str, Any], bool] | None = None,
        namespace: str = "",
        within_s: float = 10.0,
        on_late: Callable[[], None] | None = None,
    ) -> Reply:
        """Send an event, and wait for what answers it.

        Arguments:
            first_of: events of which the first that comes is the answer; without any, the acknowledgement is.
            refused_by: events that answer, too, and mean no.
            unless: called in the event loop with the name of such an event and what it carries first: where it says
                True, the event is about something else, and one goes on waiting.
            on_late: called in the event loop when an acknowledgement comes that nobody waits for any more.

        Raises RuntimeError where another greenlet waits for an answer on this connection.
        """
        if self._question is not None:
            raise RuntimeError("one thing is asked at a time on a connection")
        question = _Question(frozenset(name.encode() for name in (*first_of, *refused_by)), unless, on_late)
        on_ack = None if first_of else self._ack_of(question)
        socket, space, sent_ns = self._socket, self._space(namespace), monotonic_ns()
        if socket is None or not socket.emit(space, event, *values, on_ack=on_ack):
            return Reply(error=NOT_CONNECTED)
        self._question = question
        try:
            self.wait_for(lambda: question.is_over or not socket.is_connected(space), within_s)
        finally:
            self._question = None
            question.is_over = True
        if question.answer is None:
            return Reply(error=f"no answer within {within_s:g} s" if socket.is_connected(space) else LOST)
        name, payload, at_ns = question.answer
        try:
            found = all_of(payload) if on_ack is not None and name == ACK else arguments(payload)
        except PacketError as error:
            return Reply(error=f"{name}: {error}")
        data = found[0] if found else None
        return Reply(name, data, max(1, (at_ns - sent_ns) // 1000), len(payload), name in refused_by)

    def wait_for(self, condition: Callable[[], object], within_s: float) -> bool:
        """Wait until something is so, looking when an event has been handled, and after each `notify`; False when it is
        not so in the end: when the seconds are over, or the connection is."""
        self._changed.wait_for(lambda: condition() or self._socket is None, within_s)
        return bool(condition())

    def notify(self) -> None:
        """Have whoever waits look again."""
        self._changed.notify()

    def close(self) -> None:
        """Leave the namespaces and hang up in good order; does not wait for the end."""
        if self._socket is not None:
            self._socket.close()

    def abort(self, error: str) -> None:
        """Drop the connection at once; `error` says why."""
        if self._socket is not None:
            self._socket.abort(error)

    def _space(self, namespace: str) -> str:
        return _as_served(namespace) if namespace else self._namespaces[0]

    def _ack_of(self, question: _Question) -> Callable[[bytes | None, int], None]:
        def on_ack(payload: bytes | None, at_ns: int) -> None:
            if question.is_over:
                # After an answer in time, an event that refuses perhaps, it says nothing new.
                if payload is not None and question.answer is None and question.on_late is not None:
                    question.on_late()
                return
            question.answer = None if payload is None else (ACK, payload, at_ns)
            question.is_over = True
            self._changed.notify()

        return on_ack

    # For the socket, in the event loop

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        question = self._question
        answers = question is not None and question.is_answered_by(name, payload)
        if answers:
            assert question is not None
            question.answer = (name.decode(errors="replace"), payload, at_ns)
            question.is_over = True
        if self._listener.on_event(name, payload, at_ns) or answers:
            self._changed.notify()

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        self.on_event(namespace, name, payload, at_ns)

    def on_connect(self, namespace: str) -> None:
        if self._socket is not None and not self._connected_ns and self.is_connected:
            self._connected_ns = self._socket.received_ns
        self._changed.notify()

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        self._refused = True
        self._listener.on_trouble("connect", f"{namespace} was refused: {data[:80].decode(errors='replace')}")
        self._changed.notify()

    def on_kicked(self, namespace: str) -> None:
        self._listener.on_trouble("connect", f"kicked out of {namespace}")
        self._changed.notify()

    def on_trouble(self, words: str) -> None:
        self._listener.on_trouble("receive", words)

    def on_internal_error(self, error: BaseException) -> None:
        self._listener.on_internal_error(error)

    def on_close(self, close: Close) -> None:
        self._socket = None
        try:
            self._listener.on_disconnect(close)
        finally:
            self._changed.notify()


def _as_served(namespace: str) -> str:
    """A namespace as the server names it: with its slash, and without the query that may follow."""
    return namespace_path(namespace).partition("?")[0]


def first_argument(payload: bytes) -> Any:
    """What an event carries first; None where it carries nothing. Raises PacketError when it is not JSON."""
    found = arguments(payload)
    return found[0] if found else None

"""WebSocketUser: an ordinary Locust user with a WebSocket, reported through Locust's own `request` event.

The connection needs no greenlet: what arrives is handed over in the event loop, so that one process carries thousands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gevent import GreenletExit
from gevent.queue import Empty, Queue
from locust import User
from locust.exception import LocustError
from locust.user.task import LOCUST_STATE_STOPPING

from pika_locust.clock import monotonic_ns, time
from pika_locust.wire import websocket
from pika_locust.wire.http_models import ErrorKind, TransportError
from pika_locust.wire.tracing import sampler
from pika_locust.wire.websocket import Close, Limits, WebSocket

CONNECT, SEND, CALL, RECEIVE, CLOSE = "WS", "WSS", "WSC", "WSR", "WS"
"""Request types, called as Locust's own Socket.IO user calls them."""

MAX_UNREAD = 1000
"""So many messages are kept for `receive`; of more, the oldest are let go (each was reported when it came)."""

_GOING_AWAY = 1001
_PROPER_CODES = (1000, _GOING_AWAY, 1005)
_log = logging.getLogger(__name__)


class SocketClient:
    """What the clients of WebSocketUser and SocketIOUser share: reporting to Locust, and one connection at a time."""

    def __init__(self, user: SocketUser) -> None:
        self._user = user
        self._request_event = user.environment.events.request
        self._limits = Limits(connect_s=user.connection_timeout, max_message_bytes=user.max_message_bytes)
        self._socket: Any = None
        self._unread: Queue[Any] = Queue()
        self._closed_by_us = False

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._socket is not None and bool(self._socket.is_open)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake; without a connection, nothing. Raises ValueError for a code that is none."""
        if self.is_open:
            self._closed_by_us = True
            self._socket.close(code, reason)

    def report(
        self,
        request_type: str,
        name: str,
        length: int = 0,
        response_time_ms: float | None = None,
        exception: Exception | None = None,
        start_time: float | None = None,
        url: str | None = None,
    ) -> None:
        """Tell Locust of one request. A message that nobody timed has no response time, and only counts."""
        self._request_event.fire(
            request_type=request_type,
            name=name,
            response_time=response_time_ms,
            response_length=length,
            response=None,
            context=self._user.context(),
            exception=exception,
            start_time=time() if start_time is None else start_time,
            url=url,
        )

    def _begin(self) -> None:
        """A new connection is about to be made. Raises LocustError when there is one."""
        if self.is_open:
            raise LocustError("this user is connected already; close() comes first")
        self._socket = None
        self._unread = Queue()
        self._closed_by_us = False

    def _whole_url(self, url: str) -> str:
        """A path is one below the user's host, `http` read as `ws`."""
        if not url.startswith("/"):
            return url
        host: str | None = self._user.host
        if host is None:
            raise LocustError(f"{url!r} is a path: name the host by the class's attribute `host`, or by --host")
        secure = host.startswith("https://")
        host = host.removeprefix("https://" if secure else "http://")
        scheme = "" if "://" in host else "wss://" if secure else "ws://"
        return f"{scheme}{host.rstrip('/')}{url}"

    @contextmanager
    def _reported(self, request_type: str, name: str, url: str | None = None) -> Iterator[Timing]:
        """Report the with-block as one request. What fails in it is reported, and not raised.

        LocustError and what ends a greenlet pass through. Whoever is ended in here has failed, if it was waited for.
        """
        timing, start_time = Timing(), time()
        error: Exception | None = None
        cut_off: BaseException | None = None
        try:
            yield timing
        except LocustError:
            raise
        except Exception as failure:
            # Without its traceback, in whose frames this user would live on.
            error = failure.with_traceback(None)
        except BaseException as ended:
            # Locust waits for who was at work when it was to stop, and sets this. Who has just begun with it, after a
            # pause, is killed at once; so is everybody where there is no time to finish (-s 0).
            if isinstance(ended, GreenletExit) and self._user._state != LOCUST_STATE_STOPPING:
                raise
            cut_off, error = ended, TransportError(ErrorKind.CUT, "cut off before the answer was complete")
        elapsed_ms = ((timing.done_ns or monotonic_ns()) - timing.began_ns) / 1e6
        self.report(request_type, name, timing.length, elapsed_ms, error, start_time, url)
        if cut_off is not None:
            raise cut_off

    def _keep(self, message: Any) -> None:
        """For whoever receives."""
        if self._unread.qsize() >= MAX_UNREAD:
            self._unread.get_nowait()
        self._unread.put(message)

    def _take(self, timeout: float | None, wanted: Callable[[Any], bool]) -> Any:
        """The first kept message that is wanted; those before it are passed over.

        Raises TimeoutError, and ConnectionError once the connection is over and all its messages are read.
        """
        if self._socket is None:
            raise ConnectionError("there is no connection")
        deadline_ns = None if timeout is None else monotonic_ns() + int(timeout * 1e9)
        while True:
            left_s = None if deadline_ns is None else max(0.0, (deadline_ns - monotonic_ns()) / 1e9)
            try:
                message = self._unread.get(block=left_s != 0, timeout=left_s)
            except Empty:
                raise TimeoutError(f"no such message within {timeout:g} s") from None
            if isinstance(message, Close):
                # For whoever asks again.
                self._unread.put(message)
                raise ConnectionError(f"the connection is over: {said_of(message)}")
            if wanted(message):
                return message

    def _over(self, close: Close, *, is_told: bool = False) -> None:
        """The connection has ended: tell whoever waits, and Locust, if nobody wanted that and it is not told."""
        self._unread.put(close)
        if not is_told and not self._closed_by_us and (close.error or close.code not in _PROPER_CODES):
            self.report(CLOSE, "close", exception=ConnectionError(said_of(close)))

    def _mistake(self, error: BaseException) -> None:
        """What a method of the locustfile raised in the event loop: told as Locust tells what a task raises."""
        user = self._user
        user.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
        _log.error("%s, while it took a message: %r", type(user).__name__, error, exc_info=error)


class Timing:
    """When a request began, when its answer came, and how many bytes that had."""

    __slots__ = ("began_ns", "done_ns", "length")

    def __init__(self) -> None:
        self.began_ns = monotonic_ns()
        self.done_ns: int | None = None
        """On the monotonic clock; None: when the with-block ends."""
        self.length = 0


def said_of(close: Close) -> str:
    """In words, how a connection ended."""
    if close.error:
        return close.error
    return f"close code {close.code}{f', {close.reason}' if close.reason else ''}"


class SocketUser(User):  # type: ignore[misc]
    """What WebSocketUser and SocketIOUser share: settings, and that no connection outlives its user."""

    abstract = True

    obeys_target_settings = True
    """What CA_FILE, ORIGIN and the like say is done."""

    connection_timeout: float = 10.0
    """Seconds from the first packet to the end of the handshake."""
    default_headers: Mapping[str, str] | None = None
    """Sent with the handshake of every connection."""
    insecure: bool = False
    """Whether certificates are accepted unseen."""
    ca_file: str | None = None
    """Whose certificates are trusted instead of the system's, as a PEM file."""
    max_message_bytes: int = 1 << 20
    """A longer message ends the connection."""

    _connection: SocketClient

    def on_close(self, close: Close) -> None:
        """The connection is over, by whomever. For overriding; called in the event loop: it must not block.

        That the server ends it with 1000, 1001 or no code is no failure in itself; whoever sends or receives afterwards
        fails. A user that only listens counts it here, if the server should not have done it.
        """

    def run(self) -> None:
        """Run the tasks, as Locust does, and close the connection of a user that has ended."""
        try:
            super().run()
        finally:
            # As browsers do whose tab is closed.
            self._connection.close(_GOING_AWAY)


class WebSocketClient(SocketClient):
    """The WebSocket of a WebSocketUser. What fails is reported to Locust as a failed request, and raises nothing."""

    _user: WebSocketUser
    _socket: WebSocket | None

    @property
    def subprotocol(self) -> str | None:
        """Which of the subprotocols that `connect` offered the server chose."""
        return None if self._socket is None else self._socket.subprotocol

    def connect(
        self,
        url: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        name: str | None = None,
    ) -> bool:
        """Open the connection; whether that succeeded. Reported as type WS, with the time of the handshake.

        Arguments:
            url: `ws://…` or `wss://…`, or a path below the user's host.
            subprotocols: of these the server must choose one (see `subprotocol`).
            name: what to call it in the statistics; `url` otherwise.

        Raises LocustError when this user is connected, or has no host for a path.
        """
        self._begin()
        whole, user = self._whole_url(url), self._user
        with self._reported(CONNECT, name or url, whole):
            self._socket = websocket.connect(
                whole,
                _Listener(self, self._unread),
                headers={**(user.default_headers or {}), **(headers or {})},
                limits=self._limits,
                verify=not user.insecure,
                ca_file=user.ca_file,
                subprotocols=subprotocols,
                tracer=sampler(),
                name=name or url,
            )
        return self._socket is not None

    def send(self, text: str, *, name: str = "send") -> bool:
        """Send a text message without waiting; whether there was an open connection. Reported as type WSS."""
        payload = text.encode()
        sent = self._socket is not None and self._socket.send(payload)
        self.report(SEND, name, len(payload), exception=None if sent else ConnectionError("the connection is not open"))
        return sent

    def receive(
        self, timeout: float | None = 10.0, *, until: Callable[[str], bool] | None = None, name: str = "receive"
    ) -> str | None:
        """The next message; with `until`, the next for which that is true, those before it being passed over.

        None, and a failure of type WSR under this name, when there is none within `timeout` seconds (None: for as long
        as it takes) or the connection is over. (Messages that come are reported when they come, received or not.)
        """
        try:
            return self._next(timeout, until)[0]
        except (TimeoutError, ConnectionError) as error:
            self.report(RECEIVE, name, exception=error.with_traceback(None))
            return None

    def ask(
        self, text: str, *, name: str, until: Callable[[str], bool] | None = None, timeout: float | None = 10.0
    ) -> str | None:
        """Send a message and wait for its answer: the next message, or the next for which `until` is true.

        What came before, and what comes before the answer, is passed over.
        Reported as one request of type WSC with the time from sending until the answer was read from the socket. None
        when there is no answer within `timeout` seconds, or the connection is over.
        """
        answer: str | None = None
        while self._unread.qsize() and not isinstance(self._unread.peek(), Close):
            self._unread.get_nowait()
        with self._reported(CALL, name) as timing:
            if self._socket is None or not self._socket.send(text.encode()):
                raise ConnectionError("the connection is not open")
            answer, timing.done_ns = self._next(timeout, until)
            timing.length = len(answer.encode())
        return answer

    def keep(self, text: str, at_ns: int) -> None:
        """Keep a message for `receive` and `ask`."""
        self._keep((text, at_ns))

    def _next(self, timeout: float | None, until: Callable[[str], bool] | None) -> tuple[str, int]:
        text, at_ns = self._take(timeout, lambda message: until is None or until(message[0]))
        return text, at_ns

    def _on_text(self, payload: bytes, at_ns: int) -> None:
        user, text = self._user, payload.decode()
        self.report(RECEIVE, user.name_of(text), len(payload))
        user.on_message(text, at_ns)


class _Listener:
    """Hands on what one connection tells, until the user has another."""

    def __init__(self, client: WebSocketClient, unread: Any) -> None:
        self._client = client
        self._unread = unread

    @property
    def _is_current(self) -> bool:
        return self._client._unread is self._unread

    def on_text(self, payload: bytes, at_ns: int) -> None:
        if self._is_current:
            self._client._on_text(payload, at_ns)

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        error = LocustError("a binary message came; WebSocketUser has only text")
        self._client.report(RECEIVE, "receive", len(payload), exception=error)

    def on_close(self, close: Close) -> None:
        if self._is_current:
            self._client._over(close)
            self._client._user.on_close(close)

    def on_internal_error(self, error: BaseException) -> None:
        self._client._mistake(error)


class WebSocketUser(SocketUser):
    """A Locust user with a WebSocket: `from pika_locust import WebSocketUser`.

        class Visitor(WebSocketUser):
            def on_start(self):
                self.client.connect("ws://127.0.0.1:8080/ws")

            @task
            def greet(self):
                self.client.send("hello", name="greeting")
                answer = self.client.receive(timeout=5)

    Every connect, every message in either direction and every `ask` is a request in Locust's statistics.
    """

    abstract = True

    client: WebSocketClient

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._connection = self.client = WebSocketClient(self)

    def on_message(self, text: str, at_ns: int) -> None:
        """A text message came, at this moment of the monotonic clock: kept for `receive`, unless this is overridden.

        Called in the event loop: count, decide, `send`, but do not block. Without super().on_message, nothing is kept.
        """
        self.client.keep(text, at_ns)

    def name_of(self, text: str) -> str:
        """What a message that came is called in the statistics. For overriding."""
        return "receive"

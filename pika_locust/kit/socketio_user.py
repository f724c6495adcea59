"""SocketIOUser: Locust's SocketIOUser on this package's Socket.IO client, without a greenlet or thread of its own.

A locustfile changes one import: `self.sio`, its methods and the names of its requests are those of
`locust.contrib.socketio` (a call or a message is reported once, not a second time as an emit). What is not there
(polling, reconnecting, binary events) is refused by an error or reported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.timeout import Timeout
from locust.exception import LocustError

from pika_locust.kit.websocket_user import CALL, CONNECT, RECEIVE, SEND, SocketClient, SocketUser, said_of
from pika_locust.wire import socketio
from pika_locust.wire.socketio import SocketIo
from pika_locust.wire.socketio_protocol import PacketError, all_of, arguments, as_json, namespace_path
from pika_locust.wire.tracing import sampler
from pika_locust.wire.websocket import Close

EMIT = "WSE"
_NOT_CONNECTED = "the namespace {} is not connected"
_ITS_OWN = ("connect", "connect_error", "disconnect")
"""What the client tells its handlers by itself, and `*` does not stand for."""

EventHandler = Callable[..., Any]


class SocketIOClient(SocketClient):
    """The connection of a SocketIOUser, used as python-socketio's Client is.

    What fails is reported to Locust as a failed request, and raises nothing, as in Locust's own.
    """

    _user: SocketIOUser
    _socket: SocketIo | None

    def __init__(self, user: SocketIOUser) -> None:
        super().__init__(user)
        self._handlers: dict[tuple[str, str], EventHandler] = {}
        self._payload_bytes = 0
        """Of the event that is being handled."""

    @property
    def connected(self) -> bool:
        """Whether the connection is open; says nothing of namespaces."""
        return self.is_open

    def on(self, event: str, handler: EventHandler | None = None, namespace: str | None = None) -> Any:
        """Have events of this name handled by `handler(*data)`; without one, this decorates it.

        `*` stands for all events without a handler, `handler(event, *data)`. What is returned acknowledges the event,
        if the server asks for that. `connect`, `connect_error` and `disconnect` are told, too. Handlers are called in
        the event loop: they may emit, but must not block.
        """

        def register(handler: EventHandler) -> EventHandler:
            self._handlers[namespace_path(namespace or "/"), event] = handler
            return handler

        return register if handler is None else register(handler)

    def connect(
        self,
        url: str = "/",
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        transports: Iterable[str] | None = None,
        namespaces: str | Iterable[str] | None = None,
        socketio_path: str = "socket.io",
        wait: bool = True,
        wait_timeout: float | None = None,
        *,
        name: str = "connect",
    ) -> bool:
        """Connect over WebSocket and open namespaces; whether that succeeded. Reported as one request of type WS.

        Arguments:
            url: `http(s)://…` or `ws(s)://…` of the server, or a path below the user's host.
            auth: what every namespace is told, or a function that returns it.
            namespaces: which to open; `/` and those with handlers otherwise.
            wait: until the server has accepted all of them.
            wait_timeout: seconds for that; the user's `connection_timeout` otherwise.

        Raises LocustError when this user is connected, has no host for a path, or asks for polling.
        """
        if transports is not None and "websocket" not in transports:
            raise LocustError(f"transports={transports!r}: SocketIOUser has WebSocket only")
        if namespaces is None:
            wanted = sorted({"/", *(namespace for namespace, _ in self._handlers)})
        else:
            wanted = [namespace_path(one) for one in ([namespaces] if isinstance(namespaces, str) else namespaces)]
        self._begin()
        whole, user = self._whole_url(url), self._user
        limit_s = user.connection_timeout if wait_timeout is None else wait_timeout
        with self._reported(CONNECT, name, whole):
            listener = _Listener(self, self._unread, wanted, wait)
            opened = socketio.connect(
                whole,
                listener,
                path=f"/{socketio_path.strip('/')}/",
                headers={**(user.default_headers or {}), **(headers or {})},
                limits=self._limits,
                verify=not user.insecure,
                ca_file=user.ca_file,
                tracer=sampler(),
                name=name,
            )
            try:
                for namespace in wanted:
                    opened.open(namespace, auth() if callable(auth) else auth)
                self._socket = opened
                if wait:
                    waited = " and ".join(wanted)
                    _result(listener.accepted, limit_s, f"the server did not accept {waited} within {limit_s:g} s")
            except BaseException:
                self._closed_by_us = True
                self._socket = None
                opened.abort()
                raise
        return self._socket is not None

    def emit(
        self, event: str, data: Any = None, namespace: str | None = None, callback: EventHandler | None = None
    ) -> bool:
        """Send an event without waiting; whether its namespace was connected. Reported as type WSE under its name.

        Arguments:
            data: of a tuple, each element is an argument; None is none.
            callback: called in the event loop with what the server acknowledges; it must not block.
        """
        return self._emit(EMIT, event, event, data, namespace, callback)

    def send(
        self,
        data: Any,
        namespace: str | None = None,
        callback: EventHandler | None = None,
        name: str = "Unnamed",
    ) -> bool:
        """Send the event `message`; reported as type WSS under this name."""
        return self._emit(SEND, name, "message", data, namespace, callback)

    def call(
        self,
        event: str,
        data: Any = None,
        namespace: str | None = None,
        timeout: float = 60,
        *,
        name: str | None = None,
    ) -> Any:
        """Send an event and wait for its acknowledgement: its argument, a tuple of several, None of none.

        Reported as one request of type WSC with the time until the acknowledgement was read from the socket. None when
        it does not come within `timeout` seconds.
        """
        path = namespace_path(namespace or "/")
        acknowledged: AsyncResult = AsyncResult()
        answers: list[Any] = []
        with self._reported(CALL, name or event) as timing:
            if self._socket is None or not self._socket.emit(
                path, event, *_as_arguments(data), on_ack=lambda array, at_ns: acknowledged.set((array, at_ns))
            ):
                raise ConnectionError(_NOT_CONNECTED.format(path))
            array, timing.done_ns = _result(acknowledged, timeout, f"no acknowledgement within {timeout:g} s")
            if array is None:
                raise ConnectionError("the connection ended before the acknowledgement")
            timing.length = len(array)
            answers = all_of(array)
        return (answers[0] if len(answers) == 1 else tuple(answers)) if answers else None

    def receive(
        self, event: str | None = None, timeout: float | None = 10.0, *, name: str | None = None
    ) -> list[Any] | None:
        """The next event that `on_message` kept, as `[event, *data]`; of this name, others before it passed over.

        None, and a failure of type WSR, when there is none within `timeout` seconds (None: for as long as it takes) or
        the connection is over. Reported as `name`, or the event's.
        """
        try:
            received: list[Any] = self._take(timeout, lambda message: event is None or message[0] == event)
            return received
        except (TimeoutError, ConnectionError) as error:
            self.report(RECEIVE, name or event or "receive", exception=error.with_traceback(None))
            return None

    def on_message(self, event: str, *data: Any) -> None:
        """The handler of events that have no other: reports them as type WSR, and keeps them for `receive`.

        A handler of a locustfile's own may call it, too.
        """
        self.report(RECEIVE, event, self._payload_bytes)
        self._keep([event, *data])

    def disconnect(self) -> None:
        """Leave every namespace and close the connection."""
        self.close()

    def sleep(self, seconds: float = 0) -> None:
        """Let other users run for so long."""
        gevent.sleep(seconds)

    def _emit(
        self, request_type: str, name: str, event: str, data: Any, namespace: str | None, callback: EventHandler | None
    ) -> bool:
        path = namespace_path(namespace or "/")

        def on_ack(array: bytes | None, at_ns: int) -> None:
            if array is not None and callback is not None:
                callback(*all_of(array))

        array = as_json([event, *_as_arguments(data)])
        sent = self._socket is not None and self._socket.emit_json(path, array, None if callback is None else on_ack)
        error = None if sent else ConnectionError(_NOT_CONNECTED.format(path))
        self.report(request_type, name, len(array), exception=error)
        return sent

    def _handle(self, namespace: str, event: str, data: list[Any], payload_bytes: int = 0) -> Any:
        """Call the handler of an event; what it returned."""
        self._payload_bytes = payload_bytes
        handler: EventHandler | None = self._handlers.get((namespace, event))
        if handler is not None:
            return handler(*data)
        if event in _ITS_OWN:
            return None
        handler = self._handlers.get((namespace, "*"), self.on_message)
        return handler(event, *data)

    def _disconnected(self, namespace: str, reason: str) -> None:
        handler = self._handlers.get((namespace, "disconnect"))
        if handler is not None:
            # Older locustfiles' handlers take no reason.
            handler(*[reason][: len(inspect.signature(handler).parameters)])


def _as_arguments(data: Any) -> tuple[Any, ...]:
    if isinstance(data, tuple):
        return data
    return () if data is None else (data,)


def _result(result: AsyncResult, timeout_s: float, otherwise: str) -> Any:
    """What is set, or raised, within that time. Raises TimeoutError with these words."""
    try:
        return result.get(timeout=timeout_s)
    except Timeout:
        raise TimeoutError(otherwise) from None


class _Listener:
    """Hands on what one connection tells, until the user has another."""

    def __init__(self, client: SocketIOClient, unread: Any, wanted: list[str], is_awaited: bool) -> None:
        self._client = client
        self._unread = unread
        self._pending = set(wanted)
        self._is_awaited = is_awaited
        self._open: list[str] = []
        self.accepted: AsyncResult = AsyncResult()
        """Set when all namespaces are accepted; raises when one is not."""

    @property
    def _is_current(self) -> bool:
        return self._client._unread is self._unread

    def on_connect(self, namespace: str) -> None:
        self._open.append(namespace)
        self._pending.discard(namespace)
        if not self._pending:
            self.accepted.set(None)
        self._client._handle(namespace, "connect", [])

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        said = self._parsed(all_of, b"[%b]" % data)
        about = said[0] if said else None
        words = about.get("message", about) if isinstance(about, dict) else about
        self._refused(f"the server refused the namespace {namespace}: {words}")
        self._client._handle(namespace, "connect_error", [about])

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        self._event(namespace, name, payload)

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        answer = self._event(namespace, name, payload)
        socket = self._client._socket
        if self._is_current and socket is not None:
            socket.ack(namespace, ack_id, *_as_arguments(answer))

    def _event(self, namespace: str, name: bytes, payload: bytes) -> Any:
        data = self._parsed(arguments, payload) if self._is_current else None
        if data is None:
            return None
        return self._client._handle(namespace, name.decode(errors="replace"), data, len(payload))

    def _parsed(self, parse: Callable[[bytes], list[Any]], payload: bytes) -> list[Any] | None:
        """What a payload holds; None, and a failure, when it is no JSON."""
        try:
            return parse(payload)
        except PacketError as error:
            self.on_trouble(str(error))
            return None

    def on_kicked(self, namespace: str) -> None:
        if namespace in self._open:
            self._open.remove(namespace)
        self._refused(f"the server ended the namespace {namespace}")
        if self._is_current:
            self._client._disconnected(namespace, "server disconnect")

    def on_trouble(self, words: str) -> None:
        self._client.report(RECEIVE, "receive", exception=PacketError(f"the server sent {words}"))

    def on_close(self, close: Close) -> None:
        self._refused(f"the connection is over: {said_of(close)}")
        if not self._is_current:
            return
        # Whoever still waits for its namespaces has failed to connect, which is told as that.
        self._client._over(close, is_told=self._is_awaited and not self.accepted.successful())
        for namespace in self._open:
            self._client._disconnected(namespace, "client disconnect" if close.by_us else "transport close")
        self._client._user.on_close(close)

    def on_internal_error(self, error: BaseException) -> None:
        self._client._mistake(error)

    def _refused(self, words: str) -> None:
        """A namespace that was asked for is not to be had."""
        if self.accepted.ready():
            return
        error = ConnectionError(words)
        self.accepted.set_exception(error)
        if not self._is_awaited:
            self._client.report(CONNECT, "connect", exception=error)


class SocketIOUser(SocketUser):
    """A Locust user with a Socket.IO connection: `from pika_locust import SocketIOUser`.

        class Visitor(SocketIOUser):
            def on_start(self):
                self.sio.connect("http://127.0.0.1:8080", auth={"token": "..."})

            @task
            def join(self):
                self.sio.call("join_room", {"room": "tea"})
                self.sio.emit("chat", "hello")
                answer = self.sio.receive("chat", timeout=5)

    The connection is not made again when it is lost: `on_close`, or a handler of `disconnect`, hears of it.
    """

    abstract = True

    options: Mapping[str, Any] = {}
    """Locust's user gives them to python-socketio; here they are refused by name."""

    sio: SocketIOClient

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.options:
            named = ", ".join(cls.options)
            raise LocustError(
                f"{cls.__name__}: SocketIOUser has no options ({named}); its attributes are connection_timeout, "
                "default_headers, insecure, ca_file, max_message_bytes"
            )

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._connection = self.sio = SocketIOClient(self)

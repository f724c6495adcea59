"""A WebSocket client for many connections in one process; messages arrive in the event loop.

`connect` does the handshake while the caller waits and returns a `WebSocket`, which reads and sends without one. What
the kernel does not take at once waits in a `SendBuffer`; `ConnectionTimers` watches the time-outs of its `Limits`.
"""

from __future__ import annotations

import _socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import gevent
from gevent import get_hub
from gevent.ssl import SSLSocket

from pika_locust.clock import monotonic_ns
from pika_locust.wire import websocket_protocol as frames
from pika_locust.wire.tracing import TraceSampler, traceparent
from pika_locust.wire.traffic import TRAFFIC
from pika_locust.wire.websocket_handshake import ConnectError, open_socket
from pika_locust.wire.websocket_protocol import MessageReader

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket that must not block raises when it cannot do now what it is asked for."""
_WRITE = 2


class SendBuffer:
    """The bytes of one connection that the kernel did not take at once; made when there are some, until all are sent.

    `on_writable` is called in the event loop whenever the kernel takes more: call `send` then.
    """

    __slots__ = ("_max_bytes", "_sock", "_unsent", "_watcher")

    def __init__(self, sock: Any, unsent: bytes, max_bytes: int, on_writable: Callable[[], None]) -> None:
        self._sock = sock
        self._unsent = bytearray(unsent)
        self._max_bytes = max_bytes
        self._watcher = get_hub().loop.io(sock.fileno(), _WRITE)
        self._watcher.start(on_writable)

    def add(self, data: bytes) -> bool:
        """Keep this behind the rest; False, and nothing of it is kept, when that would be more than `max_bytes`."""
        if len(self._unsent) + len(data) > self._max_bytes:
            return False
        self._unsent += data
        return True

    def send(self) -> bool:
        """Give the kernel what it takes; whether that was everything. Raises OSError when the connection is broken."""
        try:
            # TLS wants the same bytes again that it could not send; that more have come behind them does no harm.
            sent = self._sock.send(self._unsent)
        except NOT_NOW:
            return False
        del self._unsent[:sent]
        return not self._unsent

    def stop(self) -> None:
        """Call `on_writable` no more."""
        self._watcher.stop()
        self._watcher.close()


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ended.

    `code` is the close code: 1005 for a close frame without one, 1006 for an end without a close frame. `by_us` says
    who began; `error` says in words what went wrong, and is empty after a proper closing handshake.
    """

    code: int
    reason: str = ""
    by_us: bool = False
    error: str = ""

    @property
    def kept(self) -> bool:
        """Whether the connection lasted until we closed it."""
        return self.by_us and not self.error

    @property
    def why_lost(self) -> str:
        """In words, how a connection ended that was not kept."""
        return self.error or f"closed by the server: {self.code} {self.reason}".strip()


class Handler(Protocol):
    """Receives what comes in on a connection. All methods are called in the event loop and must not block."""

    def on_text(self, payload: bytes, at_ns: int) -> None:
        """A text message, UTF-8; `at_ns` is the monotonic clock at the moment its last bytes were read."""

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        """A binary message."""

    def on_close(self, close: Close) -> None:
        """The connection is over; called once, last: nothing that was read and not yet handed over follows."""

    def on_internal_error(self, error: BaseException) -> None:
        """One of the methods above raised: a mistake in the handler, never in the target."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time-outs of a connection in seconds (None: none), and bounds in bytes."""

    connect_s: float = 10.0
    """From the first packet to the end of the handshake."""
    idle_s: float | None = None
    """Nothing at all was received for so long."""
    read_s: float | None = 30.0
    """A message that has begun takes longer than this to be complete."""
    close_s: float = 5.0
    """Our close frame is not answered for so long."""
    max_message_bytes: int = 1 << 20
    max_unsent_bytes: int = 1 << 20
    """What a server that does not read may leave with us before the connection is given up."""


class Watched(Protocol):
    """A connection whose time is limited."""

    @property
    def received_ns(self) -> int:
        """When bytes last came in."""

    @property
    def partial_since_ns(self) -> int:
        """When the message began that is not complete yet; 0: there is none."""

    def on_overdue(self, error: str) -> None:
        """A limit is over; called in the event loop."""


class ConnectionTimers:
    """The one timer of a connection, for all its time-outs: calls `on_overdue` when one is over.

    The timer is not touched on every message: when it fires it looks what is over by then, and what will be next.
    """

    __slots__ = ("_closing", "_connection", "_due_ns", "_limits", "_timer")

    def __init__(self, limits: Limits, connection: Watched) -> None:
        self._limits = limits
        self._connection = connection
        self._closing = False
        self._timer: Any = None
        self._due_ns = 0

    def start(self) -> None:
        """The connection is open."""
        if self._limits.idle_s is not None:
            self._arm(self._limits.idle_s)

    def expect_the_rest(self) -> None:
        """A message has begun and is not complete: be there when its time is over."""
        if self._closing or self._limits.read_s is None:
            return
        due_ns = self._connection.partial_since_ns + int(self._limits.read_s * 1e9)
        if self._timer is None or due_ns < self._due_ns:
            self._arm(max(0.0, (due_ns - monotonic_ns()) / 1e9))

    def expect_the_end(self) -> None:
        """Our close frame is on its way: from now on its answer is all that is waited for."""
        self._closing = True
        self._arm(self._limits.close_s)

    def stop(self) -> None:
        """The connection is over, or the timer has fired."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _arm(self, after_s: float) -> None:
        self.stop()
        self._due_ns = monotonic_ns() + int(after_s * 1e9)
        self._timer = get_hub().loop.timer(after_s)
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        self._timer.start(self._look, update=True)

    def _look(self) -> None:
        self.stop()
        if self._closing:
            self._connection.on_overdue("our close frame was not answered")
            return
        now_ns, limits, connection = monotonic_ns(), self._limits, self._connection
        left_s: list[tuple[float, str]] = []
        if limits.idle_s is not None:
            left = limits.idle_s - (now_ns - connection.received_ns) / 1e9
            left_s.append((left, f"nothing was received for {limits.idle_s:g} s"))
        if limits.read_s is not None and connection.partial_since_ns:
            left = limits.read_s - (now_ns - connection.partial_since_ns) / 1e9
            left_s.append((left, f"a message was not complete after {limits.read_s:g} s"))
        if not left_s:
            return
        left, error = min(left_s)
        if left > 0:
            self._arm(left)
        else:
            connection.on_overdue(error)


READ_BYTES = 65536
_LAST_READS = 128
_READ = 1


class WebSocket:
    """One open connection, made by `connect` on a socket that does not block; ends with `Handler.on_close`.

    Frames are read in the event loop's own callback: one `recv` takes what is there, the clock is stamped before
    anything is parsed, and every complete text message is handed to the handler without a greenlet switch. So a handler
    must not block: it counts, decides, sends (sending never blocks), and starts timers.
    """

    __slots__ = (
        "_close",
        "_handler",
        "_limits",
        "_ping",
        "_read_watcher",
        "_reader",
        "_recv",
        "_send_buffer",
        "_sock",
        "_timers",
        "received_ns",
        "subprotocol",
    )

    def __init__(self, sock: Any, handler: Handler, limits: Limits, subprotocol: str | None = None) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._handler = handler
        self._limits = limits
        self._reader = MessageReader(handler, self, limits.max_message_bytes)
        self._timers = ConnectionTimers(limits, self)
        self._send_buffer: SendBuffer | None = None
        self._close: Close | None = None
        self._ping: bytes | None = None
        self.received_ns = monotonic_ns()
        """The monotonic clock when bytes last came in."""
        self.subprotocol = subprotocol
        """Which of the offered subprotocols the server chose; None: none was offered."""
        loop = get_hub().loop
        self._read_watcher: Any = loop.io(sock.fileno(), _READ)
        if not isinstance(sock, SSLSocket):
            self._read_watcher.start(self._readable)
        else:
            self._read_watcher.start(self._readable_tls)
            if sock.pending():
                # They came in one TLS record with the answer to the upgrade.
                loop.run_callback(self._readable_tls)
        self._timers.start()

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._close is None

    @property
    def partial_since_ns(self) -> int:
        """When the message began that is not complete yet, on the monotonic clock; 0: there is none."""
        return self._reader.partial_since_ns

    def send(self, payload: bytes) -> bool:
        """Send a text message (UTF-8) without waiting. False, and nothing sent, once the connection is closing."""
        return self._close is None and self._write(frames.encode(payload))

    def ping(self, payload: bytes = b"") -> bool:
        """Send a ping frame of at most 125 bytes; its pong only shows in `received_ns`."""
        return self._close is None and self._write(frames.encode(payload[:125], frames.PING))

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Begin the closing handshake. Messages that the server sent before it answers are still delivered.

        Raises ValueError for a code that must not be sent (RFC 6455, section 7.4).
        """
        if self._close is None:
            self._write(frames.encode_close(code, reason))
            if self._close is None:
                self._close = Close(code, reason, by_us=True)
                self._timers.expect_the_end()

    def abort(self, error: str = "given up by the user") -> None:
        """Drop the connection at once, without a closing handshake."""
        self._end(Close(frames.ABNORMAL, "", by_us=True, error=error))

    # Reading, in the event loop

    def _readable(self) -> bool:
        """Take what is there; False when nothing was, or the connection is over."""
        try:
            data = self._recv(READ_BYTES)
        except NOT_NOW:
            return False
        except OSError as error:
            self._end(self._broken(error))
            return False
        at_ns = monotonic_ns()
        if not data:
            self._end(self._abnormal("the server ended the connection without a close frame"))
            return False
        self.received_ns = at_ns
        TRAFFIC.received += len(data)
        take = self._reader.take
        while True:
            try:
                take(data, at_ns)
            except frames.ProtocolViolation as violation:
                self._fail(violation)
            except Exception as error:
                self._handler.on_internal_error(error)
                data = b""
                continue
            break
        if self._ping is not None:
            payload, self._ping = self._ping, None
            if self._close is None:
                self._write(frames.encode(payload, frames.PONG))
        if self._reader.partial_since_ns:
            self._timers.expect_the_rest()
        return self._sock is not None

    def _readable_tls(self) -> None:
        # Decrypted bytes may wait inside the TLS layer, where the socket's readiness does not show them. What is not
        # decrypted yet is left for the next turn: a server that never pauses must not hold the event loop.
        while self._sock is not None and self._readable() and self._sock.pending():
            pass

    def on_control(self, opcode: int, payload: bytes) -> None:
        """Answer a control frame (RFC 6455, section 5.5); called by the reader."""
        if opcode == frames.PING:
            # Of many at once the last is answered (RFC 6455, section 5.5.3): whoever sends thousands gets one pong.
            self._ping = payload
        elif opcode == frames.CLOSE:
            code, reason = frames.decode_close(payload)
            if self._is_closing:
                assert self._close is not None
                self._end(self._close)
            else:
                if self._close is None:
                    self._write(frames.encode_close(code))
                self._end(Close(code, reason))

    # Sending

    def _write(self, data: bytes) -> bool:
        """Give the kernel what it takes at once and keep the rest; False when nothing of it was sent or kept."""
        if self._sock is None:
            return False
        if self._send_buffer is not None:
            if self._send_buffer.add(data):
                TRAFFIC.sent += len(data)
                return True
            error = f"the server does not read: more than {self._limits.max_unsent_bytes:,} bytes are unsent"
            self._end_soon(Close(frames.ABNORMAL, "", by_us=True, error=error), self._end)
            return False
        try:
            sent = self._sock.send(data)
        except NOT_NOW:
            sent = 0
        except OSError as error:
            self._end_soon(self._broken(error), self._end_after_reading)
            return False
        TRAFFIC.sent += len(data)
        if sent != len(data):
            self._send_buffer = SendBuffer(self._sock, data[sent:], self._limits.max_unsent_bytes, self._writable)
        return True

    def _writable(self) -> None:
        assert self._send_buffer is not None
        try:
            if self._send_buffer.send():
                self._send_buffer.stop()
                self._send_buffer = None
        except OSError as error:
            self._end_after_reading(self._broken(error))

    # The end

    @property
    def _is_closing(self) -> bool:
        """Our close frame is on its way, and nothing has gone wrong."""
        return self._close is not None and self._close.by_us and not self._close.error

    def _abnormal(self, error: str) -> Close:
        return Close(frames.ABNORMAL, "", by_us=self._is_closing, error=error)

    def _broken(self, error: OSError) -> Close:
        return self._abnormal(f"the connection broke: {error.strerror or error}")

    def _fail(self, violation: frames.ProtocolViolation) -> None:
        """Fail the connection as section 7.1.7 has it: say why, then drop it."""
        if self._close is None:
            self._write(frames.encode_close(violation.code))
        self._end(Close(violation.code, "", by_us=True, error=f"the server sent {violation}"))

    def on_overdue(self, error: str) -> None:
        """Give the connection up, as a limit is over; called by the timers."""
        if self._close is None or self._is_closing:
            self._end(Close(frames.ABNORMAL, "", by_us=True, error=error))

    def _end_soon(self, close: Close, end: Callable[[Close], None]) -> None:
        """End from inside a send: the handler hears of it after the method that sent has returned."""
        if self._close is None:
            self._close = close
        get_hub().loop.run_callback(end, close)

    def _end_after_reading(self, close: Close) -> None:
        """End as nothing can be sent any more; but what the server said before it left, and why, may still be read."""
        for _ in range(_LAST_READS):
            if self._sock is None or not self._readable():
                break
        self._end(close)

    def _end(self, close: Close) -> None:
        sock = self._sock
        if sock is None:
            return
        self._sock = None
        self._close = close
        self._reader.stop()
        self._timers.stop()
        self._read_watcher.stop()
        self._read_watcher.close()
        self._read_watcher = None
        if self._send_buffer is not None:
            self._send_buffer.stop()
            self._send_buffer = None
        sock.close()
        try:
            self._handler.on_close(close)
        except Exception as error:
            self._handler.on_internal_error(error)


__all__ = ["Close", "Handler", "Limits", "WebSocket", "connect"]


def connect(
    url: str,
    handler: Handler,
    *,
    headers: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    verify: bool = True,
    ca_file: str | None = None,
    subprotocols: Sequence[str] = (),
    source_address: str | None = None,
    tracer: TraceSampler | None = None,
    name: str = "connect",
) -> WebSocket:
    """Open a connection to a `ws://` or `wss://` URL; waits for the handshake.

    Certificates are verified unless `verify` is False; `ca_file` names other authorities. No proxy is used, no Origin
    is sent, no extension is offered. Of `subprotocols` the server must choose one, then `WebSocket.subprotocol`.
    Nothing is handed to the handler before this has returned and the caller waits. `source_address` is an address of
    this machine to send from. `tracer` says whether the handshake carries a trace id, and remembers it under `name`;
    messages carry none, as frames have no headers.

    Raises `websocket_handshake.ConnectError`, which says what kind of failure it was, and ValueError for a URL or file
    that is none.
    """
    limits = limits or Limits()
    open_with = partial(
        open_socket,
        url,
        timeout_s=limits.connect_s,
        verify=verify,
        ca_file=ca_file,
        subprotocols=subprotocols,
        source_address=source_address,
    )
    sock, chosen = _traced(open_with, headers or {}, tracer, name)
    if isinstance(sock, SSLSocket):
        sock.settimeout(0.0)
        return WebSocket(sock, handler, limits, chosen)
    # A gevent socket holds two watchers and more for each connection; the bare one is all that is needed here.
    family, kind, proto = sock.family, sock.type, sock.proto
    bare = _socket.socket(family, kind, proto, sock.detach())
    bare.setblocking(False)
    return WebSocket(bare, handler, limits, chosen)


T = TypeVar("T")


def _traced(open_with: Callable[..., T], headers: Mapping[str, str], tracer: TraceSampler | None, name: str) -> T:
    """What a handshake with these headers gives, and a trace id among them if it is one of the sample."""
    trace_id = None if tracer is None else tracer.begin()
    if tracer is None or trace_id is None:
        return _apart(partial(open_with, headers=headers))
    began_ns = monotonic_ns()
    try:
        opened = _apart(partial(open_with, headers={**headers, "traceparent": traceparent(trace_id)}))
    except ConnectError as error:
        if error.kind != "local":
            # Else the target never saw it.
            tracer.note(trace_id, name, (monotonic_ns() - began_ns) // 1000, str(error))
        raise
    tracer.note(trace_id, name, (monotonic_ns() - began_ns) // 1000)
    return opened


def _apart(call: Callable[[], T]) -> T:
    """What a call returns or raises, made in a greenlet that ends with it.

    A greenlet keeps the stack that its deepest call took for as long as it lives: in the greenlet of a user that then
    waits for hours, a handshake takes five kilobytes for good.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            # Raised here, it would be printed as well.
            errors.append(error)

    greenlet = gevent.spawn(run)
    try:
        greenlet.join()
    except BaseException:
        greenlet.kill(block=False)
        raise
    if errors:
        raise errors.pop()
    return results.pop()

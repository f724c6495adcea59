"""One open WebSocket connection: reading, sending, and every way to end.

Frames are read in the event loop's own callback: one `recv` takes what is there, the clock is stamped before anything
is parsed, and every complete text message is handed to the handler without a greenlet switch. So a handler must not
block: it counts, decides, sends (sending never blocks), and starts timers.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from gevent import get_hub
from gevent.ssl import SSLSocket

from pika_locust.wire import frames
from pika_locust.wire.reader import MessageReader
from pika_locust.wire.websocket_backlog import NOT_NOW, SendBuffer
from pika_locust.wire.websocket_handler import Close, Handler
from pika_locust.wire.websocket_limits import ConnectionTimers, Limits

READ_BYTES = 65536
_LAST_READS = 128
_READ = 1


class WebSocket:
    """Made by `websocket.connect` on a socket that does not block; ends with `Handler.on_close`."""

    __slots__ = (
        "_backlog",
        "_close",
        "_deadlines",
        "_handler",
        "_limits",
        "_read_watcher",
        "_reader",
        "_recv",
        "_sock",
        "received_ns",
    )

    def __init__(self, sock: Any, handler: Handler, limits: Limits) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._handler = handler
        self._limits = limits
        self._reader = MessageReader(handler, self, limits.max_message_bytes)
        self._deadlines = ConnectionTimers(limits, self)
        self._backlog: SendBuffer | None = None
        self._close: Close | None = None
        self.received_ns = monotonic_ns()
        """The monotonic clock when bytes last came in."""
        loop = get_hub().loop
        self._read_watcher: Any = loop.io(sock.fileno(), _READ)
        if not isinstance(sock, SSLSocket):
            self._read_watcher.start(self._readable)
        else:
            self._read_watcher.start(self._readable_tls)
            if sock.pending():
                # They came in one TLS record with the answer to the upgrade.
                loop.run_callback(self._readable_tls)
        self._deadlines.start()

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
                self._deadlines.expect_the_end()

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
        if self._reader.partial_since_ns:
            self._deadlines.expect_the_rest()
        return self._sock is not None

    def _readable_tls(self) -> None:
        # Decrypted bytes may wait inside the TLS layer, where the socket's readiness does not show them. What is not
        # decrypted yet is left for the next turn: a server that never pauses must not hold the event loop.
        while self._sock is not None and self._readable() and self._sock.pending():
            pass

    def on_control(self, opcode: int, payload: bytes) -> None:
        """Answer a control frame (RFC 6455, section 5.5); called by the reader."""
        if opcode == frames.PING:
            if self._close is None:
                self._write(frames.encode(payload, frames.PONG))
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
        if self._backlog is not None:
            if self._backlog.add(data):
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
        if sent != len(data):
            self._backlog = SendBuffer(self._sock, data[sent:], self._limits.max_unsent_bytes, self._writable)
        return True

    def _writable(self) -> None:
        assert self._backlog is not None
        try:
            if self._backlog.send():
                self._backlog.stop()
                self._backlog = None
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
        """Give the connection up, as a limit is over; called by the deadlines."""
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
        self._deadlines.stop()
        self._read_watcher.stop()
        self._read_watcher.close()
        self._read_watcher = None
        if self._backlog is not None:
            self._backlog.stop()
            self._backlog = None
        sock.close()
        try:
            self._handler.on_close(close)
        except Exception as error:
            self._handler.on_internal_error(error)

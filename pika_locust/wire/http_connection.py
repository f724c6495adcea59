"""One keep-alive HTTP connection: a raw socket on gevent's event loop, with a time stamp at each phase of a request.

`SocketWaiter` is the socket and the ways to wait for it; `Connection` sends requests over it and reads the answers.
"""

from __future__ import annotations

from _socket import socket as RawSocket
from collections.abc import Callable, Iterable
from socket import MSG_PEEK, SHUT_RDWR
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub, getcurrent
from gevent.exceptions import InvalidSwitchError

from pika_locust import clock
from pika_locust.wire.http_models import ErrorKind, Response, Timeouts, TransportError
from pika_locust.wire.http_protocol import ResponseParser

if TYPE_CHECKING:
    from pika_locust.wire.http_tls import TlsLayer


_READ, _WRITE = 1, 2
_READABLE = object()
"""What a waiting greenlet is told when there is something to read."""


def wait_for(hub: Any, watchers: Iterable[Any], seconds: float) -> Any:
    """Block this greenlet until one of the watchers fires, and return that one, or None after `seconds`."""
    timer = hub.loop.timer(max(0.0, seconds))
    switch = getcurrent().switch
    waiting = tuple(watchers)
    try:
        # The loop's own idea of now is as old as its last wake-up: without the update the timer would fire early.
        timer.start(switch, timer, update=True)
        for watcher in waiting:
            watcher.start(switch, watcher)
        fired = hub.switch()
    finally:
        for watcher in waiting:
            watcher.stop()
        timer.close()
    if fired is not timer and fired not in waiting:
        raise InvalidSwitchError(f"woken by {fired!r} while waiting for a socket")
    return None if fired is timer else fired


class SocketWaiter:
    """The raw, non-blocking socket, with one read watcher for its whole life, and a timer that is rarely set.

    gevent's own socket tries, waits and tries again, and makes objects for each wait; here the caller waits first and
    then makes one system call. `send` and `recv` are the socket's own: they raise BlockingIOError.

    The watcher stays started from one wait to the next: to stop and start it takes two system calls, one of which
    fails. What it sees while nobody waits is that the peer `has_spoken` unasked.

    Used by one greenlet at a time; `close` must be called.
    """

    __slots__ = (
        "_hub",
        "_is_watching",
        "_readable",
        "_since_ns",
        "_socket",
        "_switch_to_hub",
        "_timer",
        "_wake",
        "has_spoken",
        "patience_s",
        "recv",
        "send",
    )

    def __init__(self, raw: RawSocket, patience_s: float) -> None:
        hub = get_hub()
        self._socket = raw
        self._hub = hub
        self._switch_to_hub = hub.switch
        self._readable = hub.loop.io(raw.fileno(), _READ)
        self._is_watching = False
        self.has_spoken = False
        """Something came, or the end, while nobody waited for it."""
        self._timer: Any = None
        self._since_ns = 0
        self._wake: Callable[[Any], Any] | None = None
        self.patience_s = patience_s
        self.send = raw.send
        self.recv = raw.recv

    def wait_readable(self, now_ns: int) -> bool:
        """Block until there is something to read, or the end: True; False after `patience_s`.

        `now_ns` is the time of the monotonic clock, which the caller has just read.
        """
        self._since_ns = now_ns
        self._wake = getcurrent().switch
        if self._timer is None:
            self._set_timer(self.patience_s)
        if not self._is_watching:
            self._is_watching = True
            self._readable.start(self._on_readable)
        try:
            fired = self._switch_to_hub()
        finally:
            self._wake = None
        if fired is _READABLE:
            return True
        if fired is self:
            return False
        raise InvalidSwitchError(f"woken by {fired!r} while waiting for a socket")

    def _on_readable(self) -> None:
        if self._wake is not None:
            self._wake(_READABLE)
        else:
            # It would fire again and again until somebody reads.
            self._stop_watching()
            self.has_spoken = True

    def _stop_watching(self) -> None:
        if self._is_watching:
            self._is_watching = False
            self._readable.stop()

    # One timer is set for many waits, which are nearly all over long before it fires; then it is set for what is left.

    def _set_timer(self, after_s: float) -> None:
        # Without `ref` an idle connection does not keep the event loop alive.
        self._timer = self._hub.loop.timer(after_s, ref=False)
        self._timer.start(self._on_timer, update=True)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _on_timer(self) -> None:
        self._drop_timer()
        if self._wake is not None:
            left_s = self.patience_s - (clock.now_ns() - self._since_ns) / 1e9
            if left_s > 0:
                self._set_timer(left_s)
            else:
                self._wake(self)

    def wait_readable_within(self, seconds: float) -> bool:
        """`wait_readable` with another patience."""
        self._stop_watching()
        return wait_for(self._hub, (self._readable,), seconds) is not None

    def wait_writable(self, seconds: float, or_readable: bool = False) -> str:
        """Block until more can be sent: "write"; "read" when something came first, if asked for; "" after `seconds`."""
        self._stop_watching()
        writable = self._hub.loop.io(self._socket.fileno(), _WRITE)
        try:
            fired = wait_for(self._hub, (writable, self._readable) if or_readable else (writable,), seconds)
        finally:
            writable.close()
        return "" if fired is None else "write" if fired is writable else "read"

    def interrupt(self) -> None:
        """End the connection under whoever waits for it: that greenlet reads the end. It still has to `close`."""
        try:
            self._socket.shutdown(SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """Close the socket; more than once does no harm."""
        self._is_watching = False
        self._readable.close()
        self._drop_timer()
        self._socket.close()


READ_BYTES = 65536
TURN_S = 1e-6


def _turn() -> None:
    """Let everybody else go on: timers and sockets, too, at which a sleep of no time at all does not look."""
    gevent.sleep(TURN_S)


class Connection(SocketWaiter):
    """A connected socket that speaks HTTP/1.1, with TLS after `secure`.

    After `exchange` the caller looks at `reusable`: when it is False, the connection must be closed.
    """

    __slots__ = ("_parser", "_patience_ns", "_timeouts", "_tls", "_total_ns", "last_used_ns", "reusable", "unanswered")

    def __init__(self, raw: RawSocket, timeouts: Timeouts, max_body_bytes: int) -> None:
        patience_s = min(timeouts.read_s, timeouts.total_s)
        super().__init__(raw, patience_s)
        self._timeouts = timeouts
        self._total_ns = timeouts.total_ns
        # What was lost to sending is within the timer's precision.
        self._patience_ns = int(patience_s * 0.999e9)
        self._parser = ResponseParser(max_body_bytes, _turn)
        self._tls: TlsLayer | None = None
        self.last_used_ns = 0
        self.reusable = True
        self.unanswered = False
        """After a failed exchange: not a byte of an answer had come."""

    def secure(self, tls: TlsLayer, seconds: float) -> tuple[int, int]:
        """Do the TLS handshake; bytes sent and received. Raises TransportError (tls, reset, closed)."""
        deadline = clock.now_ns() + int(seconds * 1e9)
        sent = received = 0
        data = b""
        while True:
            flight, done = tls.handshake(data)
            sent += len(flight)
            while flight:
                try:
                    flight = flight[self.send(flight) :]
                except BlockingIOError:
                    self.wait_writable((deadline - clock.now_ns()) / 1e9)
                if clock.now_ns() > deadline:
                    raise TransportError(ErrorKind.TLS, f"no handshake within {seconds:g} s")
            if done:
                self._tls = tls
                return sent, received
            if not self.wait_readable_within((deadline - clock.now_ns()) / 1e9):
                raise TransportError(ErrorKind.TLS, f"no handshake within {seconds:g} s")
            data = self.recv(READ_BYTES)
            received += len(data)
            if not data:
                raise TransportError(ErrorKind.TLS, "closed in the middle of the handshake")

    def is_clean(self) -> bool:
        """Whether the connection, idle until now, can take a request: still open, and nothing unasked-for came."""
        self.has_spoken = False
        try:
            while data := self.recv(READ_BYTES):
                if self._tls is None or self._tls.decrypt(data) or self._tls.ended:
                    return False
        except BlockingIOError:
            return True
        except (OSError, TransportError):
            pass
        return False

    def exchange(
        self,
        payload: bytes,
        started: int,
        ready: int,
        bodiless: bool,
        timeouts: Timeouts,
        connecting_ns: int = 0,
        tls_ns: int = 0,
    ) -> Response:
        """Send a request and read its answer; what fails is in the response. `bodiless`: the answer will be to HEAD.

        `started`, `ready`, `connecting_ns` and `tls_ns` are what the caller knows of the request's phases.
        A greenlet that is killed in here leaves a connection that must be closed.
        """
        parser = self._parser
        tls = self._tls
        usual = timeouts is self._timeouts
        deadline = started + (self._total_ns if usual else timeouts.total_ns)
        count = received = sent = first = 0
        try:
            if bodiless:
                parser.expect_no_body()
            if tls is not None:
                payload = tls.encrypt(payload)
            try:
                count = self.send(payload)
            except BlockingIOError:
                pass
            if count != len(payload):
                count = self._send_rest(payload, count, timeouts, deadline)
                if count != len(payload):
                    self.reusable = False
            now = sent = clock.now_ns()
            while True:
                if usual and deadline - now >= self._patience_ns:
                    in_time = self.wait_readable(now)
                elif now < deadline:
                    in_time = self.wait_readable_within(min(timeouts.read_s, (deadline - now) / 1e9))
                else:
                    # Who always has more to say would never be silent long enough.
                    raise _late(timeouts, True)
                try:
                    data = self.recv(READ_BYTES)
                except BlockingIOError:
                    if in_time:
                        continue
                    raise _late(timeouts, deadline - now <= timeouts.read_s * 1e9) from None
                now = clock.now_ns()
                received += len(data)
                if tls is not None and data:
                    data = tls.decrypt(data)
                    if tls.ended:
                        self.reusable = False
                    elif not data:
                        continue
                if not data:
                    status, head, content, keep_alive = parser.feed_eof()
                    if tls is not None and not tls.ended:
                        # Anybody on the way could have cut it short (RFC 9112, section 9.8).
                        raise TransportError(ErrorKind.CLOSED, "the body ends with the connection, and TLS had no end")
                    break
                if not first:
                    first = now
                answer = parser.feed(data)
                if answer is None and tls is not None and tls.ended:
                    answer = parser.feed_eof()
                if answer is not None:
                    status, head, content, keep_alive = answer
                    break
        except (OSError, TransportError) as error:
            now = clock.now_ns()
            self.reusable = False
            self.unanswered = not first
            sending = not sent
            sent = sent or now
            stamps = (started, ready, sent, first or now, now, connecting_ns, tls_ns)
            return Response(0, b"", b"", stamps, count, received, _as_transport_error(error, sending))
        if not keep_alive:
            self.reusable = False
        self.last_used_ns = now
        return Response(
            status, head, content, (started, ready, sent, first, now, connecting_ns, tls_ns), count, received
        )

    def close(self) -> None:
        super().close()
        self._parser.close()

    def _send_rest(self, payload: bytes, count: int, timeouts: Timeouts, deadline: int) -> int:
        """Send what the socket's buffer did not take at once; how much of the payload was sent in the end.

        That is less than all when the server answers before it has read everything.
        """
        view = memoryview(payload)
        give_up = min(deadline, clock.now_ns() + int(timeouts.send_s * 1e9))
        # TLS has messages of its own, which are no answer.
        watch_answer = self._tls is None
        while count < len(payload):
            event = self.wait_writable((give_up - clock.now_ns()) / 1e9, watch_answer)
            if event == "read":
                if not self._socket.recv(10, MSG_PEEK).startswith(b"HTTP/1.1 1"):
                    return count
                watch_answer = False
                continue
            try:
                count += self.send(view[count:])
            except BlockingIOError:
                if clock.now_ns() >= give_up:
                    raise _late_sending(timeouts, give_up == deadline) from None
        return count


def _late(timeouts: Timeouts, in_all: bool) -> TransportError:
    if in_all:
        return TransportError(ErrorKind.READ_TIMEOUT, f"not finished within {timeouts.total_s:g} s in all")
    return TransportError(ErrorKind.READ_TIMEOUT, f"nothing to read for {timeouts.read_s:g} s")


def _late_sending(timeouts: Timeouts, in_all: bool) -> TransportError:
    if in_all:
        return TransportError(ErrorKind.SEND, f"not sent within {timeouts.total_s:g} s in all")
    return TransportError(ErrorKind.SEND, f"not sent within {timeouts.send_s:g} s")


def _as_transport_error(error: OSError | TransportError, sending: bool) -> TransportError:
    """The reason as a value: without the frames of the code that found it, which would stay in memory with it."""
    if isinstance(error, ConnectionResetError):
        return TransportError(ErrorKind.RESET, "the connection was reset")
    if isinstance(error, BrokenPipeError):
        return TransportError(ErrorKind.CLOSED, "closed before the request was sent")
    if isinstance(error, OSError):
        return TransportError(ErrorKind.SEND if sending else ErrorKind.RESET, error.strerror or str(error))
    return TransportError(error.kind, error.text)

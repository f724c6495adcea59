"""A connected socket and the ways to wait for it."""

from __future__ import annotations

from _socket import socket as RawSocket
from collections.abc import Callable, Iterable
from socket import SHUT_RDWR
from time import monotonic_ns
from typing import Any

from gevent import get_hub, getcurrent
from gevent.exceptions import InvalidSwitchError

_READ, _WRITE = 1, 2


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

    Used by one greenlet at a time; `close` must be called.
    """

    __slots__ = (
        "_hub",
        "_readable",
        "_since_ns",
        "_socket",
        "_switch_to_hub",
        "_timer",
        "_wake",
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
        self._timer: Any = None
        self._since_ns = 0
        self._wake: Callable[[SocketWaiter], Any] | None = None
        self.patience_s = patience_s
        self.send = raw.send
        self.recv = raw.recv

    def wait_readable(self, now_ns: int) -> bool:
        """Block until there is something to read, or the end: True; False after `patience_s`.

        `now_ns` is the time of the monotonic clock, which the caller has just read.
        """
        readable = self._readable
        self._since_ns = now_ns
        self._wake = wake = getcurrent().switch
        if self._timer is None:
            self._set_timer(self.patience_s)
        readable.start(wake, readable)
        try:
            fired = self._switch_to_hub()
        finally:
            readable.stop()
            self._wake = None
        if fired is readable:
            return True
        if fired is self:
            return False
        raise InvalidSwitchError(f"woken by {fired!r} while waiting for a socket")

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
            left_s = self.patience_s - (monotonic_ns() - self._since_ns) / 1e9
            if left_s > 0:
                self._set_timer(left_s)
            else:
                self._wake(self)

    def wait_readable_within(self, seconds: float) -> bool:
        """`wait_readable` with another patience."""
        return wait_for(self._hub, (self._readable,), seconds) is not None

    def wait_writable(self, seconds: float, or_readable: bool = False) -> str:
        """Block until more can be sent: "write"; "read" when something came first, if asked for; "" after `seconds`."""
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
        self._readable.close()
        self._drop_timer()
        self._socket.close()

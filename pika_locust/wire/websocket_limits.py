"""How long a WebSocket connection may take for what, and the one timer that sees to it."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Protocol

from gevent import get_hub


@dataclass(frozen=True, slots=True)
class Limits:
    """Time-outs in seconds (None: none) and bounds in bytes."""

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
    """Tells a connection that a limit is over.

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
        self._timer.start(self._look)

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

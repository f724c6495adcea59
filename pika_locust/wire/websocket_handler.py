"""What a WebSocket connection tells its user: a handler's methods, and how a connection ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


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


class Handler(Protocol):
    """Who listens. All methods are called in the event loop and must not block."""

    def on_text(self, payload: bytes, at_ns: int) -> None:
        """A text message, UTF-8; `at_ns` is the monotonic clock at the moment its last bytes were read."""

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        """A binary message."""

    def on_close(self, close: Close) -> None:
        """The connection is over; called once, last: nothing that was read and not yet handed over follows."""

    def on_internal_error(self, error: BaseException) -> None:
        """One of the methods above raised: a mistake in the handler, never in the target."""

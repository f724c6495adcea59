"""What the kernel would not take at once of what was sent on a connection: kept, and sent in order as there is room."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from gevent import get_hub

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a socket that must not block raises when it cannot do now what it is asked for."""
_WRITE = 2


class SendBuffer:
    """The unsent bytes of one connection; made when there are some, over when there are none.

    `on_room` is called in the event loop whenever the kernel takes more: call `send` then.
    """

    __slots__ = ("_max_bytes", "_sock", "_unsent", "_watcher")

    def __init__(self, sock: Any, unsent: bytes, max_bytes: int, on_room: Callable[[], None]) -> None:
        self._sock = sock
        self._unsent = bytearray(unsent)
        self._max_bytes = max_bytes
        self._watcher = get_hub().loop.io(sock.fileno(), _WRITE)
        self._watcher.start(on_room)

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
        """Call `on_room` no more."""
        self._watcher.stop()
        self._watcher.close()

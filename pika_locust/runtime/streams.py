"""Standard output and error that never hold the process up: what nobody reads is dropped after a short wait.

A pipe whose reader has stopped, or a terminal that is held (Ctrl-S), would block the first `write` that it has no room
for, and with it all users, the judging and every signal.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import Any, TextIO

from gevent.monkey import get_original

from pika_locust.clock import monotonic

PATIENCE_S = 1.0
"""While a test runs: nothing that is measured meanwhile is worth a line of the log."""
LAST_PATIENCE_S = 5.0
"""For the verdict."""
_PIECE_BYTES = 512
"""What is written at once: a stream that is ready takes so much without blocking (POSIX's least PIPE_BUF)."""


class BoundedWriter(io.BufferedIOBase):
    """Writes to a file descriptor, waits for it for at most `patience_s`, and drops what it does not take.

    Once it has been waited for in vain, it is not waited for any more until it takes something.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stuck = False
        self.patience_s = PATIENCE_S
        self.dropped_bytes = 0
        """How much was dropped so far."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Always all of it, for whoever writes: a user's task must not fail for a line that nobody reads."""
        left = memoryview(data)
        while left:
            if not self._is_ready():
                self._stuck = True
                self.dropped_bytes += len(left)
                break
            self._stuck = False
            left = left[os.write(self._descriptor, left[:_PIECE_BYTES]) :]
        return len(data)

    def be_patient(self, seconds: float) -> None:
        """Wait for so long from now on, though it has been waited for in vain before."""
        self.patience_s, self._stuck = seconds, False

    def _is_ready(self) -> bool:
        # Not gevent's: whoever else writes meanwhile would come in between.
        poll = get_original("select", "poll")()
        poll.register(self._descriptor, get_original("select", "POLLOUT"))
        give_up_s = monotonic() + (0.0 if self._stuck else self.patience_s)
        while True:
            try:
                return bool(poll.poll(max(0.0, give_up_s - monotonic()) * 1000))
            except OSError as error:
                if error.errno != errno.EINTR:
                    raise


def bound_standard_streams() -> None:
    """Have `sys.stdout` and `sys.stderr` never block for long, where they lead to a pipe or a terminal."""
    sys.stdout, sys.stderr = _bounded(sys.stdout), _bounded(sys.stderr)


def be_patient(stream: TextIO, seconds: float) -> None:
    """Wait longer for this one of them from now on: for what should not be dropped."""
    if isinstance(writer := getattr(stream, "buffer", None), BoundedWriter):
        writer.be_patient(seconds)


def dropped_bytes(stream: TextIO) -> int:
    """How much of what was written to it nobody took."""
    writer = getattr(stream, "buffer", None)
    return writer.dropped_bytes if isinstance(writer, BoundedWriter) else 0


def _bounded(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
        kind = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        # Not there, closed, or somebody's own.
        return stream
    if stat.S_ISREG(kind) or isinstance(getattr(stream, "buffer", None), BoundedWriter):
        return stream
    stream.flush()
    writer: Any = BoundedWriter(descriptor)
    return io.TextIOWrapper(writer, encoding=stream.encoding, errors=stream.errors, write_through=True)

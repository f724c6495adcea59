"""Standard output and error of a command whose reader may have gone (`| head`): it goes on to its own exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Descriptor(FileIO):
    """What is written to a pipe that nobody reads any more goes nowhere, without an error."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


@contextmanager
def readers_may_go() -> Iterator[None]:
    """Inside, nothing that is printed fails for want of a reader: what a command finds, and the code that it ends with,
    do not depend on who reads along."""
    with ExitStack() as stack:
        # A terminal's own encoding may lack an arrow; a question mark in its place is no reason to say nothing.
        out = _without_reader(sys.stdout, "replace")
        err = _without_reader(sys.stderr)
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            yield
        finally:
            for stream in (out, err):
                if stream is not None:
                    stream.flush()


def _without_reader(stream: TextIO, errors: str | None = None) -> TextIO:
    """The stream, as one that does not mind; itself where it is no file."""
    if not isinstance(stream, TextIOWrapper):
        return stream
    if errors is not None:
        stream.reconfigure(errors=errors)
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if not isinstance(raw, FileIO) or stream.isatty():
        return stream
    stream.flush()
    own = _Descriptor(stream.fileno(), "w", closefd=False)
    return TextIOWrapper(
        # `python -u` has no buffer.
        own if raw is stream.buffer else BufferedWriter(own),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )

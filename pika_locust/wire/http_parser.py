"""Bytes in, one answer out: HTTP/1.x responses (RFC 9112) by llhttp, without a socket and without a clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pika_locust.wire.http_body import too_large_body
from pika_locust.wire.http_errors import ErrorKind, TransportError

MAX_HEAD_BYTES = 65536

Answer = tuple[int, bytes, bytes, bool]
"""Status; the head as it came, without its blank line; the body, content codings still on; whether the connection may
be used again. A plain tuple, because one is made per request."""

_BEGIN, _END = object(), object()
_BLANK_LINE = b"\r\n\r\n"
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d\b")
_SAYS_WHERE_IT_ENDS = re.compile(rb"\r\n(content-length:|transfer-encoding:[^\r]*chunked)", re.IGNORECASE)


class ResponseParser:
    """Reads the answers of one connection, one after the other; interim answers (1xx) are skipped.

    One llhttp parser serves the whole connection. It only writes down what it meets (a message begins, a part of a
    body, a message ends), so that a usual answer costs no call of Python code. Header lines are not taken apart: who
    needs one of them looks into the head. After an error this object must not be used again.
    """

    __slots__ = ("_feed", "_met", "_partial", "_status", "bodiless", "max_body_bytes")

    def __init__(self, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        self.bodiless = False
        """Set before an answer to HEAD is fed: it has the length of a body, and no body."""
        self._met: list[Any] = []
        self._partial: _Partial | None = None
        self._renew()

    def _renew(self) -> None:
        """A new llhttp parser."""
        met = self._met
        met.clear()
        native = HttpResponseParser(
            SimpleNamespace(
                on_message_begin=partial(met.append, _BEGIN),
                on_body=met.append,
                on_message_complete=partial(met.append, _END),
            )
        )
        self._feed: Callable[[bytes], None] = native.feed_data
        self._status: Callable[[], int] = native.get_status_code

    def feed(self, data: bytes) -> Answer | None:
        """Take what was received; the answer, once it is complete. Raises TransportError (protocol, too_large)."""
        if self._partial is not None or self.bodiless:
            return self._feed_piece(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        # The usual case first: one whole answer, in one piece.
        met = self._met
        count = len(met)
        if met[-1] is _END and (count == 3 or count == 2):
            status = self._status()
            if status >= 200:
                content = met[1] if count == 3 else b""
                met.clear()
                if len(content) > self.max_body_bytes:
                    raise too_large_body(self.max_body_bytes)
                head = data[: data.find(_BLANK_LINE)]
                return status, head, content, _persists(head)
        self._partial = _Partial()
        return self._settle(data)

    def _feed_piece(self, data: bytes) -> Answer | None:
        if self._partial is None:
            self._partial = _Partial()
        if self.bodiless:
            return self._feed_head_only(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        return self._settle(data)

    def _settle(self, data: bytes) -> Answer | None:
        """Book what llhttp has just read of an answer in several pieces."""
        partly = self._partial
        assert partly is not None
        if not partly.head:
            partly.collect(data)
        for thing in self._met:
            if thing is _BEGIN:
                partly.begun += 1
            elif thing is _END:
                partly.ended += 1
            else:
                partly.content += thing
        self._met.clear()
        if len(partly.content) > self.max_body_bytes:
            raise too_large_body(self.max_body_bytes)
        if partly.ended == partly.interim:
            return None
        if partly.begun != partly.interim + 1:
            raise _surplus()
        return self._finish(partly.head, _persists(partly.head))

    def _feed_head_only(self, data: bytes) -> Answer | None:
        """An answer to HEAD: llhttp would wait for the body that its headers promise, so it gets the head alone."""
        partly = self._partial
        assert partly is not None
        partly.collect(data)
        if not partly.head:
            return None
        if partly.unread:
            raise _surplus()
        try:
            self._feed(partly.head + _BLANK_LINE)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        partly.content.clear()
        answer = self._finish(partly.head, _persists(partly.head))
        self._renew()
        return answer

    def feed_eof(self) -> Answer:
        """The peer has closed: an answer whose end is the connection's is complete (RFC 9112, section 6.3, rule 8).

        Raises TransportError (closed) when there was no answer, or more of it was to come.
        """
        partly = self._partial
        if partly is None:
            raise TransportError(ErrorKind.CLOSED, "closed without an answer")
        if not partly.head or _SAYS_WHERE_IT_ENDS.search(partly.head):
            raise TransportError(ErrorKind.CLOSED, "closed in the middle of the answer")
        return self._finish(partly.head, False)

    def _finish(self, head: bytes, keep_alive: bool) -> Answer:
        partly = self._partial
        assert partly is not None
        self._partial = None
        self.bodiless = False
        return self._status(), head, bytes(partly.content), keep_alive


class _Partial:
    """What has come of an answer that is not complete, the interim answers before it left out."""

    __slots__ = ("begun", "content", "ended", "head", "interim", "unread")

    def __init__(self) -> None:
        self.unread = bytearray()
        self.head = b""
        self.content = bytearray()
        self.interim = 0
        # Messages, as llhttp counts them: the interim ones too.
        self.begun = 0
        self.ended = 0

    def collect(self, data: bytes) -> None:
        """Look for the end of the head; afterwards `unread` is what follows it, or what there is of it."""
        unread = self.unread
        look_from = max(0, len(unread) - 3)
        unread += data
        while (end := unread.find(_BLANK_LINE, look_from)) >= 0:
            block = bytes(unread[:end])
            if len(block) > MAX_HEAD_BYTES:
                raise _too_large_head()
            del unread[: end + len(_BLANK_LINE)]
            if not _INTERIM.match(block):
                self.head = block
                return
            # An interim answer is a head and nothing else.
            self.interim += 1
            look_from = 0
        if len(unread) > MAX_HEAD_BYTES:
            raise _too_large_head()


def _persists(head: bytes) -> bool:
    """Whether the connection stays open after this answer (RFC 9112, section 9.3). Raises TransportError (protocol)."""
    if head.startswith(b"HTTP/1.1 ") and b"close" not in head and b"Close" not in head and b"CLOSE" not in head:
        return True
    if not head.startswith(b"HTTP/1."):
        raise TransportError(ErrorKind.PROTOCOL, "the answer does not begin with HTTP/1.")
    options = [
        option.strip()
        for line in head.lower().split(b"\r\n")[1:]
        if line.startswith(b"connection:")
        for option in line[len(b"connection:") :].split(b",")
    ]
    return b"close" not in options and (head.startswith(b"HTTP/1.1") or b"keep-alive" in options)


def _unreadable(error: Exception) -> TransportError:
    if isinstance(error, HttpParserUpgrade):
        return TransportError(ErrorKind.PROTOCOL, "the server switched protocols without having been asked")
    return TransportError(ErrorKind.PROTOCOL, f"not a readable HTTP answer: {error}")


def _surplus() -> TransportError:
    return TransportError(ErrorKind.PROTOCOL, "more bytes than the answer has: nothing else was asked for")


def _too_large_head() -> TransportError:
    return TransportError(ErrorKind.TOO_LARGE, f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes")

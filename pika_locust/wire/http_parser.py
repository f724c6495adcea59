"""Bytes in, one answer out: HTTP/1.x responses (RFC 9112) by llhttp, without a socket and without a clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pika_locust.wire.http_body import decode_content, too_large_body
from pika_locust.wire.http_errors import ErrorKind, TransportError

MAX_HEAD_BYTES = 65536

Answer = tuple[int, bytes, bytes, bool]
"""Status; bytes that begin with the whole head; the content, gzip and deflate undone; whether the connection may be
used again. A plain tuple, because one is made per request."""

_BEGIN = None
_BLANK_LINE = b"\r\n\r\n"
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d\b")
_SAYS_WHERE_IT_ENDS = re.compile(rb"\r\n(content-length:|transfer-encoding:[^\r]*chunked)", re.IGNORECASE)
_CURLY, _SQUARE = b"{["


class ResponseParser:
    """Reads the answers of one connection, one after the other; interim answers (1xx) are skipped.

    One llhttp parser serves the whole connection. Header lines are not taken apart: who needs one of them looks into
    the head. After an error this object must not be used again; `close` it at the end.
    """

    __slots__ = ("_bodiless", "_feed", "_met", "_partial", "_persists", "_status", "max_body_bytes")

    def __init__(self, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        # What llhttp has met: _BEGIN, the parts of the body, and at a message's end whether the connection persists.
        self._met: list[Any] = []
        self._partial: _Partial | None = None
        self._bodiless = False
        self._renew()

    def _renew(self) -> None:
        """A new llhttp parser."""
        met = self._met
        met.clear()
        native = HttpResponseParser(
            SimpleNamespace(
                on_message_begin=partial(met.append, _BEGIN),
                on_body=met.append,
                on_message_complete=self._note_end,
            )
        )
        self._feed: Callable[[bytes], None] = native.feed_data
        self._status: Callable[[], int] = native.get_status_code
        self._persists: Callable[[], bool] = native.should_keep_alive

    def _note_end(self) -> None:
        # Only here does llhttp know: a moment later it has forgotten the headers.
        self._met.append(self._persists())

    def expect_no_body(self) -> None:
        """Announce an answer to HEAD, before it is fed: it has the length of a body, and no body."""
        self._bodiless = True
        self._partial = _Partial()

    def feed(self, data: bytes) -> Answer | None:
        """Take what was received; the answer, once it is complete. Raises TransportError (protocol, too_large)."""
        if self._partial is not None:
            return self._feed_piece(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        met = self._met
        count = len(met)
        # The usual cases: one whole answer, in one piece, with a body or without.
        if count == 3 and met[2].__class__ is bool and data.startswith(b"HTTP/1."):
            _, content, persists = met
            met.clear()
            # Packed data cannot begin like JSON does (RFC 1950 and 1952), so that needs no look at the headers.
            first = content[0]
            if first != _CURLY and first != _SQUARE:
                content = self._unpacked(data[: data.find(_BLANK_LINE)], content)
            if len(content) > self.max_body_bytes:
                raise too_large_body(self.max_body_bytes)
            return self._status(), data, content, persists
        if count == 2 and met[1].__class__ is bool and data.startswith(b"HTTP/1.") and self._status() >= 200:
            persists = met[1]
            met.clear()
            return self._status(), data, b"", persists
        self._partial = _Partial()
        return self._settle(data)

    def _unpacked(self, head: bytes, content: bytes) -> bytes:
        fields = head.lower()
        if b"\r\ncontent-encoding:" in fields:
            return decode_content(content, _values(fields, b"content-encoding"), self.max_body_bytes)
        return content

    def _feed_piece(self, data: bytes) -> Answer | None:
        if self._bodiless:
            return self._feed_head_only(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        return self._settle(data)

    def _settle(self, data: bytes) -> Answer | None:
        """Book what llhttp has just read of an answer that is not the usual one."""
        partly = self._partial
        assert partly is not None
        if not partly.head:
            partly.collect(data)
        for thing in self._met:
            partly.book(thing)
        self._met.clear()
        if len(partly.content) > self.max_body_bytes:
            raise too_large_body(self.max_body_bytes)
        if partly.ended == partly.interim:
            return None
        if partly.begun != partly.interim + 1:
            raise _surplus()
        return self._finish(partly, partly.persists)

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
        answer = self._finish(partly, _connection_persists(partly.head))
        self._renew()
        return answer

    def feed_eof(self) -> Answer:
        """The peer has closed: an answer whose end is the connection's is complete (RFC 9112, section 6.3, rule 8).

        Raises TransportError (closed) when there was no answer, or more of it was to come.
        """
        partly = self._partial
        if partly is None or not (partly.unread or partly.head or partly.interim):
            raise TransportError(ErrorKind.CLOSED, "closed without an answer")
        if not partly.head or _SAYS_WHERE_IT_ENDS.search(partly.head):
            raise TransportError(ErrorKind.CLOSED, "closed in the middle of the answer")
        return self._finish(partly, False)

    def _finish(self, partly: _Partial, persists: bool) -> Answer:
        self._partial = None
        self._bodiless = False
        head = partly.head
        if not head.startswith(b"HTTP/1."):
            raise TransportError(ErrorKind.PROTOCOL, "the answer does not begin with HTTP/1.")
        content = bytes(partly.content)
        if content:
            content = self._unpacked(head, content)
        return self._status(), head, content, persists

    def close(self) -> None:
        """Let go of llhttp's parser, which refers back to this object: so the memory of both is free at once."""
        self._feed = self._status = self._persists = _closed


class _Partial:
    """What has come of an answer that did not come in one piece, or has interim answers before it."""

    __slots__ = ("begun", "content", "ended", "head", "interim", "persists", "unread")

    def __init__(self) -> None:
        self.unread = bytearray()
        self.head = b""
        self.content = bytearray()
        self.persists = False
        # Messages, as llhttp counts them: the interim ones too.
        self.interim = 0
        self.begun = 0
        self.ended = 0

    def book(self, thing: bytes | bool | None) -> None:
        """Take one of the things that llhttp has met."""
        if thing is _BEGIN:
            self.begun += 1
        elif isinstance(thing, bool):
            self.ended += 1
            self.persists = thing
        else:
            self.content += thing

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


def _values(fields: bytes, name: bytes) -> list[str]:
    """The elements of a header that is a list, all its lines together; `fields` is a head in lower case."""
    lines = fields.split(b"\r\n")[1:]
    values = [line[len(name) + 1 :] for line in lines if line.startswith(name + b":")]
    return [element.strip() for value in values for element in value.decode("latin-1").split(",")]


def _connection_persists(head: bytes) -> bool:
    """RFC 9112, section 9.3, for an answer to HEAD: to llhttp, one without a length would end with the connection."""
    fields = head.lower()
    options = _values(fields, b"connection")
    return "close" not in options and (fields.startswith(b"http/1.1") or "keep-alive" in options)


def _closed(*_: object) -> Any:
    raise RuntimeError("the parser was closed")


def _unreadable(error: Exception) -> TransportError:
    if isinstance(error, HttpParserUpgrade):
        return TransportError(ErrorKind.PROTOCOL, "the server switched protocols without having been asked")
    return TransportError(ErrorKind.PROTOCOL, f"not a readable HTTP answer: {error}")


def _surplus() -> TransportError:
    return TransportError(ErrorKind.PROTOCOL, "more bytes than the answer has: nothing else was asked for")


def _too_large_head() -> TransportError:
    return TransportError(ErrorKind.TOO_LARGE, f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes")

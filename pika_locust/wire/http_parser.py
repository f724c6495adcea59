"""Bytes in, one answer out: HTTP/1.x responses (RFC 9112) by llhttp, without a socket and without a clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pika_locust.wire.http_body import too_large_body
from pika_locust.wire.http_errors import ErrorKind, TransportError

MAX_HEAD_BYTES = 65536
_BLANK_LINE = b"\r\n\r\n"
_SAYS_WHERE_IT_ENDS = re.compile(rb"\r\n(content-length:|transfer-encoding:[^\r]*chunked)", re.IGNORECASE)


class ResponseParser:
    """Reads the answers of one connection, one after the other.

    `feed` what was received; when it returns True, `status`, `head`, `content` (content codings still on) and
    `keep_alive` describe the answer, until the next call. Interim answers (1xx) are skipped. Header lines are not
    taken apart: `head` is the block as it came, for whoever needs one of them.

    One llhttp parser serves the whole connection. After an error, and after an answer without `keep_alive`, this
    object must not be used again.
    """

    __slots__ = (
        "_begun",
        "_content",
        "_ended",
        "_feed",
        "_interim",
        "_native",
        "_parts",
        "_unread_head",
        "bodiless",
        "content",
        "head",
        "keep_alive",
        "max_body_bytes",
        "status",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        self.status = 0
        self.head = b""
        self.content = b""
        self.keep_alive = False
        self.bodiless = False
        """Set before an answer to HEAD is fed: it has the length of a body, and no body."""
        self._parts: list[bytes] = []
        self._begun = 0
        self._ended = 0
        self._interim = 0
        # What an answer that comes in several pieces has so far; None between two answers.
        self._unread_head: bytearray | None = None
        self._content: bytearray | None = None
        self._renew()

    def _renew(self) -> None:
        native = HttpResponseParser(self)
        self._native: Any = native
        self._feed: Callable[[bytes], None] = native.feed_data

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        self._begun += 1

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        native = self._native
        status = native.get_status_code()
        if status < 200:
            self._interim += 1
            return
        self._ended += 1
        if self._ended == 1:
            self.status = status
            self.keep_alive = native.should_keep_alive()

    # the driver's side

    def feed(self, data: bytes) -> bool:
        """Take what was received; True when the answer is complete. Raises TransportError (protocol, too_large)."""
        if self._unread_head is not None or self.bodiless:
            return self._feed_piece(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        parts = self._parts
        # The usual case first: one whole answer, in one piece.
        if self._ended == 1 == self._begun and len(parts) < 2:
            self.head = data[: data.find(_BLANK_LINE)]
            if not self.head.startswith(b"HTTP/1."):
                raise _not_http()
            self._begun = self._ended = 0
            if parts:
                self.content = parts.pop()
                if len(self.content) > self.max_body_bytes:
                    raise too_large_body(self.max_body_bytes)
            else:
                self.content = b""
            return True
        self._start_pieces()
        return self._settle(data)

    def _start_pieces(self) -> None:
        self.head = b""
        self._unread_head = bytearray()
        self._content = bytearray()

    def _feed_piece(self, data: bytes) -> bool:
        if self._unread_head is None:
            self._start_pieces()
        if self.bodiless:
            return self._feed_head_only(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        return self._settle(data)

    def _settle(self, data: bytes) -> bool:
        """Book what llhttp has just read of an answer in several pieces."""
        content = self._content
        assert content is not None
        if not self.head:
            self._collect_head(data)
        for part in self._parts:
            content += part
        self._parts.clear()
        if len(content) > self.max_body_bytes:
            raise too_large_body(self.max_body_bytes)
        if not self._ended:
            return False
        if self._begun != 1:
            raise _surplus()
        self._finish(bytes(content))
        return True

    def _collect_head(self, data: bytes) -> None:
        unread = self._unread_head
        assert unread is not None
        known = len(unread)
        unread += data
        while True:
            end = unread.find(_BLANK_LINE, max(0, known - 3))
            if (end if end >= 0 else len(unread)) > MAX_HEAD_BYTES:
                raise TransportError(ErrorKind.TOO_LARGE, f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes")
            if end < 0:
                return
            if not unread.startswith(b"HTTP/1."):
                raise _not_http()
            if not self._interim:
                break
            # An interim answer is a head and nothing else.
            self._interim -= 1
            self._begun -= 1
            del unread[: end + len(_BLANK_LINE)]
            known = 0
        self.head = bytes(unread[:end])
        unread.clear()

    def _feed_head_only(self, data: bytes) -> bool:
        """An answer to HEAD: llhttp would wait for the body that its headers promise, so it gets the head alone."""
        unread = self._unread_head
        assert unread is not None
        unread += data
        while (end := unread.find(_BLANK_LINE)) >= 0:
            head = bytes(unread[: end + len(_BLANK_LINE)])
            try:
                self._feed(head)
            except (HttpParserError, HttpParserUpgrade) as error:
                raise _unreadable(error) from None
            del unread[: len(head)]
            if self._native.get_status_code() < 200:
                continue
            if not head.startswith(b"HTTP/1."):
                raise _not_http()
            if unread:
                raise _surplus()
            self.head = head[: -len(_BLANK_LINE)]
            self.status = self._native.get_status_code()
            self.keep_alive = _persists(self.head)
            self._finish(b"")
            self._renew()
            return True
        if len(unread) > MAX_HEAD_BYTES:
            raise TransportError(ErrorKind.TOO_LARGE, f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes")
        return False

    def feed_eof(self) -> None:
        """The peer has closed: complete an answer whose end is the connection's (RFC 9112, section 6.3, rule 8).

        Raises TransportError (closed) when the answer was to go on. Afterwards `keep_alive` is False.
        """
        if not self.head:
            began = self._unread_head is not None
            raise TransportError(
                ErrorKind.CLOSED, "closed in the middle of the answer" if began else "closed without an answer"
            )
        if _SAYS_WHERE_IT_ENDS.search(self.head):
            raise TransportError(ErrorKind.CLOSED, "closed in the middle of the answer")
        self.status = self._native.get_status_code()
        self.keep_alive = False
        self._finish(bytes(self._content or b""))

    def close(self) -> None:
        """Let go of llhttp's parser, which refers back to this object: without it the memory is free at once."""
        del self._native, self._feed

    def _finish(self, content: bytes) -> None:
        self.content = content
        self._begun = self._ended = self._interim = 0
        self._unread_head = self._content = None
        self.bodiless = False


def _persists(head: bytes) -> bool:
    """Whether the connection stays open after this answer (RFC 9112, section 9.3)."""
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


def _not_http() -> TransportError:
    return TransportError(ErrorKind.PROTOCOL, "the answer does not begin with HTTP/1.")


def _surplus() -> TransportError:
    return TransportError(ErrorKind.PROTOCOL, "more bytes than the answer has: nothing else was asked for")

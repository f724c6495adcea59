"""HTTP/1.1 requests as bytes, and responses parsed by llhttp (RFC 9112), without a socket."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from re import compile as pattern
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pika_locust.wire.http_models import ErrorKind, TransportError, encode_json

_AUTO_WINDOW = 32 + zlib.MAX_WBITS
"""zlib's own way of accepting either of the gzip and the zlib format."""
_MAX_CODINGS = 4
_MAX_MEMBERS = 10_000
"""A 16 MB body of blocks of 64 kB, as some tools write them, has 256."""
_FIRST_STEP_BYTES, _LONGEST_STEP_BYTES = 1024, 4096
"""Packed bytes at a time: a thousand times as many can come out."""
_TURN_BYTES, _TURN_MEMBERS = 1 << 18, 256
"""Unpacked bytes, and members, after which others get their turn: a fraction of a millisecond's work."""


def _no_turn() -> None:
    """Nobody else is waiting."""


def decode_content(body: bytes, codings: Sequence[str], max_bytes: int, turn: Callable[[], None] = _no_turn) -> bytes:
    """The body without its gzip and deflate codings (RFC 9110, section 8.4); `codings` are in lower case.

    A body in any other coding (br, zstd) is returned as it came: only a caller who asked for it gets one. `turn` is
    called now and then, while there is much to do.

    Raises TransportError: `too_large` as soon as more than `max_bytes` came out, `protocol` for what is no such data.
    """
    if len(codings) > _MAX_CODINGS:
        raise TransportError(ErrorKind.PROTOCOL, "more content codings than anybody has a use for")
    for name in reversed(codings):
        if name in ("gzip", "x-gzip"):
            body = _inflate(body, _AUTO_WINDOW, name, max_bytes, turn)
        elif name == "deflate":
            # The standard means zlib's format; some servers have always sent the bare stream.
            bare = len(body) < 2 or (body[0] & 0x0F) != 8 or ((body[0] << 8) | body[1]) % 31 != 0
            body = _inflate(body, -zlib.MAX_WBITS if bare else _AUTO_WINDOW, name, max_bytes, turn)
        elif name not in ("identity", ""):
            return body
    return body


def _inflate(body: bytes, window: int, name: str, max_bytes: int, turn: Callable[[], None]) -> bytes:
    whole = bytearray()
    view = memoryview(body)
    at = members = told = 0
    # gzip data may be several members, one after the other (RFC 1952, section 2.2).
    while at < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise TransportError(ErrorKind.PROTOCOL, f"more {name} members than anybody has a use for")
        if members % _TURN_MEMBERS == 0:
            turn()
        member = zlib.decompressobj(window)
        # In steps: what follows a member is copied when that ends, and the step bounds how much.
        step = _FIRST_STEP_BYTES
        while not member.eof:
            part = view[at : at + step]
            if not part:
                raise TransportError(ErrorKind.PROTOCOL, f"the {name} data of the body ends too early")
            at += len(part)
            try:
                whole += member.decompress(part, max_bytes - len(whole) + 1)
            except zlib.error:
                raise TransportError(ErrorKind.PROTOCOL, f"the body is not valid {name} data") from None
            if len(whole) > max_bytes:
                raise too_large_body(max_bytes)
            if len(whole) - told > _TURN_BYTES:
                told = len(whole)
                turn()
            step = min(2 * step, _LONGEST_STEP_BYTES)
        at -= len(member.unused_data)
    return bytes(whole)


def too_large_body(max_bytes: int) -> TransportError:
    """The error for a body over its bound."""
    return TransportError(ErrorKind.TOO_LARGE, f"the body exceeds {max_bytes} bytes")


MAX_HEAD_BYTES = 65536
_FRAMING_BYTES = 1 << 20
"""What chunks and trailers may add to the longest body."""
MAX_INTERIM = 100
"""Interim answers before the real one: a server that has a reason for them sends one or a few."""

Answer = tuple[int, bytes, bytes, bool]
"""Status; bytes that begin with the whole head; the content, gzip and deflate undone; whether the connection may be
used again. A plain tuple, because one is made per request."""

_BEGIN = None
_START = b"HTTP/1."
_STATUS = slice(len("HTTP/1.x "), len("HTTP/1.x 200"))
_BLANK_LINE = b"\r\n\r\n"
_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d\b")
_SAYS_WHERE_IT_ENDS = re.compile(rb"\r\n(content-length:|transfer-encoding:[^\r]*chunked)", re.IGNORECASE)
_CURLY, _SQUARE = b"{["
_LINE_END = b"\r\n"
_CARRIAGE_RETURN = ord("\r")


class KnownHeads:
    """The heads that llhttp has accepted, each with the status of its answer and the length of its body.

    A head whose bytes were read before, with a body of the same length behind it and nothing else, means the same
    again: llhttp need not read it. Kept are heads of answers in one piece that say how long they are, whose body is not
    packed, and that leave the connection open. Where most heads are new (a number of its own in each), looking is given
    up for a while. One is shared by all connections, as what bytes mean does not depend on who sent them.
    """

    __slots__ = ("_found", "_known", "_unsought")

    MOST = 256
    LONGEST_BYTES = 2048
    PAUSE = 20_000
    """Answers that are not looked up after looking was in vain."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, int, bytes]] = {}
        self._found = 0
        self._unsought = 0

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes, max_body_bytes: int) -> Answer | None:
        """The answer, if its head is known and it is all of `data`, with a body of at most so many bytes."""
        if self._unsought:
            self._unsought -= 1
            return None
        end = data.find(_BLANK_LINE) + 4
        known = self._known.get(data[:end])
        if known is None:
            return None
        status, length, head = known
        if len(data) - end != length or length > max_body_bytes:
            return None
        self._found += 1
        # The same object each time: what is known of a head can be looked up fast.
        return status, head, data[end:], True

    def learn(self, data: bytes, status: int, content: bytes) -> None:
        """llhttp has read `data` as one answer, with that body, after which the connection stays open."""
        end = data.find(_BLANK_LINE) + 4
        if self._unsought or end > self.LONGEST_BYTES or data[end:] != content:
            return
        head = data[:end]
        if b"\r\ncontent-encoding:" in head.lower():
            return
        if len(self._known) >= self.MOST:
            if self._found < 4 * self.MOST:
                self._unsought = self.PAUSE
            self._known.clear()
            self._found = 0
        self._known[head] = status, len(content), head


KNOWN_HEADS = KnownHeads()


class ResponseParser:
    """Reads the answers of one connection, one after the other; interim answers (1xx) are skipped.

    One llhttp parser serves the whole connection. Header lines are not taken apart: who needs one of them looks into
    the head. After an error this object must not be used again; `close` it at the end.

    What the bytes mean does not depend on how they are cut into pieces. Where bytes follow that nobody asked for, the
    answer before them stands, and the connection cannot be used again.

    `turn` is called now and then, while there is much to do.
    """

    __slots__ = ("_bodiless", "_feed", "_met", "_partial", "_persists", "_status", "_turn", "max_body_bytes")

    def __init__(self, max_body_bytes: int, turn: Callable[[], None] = _no_turn) -> None:
        self.max_body_bytes = max_body_bytes
        self._turn = turn
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
        known = KNOWN_HEADS.find(data, self.max_body_bytes)
        if known is not None:
            return known
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._partial = _Partial()
            return self._settle(data, error)
        met = self._met
        count = len(met)
        # The usual cases: one whole answer, in one piece, with a body or without.
        if count == 3 and met[2].__class__ is bool and data.startswith(b"HTTP/1."):
            _, content, persists = met
            met.clear()
            if data[-1] <= _CARRIAGE_RETURN:
                head, _, behind = data.partition(_BLANK_LINE)
                persists = persists and not _has_line_ends_behind(head, behind, content)
            # Packed data cannot begin like JSON does (RFC 1950 and 1952), so that needs no look at the headers.
            first = content[0]
            if first != _CURLY and first != _SQUARE:
                content = self._unpacked(data[: data.find(_BLANK_LINE)], content)
            if len(content) > self.max_body_bytes:
                raise too_large_body(self.max_body_bytes)
            status = self._status()
            if persists:
                KNOWN_HEADS.learn(data, status, content)
            return status, data, content, persists
        if count == 2 and met[1].__class__ is bool and data.startswith(b"HTTP/1.") and self._status() >= 200:
            head, _, behind = data.partition(_BLANK_LINE)
            persists = met[1] and not _has_line_ends_behind(head, behind, b"")
            met.clear()
            status = self._status()
            if persists:
                KNOWN_HEADS.learn(data, status, b"")
            return status, data, b"", persists
        self._partial = partly = _Partial()
        answer = self._settle(data)
        if answer is not None and _has_line_ends_behind(partly.head, partly.unread, partly.content):
            return (*answer[:3], False)
        return answer

    def _unpacked(self, head: bytes, content: bytes) -> bytes:
        fields = head.lower()
        if b"\r\ncontent-encoding:" in fields:
            return decode_content(content, _values(fields, b"content-encoding"), self.max_body_bytes, self._turn)
        return content

    def _feed_piece(self, data: bytes) -> Answer | None:
        partly = self._partial
        assert partly is not None
        while data:
            # Not beyond a bound, as whatever comes behind it must not decide what becomes of the answer.
            room = self._room(partly)
            if room <= 0:
                raise too_large_body(self.max_body_bytes) if partly.head else _too_large_head()
            # llhttp overlooks line ends behind an answer. One at the end comes by itself, so that here it is seen
            # whether the answer has ended before.
            if len(data) > 1 and data[-1] in _LINE_END:
                room = min(room, len(data) - 1)
            piece, data = data[:room], data[room:]
            answer = self._feed_within(partly, piece)
            if answer is not None:
                return (*answer[:3], False) if data else answer
        return None

    def _room(self, partly: _Partial) -> int:
        """How many more bytes the answer may have: those of its head, or of the rest."""
        if not partly.head:
            return MAX_HEAD_BYTES + len(_BLANK_LINE) - len(partly.unread)
        # Chunks have a framing, and that of many tiny ones is several times as long as the body.
        return self.max_body_bytes + _FRAMING_BYTES - partly.received

    def _feed_within(self, partly: _Partial, data: bytes) -> Answer | None:
        if self._bodiless:
            return self._feed_head_only(data)
        partly.received += len(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            return self._settle(data, error)
        return self._settle(data)

    def _settle(self, data: bytes, error: Exception | None = None) -> Answer | None:
        """Take in what llhttp has just read of an answer that is not the usual one, up to an error if there was one."""
        partly = self._partial
        assert partly is not None
        if not partly.head:
            try:
                partly.collect(data)
            except TransportError:
                if error is None:
                    raise
                # What llhttp stumbled over came before the bound.
                raise _unreadable(error) from None
        surplus = partly.add(self._met)
        self._met.clear()
        if len(partly.content) > self.max_body_bytes:
            raise too_large_body(self.max_body_bytes)
        if partly.is_complete:
            return self._finish(partly, partly.persists and not surplus and error is None)
        if error is not None:
            raise _unreadable(error) from None
        return None

    def _feed_head_only(self, data: bytes) -> Answer | None:
        """An answer to HEAD: llhttp would wait for the body that its headers promise, so it gets the head alone."""
        partly = self._partial
        assert partly is not None
        partly.collect(data)
        if not partly.head:
            return None
        try:
            self._feed(partly.head + _BLANK_LINE)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise _unreadable(error) from None
        answer = self._finish(partly, _connection_persists(partly.head) and not partly.unread)
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
        content = bytes(partly.content)
        if content:
            content = self._unpacked(head, content)
        # Of this answer: llhttp may have read another one behind it.
        return int(head[_STATUS]), head, content, persists

    def close(self) -> None:
        """Let go of llhttp's parser, which refers back to this object: so the memory of both is free at once."""
        self._feed = self._status = self._persists = _closed
        # No answer is known any more, either.
        self.max_body_bytes = -1


class _Partial:
    """What has come of an answer that did not come in one piece, or has interim answers before it."""

    __slots__ = ("content", "ended", "head", "interim", "persists", "received", "unread")

    def __init__(self) -> None:
        self.unread = bytearray()
        self.head = b""
        self.content = bytearray()
        self.persists = False
        # Messages, as llhttp counts them: the interim ones too.
        self.interim = 0
        self.ended = 0
        self.received = 0
        """Bytes behind the head, framing included."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer is, and not only an interim one before it."""
        return bool(self.head) and self.ended > self.interim

    def add(self, met: Sequence[bytes | bool | None]) -> bool:
        """Take what llhttp has met, up to the end of the answer; whether there was more."""
        for thing in met:
            if self.is_complete:
                return True
            if isinstance(thing, bool):
                self.ended += 1
                self.persists = thing
            elif thing is not _BEGIN:
                self.content += thing
        return False

    def collect(self, data: bytes) -> None:
        """Look for the end of the head; afterwards `unread` is what follows it, or what there is of it."""
        unread = self.unread
        look_from = max(0, len(unread) - 3)
        unread += data
        while (end := unread.find(_BLANK_LINE, look_from)) >= 0:
            _check_start(unread)
            block = bytes(unread[:end])
            if len(block) > MAX_HEAD_BYTES:
                raise _too_large_head()
            del unread[: end + len(_BLANK_LINE)]
            if not _INTERIM.match(block):
                self.head = block
                self.received = len(unread)
                return
            # An interim answer is a head and nothing else.
            self.interim += 1
            if self.interim > MAX_INTERIM:
                raise TransportError(ErrorKind.PROTOCOL, f"more than {MAX_INTERIM} interim answers (1xx)")
            look_from = 0
        _check_start(unread)
        # A part of the blank line may be there already.
        if len(unread) >= MAX_HEAD_BYTES + len(_BLANK_LINE):
            raise _too_large_head()


def _has_line_ends_behind(head: bytes, behind: bytes | bytearray, content: bytes | bytearray) -> bool:
    """Whether line ends follow an answer that came in one piece: llhttp overlooks them, and nobody asked for them.

    Arguments:
        head: without its blank line.
        behind: all that came behind it.
        content: the body that llhttp has found there, still packed.
    """
    if len(behind) == len(content):
        return False
    if b"\r\ntransfer-encoding:" not in head.lower():
        return True
    # The last chunk and the trailer end with one blank line.
    return not behind.endswith(_BLANK_LINE) or behind[: -len(_BLANK_LINE)].endswith((b"\r", b"\n"))


def _check_start(unread: bytearray) -> None:
    """llhttp would take an empty line before an answer, and another protocol."""
    if not _START.startswith(unread[: len(_START)]):
        raise TransportError(ErrorKind.PROTOCOL, "the answer does not begin with HTTP/1.")


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


def _too_large_head() -> TransportError:
    return TransportError(ErrorKind.TOO_LARGE, f"the head of the answer exceeds {MAX_HEAD_BYTES} bytes")


Params = Mapping[str, Any] | Sequence[tuple[str, Any]]
Data = bytes | str | Mapping[str, Any] | Sequence[tuple[str, Any]]

_TOKEN = pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_HAVE_BODIES = frozenset(("POST", "PUT", "PATCH"))
_FRAMING = frozenset(("content-length", "transfer-encoding"))
# Everything that may stand in a target as it is; what is not in here is percent-encoded.
_TARGET_SAFE = "/?%:@!$&'()*+,;=~[]\"<>\\^`{|}"


class RequestWriter:
    """Turns requests to one target into bytes (RFC 9112), ready for the socket.

    `headers` go with every request; those of a single request win over them. `authority` is the Host, `prefix` stands
    before every path. The lines that never change are laid out once.

    Raises ValueError for a header that cannot be written: a name that is no token, a line break in a value, or one of
    Content-Length and Transfer-Encoding, which follow from the body.
    """

    __slots__ = ("_block", "_lines", "_typed", "prefix")

    def __init__(self, authority: str, prefix: str, headers: Mapping[str, str]) -> None:
        self.prefix = prefix
        self._lines: dict[str, str] = {"host": f"Host: {authority}\r\n", "user-agent": "User-Agent: pika-locust\r\n"}
        self._block = b""
        self._typed = False
        self.set_headers(headers)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request, names in lower case."""
        return {name: line.partition(":")[2].strip() for name, line in self._lines.items()}

    def set_headers(self, headers: Mapping[str, str | None]) -> None:
        """Change what goes with every request from now on; None takes a header away."""
        lines = dict(self._lines)
        for name, value in headers.items():
            if value is None:
                lines.pop(_known(name), None)
            else:
                lines[_known(name)] = header_line(name, value)
        self._lines = lines
        self._typed = "content-type" in lines
        self._block = "".join(lines.values()).encode("latin-1")

    def write(
        self,
        method: str,
        path: str,
        json: Any = None,
        data: Data | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        target: str | None = None,
    ) -> bytes:
        """Head and body. `json` is written compactly; `data` is sent as it is, a mapping or pairs as a form.

        `path` stands below the prefix; what a request line cannot hold is percent-encoded, `params` are added. With a
        `target` (from `target`, or where a redirect leads) it is not looked at.
        """
        if target is None and not params:
            line = _request_line(method, self.prefix, path)
        else:
            line = f"{method} {self.target(path, params) if target is None else target} HTTP/1.1\r\n".encode("latin-1")
        if headers is None:
            block, typed = self._block, self._typed
        else:
            block, typed = self._with(headers)
        kind = b""
        if json is not None:
            if data is not None:
                raise ValueError("a request has one body: json or data, not both")
            body = encode_json(json)
            kind = b"" if typed else b"Content-Type: application/json\r\n"
        elif data is None:
            return b"%b%b%b\r\n" % (line, block, b"Content-Length: 0\r\n" if method in _HAVE_BODIES else b"")
        elif isinstance(data, str):
            body = data.encode()
        elif isinstance(data, bytes):
            body = data
        else:
            body = urlencode(data, doseq=True).encode()
            kind = b"" if typed else b"Content-Type: application/x-www-form-urlencoded\r\n"
        return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (line, block, kind, len(body), body)

    def target(self, path: str, params: Params | None = None) -> str:
        """The whole request target of a path. Raises ValueError for a URL: the target's address is this writer's."""
        target = self.prefix + _written_out(path)
        if params:
            target += ("&" if "?" in target else "?") + urlencode(params, doseq=True)
        return target

    def _with(self, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        """The header lines of a request with headers of its own, and whether they name the content's type."""
        lines = self._lines
        typed = self._typed
        own = ""
        overridden = False
        for name, value in headers.items():
            known = _known(name)
            if known in lines:
                overridden = True
            elif known == "content-type":
                typed = True
            own += header_line(name, value)
        if not overridden:
            return self._block + own.encode("latin-1"), typed
        replaced = {_known(name) for name in headers}
        kept = "".join(line for name, line in lines.items() if name not in replaced)
        return (kept + own).encode("latin-1"), typed


@lru_cache(maxsize=256)
def _known(name: str) -> str:
    """The name of a header in lower case, after a check that it can be one."""
    if not _TOKEN(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    known = name.lower()
    if known in _FRAMING:
        raise ValueError(f"{name} follows from the body; leave it out")
    return known


def header_line(name: str, value: str) -> str:
    """A header as it goes over the wire, its line end included; the value's characters are bytes (Latin-1).

    Raises ValueError for a name that is no token, and for a value that would begin another line, or that has a
    character which no header can carry.
    """
    if not _TOKEN(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError("a header's value has a line break or a NUL in it")
    if not value.isascii():
        try:
            value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(f"the header {name} has characters beyond Latin-1 in its value; encode them") from None
    return f"{name}: {value}\r\n"


@lru_cache(maxsize=1024)
def _request_line(method: str, prefix: str, path: str) -> bytes:
    """The first line of a request; the same for all users."""
    return f"{method} {prefix}{_written_out(path)} HTTP/1.1\r\n".encode("latin-1")


@lru_cache(maxsize=1024)
def _written_out(path: str) -> str:
    """A path, maybe with a query, as it may stand in a request line."""
    path = path.partition("#")[0]
    if path[:1] != "/" and "://" in path.partition("?")[0]:
        raise ValueError(f"{path!r} is a URL; give the path, the client has its base URL")
    if path[:1] != "/":
        path = f"/{path}"
    return path if path.isascii() and path.isprintable() and " " not in path else quote(path, safe=_TARGET_SAFE)

"""What an HTTP request takes and gives: responses with phase timings, errors, time-outs, and JSON bodies."""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from pika_locust.errors import PikaLocustError


class ErrorKind(StrEnum):
    """The phase or the rule that failed; the text of the error says how."""

    DNS = "dns"
    """The host name has no address, or finding one took too long."""
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    """Neither refused nor late: no route, say."""
    LOCAL = "local"
    """This machine has no file descriptor, port or memory left for a connection: the target has no part in it."""
    TLS = "tls"
    """The handshake failed or took too long; a certificate that is not trusted belongs here."""
    SEND = "send"
    """The request could not be written, or not in time."""
    READ_TIMEOUT = "read_timeout"
    RESET = "reset"
    """The connection was reset."""
    CLOSED = "closed"
    """The connection was closed before the answer was complete."""
    PROTOCOL = "protocol"
    """What came back is not one HTTP/1.x response."""
    TOO_LARGE = "too_large"
    """The answer exceeds the bound for its head or its body; the rest was not read."""
    CUT = "cut"
    """The greenlet that made the request was killed, or a time-out of its own ended it, before it was finished."""


LOCAL_LIMITS = {
    errno.EMFILE: "this machine's limit: raise `ulimit -n`",
    errno.ENFILE: "this machine's limit: raise `ulimit -n`",
    errno.EADDRNOTAVAIL: "this machine has no free port, or not that source address",
    errno.ENOBUFS: "this machine has no memory left for sockets",
    errno.ENOMEM: "this machine has no memory left for sockets",
}
"""Why a connection could not even be tried, by the system's number for it."""


class TransportError(PikaLocustError):
    """Why a request got no usable answer: `kind` to count by, `text` for people.

    The response carries it; it is raised only when the caller asked for that.

    Texts hold no addresses of this machine, counts or times that differ from request to request, so that equal
    failures group together.
    """

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


_NULL = b"null"
# A dataclass could have NaN in it.
_OPTION = orjson.OPT_PASSTHROUGH_DATACLASS


def _foreign(value: Any) -> Any:
    """What orjson knows beyond the json module (dates, UUIDs, enums), for both to write it alike."""
    return orjson.loads(orjson.dumps(value, option=_OPTION))


_careful = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_foreign)


def encode_json(value: Any) -> bytes:
    """A value as compact JSON in UTF-8, by orjson; the json module for the little that orjson does not, or differently.

    Raises TypeError for what JSON cannot hold, ValueError for a value that contains itself and for NaN and infinity
    (which are no JSON). Whole numbers of any size, keys that are numbers and lone surrogates are written.
    """
    try:
        body = orjson.dumps(value, option=_OPTION)
    except TypeError:
        return _careful.encode(value).encode()
    # (`find` because `in` costs as much as the writing.)
    if body.find(_NULL) >= 0:
        # Or NaN, which orjson writes like None: somebody would send a price of nothing and wonder at the answer.
        _careful.encode(value)
    return body


def decode_json(body: bytes) -> Any:
    """The value of JSON in UTF-8 (RFC 8259). Raises ValueError when it is none.

    A whole number beyond 64 bits is read as a float, as JavaScript does from 53 bits on. Lone surrogates and numbers
    without end are let in, as the json module does.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        return json.loads(body.decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


class Timings(NamedTuple):
    """k6's phases of one request, in whole microseconds.

    `blocked_us` is everything before the connection began to be made, the name look-up included; it, `connecting_us`
    and `tls_handshaking_us` are 0 on a connection that was kept. A request that failed has the phases up to the
    moment at which it failed.
    """

    blocked_us: int
    connecting_us: int
    tls_handshaking_us: int
    sending_us: int
    waiting_us: int
    receiving_us: int

    @property
    def duration_us(self) -> int:
        """k6's http_req_duration: sending, waiting and receiving."""
        return self.sending_us + self.waiting_us + self.receiving_us


Stamps = tuple[int, int, int, int, int, int, int]
"""Monotonic nanoseconds: the request started, a connection was there, all was sent, the first byte of the answer came,
the last one; then how long connecting and the TLS handshake took. What was not reached begins and ends at the failure.
A plain tuple, because one is made per request."""


class Headers:
    """The header lines of one answer, given as bytes that begin with its head; names match whatever their case."""

    __slots__ = ("_lines",)

    def __init__(self, head: bytes) -> None:
        self._lines: list[tuple[str, str]] = []
        for line in head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            self._lines.append((name, value.strip(" \t")))

    def get_all(self, name: str) -> list[str]:
        """Every value of a header that may be repeated, in the order of its lines (`set-cookie`)."""
        wanted = name.lower()
        return [value for known, value in self._lines if known.lower() == wanted]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value; of a repeated header all values, joined by a comma (RFC 9110, section 5.3)."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Each line as (name, value), names as the server wrote them."""
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"Headers({self._lines!r})"


MAX_WORDS = 120
"""Characters of an answer's own words, and of a redirect's target, that are told."""
_LOOKED_AT = 4096
"""Bytes of a body in which its words are looked for."""
_MESSAGES = ("message", "error", "detail", "error_description", "title", "msg", "reason")
_NOTHING = ("{}", "[]", "null", '""')
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def words_in(body: bytes) -> str:
    """What a body says to people, in one line of at most 120 characters: the message of a JSON object, a page's title
    or its text, else how it begins."""
    start = body[:_LOOKED_AT]
    text = start.decode("utf-8", "replace").strip()
    if text[:1] == "{" and len(start) == len(body):
        text = _message_in(start) or text
    elif text[:1] == "<":
        title = _TITLE.search(text)
        text = (title[1] if title is not None else _MARKUP.sub(" ", text)).strip() or text
    return "" if text in _NOTHING else " ".join(text.split())[:MAX_WORDS]


def _message_in(body: bytes) -> str:
    try:
        found = orjson.loads(body)
    except ValueError:
        return ""
    for _ in range(2):
        # The message may be an object of its own: {"error": {"message": …}}; or a list of them.
        values = (found.get(name) for name in _MESSAGES) if isinstance(found, dict) else ()
        found = next((value for value in values if value), None)
        if isinstance(found, list):
            found = "; ".join(map(str, found))
        if isinstance(found, str):
            return found
    return ""


_REMEMBERED_BYTES = 2048


@lru_cache(maxsize=256)
def _sets_cookies(head: bytes) -> bool:
    # Most answers have a head that many others have: the same bytes object, which knows its hash.
    return b"\r\nset-cookie:" in head.partition(b"\r\n\r\n")[0].lower()


class Response:
    """One finished request.

    `status` is 0 and `content` empty when `error` says why there is no answer. `content` has its gzip and deflate
    codings removed. `bytes_sent` and `bytes_received` are what went over the socket for this request (head, body,
    and TLS with its handshake), also when it failed; 0 of one that was cut off, or whose handshake failed. `retried`
    means that it was sent twice: the kept connection turned out to be closed before a single byte of an answer.
    `stamps` are what `timings` is made from.
    """

    __slots__ = (
        "_head",
        "_headers",
        "bytes_received",
        "bytes_sent",
        "content",
        "error",
        "retried",
        "stamps",
        "status",
    )

    def __init__(
        self,
        status: int,
        head: bytes,
        content: bytes,
        stamps: Stamps,
        bytes_sent: int,
        bytes_received: int,
        error: TransportError | None = None,
    ) -> None:
        self.status = status
        self._head = head
        self._headers: Headers | None = None
        self.content = content
        self.stamps = stamps
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received
        self.error = error
        self.retried = False

    @property
    def headers(self) -> Headers:
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(self._head)
        return headers

    @property
    def sets_cookies(self) -> bool:
        """Whether there is a Set-Cookie header: without taking all headers apart, for who looks at every answer."""
        head = self._head
        return _sets_cookies(head if len(head) <= _REMEMBERED_BYTES else head.partition(b"\r\n\r\n")[0])

    @property
    def failed(self) -> bool:
        """k6's http_req_failed: a transport error, or a status outside 200 to 399."""
        return self.error is not None or not 200 <= self.status < 400

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def unsent(self) -> bool:
        """Whether no connection came to be (name look-up, TCP or TLS failed): the target cannot have seen the
        request."""
        return self.error is not None and self.stamps[1] == self.stamps[4] and not self.retried

    @property
    def refused(self) -> bool:
        """Whether the target said no (a 4xx) to something that it does not hold. Of a request that was sent twice that
        is not known: its second copy may have been refused because the first was taken."""
        return self.error is None and 400 <= self.status < 500 and not self.retried

    @property
    def reason(self) -> str:
        """The words beside the status, the standard ones where the server gave none; of an error its text."""
        if self.error is not None:
            return self.error.text
        words = self._head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)[2:]
        if words and words[0]:
            return words[0]
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    @property
    def summary(self) -> str:
        """The answer in words, for reports: its `outcome`, and what its body `says`."""
        return f"{self.outcome} ({self.says})" if self.says else self.outcome

    @property
    def outcome(self) -> str:
        """Status, reason, and where a redirect leads; of an error its kind and text."""
        if self.error is not None:
            return str(self.error)
        words = f"{self.status} {self.reason}".strip()
        onward = self.headers.get("location")
        return f"{words} to {onward[:MAX_WORDS]}" if onward else words

    @property
    def says(self) -> str:
        """What the body says to people, in one short line; see `words_in`."""
        return "" if self.error is not None else words_in(self.content)

    @property
    def text(self) -> str:
        """The content as text in the charset that Content-Type names, UTF-8 otherwise; never raises."""
        kind = self.headers.get("content-type", "") or ""
        charset = kind.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
        try:
            return self.content.decode(charset or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content as JSON (UTF-8, as RFC 8259 has it). Raises ValueError when it is none.

        A whole number beyond 64 bits comes as a float.
        """
        try:
            return orjson.loads(self.content)
        except ValueError:
            return decode_json(self.content)

    def json_object(self) -> dict[str, Any]:
        """The content as a JSON object; an empty one when it is none. Never raises."""
        try:
            value = self.json()
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def timings(self) -> Timings:
        # Differences of whole microseconds since the connection was there: they add up to the duration exactly.
        started, ready, sent, first_byte, done, connecting_ns, tls_ns = self.stamps
        sent_us, first_us, done_us = (sent - ready) // 1000, (first_byte - ready) // 1000, (done - ready) // 1000
        connecting_us, tls_us = connecting_ns // 1000, tls_ns // 1000
        return Timings(
            max(0, (ready - started) // 1000 - connecting_us - tls_us),
            connecting_us,
            tls_us,
            sent_us,
            first_us - sent_us,
            done_us - first_us,
        )

    @property
    def duration_us(self) -> int:
        """Sending, waiting and receiving together: `timings.duration_us`, without the rest."""
        return (self.stamps[4] - self.stamps[1]) // 1000

    @property
    def started_ns(self) -> int:
        """When the request began, on the monotonic clock."""
        return self.stamps[0]

    @property
    def done_ns(self) -> int:
        """When its last byte was read, or it failed, on the monotonic clock."""
        return self.stamps[4]

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<Response {self.error}>"
        return f"<Response {self.status} {len(self.content)} bytes>"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that each phase, and the whole request, may take; k6 gives a request 60 s in all.

    Raises ValueError for anything but a positive, finite number: a request without an end would hold its user for ever.
    """

    dns_s: float = 10.0
    connect_s: float = 10.0
    """All addresses of the host together."""
    tls_s: float = 10.0
    send_s: float = 30.0
    read_s: float = 60.0
    """The longest silence: until the first byte of the answer, and between two reads of it."""
    total_s: float = 60.0
    """From the start of the request to the last byte, connecting and a repeated attempt included."""

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"Timeouts.{field.name} must be a positive number of seconds, not {seconds!r}")

    @property
    def total_ns(self) -> int:
        return int(self.total_s * 1e9)

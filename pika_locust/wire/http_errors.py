"""Why a request got no usable answer: a value that the response carries, raised only when the caller asked for it."""

from __future__ import annotations

from enum import StrEnum

from pika_locust.errors import PikaLocustError


class ErrorKind(StrEnum):
    """The phase or the rule that failed; the text of the error says how."""

    DNS = "dns"
    """The host name has no address, or finding one took too long."""
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    """Neither refused nor late: no route, or this machine is out of ports or file descriptors."""
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


class TransportError(PikaLocustError):
    """A request that failed below HTTP: `kind` to count by, `text` for people.

    Texts hold no addresses of this machine, counts or times that differ from request to request, so that equal
    failures group together.
    """

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text

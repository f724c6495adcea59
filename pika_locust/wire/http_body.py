"""The content of an answer: content codings undone, within a bound (RFC 9110, section 8.4)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from pika_locust.wire.http_errors import ErrorKind, TransportError

_AUTO_WINDOW = 32 + zlib.MAX_WBITS
"""zlib's own way of accepting either of the gzip and the zlib format."""
_MAX_CODINGS = 4


def decode_content(body: bytes, codings: Sequence[str], max_bytes: int) -> bytes:
    """The body without its gzip and deflate codings: what Content-Encoding lists, in lower case.

    A body in any other coding (br, zstd) is returned as it came: only a caller who asked for it gets one.
    Raises TransportError: `too_large` as soon as more than `max_bytes` came out, `protocol` for what is no such data.
    """
    if len(codings) > _MAX_CODINGS:
        raise TransportError(ErrorKind.PROTOCOL, "more content codings than anybody has a use for")
    for name in reversed(codings):
        if name in ("gzip", "x-gzip"):
            body = _inflate(body, _AUTO_WINDOW, name, max_bytes)
        elif name == "deflate":
            # The standard means zlib's format; some servers have always sent the bare stream.
            bare = len(body) < 2 or (body[0] & 0x0F) != 8 or ((body[0] << 8) | body[1]) % 31 != 0
            body = _inflate(body, -zlib.MAX_WBITS if bare else _AUTO_WINDOW, name, max_bytes)
        elif name not in ("identity", ""):
            return body
    return body


def _inflate(body: bytes, window: int, name: str, max_bytes: int) -> bytes:
    whole = bytearray()
    while body:
        member = zlib.decompressobj(window)
        try:
            whole += member.decompress(body, max_bytes - len(whole) + 1)
        except zlib.error:
            raise TransportError(ErrorKind.PROTOCOL, f"the body is not valid {name} data") from None
        if len(whole) > max_bytes:
            raise too_large_body(max_bytes)
        if not member.eof:
            raise TransportError(ErrorKind.PROTOCOL, f"the {name} data of the body ends too early")
        # gzip data may be several members, one after the other (RFC 1952, section 2.2).
        body = member.unused_data
    return bytes(whole)


def too_large_body(max_bytes: int) -> TransportError:
    """The error for a body over its bound."""
    return TransportError(ErrorKind.TOO_LARGE, f"the body exceeds {max_bytes} bytes")

"""WebSocket frames as bytes (RFC 6455, section 5): encoding, decoding and message assembly.

Nothing here touches a socket; `wire.websocket` does. `MessageReader` is the hot path of every broadcast.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without its C extension
    from websockets.utils import apply_mask

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
FIN = 0x80

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, ABNORMAL = 1000, 1001, 1002, 1005, 1006
INVALID_TEXT, TOO_BIG = 1007, 1009

_LENGTH_16 = struct.Struct("!BBH")
_LENGTH_64 = struct.Struct("!BBQ")
_CODE = struct.Struct("!H")

_LONGEST_CONTROL = 125


class ProtocolViolation(Exception):
    """The peer broke RFC 6455; `code` is the close code that says so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was read: `end` is where the next one begins in the buffer."""

    opcode: int
    final: bool
    payload: bytes
    end: int


def encode(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final, masked frame, as a client must send it (sections 5.1 and 5.3: a fresh unpredictable key each time)."""
    size = len(payload)
    try:
        key = _keys.pop()
    except IndexError:
        key = _fresh_key()
    if size < 126:
        head = bytes((FIN | opcode, 0x80 | size))
    elif size < 65536:
        head = _LENGTH_16.pack(FIN | opcode, 0x80 | 126, size)
    else:
        head = _LENGTH_64.pack(FIN | opcode, 0x80 | 127, size)
    return head + key + apply_mask(payload, key)


_KEYS = 1024
_keys: list[bytes] = []
"""Masking keys that no frame has had: to ask the kernel for each takes as long as all else that a frame needs."""
if hasattr(os, "register_at_fork"):
    # Of two processes that were one before a fork, each makes its own.
    os.register_at_fork(after_in_child=_keys.clear)


def _fresh_key() -> bytes:
    found = os.urandom(4 * _KEYS)
    _keys.extend(found[at : at + 4] for at in range(0, len(found), 4))
    return _keys.pop()


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; NO_CODE makes an empty one. A reason is cut, between two characters, to the 123 bytes it may have.

    Raises ValueError for a code that must not be sent.
    """
    if code == NO_CODE:
        return encode(b"", CLOSE)
    if not _may_be_sent(code):
        raise ValueError(f"close code {code}: expected 1000 to 1014 without 1004 to 1006, or 3000 to 4999")
    longest = _LONGEST_CONTROL - _CODE.size
    return encode(_CODE.pack(code) + reason.encode()[:longest].decode(errors="ignore").encode(), CLOSE)


def extent(data: bytes, start: int) -> tuple[int, int]:
    """Bytes in the head and in the payload of the frame at `start`, as far as `data` shows: at least that much is
    needed to go on.
    """
    if len(data) - start < 2:
        return 2, 0
    size = data[start + 1] & 0x7F
    if size < 126:
        return 2, size
    head = 4 if size == 126 else 10
    if len(data) - start < head:
        return head, 0
    return head, int.from_bytes(data[start + 2 : start + head], "big")


def decode(data: bytes, start: int, max_bytes: int) -> Frame | None:
    """The frame that begins at `start`, or None when it is not all there yet.

    Raises ProtocolViolation for what a server must not send: reserved bits and opcodes, masked frames, long or
    fragmented control frames, lengths spelled longer than needed (sections 5.1, 5.2, 5.5), and for a frame beyond
    `max_bytes`.
    """
    available = len(data) - start
    if available < 2:
        return None
    first, second = data[start], data[start + 1]
    opcode, final = first & 0x0F, bool(first & FIN)
    if first & 0x70:
        raise ProtocolViolation(PROTOCOL_ERROR, "a frame with reserved bits set, though no extension was agreed on")
    if opcode not in (TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG):
        raise ProtocolViolation(PROTOCOL_ERROR, f"a frame with the reserved opcode {opcode:#x}")
    if second & 0x80:
        raise ProtocolViolation(PROTOCOL_ERROR, "a masked frame from the server")
    if opcode >= CLOSE and (second > _LONGEST_CONTROL or not final):
        raise ProtocolViolation(PROTOCOL_ERROR, "a control frame that is fragmented or longer than 125 bytes")
    head, size = extent(data, start)
    if available < head:
        return None
    if (head == 4 and size < 126) or (head == 10 and not 65536 <= size < 1 << 63):
        raise ProtocolViolation(PROTOCOL_ERROR, "a frame whose length is not spelled as it must be")
    # Control frames have a bound of their own.
    if size > max_bytes and opcode < CLOSE:
        raise ProtocolViolation(TOO_BIG, f"a frame of more than {max_bytes:,} bytes")
    if available < head + size:
        return None
    body = start + head
    return Frame(opcode, final, data[body : body + size], body + size)


def decode_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame's payload (section 5.5.1); an empty one is NO_CODE.

    Raises ProtocolViolation for codes that must not be on the wire (section 7.4) and for reasons that are not UTF-8.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise ProtocolViolation(PROTOCOL_ERROR, "a close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not _may_be_sent(code):
        raise ProtocolViolation(PROTOCOL_ERROR, f"the close code {code}, which must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(INVALID_TEXT, "a close reason that is not UTF-8") from None


def _may_be_sent(code: int) -> bool:
    """1004 to 1006 and 1015 are never sent; 1016 to 2999 are unassigned; 3000 to 4999 belong to libraries and
    applications (section 7.4).
    """
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, NO_CODE, ABNORMAL))


class Listener(Protocol):
    """Receives complete messages."""

    def on_text(self, payload: bytes, at_ns: int) -> None: ...
    def on_binary(self, payload: bytes, at_ns: int) -> None: ...


class Controls(Protocol):
    """Answers control frames."""

    def on_control(self, opcode: int, payload: bytes) -> None: ...


class MessageReader:
    """The receiving half of a client, without a socket: cuts a stream of bytes into messages.

    On CPython a text frame costs about a microsecond here, its handler aside.
    `partial_since_ns` is the stamp of the read that began a message which is not complete yet, 0 when there is none.
    """

    __slots__ = (
        "_controls",
        "_fragments",
        "_listener",
        "_max_bytes",
        "_needed",
        "_on_text",
        "_opcode",
        "_stopped",
        "_tail",
        "partial_since_ns",
    )

    def __init__(self, listener: Listener, controls: Controls, max_bytes: int) -> None:
        self._listener = listener
        self._on_text = listener.on_text
        self._controls = controls
        self._max_bytes = max_bytes
        self._tail: bytearray | None = None
        self._needed = 0
        self._fragments: bytearray | None = None
        self._opcode = 0
        self._stopped = False
        self.partial_since_ns = 0

    def stop(self) -> None:
        """Hand over nothing more, not even what has been taken already; may be called from the listener."""
        self._stopped = True
        self._tail = self._fragments = None
        self.partial_since_ns = 0

    def take(self, data: bytes, at_ns: int) -> None:
        """Hand over every message that is now complete; `at_ns` is when `data` was read.

        An exception of the listener passes through and loses nothing: call again, with no data, to go on behind the
        message that raised. After a close frame (RFC 6455, section 1.4) and after a violation whatever follows is
        dropped.

        Raises ProtocolViolation.
        """
        if self._stopped:
            return
        tail = self._tail
        if tail is not None:
            tail += data
            if len(tail) < self._needed:
                return
            data = bytes(tail)
            self._tail = None
        on_text = self._on_text
        ordinary = self._fragments is None and self._max_bytes >= 125
        position, size = 0, len(data)
        try:
            while size - position >= 2:
                # The ordinary frame: final, text, unmasked, below 64 kB. All others take the careful way.
                length = data[position + 1]
                if length < 127 and ordinary and data[position] == 0x81:
                    start = position + 2
                    if length == 126:
                        if size - position < 4:
                            break
                        start = position + 4
                        length = (data[position + 2] << 8) | data[position + 3]
                        if not 126 <= length <= self._max_bytes:
                            decode(data, position, self._max_bytes)
                    end = start + length
                    if end > size:
                        break
                    payload = data[start:end]
                    position = end
                    if not payload.isascii():
                        _check_text(payload)
                    on_text(payload, at_ns)
                    if self._stopped:
                        break
                    continue
                frame = decode(data, position, self._max_bytes)
                if frame is None:
                    break
                if self._fragments is None and (position or not self.partial_since_ns):
                    # Should this frame begin a fragmented message, then it began with this read.
                    self.partial_since_ns = at_ns
                position = frame.end
                self._take_frame(frame, at_ns)
                if self._stopped:
                    break
                ordinary = self._fragments is None and self._max_bytes >= 125
        except ProtocolViolation:
            self.stop()
            raise
        finally:
            if not self._stopped:
                if position < size:
                    self._tail = bytearray(data[position:])
                    self._needed = sum(extent(data, position))
                if self._fragments is None:
                    if position == size:
                        self.partial_since_ns = 0
                    elif position or not self.partial_since_ns:
                        self.partial_since_ns = at_ns

    def _take_frame(self, frame: Frame, at_ns: int) -> None:
        opcode, payload = frame.opcode, frame.payload
        if opcode >= CLOSE:
            if opcode == CLOSE:
                self.stop()
            self._controls.on_control(opcode, payload)
        elif opcode == CONTINUATION:
            if self._fragments is None:
                raise ProtocolViolation(PROTOCOL_ERROR, "a continuation of nothing")
            self._fragments += payload
            if len(self._fragments) > self._max_bytes:
                raise ProtocolViolation(TOO_BIG, f"a fragmented message beyond {self._max_bytes:,} bytes")
            if frame.final:
                message, self._fragments = bytes(self._fragments), None
                self._deliver(self._opcode, message, at_ns)
        elif self._fragments is not None:
            raise ProtocolViolation(PROTOCOL_ERROR, "a new message inside a fragmented one")
        elif frame.final:
            self._deliver(opcode, payload, at_ns)
        else:
            self._opcode, self._fragments = opcode, bytearray(payload)

    def _deliver(self, opcode: int, payload: bytes, at_ns: int) -> None:
        if opcode == TEXT:
            _check_text(payload)
            self._on_text(payload, at_ns)
        else:
            self._listener.on_binary(payload, at_ns)


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(INVALID_TEXT, "a text message that is not UTF-8") from None

"""WebSocket frames as bytes (RFC 6455, section 5): what a client writes, and the rules for what it reads.

Nothing here touches a socket; `wire.websocket` is the driver.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
FIN = 0x80

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, ABNORMAL = 1000, 1001, 1002, 1005, 1006
INVALID_TEXT, TOO_BIG = 1007, 1009

_LENGTH_16 = struct.Struct("!BBH")
_LENGTH_64 = struct.Struct("!BBQ")
_CODE = struct.Struct("!H")

# Multiplying a 32-bit key by the n-th of these repeats it over n words: XOR then masks a whole payload at once.
_REPEATS = tuple(sum(1 << (32 * word) for word in range(words)) for words in range(65))


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
    key = os.urandom(4)
    if size < 126:
        head = bytes((FIN | opcode, 0x80 | size))
    elif size < 65536:
        head = _LENGTH_16.pack(FIN | opcode, 0x80 | 126, size)
    else:
        head = _LENGTH_64.pack(FIN | opcode, 0x80 | 127, size)
    words = (size + 3) >> 2
    repeat = _REPEATS[words] if words < 65 else sum(1 << (32 * word) for word in range(words))
    mask = int.from_bytes(key, "little") * repeat
    masked = (int.from_bytes(payload, "little") ^ mask).to_bytes(words << 2, "little")
    return head + key + masked[:size]


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; NO_CODE makes an empty one."""
    body = b"" if code == NO_CODE else _CODE.pack(code) + reason.encode()[:123]
    return encode(body, CLOSE)


def decode(data: bytes, start: int, max_bytes: int) -> Frame | None:
    """The frame that begins at `start`, or None when it is not all there yet.

    Raises ProtocolViolation for what a server must not send: reserved bits and opcodes, masked frames, long or
    fragmented control frames (sections 5.1, 5.2, 5.5), and for a frame beyond `max_bytes`.
    """
    available = len(data) - start
    if available < 2:
        return None
    first, second = data[start], data[start + 1]
    opcode, final, size = first & 0x0F, bool(first & FIN), second & 0x7F
    if first & 0x70:
        raise ProtocolViolation(PROTOCOL_ERROR, "a frame with reserved bits set, though no extension was agreed on")
    if opcode not in (TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG):
        raise ProtocolViolation(PROTOCOL_ERROR, f"a frame with the reserved opcode {opcode:#x}")
    if second & 0x80:
        raise ProtocolViolation(PROTOCOL_ERROR, "a masked frame from the server")
    if opcode >= CLOSE and (size > 125 or not final):
        raise ProtocolViolation(PROTOCOL_ERROR, "a control frame that is fragmented or longer than 125 bytes")
    head = 2
    if size == 126:
        head = 4
        if available < head:
            return None
        size = int.from_bytes(data[start + 2 : start + 4], "big")
    elif size == 127:
        head = 10
        if available < head:
            return None
        size = int.from_bytes(data[start + 2 : start + 10], "big")
    if size > max_bytes:
        raise ProtocolViolation(TOO_BIG, f"a frame of {size:,} bytes; at most {max_bytes:,} are taken")
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
    # 1004 to 1006 and 1015 are never sent; 1016 to 2999 are unassigned; 3000 to 4999 belong to libraries and applications.
    if not (1000 <= code <= 1014 and code not in (1004, NO_CODE, ABNORMAL)) and not 3000 <= code <= 4999:
        raise ProtocolViolation(PROTOCOL_ERROR, f"the close code {code}, which must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(INVALID_TEXT, "a close reason that is not UTF-8") from None

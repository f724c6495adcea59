"""Identifiers and times as Verity writes them."""

from __future__ import annotations

import random
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BLOCK = 36**4


def iso(at: float) -> str:
    """A time as JavaScript's `toISOString` writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def base36(number: int, width: int) -> str:
    """A non-negative number in base 36, padded with zeros."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits.rjust(width, "0")


class Ids:
    """Makes ids; two of them never make the same ones, and one never repeats itself."""

    def __init__(self) -> None:
        self._dice = random.Random()
        self._fingerprint = base36(self._dice.randrange(_BLOCK), 4)
        self._rows = 0
        self._sockets = 0

    def row(self, now: float) -> str:
        """A key of the database, as cuid makes them: 25 characters that begin with `c` and the time."""
        self._rows = (self._rows + 1) % _BLOCK
        chance = base36(self._dice.randrange(_BLOCK * _BLOCK), 8)
        return f"c{base36(int(now * 1000), 8)}{base36(self._rows, 4)}{self._fingerprint}{chance}"

    def socket(self) -> str:
        """An id of Engine.IO and Socket.IO: 20 characters that end in a counter."""
        self._sockets = (self._sockets + 1) % (1 << 24)
        return urlsafe_b64encode(self._dice.randbytes(12) + self._sockets.to_bytes(3, "big")).decode()

    def secret(self) -> str:
        """What a refresh cookie holds."""
        return self._dice.randbytes(32).hex()

    def media_token(self) -> str:
        """What the video provider's client library would be given; nothing checks it here."""
        return "007IAA" + b64encode(self._dice.randbytes(126)).decode()

    def media_uid(self) -> int:
        """A participant's number in a video channel."""
        return self._dice.randrange(1, 1 << 32)


def anonymous(session_id: str, user_id: str) -> str:
    """The name under which the partner of one session sees a user."""
    return "anon_" + sha256(f"{session_id}:{user_id}".encode()).hexdigest()[:12]

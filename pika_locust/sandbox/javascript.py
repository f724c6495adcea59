"""Times, numbers, JSON and ids as JavaScript writes them, in which many servers are written that worlds stand for."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any

_LARGEST_EXACT = 2**53
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


class Cuids:
    """Makes ids as the library cuid does: 25 characters that begin with `c` and the time. Two makers never make the
    same ones, and one never repeats itself."""

    def __init__(self) -> None:
        self._dice = random.Random()
        self._fingerprint = base36(self._dice.randrange(_BLOCK), 4)
        self._made = 0

    def new(self, now: float) -> str:
        """Another one, made at `now` (Unix time in seconds)."""
        self._made = (self._made + 1) % _BLOCK
        chance = base36(self._dice.randrange(_BLOCK * _BLOCK), 8)
        return f"c{base36(int(now * 1000), 8)}{base36(self._made, 4)}{self._fingerprint}{chance}"


def stable_json(value: Any) -> str:
    """JSON as `JSON.stringify` writes it after all keys were sorted, at every depth."""
    match value:
        case str():
            return encode_basestring(value)
        case dict():
            return "{" + ",".join(f"{encode_basestring(k)}:{stable_json(value[k])}" for k in _sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(stable_json, value)) + "]"
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() if -_LARGEST_EXACT <= value <= _LARGEST_EXACT:
            return str(value)
    return javascript_number(float(value))


def _sorted(keys: dict[str, Any]) -> list[str]:
    # JavaScript compares UTF-16 code units; for ASCII that is what Python compares
    return sorted(keys) if all(map(str.isascii, keys)) else sorted(keys, key=lambda k: k.encode("utf-16-be", "replace"))


def javascript_number(value: float) -> str:
    """A number as `String(value)` writes it in JavaScript (ECMA-262, Number::toString)."""
    if value in (float("inf"), float("-inf")) or value != value:
        return "null"
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}e0".partition("e")
    exponent = exponent.partition("e")[0]
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
        text = digits + power if k == 1 else f"{digits[0]}.{digits[1:]}{power}"
    return sign + text

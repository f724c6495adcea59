"""Which queue a join goes to: a city, and a hash of the preferences in one canonical spelling."""

from __future__ import annotations

import re
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any

DEFAULT_CITY = "canberra"
_NO_PREFERENCES = sha256(b"{}").hexdigest()[:12]
_GAPS = re.compile(r"[^a-z0-9]+")
_LARGEST_EXACT = 2**53


def queue_key(place: str | None, preferences: dict[str, Any] | None) -> str:
    """`<city>:<first 12 hex digits of the sha256 of the preferences>`.

    Arguments:
        place: the city, or the legacy region, as the client wrote it.
        preferences: parsed JSON.
    """
    return f"{city_of(place)}:{fingerprint(preferences)}"


def city_of(place: str | None) -> str:
    """Lower case, with `-` for whatever is no letter or digit; `au` and nothing mean the default city."""
    city = _GAPS.sub("-", (place or "").strip().lower()).strip("-")
    return DEFAULT_CITY if city in ("", "au") else city


def fingerprint(preferences: dict[str, Any] | None) -> str:
    """Equal for preferences that differ only in the order of their keys."""
    if not preferences:
        return _NO_PREFERENCES
    return sha256(stable_json(preferences).encode("utf-8", "replace")).hexdigest()[:12]


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

"""Durations as k6 writes them: `90s`, `10m`, `1h30m`, `500ms`."""

from __future__ import annotations

import re

# Go, and so k6, takes both code points that look like a micro sign.
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|\u00b5s|\u03bcs|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6}
_BARE = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST_S = 1e9


def parse_duration(text: str, *, bare_unit: str = "ms") -> float:
    """Seconds in a duration such as `1h30m`, `90s`, `500ms`.

    A number without a unit is milliseconds, as in k6 (`lib/types`), unless `bare_unit` says otherwise: Locust's own
    options and the suites' plain-number settings count in seconds.

    Raises ValueError, which says what would be right.
    """
    stripped = text.strip()
    position = 0
    total = 0.0
    if _BARE.fullmatch(stripped):
        total, position = float(stripped) * _SECONDS[bare_unit], len(stripped)
    for match in _PART.finditer(stripped):
        if match.start() != position:
            break
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if not stripped or position != len(stripped):
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 10m, 1h30m or 500ms")
    if total > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than thirty years")
    return total


def format_duration(seconds: float) -> str:
    """The shortest way to write a duration that `parse_duration` reads back: `90.0` is `1m30s`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 0:
        raise ValueError(f"a duration cannot be negative: {seconds}")
    whole, rest_ms = divmod(milliseconds, 1000)
    minutes, rest_s = divmod(whole, 60)
    hours, rest_m = divmod(minutes, 60)
    parts = [f"{hours}h" if hours else "", f"{rest_m}m" if rest_m else ""]
    if rest_ms:
        parts.append(f"{rest_s}.{rest_ms:03d}".rstrip("0") + "s" if whole else f"{rest_ms}ms")
    elif rest_s:
        parts.append(f"{rest_s}s")
    return "".join(parts) or "0s"

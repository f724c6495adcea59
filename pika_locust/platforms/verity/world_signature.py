"""Stripe's webhook signature: what the header must hold, as Stripe's own libraries verify it."""

from __future__ import annotations

import hmac
import re

TOLERANCE_S = 300
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,400})")


def verify(payload: bytes, header: str, secret: bytes, now: float) -> str | None:
    """What is wrong with a `stripe-signature` header; None when it is right.

    One of its `v1` must be the hex HMAC-SHA256 of `<t>.<payload>` over the raw bytes. A `t` in the future is taken.

    Arguments:
        payload: the body as it came.
        now: seconds since the epoch.
    """
    stamp: int | None = None
    signatures: list[str] = []
    for item in header.split(","):
        name, _, value = item.partition("=")
        if name == "t":
            stamp = javascript_int(value)
        elif name == "v1":
            signatures.append(value.partition("=")[0])
    if stamp is None or stamp == -1:
        return "Unable to extract timestamp and signatures from header"
    if not signatures:
        return "No signatures found with expected scheme"
    expected = hmac.digest(secret, b"%d." % stamp + payload, "sha256").hex().encode()
    if not any(hmac.compare_digest(expected, signature.encode()) for signature in signatures):
        return "No signatures found matching the expected signature for payload"
    if int(now) - stamp > TOLERANCE_S:
        return "Timestamp outside the tolerance zone"
    return None


def javascript_int(text: str) -> int | None:
    """What `parseInt(text, 10)` makes of a text: the number it begins with; None for NaN."""
    match = _WHOLE.match(text)
    return int(match[1]) if match is not None else None

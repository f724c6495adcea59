"""Signed payment events as Stripe sends them to a webhook, and signatures that a receiver must refuse.

The scheme (docs.stripe.com/webhooks, "Verify webhook signatures manually"): the header holds a time `t` in whole
seconds and, as `v1`, the hexadecimal HMAC-SHA256, under the endpoint's secret, of `t`, a full stop and the raw body.
"""

from __future__ import annotations

import hmac
from json.encoder import encode_basestring as _quoted

HEADER = "stripe-signature"
"""The request header that carries a signature."""
TOLERANCE_S = 300
"""How old Stripe's own libraries let a signature be."""
STALE_S = TOLERANCE_S + 10
"""An age that is refused even when the clocks of both sides differ by a few seconds."""


def event(event_id: str, checkout_id: str, user_id: str, pack_id: str, tokens: int) -> bytes:
    """The body of a paid checkout of `tokens` tokens: compact JSON, its keys in Stripe's order, the number as text.

    It only has what Verity reads: no top-level `object`, `created`, `api_version` or `livemode`.
    """
    return (
        f'{{"id":{_quoted(event_id)},"type":"checkout.session.completed","data":{{"object":{{"id":{_quoted(checkout_id)},'
        f'"object":"checkout.session","payment_status":"paid","metadata":{{"userId":{_quoted(user_id)},'
        f'"packId":{_quoted(pack_id)},"tokens":"{tokens:d}"}}}}}}}}'
    ).encode()


def signature(secret: str, payload: bytes, at_s: float) -> str:
    """The header's value `t=…,v1=…` for `payload`, signed at `at_s` (Unix time; the fraction is dropped).

    The bytes must be sent exactly as they were signed.
    """
    second = int(at_s)
    return f"t={second},v1={hmac.new(secret.encode(), b'%d.%b' % (second, payload), 'sha256').hexdigest()}"


def stale(secret: str, payload: bytes, at_s: float, age_s: float = STALE_S) -> str:
    """A signature that was right `age_s` seconds before `at_s`: a replay, which a receiver must refuse."""
    return signature(secret, payload, at_s - age_s)


def forged(secret: str, payload: bytes, at_s: float) -> str:
    """A fresh and well-formed signature under a secret that is certainly not `secret`."""
    return signature(f"not {secret}", payload, at_s)

from __future__ import annotations

import json
import time

import pytest
import stripe as oracle
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.kit import stripe

SECRET = "whsec_test_secret"
RECORDED = (
    b'{"id":"evt_2co1db4gmhcgfw34eh1sha","type":"checkout.session.completed","data":{"object":{"id":"cs_uje3qrxoqdpwazc'
    b'qfjku65","object":"checkout.session","payment_status":"paid","metadata":{"userId":"cmwptys4400ekik7dta0j5iix",'
    b'"packId":"starter","tokens":"1"}}}}'
)
"""A body and its signature as they went to the real server."""
RECORDED_SIGNATURE = "t=1795230630,v1=8ff156f66d614cf4517600a46712e47ea3cbad0ab8c356f901492668c2b40dbc"


def accepted(payload: bytes, header: str) -> bool:
    """What Stripe's own library says of it, with its default tolerance."""
    try:
        oracle.Webhook.construct_event(payload, header, SECRET)
    except oracle.SignatureVerificationError:
        return False
    return True


def test_a_recorded_event_is_rebuilt_byte_by_byte() -> None:
    got = stripe.event(
        "evt_2co1db4gmhcgfw34eh1sha", "cs_uje3qrxoqdpwazcqfjku65", "cmwptys4400ekik7dta0j5iix", "starter", 1
    )
    assert got == RECORDED
    assert stripe.signature("whsec_test", got, 1795230630.9) == RECORDED_SIGNATURE


@given(st.text(), st.text(), st.text(), st.text(), st.integers(0, 2**40))
def test_whatever_the_ids_are_the_body_is_what_json_would_write(
    event_id: str, checkout_id: str, user_id: str, pack_id: str, tokens: int
) -> None:
    body = {
        "id": event_id,
        "type": "checkout.session.completed",
        "data": {
            "object": {
                "id": checkout_id,
                "object": "checkout.session",
                "payment_status": "paid",
                "metadata": {"userId": user_id, "packId": pack_id, "tokens": str(tokens)},
            }
        },
    }
    got = stripe.event(event_id, checkout_id, user_id, pack_id, tokens)
    assert got.decode() == json.dumps(body, separators=(",", ":"), ensure_ascii=False)


@given(st.integers(0, 2**31), st.integers(1, 30))
def test_stripe_reads_the_event_out_of_what_was_signed(number: int, tokens: int) -> None:
    payload = stripe.event(f"evt_{number}", f"cs_{number}", "cmwptyodt0047ik7ds8kmnpod", "starter", tokens)
    got = oracle.Webhook.construct_event(payload, stripe.signature(SECRET, payload, time.time()), SECRET)
    assert got.id == f"evt_{number}"
    assert got.data.object["metadata"]["tokens"] == str(tokens)


@pytest.mark.parametrize(
    ("header", "right"),
    [
        pytest.param(lambda now: stripe.signature(SECRET, RECORDED, now), True, id="a fresh signature is accepted"),
        pytest.param(
            lambda now: stripe.signature(SECRET, RECORDED, now - 290), True, id="290 s old is within the tolerance"
        ),
        pytest.param(
            lambda now: stripe.signature(SECRET, RECORDED, now + 86_400),
            True,
            id="a day ahead is accepted, as observed",
        ),
        pytest.param(lambda now: stripe.stale(SECRET, RECORDED, now), False, id="a stale one is refused"),
        pytest.param(lambda now: stripe.stale(SECRET, RECORDED, now, 60), True, id="stale by a minute is not stale"),
        pytest.param(lambda now: stripe.forged(SECRET, RECORDED, now), False, id="a forged one is refused"),
        pytest.param(
            lambda now: f"{stripe.forged(SECRET, RECORDED, now)},v1={stripe.signature(SECRET, RECORDED, now)[-64:]}",
            True,
            id="one right signature of several is enough",
        ),
        pytest.param(
            lambda now: stripe.signature(SECRET, RECORDED + b" ", now), False, id="another body's signature is refused"
        ),
    ],
)
def test_what_stripe_says_of_a_signature(header, right: bool) -> None:  # type: ignore[no-untyped-def]
    assert accepted(RECORDED, header(time.time())) is right


def test_a_forged_signature_looks_like_a_right_one() -> None:
    right, forged = stripe.signature(SECRET, RECORDED, 1.0), stripe.forged(SECRET, RECORDED, 1.0)
    assert forged != right
    assert forged[:7] == right[:7] == "t=1,v1="
    assert len(forged) == len(right) == 7 + 64
    assert stripe.HEADER == "stripe-signature"

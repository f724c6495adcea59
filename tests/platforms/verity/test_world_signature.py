"""The signature as the `stripe` package makes and verifies it, and as the real server was seen to take it."""

from __future__ import annotations

import hmac
from hashlib import sha256
from types import SimpleNamespace

import pytest
import stripe

from pika_locust.platforms.verity.world_signature import TOLERANCE_S, javascript_int, verify

SECRET = "whsec_test_secret"
PAYLOAD = b'{"id":"evt_1","type":"checkout.session.completed"}'
NOW = 1_795_230_626


def signature(stamp: int, payload: bytes = PAYLOAD, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), b"%d." % stamp + payload, sha256).hexdigest()


GOOD = signature(NOW)
HEADERS = {
    "a good one": (f"t={NOW},v1={GOOD}", True),
    "of the wrong secret": (f"t={NOW},v1={signature(NOW, secret='whsec_other')}", False),
    "over another body": (f"t={NOW},v1={signature(NOW, PAYLOAD + b' ')}", False),
    "made for another time": (f"t={NOW},v1={signature(NOW - 1)}", False),
    "the second of two": (f"t={NOW},v1=deadbeef,v1={GOOD}", True),
    "beside an old scheme": (f"t={NOW},v0={GOOD},v1={GOOD}", True),
    "only of an old scheme": (f"t={NOW},v0={GOOD}", False),
    "290 s old": (f"t={NOW - 290},v1={signature(NOW - 290)}", True),
    "310 s old": (f"t={NOW - 310},v1={signature(NOW - 310)}", False),
    "of tomorrow": (f"t={NOW + 86400},v1={signature(NOW + 86400)}", True),
    "without a time": (f"v1={GOOD}", False),
    "no header at all": ("abc", False),
    "empty": ("", False),
}


@pytest.mark.parametrize(("header", "good"), HEADERS.values(), ids=HEADERS.keys())
def test_a_header_is_taken_or_not(header: str, good: bool) -> None:
    assert (verify(PAYLOAD, header, SECRET.encode(), NOW + 0.5) is None) is good


@pytest.mark.parametrize(("header", "good"), HEADERS.values(), ids=HEADERS.keys())
def test_stripes_own_library_decides_the_same(header: str, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe._webhook.time", SimpleNamespace(time=lambda: float(NOW)))
    try:
        stripe.WebhookSignature.verify_header(PAYLOAD.decode(), header, SECRET, TOLERANCE_S)
    except stripe.SignatureVerificationError:
        assert not good
    else:
        assert good


@pytest.mark.parametrize(
    "payload", [PAYLOAD, b"", b'{\n "a": 1\n}', '{"a":"é😀"}'.encode()], ids=["compact", "empty", "pretty", "UTF-8"]
)
def test_any_body_may_be_signed(payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe._webhook.time", SimpleNamespace(time=lambda: float(NOW)))
    header = f"t={NOW},v1={signature(NOW, payload)}"
    assert stripe.WebhookSignature.verify_header(payload.decode(), header, SECRET, TOLERANCE_S)
    assert verify(payload, header, SECRET.encode(), NOW) is None


@pytest.mark.parametrize(("age_s", "good"), [(300, True), (301, False)], ids=["300 s", "301 s"])
def test_the_tolerance_is_five_minutes_to_the_second(age_s: int, good: bool) -> None:
    header = f"t={NOW - age_s},v1={signature(NOW - age_s)}"
    assert (verify(PAYLOAD, header, SECRET.encode(), NOW + 0.9) is None) is good


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("5", 5), ("5abc", 5), (" 7 ", 7), ("-3", -3), ("+2.9", 2), ("zzz", None), ("", None), ("0x10", 0)],
)
def test_whole_numbers_are_read_as_javascript_reads_them(text: str, wanted: int | None) -> None:
    assert javascript_int(text) == wanted

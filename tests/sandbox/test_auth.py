"""Access tokens, refresh tokens and Stripe signatures: what is taken, and what is not."""

from __future__ import annotations

import hmac
import itertools
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import jwt
import pytest
import stripe

from pika_locust.sandbox.auth import (
    STRIPE_TOLERANCE_S,
    AccessTokens,
    RefreshError,
    RefreshTokens,
    StripeSignatures,
    cookie_value,
)
from pika_locust.sandbox.world import Request

NOW_S = 1_795_230_626
USER = "cmwptynz6002gik7doa6abzkr"
DAY_S = 86_400


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def access(secret: bytes = b"secret") -> AccessTokens:
    return AccessTokens(secret, 900, claims={"typ": "access", "role": "USER"}, required={"typ": "access"})


def test_a_token_carries_its_claims_in_the_order_given() -> None:
    header, claims, _ = access().mint(USER, NOW_S + 0.9).split(".")
    assert header == encoded({"alg": "HS256", "typ": "JWT"})
    assert claims == encoded({"sub": USER, "typ": "access", "role": "USER", "iat": NOW_S, "exp": NOW_S + 900})


def test_a_token_is_signed_with_hmac_sha256() -> None:
    # computed with `openssl dgst -sha256 -hmac secret`
    assert access().mint("u", 0.0).rpartition(".")[2] == "yqE3e8iz4A-zcMpWhl9f_16HMFhY_wh4s2Yy4DlCSRk"


@pytest.mark.parametrize(("after_s", "valid"), [(0, True), (899, True), (900, False)])
def test_the_clock_given_decides_what_has_expired(after_s: int, valid: bool) -> None:
    tokens = access()
    token = tokens.mint(USER, NOW_S)
    assert (tokens.read(token, NOW_S + after_s) == USER) is valid
    assert tokens.read(token, NOW_S) == USER


def forged(claims: dict[str, Any], algorithm: str | None = "HS256") -> str:
    return jwt.encode(claims, b"secret" if algorithm else None, algorithm=algorithm)


CLAIMS = {"sub": USER, "typ": "access", "exp": NOW_S + 900}
BAD = {
    "nothing": "",
    "no token": "bad",
    "three parts of nothing": "..",
    "another secret": access(b"other").mint(USER, NOW_S),
    "changed claims": access().mint(USER, NOW_S).replace(".ey", ".eY", 1),
    "no algorithm": forged(CLAIMS, None),
    "another algorithm": forged(CLAIMS, "HS512"),
    "another type": forged({**CLAIMS, "typ": "refresh"}),
    "no expiry": forged({"sub": USER, "typ": "access"}),
    "nobody's": forged({"typ": "access", "exp": NOW_S + 900}),
    "claims that are a list": f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded([1])}.x",
    "letters that ASCII has not": "é.é.é",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_other_tokens_belong_to_no_user(token: str) -> None:
    assert access().read(token, NOW_S) is None


def test_a_token_made_elsewhere_with_the_secret_is_accepted() -> None:
    assert access().read(forged(CLAIMS), NOW_S) == USER


def refresh_tokens() -> RefreshTokens:
    return RefreshTokens(map(str, itertools.count()).__next__, 30 * DAY_S)


def test_a_refresh_token_is_rotated_and_its_reuse_revokes_the_family() -> None:
    refresh = refresh_tokens()
    first = refresh.issue("u1", NOW_S)
    other = refresh.issue("u2", NOW_S)
    user_id, second = refresh.rotate(first, NOW_S)
    assert user_id == "u1"
    assert second not in (first, other)
    _, third = refresh.rotate(second, NOW_S)
    assert refresh.rotate(first, NOW_S) is RefreshError.REUSED
    assert refresh.rotate(third, NOW_S) is RefreshError.REUSED
    assert refresh.rotate(other, NOW_S)[0] == "u2"


def test_a_refresh_token_lives_for_its_time() -> None:
    refresh = refresh_tokens()
    token = refresh.issue("u1", NOW_S)
    assert refresh.rotate("garbage", NOW_S) is RefreshError.INVALID
    assert refresh.rotate(token, NOW_S + 30 * DAY_S) is RefreshError.INVALID
    assert refresh.rotate(token, NOW_S + 30 * DAY_S - 1)[0] == "u1"


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("Bearer  a b ", "a b"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("abc", ""), ("", "")],
)
def test_the_token_is_found_in_the_authorization_header(header: str, token: str) -> None:
    assert Request("GET", "/", "", {"authorization": header}).bearer == token


@pytest.mark.parametrize(
    ("header", "value"), [("t=abc", "abc"), ("a=b; t=abc=; c=d", "abc="), ("a=b", None), ("", None)]
)
def test_the_cookie_is_found_in_its_header(header: str, value: str | None) -> None:
    assert cookie_value(header, "t") == value


SECRET = "whsec_test_secret"
PAYLOAD = b'{"id":"evt_1","type":"checkout.session.completed"}'


def signature(stamp: int, payload: bytes = PAYLOAD, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), b"%d." % stamp + payload, sha256).hexdigest()


GOOD = signature(NOW_S)
HEADERS = {
    "a good one": (f"t={NOW_S},v1={GOOD}", True),
    "of the wrong secret": (f"t={NOW_S},v1={signature(NOW_S, secret='whsec_other')}", False),
    "over another body": (f"t={NOW_S},v1={signature(NOW_S, PAYLOAD + b' ')}", False),
    "made for another time": (f"t={NOW_S},v1={signature(NOW_S - 1)}", False),
    "the second of two": (f"t={NOW_S},v1=deadbeef,v1={GOOD}", True),
    "beside an old scheme": (f"t={NOW_S},v0={GOOD},v1={GOOD}", True),
    "only of an old scheme": (f"t={NOW_S},v0={GOOD}", False),
    "300 s old": (f"t={NOW_S - 300},v1={signature(NOW_S - 300)}", True),
    "301 s old": (f"t={NOW_S - 301},v1={signature(NOW_S - 301)}", False),
    "of tomorrow": (f"t={NOW_S + DAY_S},v1={signature(NOW_S + DAY_S)}", True),
    "without a time": (f"v1={GOOD}", False),
    "of letters that ASCII has not": (f"t={NOW_S},v1=é", False),
    "no header at all": ("abc", False),
    "empty": ("", False),
}


@pytest.mark.parametrize(("header", "good"), HEADERS.values(), ids=HEADERS.keys())
def test_a_stripe_signature_is_taken_or_not(header: str, good: bool) -> None:
    assert StripeSignatures(SECRET.encode()).accepts(PAYLOAD, header, NOW_S + 0.9) is good


@pytest.mark.parametrize(
    "payload", [PAYLOAD, b"", b'{\n "a": 1\n}', '{"a":"é😀"}'.encode()], ids=["compact", "empty", "pretty", "UTF-8"]
)
def test_any_text_may_be_signed(payload: bytes) -> None:
    header = f"t={NOW_S},v1={signature(NOW_S, payload)}"
    assert StripeSignatures(SECRET.encode()).accepts(payload, header, NOW_S)


def test_a_body_that_is_no_text_is_not_taken() -> None:
    payload = b"\xff"
    header = f"t={NOW_S},v1={signature(NOW_S, payload)}"
    assert not StripeSignatures(SECRET.encode()).accepts(payload, header, NOW_S)


def test_the_tolerance_is_stripes_own() -> None:
    assert STRIPE_TOLERANCE_S == stripe.Webhook.DEFAULT_TOLERANCE


def test_stripe_is_loaded_only_where_signatures_are_verified() -> None:
    code = "import sys, pika_locust.platforms.verity.world; print('stripe' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"

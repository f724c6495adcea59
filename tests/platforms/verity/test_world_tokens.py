from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from pika_locust.platforms.verity.world_model import Ids
from pika_locust.platforms.verity.world_tokens import AccessTokens, RefreshTokens, cookie_value

NOW = 1_795_230_625.9
USER = "cmwptynz6002gik7doa6abzkr"


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def test_a_token_is_written_as_the_real_server_writes_it() -> None:
    header, claims, _ = AccessTokens(b"secret").mint(USER, NOW).split(".")
    assert header == encoded({"alg": "HS256", "typ": "JWT"})
    assert claims == encoded({"sub": USER, "typ": "access", "role": "USER", "iat": 1_795_230_625, "exp": 1_795_231_525})


def test_a_token_is_signed_with_hmac_sha256() -> None:
    # computed with `openssl dgst -sha256 -hmac secret`
    token = AccessTokens(b"secret").mint("u", 0.0)
    assert token.rpartition(".")[2] == "yqE3e8iz4A-zcMpWhl9f_16HMFhY_wh4s2Yy4DlCSRk"


@pytest.mark.parametrize(("after_s", "valid"), [(0, True), (899, True), (900, False)])
def test_a_token_is_valid_for_fifteen_minutes(after_s: int, valid: bool) -> None:
    tokens = AccessTokens(b"secret")
    token = tokens.mint(USER, NOW)
    assert tokens.read(token, NOW) == USER
    assert (tokens.read(token, int(NOW) + after_s) == USER) is valid


def forged(header: object, claims: object) -> str:
    tokens = AccessTokens(b"secret")
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{tokens._signature(signed)}"


HS256 = {"alg": "HS256", "typ": "JWT"}
CLAIMS = {"sub": USER, "typ": "access", "exp": int(NOW) + 900}
BAD = {
    "nothing": "",
    "no token": "bad",
    "three parts of nothing": "..",
    "another secret": AccessTokens(b"other").mint(USER, NOW),
    "changed claims": AccessTokens(b"secret").mint(USER, NOW).replace(".ey", ".eY", 1),
    "another algorithm": forged({"alg": "none"}, CLAIMS),
    "another type": forged(HS256, {**CLAIMS, "typ": "refresh"}),
    "no expiry": forged(HS256, {"sub": USER, "typ": "access"}),
    "claims that are a list": forged(HS256, [1]),
    "letters that ASCII has not": "é.é.é",
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_other_tokens_are_nobodys(token: str) -> None:
    assert AccessTokens(b"secret").read(token, NOW) is None


def test_the_test_forges_tokens_that_would_be_valid() -> None:
    assert AccessTokens(b"secret").read(forged(HS256, CLAIMS), NOW) == USER


def test_a_cookie_is_rotated_and_its_reuse_revokes_the_family() -> None:
    refresh = RefreshTokens(Ids())
    first = refresh.issue("u1", NOW)
    other = refresh.issue("u2", NOW)
    user_id, second = refresh.rotate(first, NOW)
    assert user_id == "u1"
    assert second not in (first, other)
    _, third = refresh.rotate(second, NOW)
    assert refresh.rotate(first, NOW) == "Refresh token reused"
    assert refresh.rotate(third, NOW) == "Refresh token reused"
    assert refresh.rotate(other, NOW)[0] == "u2"


def test_a_cookie_lives_for_thirty_days() -> None:
    refresh = RefreshTokens(Ids())
    cookie = refresh.issue("u1", NOW)
    assert refresh.rotate(cookie, NOW + 30 * 86400) == "Invalid or expired refresh token"
    assert refresh.rotate("garbage", NOW) == "Invalid or expired refresh token"


@pytest.mark.parametrize(
    ("header", "value"),
    [("refresh_token=abc", "abc"), ("a=b; refresh_token=abc=; c=d", "abc="), ("a=b", None), ("", None)],
)
def test_the_cookie_is_found_in_its_header(header: str, value: str | None) -> None:
    assert cookie_value(header) == value

from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.verity.world_driver import VerityDriver

UNAUTHORIZED = (401, {"message": "Unauthorized", "statusCode": 401})
BLANK = {"displayName": None, "photos": None, "bio": None, "age": None, "gender": None, "interests": []}
BIRTH = {"dateOfBirth": None, "ageVerifiedAt": None, "consents": None, "privacyNoticeVersion": None, "tosVersion": None}
CONTACT = {"phone": None, "email": None, "tokenBalance": 0}
NOW = "2026-11-21T03:00:00.000Z"


def signed_up(body: Any) -> dict[str, Any]:
    status, answer = VerityDriver().ask("POST", "/auth/signup-anonymous", body)
    assert status == 201
    return dict(answer["user"])


@pytest.mark.parametrize("body", [None, {}, [], {"dateOfBirth": None}], ids=str)
def test_an_account_needs_nothing(body: Any) -> None:
    user = signed_up(body)
    wanted = {"id": user["id"], "createdAt": NOW, "updatedAt": NOW, "role": "USER", **BLANK, **BIRTH, **CONTACT}
    assert user == wanted
    assert list(user) == list(wanted)


def test_an_account_may_bring_age_and_consents() -> None:
    consents = {"marketing": False, "terms": True}
    given = {"dateOfBirth": "1990-05-17", "privacyNoticeVersion": "1.0", "tosVersion": "2.0"}
    user = signed_up({**given, "consents": consents})
    assert user["dateOfBirth"] == "1990-05-17T00:00:00.000Z"
    assert user["ageVerifiedAt"] == NOW
    assert list(user["consents"].items()) == [("terms", True), ("marketing", False), ("acceptedAt", NOW)]
    assert (user["privacyNoticeVersion"], user["tosVersion"]) == ("1.0", "2.0")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"dateOfBirth": "2008-11-22"}, "Must be 18 or older"),
        ({"dateOfBirth": "yesterday"}, ["dateOfBirth must be a valid ISO 8601 date string"]),
        ({"dateOfBirth": 1990}, ["dateOfBirth must be a valid ISO 8601 date string"]),
        ({"consents": "all"}, ["consents must be an object"]),
        ({"foo": 1}, ["property foo should not exist"]),
    ],
    ids=str,
)
def test_other_sign_ups_are_refused(body: Any, message: Any) -> None:
    driver = VerityDriver()
    refused = {"message": message, "error": "Bad Request", "statusCode": 400}
    assert driver.ask("POST", "/auth/signup-anonymous", body) == (400, refused)
    assert driver.state()["users"] == 0


def test_whoever_turns_18_today_may_sign_up() -> None:
    assert signed_up({"dateOfBirth": "2008-11-21"})["ageVerifiedAt"] == NOW


def test_a_balance_can_be_looked_up_with_the_token() -> None:
    member = VerityDriver().member(3)
    assert member.ask("GET", "/tokens/balance") == (200, {"tokenBalance": 3})


def test_access_ends_after_fifteen_minutes_and_the_cookie_renews_it() -> None:
    driver = VerityDriver()
    answer = driver.http("POST", "/auth/signup-anonymous", {})
    cookie = dict(answer.headers)["set-cookie"]
    terms = "Max-Age=2592000; Path=/auth/refresh; Expires=Mon, 21 Dec 2026 03:00:00 GMT; HttpOnly; SameSite=Strict"
    assert cookie.partition("; ")[2] == terms
    driver.wait(900)
    member = driver.member()
    driver.wait(899)
    assert member.ask("GET", "/tokens/balance")[0] == 200
    driver.wait(1)
    assert member.ask("GET", "/tokens/balance") == UNAUTHORIZED
    status, renewed = driver.ask("POST", "/auth/refresh", cookie=cookie.partition(";")[0])
    assert status == 200
    assert driver.ask("GET", "/tokens/balance", authorization=f"Bearer {renewed['accessToken']}")[0] == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "Missing refresh token"), ({"cookie": "refresh_token=garbage"}, "Invalid or expired refresh token")],
    ids=["none", "garbage"],
)
def test_without_a_good_cookie_nothing_is_renewed(headers: dict[str, str], message: str) -> None:
    refused = {"message": message, "error": "Unauthorized", "statusCode": 401}
    assert VerityDriver().ask("POST", "/auth/refresh", **headers) == (401, refused)

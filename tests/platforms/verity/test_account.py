from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pika_locust.clock import replaced
from pika_locust.platforms.verity.account import MemberActor
from pika_locust.platforms.verity.queue_user import QueueUser
from pika_locust.platforms.verity.scenarios import QUEUE
from tests.platforms.verity.harness import RECEIVED, SIGNED_UP, Harness, answer, saying
from tests.wire.http_servers import serving


def member_at(harness: Harness, url: str = "") -> MemberActor:
    harness.open(QUEUE, url)
    member: MemberActor = harness.begun(QueueUser)
    return member


def test_a_member_signs_up_buys_and_is_told_the_balance(harness: Harness) -> None:
    member = member_at(harness)
    assert not member.account.exists
    assert member.open_account()
    assert member.account.exists
    assert member.balance() == 0
    assert member.buy(5)
    assert member.balance() == 5
    assert (member.account.tokens.least, member.account.tokens.most) == (5, 5)
    assert harness.sandbox.state()["balances"] == {member.account.user_id: 5}
    assert harness.rate("checks", check="signup ok") == harness.rate("checks", check="stripe webhook ok") == (1, 0)
    assert harness.rate("error_rate") == (0, 4)


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """So much later, by this process's clocks."""
    with replaced(lambda: time.monotonic_ns() + round(seconds * 1e9), lambda: time.time() + seconds):
        yield


def test_an_access_token_is_renewed_before_it_expires_and_the_cookie_with_it(
    harness: Harness,
) -> None:
    member = member_at(harness)
    member.refresh_if_old()
    member.open_account()
    member.refresh_if_old()
    assert harness.count("http_reqs", name="auth_refresh") == 0
    for renewals in (1, 2):
        with later(renewals * (12 * 60 + 1)):
            member.refresh_if_old()
            member.refresh_if_old()
        assert harness.count("http_reqs", name="auth_refresh") == renewals
    assert harness.rate("checks", check="token refresh ok") == (2, 0)
    assert member.balance() == 0


def test_a_renewed_access_token_goes_with_what_is_asked_next(harness: Harness) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/auth/refresh": answer(200, {"accessToken": "t2"}),
        "/tokens/balance": answer(200, {"tokenBalance": 3}),
    }
    with serving(saying(pages)) as server:
        member = member_at(harness, server.url)
        member.open_account()
        member.account.credentials = replace(member.account.credentials, fresh_until_s=0.0)
        member.refresh_if_old()
        assert member.balance() == 3
        tokens = [request.partition(b"Bearer ")[2].partition(b"\r\n")[0] for request in server.requests]
    assert tokens == [b"", b"t1", b"t2"]


def test_a_renewal_that_fails_is_tried_again_and_not_before_each_request(
    harness: Harness,
) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/auth/refresh": [answer(200, ["no token"]), answer(401, {})]}
    with serving(saying(pages)) as server:
        member = member_at(harness, server.url)
        member.open_account()
        with later(12 * 60 + 1):
            member.refresh_if_old()
            member.refresh_if_old()
        with later(12 * 60 + 12):
            member.refresh_if_old()
    assert harness.rate("checks", check="token refresh ok") == (0, 2)
    assert member.account.credentials.access_token == "t1"


NO_ACCOUNT = {
    "no JSON": (answer(201, b"<html>"), " (<html>)"),
    "no object": (answer(201, ["t1"]), ' (["t1"])'),
    "nobody": (answer(201, {"accessToken": "t1"}), ' ({"accessToken": "REDACTED"})'),
    "no token": (answer(201, {"user": {"id": "u1"}}), ' ({"user": {"id": "u1"}})'),
    "a user who is none": (answer(201, {"user": "u1"}), ' ({"user": "u1"})'),
    "bytes that are no text": (answer(201, b"\xff\xfe"), " (\ufffd\ufffd)"),
    "what it says itself": (answer(201, {"message": "come back later"}), " (come back later)"),
}


@pytest.mark.parametrize(("said", "words"), NO_ACCOUNT.values(), ids=NO_ACCOUNT)
def test_a_sign_up_that_gives_no_account_is_the_targets_mistake(said: bytes, words: str, harness: Harness) -> None:
    with serving(saying({"/auth/signup-anonymous": said})) as server:
        member = member_at(harness, server.url)
        assert not member.open_account()
        assert not member.account.exists
    assert harness.errors("auth_signup") == [f"201 Words without accessToken and user.id{words}"]
    assert harness.rate("checks", check="signup ok") == (1, 0)


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_refused_sign_up_fails_its_check(status: int, harness: Harness) -> None:
    with serving(saying({"/auth/signup-anonymous": answer(status, {})})) as server:
        assert not member_at(harness, server.url).open_account()
    assert harness.rate("error_rate") == (1, 0)
    assert harness.rate("http_req_failed", name="auth_signup") == (1, 0)


WEBHOOKS: dict[str, tuple[Any, bool, tuple[int, int]]] = {
    "acknowledged": (RECEIVED, True, (5, 5)),
    "refused": (answer(400, {}), False, (0, 0)),
    "passed on, and not answered in time": (answer(504, {}), False, (0, 5)),
    "a failure half-way": (answer(500, {}), False, (0, 5)),
    "sent twice, and refused": ([None, answer(400, {})], False, (0, 5)),
    "not answered": (None, False, (0, 5)),
}


@pytest.mark.parametrize(("said", "bought", "owed"), WEBHOOKS.values(), ids=WEBHOOKS)
def test_what_is_owed_follows_what_was_acknowledged(
    said: bytes | None, bought: bool, owed: tuple[int, int], harness: Harness
) -> None:
    with serving(saying({"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": said})) as server:
        member = member_at(harness, server.url)
        member.open_account()
        assert member.buy(5) is bought
    assert (member.account.tokens.least, member.account.tokens.most) == owed


BALANCES = {
    "a number": (answer(200, {"tokenBalance": 3}), 3),
    "none": (answer(200, {"tokenBalance": 0}), 0),
    "text": (answer(200, {"tokenBalance": "3"}), None),
    "true": (answer(200, {"tokenBalance": True}), None),
    "another object": (answer(200, {}), None),
    "a list": (answer(200, [3]), None),
    "no JSON": (answer(200, b"3 tokens"), None),
    "a refusal": (answer(401, {"tokenBalance": 3}), None),
}


@pytest.mark.parametrize(("said", "balance"), BALANCES.values(), ids=BALANCES)
def test_a_balance_is_what_the_target_says_in_so_many_words(said: bytes, balance: int | None, harness: Harness) -> None:
    with serving(saying({"/tokens/balance": said})) as server:
        assert member_at(harness, server.url).balance() == balance


def test_a_checkout_that_found_no_connection_is_not_owed(harness: Harness) -> None:
    member = member_at(harness, "http://127.0.0.1:9")
    assert not member.buy(5)
    assert (member.account.tokens.least, member.account.tokens.most) == (0, 0)
    assert harness.rate("checks", check="stripe webhook ok") == (0, 1)


def test_a_checkout_that_got_no_answer_may_be_owed(harness: Harness) -> None:
    with serving(lambda peer: peer.answer(b"")) as server:
        member = member_at(harness, server.url)
        assert not member.buy(5)
    assert (member.account.tokens.least, member.account.tokens.most) == (0, 5)

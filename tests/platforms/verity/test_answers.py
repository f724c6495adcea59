from __future__ import annotations

import time

import pytest

from pika_locust.clock import monotonic
from pika_locust.platforms.verity.answers import REFRESH_AFTER_S, Credentials, balance_in, sign_up_in
from pika_locust.wire.http import HttpClient, Response
from tests.platforms.verity.harness import SIGNED_UP, answer, saying
from tests.wire.http_servers import serving


def said(reply: bytes | None) -> Response:
    with serving(saying({"/": reply})) as server, HttpClient(server.url) as http:
        return http.get("/")


BALANCES = {
    "a number": (answer(200, {"tokenBalance": 3}), 3),
    "a number that is refused": (answer(401, {"tokenBalance": 3}), None),
    "true": (answer(200, {"tokenBalance": True}), None),
    "no answer": (None, None),
}


@pytest.mark.parametrize(("reply", "balance"), BALANCES.values(), ids=BALANCES)
def test_the_balance_in_an_answer(reply: bytes | None, balance: int | None) -> None:
    assert balance_in(said(reply)) == balance


def test_who_has_signed_up_and_with_what_pass() -> None:
    before_s = monotonic()
    member = sign_up_in(said(SIGNED_UP))
    assert member is not None
    assert (member.user_id, member.credentials.access_token, member.credentials.refresh_cookie) == ("u1", "t1", "r1")
    assert member.credentials.headers == {"authorization": "Bearer t1"}
    assert before_s + REFRESH_AFTER_S <= member.credentials.fresh_until_s <= monotonic() + REFRESH_AFTER_S
    assert not member.credentials.is_old
    assert sign_up_in(said(answer(429, {}))) is None


AGES = {
    "fresh": (Credentials("t", "c", time.monotonic() + 1000), False),
    "old": (Credentials("t", "c", 0.0), True),
    "old, and nothing renews it": (Credentials("t", "", 0.0), False),
}


@pytest.mark.parametrize(("entry", "old"), AGES.values(), ids=AGES)
def test_a_pass_is_old_when_it_should_and_can_be_renewed(entry: Credentials, old: bool) -> None:
    assert entry.is_old is old


RENEWALS: dict[str, tuple[bytes | None, tuple[str, str] | None]] = {
    "with another cookie": (
        answer(200, {"accessToken": "t2"}, "set-cookie: other=1", "set-cookie: refresh_token=c2; HttpOnly"),
        ("t2", "c2"),
    ),
    "with the same cookie": (answer(200, {"accessToken": "t2"}), ("t2", "c1")),
    "without a token": (answer(200, {}), None),
    "refused": (answer(401, {"accessToken": "t2"}), None),
    "not answered": (None, None),
}


@pytest.mark.parametrize(("reply", "renewed"), RENEWALS.values(), ids=RENEWALS)
def test_what_renews_a_pass(reply: bytes | None, renewed: tuple[str, str] | None) -> None:
    with serving(saying({"/auth/refresh": reply})) as server, HttpClient(server.url) as http:
        entry = Credentials("t1", "c1").renewed(http)
    assert b"cookie: refresh_token=c1" in server.requests[0].lower()
    assert (entry and (entry.access_token, entry.refresh_cookie)) == renewed

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.errors import SetupError
from pika_locust.platforms.verity.scenarios import TOKENS
from pika_locust.platforms.verity.setup import seed_users
from pika_locust.scenario import Given, SetupContext
from tests.platforms.verity.night import SIGNED_UP, Night, answer, saying, settings_of
from tests.wire.http_servers import Peer, serving


def seed(target: str, number: int = 3, **environ: str) -> Given:
    return seed_users(SetupContext(target, settings_of(TOKENS, SEED_USER_COUNT=str(number), **environ), 7))


def test_as_many_members_as_asked_for_whose_tokens_only_the_master_knows(night: Night) -> None:
    given = seed(night.sandbox.url)
    assert set(given.public) == {"users"}
    assert list(given.private) == ["tokens"]
    assert list(given.private["tokens"]) == given.public["users"]
    assert night.sandbox.state()["balances"] == dict.fromkeys(given.public["users"], 0)
    assert len(given.public["users"]) == 3
    assert all(token.count(".") == 2 for token in given.private["tokens"].values())


def another(user: str) -> bytes:
    return answer(201, {"user": {"id": user}, "accessToken": f"token of {user}"})


SOME = {
    "one is throttled": [another("u1"), answer(429, {}), another("u2")],
    "one is nobody": [another("u1"), answer(201, {}), another("u2")],
    "one is no JSON": [answer(201, b"<html>"), another("u1"), another("u2")],
    "one is a list": [another("u1"), another("u2"), answer(201, [])],
    "the last is not answered": [another("u1"), another("u2"), None],
}


@pytest.mark.parametrize("answers", SOME.values(), ids=SOME)
def test_some_may_fail(answers: list[Any]) -> None:
    with serving(saying({"/auth/signup-anonymous": answers})) as server:
        given = seed(server.url)
    assert given.private["tokens"] == {"u1": "token of u1", "u2": "token of u2"}


NONE = {
    "throttled": (answer(429, {}), "no user could be made for the webhooks: sign-up was answered 429 Words"),
    "no account": (answer(201, {}), "no user could be made for the webhooks: sign-up was answered 201 Words"),
}


@pytest.mark.parametrize(("said", "why"), NONE.values(), ids=NONE)
def test_nobody_is_too_few(said: bytes, why: str) -> None:
    with serving(saying({"/auth/signup-anonymous": said})) as server, pytest.raises(SetupError) as caught:
        seed(server.url)
    assert str(caught.value) == why
    assert len(server.requests) == 3


def test_a_target_that_is_not_there_is_asked_once() -> None:
    with serving(lambda peer: None) as server:
        url = server.url
    with pytest.raises(SetupError, match=r"no user could be made for the webhooks: .*refused"):
        seed(url)


def test_each_member_signs_up_from_an_address_of_its_own_when_there_is_a_pool() -> None:
    seen: list[str] = []

    def script(peer: Peer) -> None:
        seen.append(peer.address[0])
        saying({"/auth/signup-anonymous": SIGNED_UP})(peer)

    with serving(script) as server:
        seed(server.url, SOURCE_ADDRESSES="127.0.9.1-127.0.9.2")
    assert seen == ["127.0.9.1", "127.0.9.2", "127.0.9.1"]

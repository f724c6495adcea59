from __future__ import annotations

from typing import Any

import pytest

from pika_locust.errors import SetupError
from pika_locust.platforms.verity.buyer import seed_users
from pika_locust.platforms.verity.scenarios import TOKENS
from pika_locust.scenario import SetupContext, SetupResult
from tests.platforms.verity.harness import SIGNED_UP, Harness, answer, saying, settings_of
from tests.wire.http_servers import Peer, serving


def seed(target: str, number: int = 3, **environ: str) -> SetupResult:
    return seed_users(SetupContext(target, settings_of(TOKENS, SEED_USER_COUNT=str(number), **environ), 7))


def test_as_many_members_as_asked_for_whose_tokens_only_the_master_knows(harness: Harness) -> None:
    given = seed(harness.sandbox.url)
    assert set(given.public) == {"users"}
    assert list(given.private) == ["members"]
    assert list(given.private["members"]) == given.public["users"]
    assert harness.sandbox.state()["balances"] == dict.fromkeys(given.public["users"], 0)
    assert len(given.public["users"]) == 3
    entries = given.private["members"].values()
    assert all(entry.access_token.count(".") == 2 and entry.refresh_cookie for entry in entries)
    assert given.notes == ()


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
    tokens = {user_id: entry.access_token for user_id, entry in given.private["members"].items()}
    assert tokens == {"u1": "token of u1", "u2": "token of u2"}


def test_a_slow_target_is_not_waited_for_without_end(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pika_locust.platforms.verity.buyer.WITHIN_S", 0.5)
    harness.sandbox.set_faults({"latency": 200})
    given = seed(harness.sandbox.url, 100)
    assert 2 <= len(given.public["users"]) <= 4
    (note,) = given.notes
    assert note.endswith(" of 100 members were made before the load: there was no time for more within 0.5 s")


REFUSALS = {
    "throttled": ([answer(429, {})], "sign-up was answered 429 Words"),
    "no account": ([answer(201, {})], "sign-up was answered 201 Words"),
    "broken, and then it refuses": ([answer(500, {}), answer(400, {}), answer(503, {})], "was answered 400 Words"),
    "it refuses, and then is gone": ([answer(403, {}), None], "was answered 403 Words"),
}


@pytest.mark.parametrize(("said", "why"), REFUSALS.values(), ids=REFUSALS)
def test_a_target_that_lives_and_gives_no_member_ends_the_test(said: list[Any], why: str) -> None:
    with serving(saying({"/auth/signup-anonymous": said})) as server, pytest.raises(SetupError) as caught:
        seed(server.url)
    assert str(caught.value).startswith("no user could be made for the webhooks: ")
    assert why in str(caught.value)


DEATHS: dict[str, tuple[list[Any], str, int]] = {
    "nothing but 5xx": ([answer(500, {}), answer(503, {})], "sign-up was answered 503 Words", 3),
    "no answer": ([None], "closed", 1),
    "broken, and then gone (a kept connection is tried twice)": ([answer(502, {}), None], "closed", 3),
}


@pytest.mark.parametrize(("said", "why", "asked"), DEATHS.values(), ids=DEATHS)
def test_a_dead_target_gives_no_member_and_a_note(said: list[Any], why: str, asked: int) -> None:
    with serving(saying({"/auth/signup-anonymous": said})) as server:
        given = seed(server.url)
    assert (given.public, given.private) == ({"users": []}, {"members": {}})
    (note,) = given.notes
    assert note.startswith("no user could be made before the load: ")
    assert why in note
    assert len(server.requests) == asked


def test_a_target_that_is_not_there_is_asked_once() -> None:
    with serving(lambda peer: None) as server:
        url = server.url
    (note,) = seed(url).notes
    assert "refused the connection; users try again whenever a webhook is due" in note


def test_a_target_that_stops_answering_is_not_asked_for_all_the_rest() -> None:
    with serving(saying({"/auth/signup-anonymous": [another("u1"), None]})) as server:
        given = seed(server.url, 100)
    assert given.public == {"users": ["u1"]}
    (note,) = given.notes
    assert note.startswith("1 of 100 members were made before the load: closed")
    # A connection that is closed after an answer is tried once more, without waiting for the server's mind.
    assert 4 <= len(server.requests) <= 7


def test_each_member_signs_up_from_an_address_of_its_own_when_there_is_a_pool() -> None:
    seen: list[str] = []

    def script(peer: Peer) -> None:
        seen.append(peer.address[0])
        saying({"/auth/signup-anonymous": SIGNED_UP})(peer)

    with serving(script) as server:
        seed(server.url, SOURCE_ADDRESSES="127.0.9.1-127.0.9.2")
    assert seen == ["127.0.9.1", "127.0.9.2", "127.0.9.1"]

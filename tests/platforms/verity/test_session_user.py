from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from pika_locust.platforms.verity import session_user
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionUser
from tests.platforms.verity.night import RECEIVED, SESSION_S, SIGNED_UP, Night, answer, saying, until
from tests.wire.http_servers import serving


def books(night: Night) -> tuple[int, int, int, int]:
    """Tokens expected, uncertain and held, and how many balances were wrong."""
    facts = night.worker.facts
    return (
        facts["tokens_expected"],
        facts["tokens_unanswered"],
        facts["tokens_held"],
        facts.get("balances_wrong", 0),
    )


# Against the sandbox


def test_members_are_matched_talk_choose_and_come_again(night: Night) -> None:
    night.open(SESSIONS)
    for _ in range(4):
        night.start(SessionUser)
    until(lambda: night.trend("choice_latency").count >= 8, 10.0)
    night.drain()
    matches = night.trend("match_time").count
    assert matches == night.trend("session_start_lag").count == night.trend("session_length").count
    assert matches == night.worker.facts["matches_seen"] == night.rate("match_rate")[0]
    assert matches == 2 * night.sandbox.state()["sessions"]["created"]
    assert night.trend("match_time").maximum < 1_500_000
    assert SESSION_S * 0.95e6 < night.trend("session_length").quantile(0.5) < SESSION_S * 1.5e6
    assert night.rate("error_rate")[0] == 0
    expected, uncertain, held, wrong = books(night)
    assert (expected, uncertain, wrong) == (held, 0, 0)
    assert night.sandbox.state()["queued"] == 0
    assert "in_two_sessions" not in night.worker.facts


def test_members_buy_tokens_before_they_run_out(night: Night) -> None:
    night.open(SESSIONS, TOKENS_PER_USER="3", BALANCE_CHECK_EVERY="2", TOP_UP_TOKENS="4")
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: night.rate("match_rate")[0] >= 10, 15.0)
    night.drain()
    assert night.rate("checks", check="queue join ok")[1] == 0
    assert night.count("http_reqs", name="stripe_webhook") >= 4
    expected, uncertain, held, wrong = books(night)
    assert (expected, uncertain, wrong) == (held, 0, 0)


def test_whoever_waits_when_the_test_ends_leaves_the_queue_and_gets_the_token_back(night: Night) -> None:
    night.faults(no_match=True)
    night.open(SESSIONS)
    night.start(SessionUser)
    until(lambda: night.sandbox.state()["queued"] == 1)
    night.drain()
    assert night.sandbox.state()["queued"] == 0
    assert books(night) == (5, 0, 5, 0)
    assert night.rate("match_rate") == (0, 0)


def test_whoever_is_not_matched_in_time_leaves_and_tries_again(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_user, "MATCH_WAIT_S", 0.1)
    night.open(SESSIONS)
    night.start(SessionUser)
    until(lambda: night.rate("match_rate")[1] >= 3)
    night.drain()
    assert night.trend("match_time").count == 0
    assert books(night) == (5, 0, 5, 0)


def test_a_session_that_is_announced_and_does_not_begin_is_an_error(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_user, "START_WAIT_S", 0.2)
    night.faults(dead_session=True)
    night.open(SESSIONS)
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: len(night.errors("session")) == 1)
    night.drain()
    assert night.errors("session") == ["no session:start within 0.2 s of the match"]
    assert night.trend("session_start_lag").count == 0
    assert night.rate("checks", check="session started") == (0, 2)
    assert books(night)[3] == 0


def test_a_session_that_does_not_end_is_an_error(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_user, "END_GRACE_S", 0.1)
    night.open(SESSIONS, SESSION_HOLD_SECONDS="0.05")
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: night.rate("checks", check="session ended")[1] == 2)
    night.drain()
    assert night.errors("session") == ["no session:end within 0.1 s of its time"]
    assert night.rate("checks", check="session started") == (2, 0)


def test_a_session_whose_connection_was_lost_is_one_error_of_the_connection(night: Night) -> None:
    night.faults(close_after=0.6)
    night.open(SESSIONS, SESSION_HOLD_SECONDS="30")
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: night.rate("checks", check="session ended")[1] == 2, 10.0)
    night.faults()
    night.drain()
    assert night.errors("session") == []
    assert len(night.errors("connection")) == 1


def test_in_the_suites_way_nobody_listens_and_whoever_is_gone_was_matched(night: Night) -> None:
    night.open(SESSIONS, CONTRACT="suite", TOKENS_PER_USER="9", SESSION_HOLD_SECONDS="0.7")
    for _ in range(4):
        night.start(SessionUser)
    until(lambda: night.count("iterations") >= 8)
    night.drain()
    state = night.sandbox.state()
    assert state["tokens"]["spent"] >= 4
    assert night.trend("match_time").count == 0
    expected, uncertain, held, wrong = books(night)
    assert (expected, uncertain, wrong) == (held, 0, 0)


def test_a_lost_socket_is_an_error_and_is_opened_again(night: Night) -> None:
    night.faults(close_after=0.4)
    night.open(SESSIONS)
    for _ in range(2):
        night.start(SessionUser)
    until(lambda: night.rate("checks", check="sockets connected")[0] >= 4, 10.0)
    night.drain()
    assert night.rate("error_rate")[0] >= 2
    assert len(night.errors("connection")) >= 1


def test_a_target_without_sockets_is_an_error_and_is_not_hammered(night: Night) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/tokens/balance": answer(200, {"tokenBalance": 5}),
        "/socket.io/?EIO=4&transport=websocket": answer(404, {}),
    }
    with serving(saying(pages)) as server:
        night.open(SESSIONS, server.url)
        night.start(SessionUser)
        gevent.sleep(1.3)
        night.drain()
    assert night.rate("checks", check="sockets connected") == (0, 2)
    assert "404" in night.errors("connect")[0]


# Where to queue


def keys(night: Night, users: int, **environ: str) -> list[Any]:
    joined: list[Any] = []

    def post(path: str, json: Any, name: str) -> Any:
        joined.append(json)
        return SimpleNamespace(status=500, error=None)

    night.open(SESSIONS, **environ)
    for number in range(users):
        user = night.begun(SessionUser)
        assert user.number == number
        user.account.http = SimpleNamespace(post=post)
        user._join()
    return joined


def test_all_queue_in_one_place_like_the_suites_users(night: Night) -> None:
    first, second = keys(night, 2)
    assert first == second == {"region": "australiacentral", "preferences": {"mode": "video-session-sustain"}}


def test_neighbours_share_a_queue(night: Night) -> None:
    joined = keys(night, 8, QUEUE_KEYS="2")
    assert [body["preferences"]["key"] for body in joined] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_isolated_visits_have_queues_of_their_own(night: Night) -> None:
    joined = keys(night, 4, QUEUE_MODE="isolated")
    assert len({body["preferences"]["seed"] for body in joined}) == 4


JOINS: dict[str, tuple[Any, tuple[int, int]]] = {
    "answered": (answer(201, {"status": "queued"}), (5, 5)),
    "refused": (answer(409, {}), (5, 5)),
    "not answered": (None, (4, 5)),
}
LEAVES: dict[str, tuple[Any, str, tuple[int, int]]] = {
    "left": (answer(200, {"status": "left", "refunded": True}), "left", (5, 5)),
    "the target took us out": (answer(200, {"status": "already_matched"}), "already_matched", (5, 5)),
    "no JSON": (answer(200, b"ok"), "None", (5, 5)),
    "refused": (answer(500, {}), "", (4, 5)),
    "sent twice, and gone": ([None, answer(200, {"status": "not_queued"})], "gone", (5, 5)),
    "not answered": (None, "", (4, 5)),
}


def paid_up(night: Night, url: str) -> Any:
    night.open(SESSIONS, url)
    user = night.begun(SessionUser)
    user.account.sign_up()
    user.account.buy(5)
    return user


def owed(user: Any) -> tuple[int, int]:
    return user.account.tokens.least, user.account.tokens.most


@pytest.mark.parametrize(("said", "books"), JOINS.values(), ids=JOINS)
def test_what_is_owed_after_a_join(said: Any, books: tuple[int, int], night: Night) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/join": said}
    with serving(saying(pages)) as server:
        user = paid_up(night, server.url)
        user._join()
    assert owed(user) == books


@pytest.mark.parametrize(("said", "status", "books"), LEAVES.values(), ids=LEAVES)
def test_what_is_owed_after_leaving(said: Any, status: str, books: tuple[int, int], night: Night) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/leave": said}
    with serving(saying(pages)) as server:
        user = paid_up(night, server.url)
        assert user._leave() == status
    assert owed(user) == books

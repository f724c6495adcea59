from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from pika_locust.platforms.verity import session_user
from pika_locust.platforms.verity.audits import audit_sessions
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionUser
from pika_locust.scenario import AuditContext
from pika_locust.wire.http import Response
from tests.platforms.verity.harness import RECEIVED, SESSION_S, SIGNED_UP, Harness, answer, saying, until
from tests.wire.http_servers import serving


def balances(harness: Harness) -> tuple[int, int, int, int]:
    """Tokens expected, uncertain and held, and how many balances were wrong."""
    facts = harness.worker.facts
    return (
        facts["tokens_expected"],
        facts["tokens_unanswered"],
        facts["tokens_held"],
        facts.get("balances_wrong", 0),
    )


# Against the sandbox


def test_members_are_matched_talk_choose_and_come_again(harness: Harness) -> None:
    harness.open(SESSIONS)
    for _ in range(4):
        harness.start(SessionUser)
    until(lambda: harness.trend("choice_latency").count >= 8, 10.0)
    harness.drain()
    matches = harness.trend("match_time").count
    assert matches == harness.trend("session_start_lag").count == harness.trend("session_length").count
    assert matches == harness.worker.facts["matches_seen"] == harness.rate("match_rate")[0]
    assert matches == 2 * harness.sandbox.state()["sessions"]["created"]
    assert harness.trend("match_time").maximum < 1_500_000
    assert SESSION_S * 0.95e6 < harness.trend("session_length").quantile(0.5) < SESSION_S * 1.5e6
    assert harness.rate("error_rate")[0] == 0
    expected, uncertain, held, wrong = balances(harness)
    assert (expected, uncertain, wrong) == (held, 0, 0)
    assert harness.sandbox.state()["queued"] == 0
    assert "in_two_sessions" not in harness.worker.facts


def test_members_buy_tokens_before_they_run_out(harness: Harness) -> None:
    harness.open(SESSIONS, TOKENS_PER_USER="3", BALANCE_CHECK_EVERY="2", TOP_UP_TOKENS="4")
    for _ in range(2):
        harness.start(SessionUser)
    until(lambda: harness.rate("match_rate")[0] >= 10, 15.0)
    harness.drain()
    assert harness.rate("checks", check="queue join ok")[1] == 0
    assert harness.count("http_reqs", name="stripe_webhook") >= 4
    expected, uncertain, held, wrong = balances(harness)
    assert (expected, uncertain, wrong) == (held, 0, 0)


@pytest.mark.parametrize(("contract", "refused"), [("server", 1), ("suite", 2)])
def test_a_join_that_is_refused_for_want_of_a_token_is_followed_by_a_look_at_the_balance(
    contract: str, refused: int, harness: Harness
) -> None:
    environ = {"CONTRACT": contract, "TOKENS_PER_USER": "3", "BALANCE_CHECK_EVERY": "3", "SESSION_HOLD_SECONDS": "0"}
    harness.open(SESSIONS, **environ, SEED_TOKENS="0")
    user: SessionUser = harness.begun(SessionUser)
    user._visits = 1
    for _ in range(3):
        user.released.clear()
        user._ready()
        if user._join():
            user._leave()
    assert harness.rate("checks", check="queue join ok") == (3 - refused, refused)


def test_whoever_waits_when_the_test_ends_leaves_the_queue_and_gets_the_token_back(harness: Harness) -> None:
    harness.faults(no_match=True)
    harness.open(SESSIONS)
    harness.start(SessionUser)
    until(lambda: harness.sandbox.state()["queued"] == 1)
    harness.drain()
    assert harness.sandbox.state()["queued"] == 0
    assert balances(harness) == (5, 0, 5, 0)
    assert harness.rate("match_rate") == (0, 0)


def test_whoever_is_not_matched_in_time_leaves_and_tries_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_user, "MATCH_WAIT_S", 0.1)
    harness.open(SESSIONS)
    harness.start(SessionUser)
    until(lambda: harness.rate("match_rate")[1] >= 3)
    harness.drain()
    assert harness.trend("match_time").count == 0
    assert balances(harness) == (5, 0, 5, 0)


def test_a_session_that_is_announced_and_does_not_begin_is_an_error(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_user, "START_WAIT_S", 0.2)
    monkeypatch.setattr(SessionUser, "connect_within_s", 0.2)
    harness.faults(dead_session=True)
    harness.open(SESSIONS)
    for _ in range(2):
        harness.start(SessionUser)
    until(lambda: len(harness.errors("session")) == 1)
    harness.drain()
    assert harness.errors("session") == ["no session:start within 0.2 s of the match"]
    assert harness.trend("session_start_lag").count == 0
    assert harness.rate("checks", check="session started") == (0, 2)
    assert balances(harness)[3] == 0


def test_a_session_that_does_not_end_is_an_error(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_user, "END_GRACE_S", 0.1)
    harness.open(SESSIONS, SESSION_HOLD_SECONDS="0.05")
    for _ in range(2):
        harness.start(SessionUser)
    until(lambda: harness.rate("checks", check="session ended")[1] == 2)
    harness.drain()
    assert harness.errors("session") == ["no session:end within 0.1 s of its time"]
    assert harness.rate("checks", check="session started") == (2, 0)


def test_a_session_whose_connection_was_lost_is_one_error_of_the_connection(harness: Harness) -> None:
    harness.faults(close_after=0.6)
    harness.open(SESSIONS, SESSION_HOLD_SECONDS="30")
    for _ in range(2):
        harness.start(SessionUser)
    until(lambda: harness.rate("checks", check="session ended")[1] == 2, 10.0)
    harness.faults()
    harness.drain()
    assert harness.errors("session") == []
    assert len(harness.errors("connection")) == 1


def test_in_the_suites_way_nobody_listens_and_whoever_is_gone_was_matched(harness: Harness) -> None:
    harness.open(SESSIONS, CONTRACT="suite", TOKENS_PER_USER="9", SESSION_HOLD_SECONDS="0.7")
    for _ in range(4):
        harness.start(SessionUser)
    until(lambda: harness.count("iterations") >= 8)
    harness.drain()
    state = harness.sandbox.state()
    assert state["tokens"]["spent"] >= 4
    assert harness.trend("match_time").count == 0
    expected, uncertain, held, wrong = balances(harness)
    assert (expected, uncertain, wrong) == (held, 0, 0)


def test_a_lost_socket_is_an_error_and_is_opened_again(harness: Harness) -> None:
    harness.faults(close_after=0.4)
    harness.open(SESSIONS)
    for _ in range(2):
        harness.start(SessionUser)
    until(lambda: harness.rate("checks", check="sockets connected")[0] >= 4, 10.0)
    harness.drain()
    assert harness.rate("error_rate")[0] >= 2
    assert len(harness.errors("connection")) >= 1


def test_a_target_without_sockets_is_an_error_and_is_not_hammered(harness: Harness) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/tokens/balance": answer(200, {"tokenBalance": 5}),
        "/socket.io/?EIO=4&transport=websocket": answer(404, {}),
    }
    with serving(saying(pages)) as server:
        harness.open(SESSIONS, server.url)
        harness.start(SessionUser)
        gevent.sleep(1.3)
        harness.drain()
    assert harness.rate("checks", check="sockets connected") == (0, 2)
    assert "404" in harness.errors("connect")[0]


# Where to queue


def keys(harness: Harness, users: int, **environ: str) -> list[Any]:
    joined: list[Any] = []

    def request(method: str, path: str, json: Any, name: str) -> Any:
        joined.append(json)
        return Response(500, b"HTTP/1.1 500 No\r\n\r\n", b"", (0,) * 7, 0, 0)

    harness.open(SESSIONS, **environ)
    for number in range(users):
        user = harness.begun(SessionUser)
        assert user.number == number
        user.http.close()
        user.http = SimpleNamespace(request=request, close=lambda: None)
        user._join()
    return joined


def test_the_suites_users_queue_in_one_place(harness: Harness) -> None:
    first, second = keys(harness, 2, CONTRACT="suite")
    assert first == second == {"region": "australiacentral", "preferences": {"mode": "video-session-sustain"}}


def test_all_users_of_a_run_queue_in_one_place_of_their_own(harness: Harness) -> None:
    first, second = keys(harness, 2)
    preferences = {"mode": "video-session-sustain", "run": harness.worker.begin.run_id}
    assert first == second == {"region": "australiacentral", "preferences": preferences}


def test_users_of_two_runs_at_one_target_do_not_meet(harness: Harness) -> None:
    first = harness.open(SESSIONS, begin={"run_id": "first"})
    left_over = harness.begun(SessionUser)
    assert left_over._ready()
    assert left_over._join()
    harness.open(SESSIONS, begin={"run_id": "second"})
    for _ in range(3):
        harness.start(SessionUser)
    until(lambda: harness.trend("choice_latency").count >= 4, 10.0)
    harness.drain()
    first.end()
    (result,) = [audit for audit in audit_sessions(audit_context(harness)) if audit.name == "sessions"]
    assert (result.status, result.expected) == ("pass", result.actual)
    assert harness.sandbox.state()["queued"] == 1


def audit_context(harness: Harness) -> AuditContext:
    """As against a target that is no sandbox."""
    worker = harness.worker
    return AuditContext(worker.begin.target, worker.settings, {}, worker.facts, None, {})


def test_neighbours_share_a_queue(harness: Harness) -> None:
    joined = keys(harness, 8, QUEUE_KEYS="2")
    assert [body["preferences"]["key"] for body in joined] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_where_nobody_meets_nobody_is_owed_a_match(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_user, "MATCH_WAIT_S", 0.1)
    harness.open(SESSIONS, QUEUE_MODE="isolated")
    harness.start(SessionUser)
    until(lambda: harness.trend("queue_join_latency").count >= 3)
    harness.drain()
    assert harness.rate("match_rate") == (0, 0)


def test_isolated_visits_have_queues_of_their_own(harness: Harness) -> None:
    joined = keys(harness, 4, QUEUE_MODE="isolated")
    assert len({body["preferences"]["seed"] for body in joined}) == 4


JOINS: dict[str, tuple[Any, tuple[int, int]]] = {
    "answered": (answer(201, {"status": "queued"}), (5, 5)),
    "refused": (answer(409, {}), (5, 5)),
    "failed": (answer(502, {}), (4, 5)),
    "not answered": (None, (4, 5)),
}
LEAVES: dict[str, tuple[Any, str, tuple[int, int]]] = {
    "left": (answer(200, {"status": "left", "refunded": True}), "left", (5, 5)),
    "the target took us out": (answer(200, {"status": "already_matched"}), "already_matched", (5, 5)),
    "no JSON": (answer(200, b"ok"), "None", (5, 5)),
    "failed": (answer(500, {}), "", (4, 5)),
    "sent twice, and gone": ([None, answer(200, {"status": "not_queued"})], "gone", (5, 5)),
    "not answered": (None, "", (4, 5)),
}


def paid_up(harness: Harness, url: str) -> Any:
    harness.open(SESSIONS, url)
    user = harness.begun(SessionUser)
    user.open_account()
    user.buy(5)
    return user


def owed(user: Any) -> tuple[int, int]:
    return user.account.tokens.least, user.account.tokens.most


@pytest.mark.parametrize(("said", "bounds"), JOINS.values(), ids=JOINS)
def test_what_is_owed_after_a_join(said: Any, bounds: tuple[int, int], harness: Harness) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/join": said}
    with serving(saying(pages)) as server:
        user = paid_up(harness, server.url)
        user._join()
    assert owed(user) == bounds


@pytest.mark.parametrize(("said", "status", "bounds"), LEAVES.values(), ids=LEAVES)
def test_what_is_owed_after_leaving(said: Any, status: str, bounds: tuple[int, int], harness: Harness) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/leave": said}
    with serving(saying(pages)) as server:
        user = paid_up(harness, server.url)
        assert user._leave() == status
    assert owed(user) == bounds


def test_what_found_no_connection_has_cost_no_token(harness: Harness) -> None:
    harness.open(SESSIONS, "http://127.0.0.1:9")
    user = harness.begun(SessionUser)
    user.account.tokens.add(5)
    assert not user._join()
    assert user._leave() == ""
    assert owed(user) == (5, 5)

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.judge import AuditResult
from pika_locust.platforms.verity.answers import Credentials
from pika_locust.platforms.verity.audits import audit_sessions, audit_tokens, audit_webhooks
from pika_locust.platforms.verity.buyer import seed_users
from pika_locust.platforms.verity.scenarios import QUEUE, SESSIONS, TOKENS
from pika_locust.platforms.verity.session_user import SessionUser
from pika_locust.scenario import AuditContext, SetupContext, SetupResult
from tests.platforms.verity.harness import Harness, answer, saying, settings_of, until
from tests.wire.http_servers import Peer, serving


def context(
    facts: dict[str, Any],
    target: str = "http://127.0.0.1:1",
    created: int | None = None,
    given: dict[str, Any] | None = None,
    **environ: str,
) -> AuditContext:
    state = None if created is None else {"sessions": {"created": created}}
    return AuditContext(target, settings_of(SESSIONS, **environ), {}, facts, state, given or {})


def figures(result: AuditResult) -> tuple[str, int | None, int | None, int]:
    return result.status, result.expected, result.actual, result.unanswered


def tokens(**facts: Any) -> dict[str, Any]:
    booked = {"users_owed": 3, "users_audited": 3, "tokens_expected": 6, "tokens_unanswered": 0, "tokens_held": 6}
    return {**booked, **facts}


WRONG_ONES = {"balances_wrong": 2, "balances_wrong_first": "user u1 holds 3, owed 2"}
TOKEN_BOOKS: dict[str, tuple[dict[str, Any], tuple[str, int, int, int]]] = {
    "balanced": (tokens(), ("pass", 6, 6, 0)),
    "what is open covers the rest": (tokens(tokens_unanswered=2, tokens_held=8), ("pass", 6, 8, 2)),
    "one is wrong": (tokens(tokens_held=7, balances_wrong=1, balances_wrong_first="u1"), ("fail", 6, 7, 0)),
    "two wrongs make no right": (tokens(**WRONG_ONES), ("fail", 6, 6, 0)),
}


@pytest.mark.parametrize(("facts", "expected"), TOKEN_BOOKS.values(), ids=TOKEN_BOOKS)
def test_tokens_balance_user_by_user(facts: dict[str, Any], expected: tuple[str, int, int, int]) -> None:
    (result,) = audit_tokens(context(facts))
    assert (result.name,) == QUEUE.audits
    assert figures(result) == expected


def test_a_wrong_balance_is_named() -> None:
    (result,) = audit_tokens(context(tokens(**WRONG_ONES)))
    assert result.detail.startswith("2 of 3 balances are wrong: user u1 holds 3, owed 2; ")


UNTOLD = {"balances_untold": 1, "balances_untold_first": "user u1: 429 Too Many Requests"}
UNTOLD_WORDS = (
    "1 could not be read, such as user u1: 429 Too Many Requests "
    "(SOURCE_ADDRESSES gives each user an address of its own)"
)
DETAILS = {
    "all": (tokens(), "balances looked up: 3 of 3 users"),
    "a sample": (tokens(users_owed=10_000, users_audited=1000), "balances looked up: 1,000 of 10,000 users"),
    "all but one who is not told": (
        tokens(users_audited=2, **UNTOLD),
        f"balances looked up: 2 of 3 users; {UNTOLD_WORDS}",
    ),
    "wrong ones, and one who is not told": (
        tokens(users_audited=2, **WRONG_ONES, **UNTOLD),
        f"2 of 2 balances are wrong: user u1 holds 3, owed 2; balances looked up: 2 of 3 users; {UNTOLD_WORDS}",
    ),
    "nobody is told": (
        tokens(users_owed=1, users_audited=0, **UNTOLD),
        f"balances looked up: 0 of 1 users; {UNTOLD_WORDS}",
    ),
    "nobody was there": (tokens(users_audited=0, users_owed=0), "no users got as far as having a balance"),
}


@pytest.mark.parametrize(("facts", "detail"), DETAILS.values(), ids=DETAILS)
def test_whose_balances_they_were_is_told(facts: dict[str, Any], detail: str) -> None:
    (result,) = audit_tokens(context(facts))
    assert result.detail == detail


@pytest.mark.parametrize("facts", [{}, tokens(users_audited=0)], ids=["no facts", "no users"])
def test_without_a_balance_there_is_nothing_to_see(facts: dict[str, Any]) -> None:
    (result,) = audit_tokens(context(facts))
    assert result.status == "not_observed"


SESSION_BOOKS: dict[str, tuple[dict[str, Any], int | None, tuple[str, int, int, int]]] = {
    "both sides of each session know": ({"matches_seen": 8}, 4, ("pass", 8, 8, 0)),
    "one side was not told": ({"matches_seen": 7}, 4, ("fail", 8, 7, 0)),
    "more were told than there were": ({"matches_seen": 8}, 3, ("fail", 6, 8, 0)),
    "nobody met": ({}, 0, ("pass", 0, 0, 0)),
    "a target that shows nothing: pairs": ({"matches_seen": 8}, None, ("pass", 8, 8, 0)),
    "a target that shows nothing: one side alone": ({"matches_seen": 7}, None, ("fail", 8, 7, 0)),
    "somebody was in two": ({"matches_seen": 8, "in_two_sessions": 1}, 4, ("fail", 8, 8, 0)),
}


@pytest.mark.parametrize(("facts", "created", "expected"), SESSION_BOOKS.values(), ids=SESSION_BOOKS)
def test_every_session_has_two_sides(
    facts: dict[str, Any], created: int | None, expected: tuple[str, int, int, int]
) -> None:
    by_name = {result.name: result for result in audit_sessions(context({**tokens(), **facts}, created=created))}
    assert tuple(by_name) == SESSIONS.audits
    assert by_name["tokens"].status == "pass"
    assert figures(by_name["sessions"]) == expected


def test_sessions_that_a_sandbox_had_before_the_load_are_anothers() -> None:
    given = {"sessions_before": 20}
    _, sessions = audit_sessions(context({**tokens(), "matches_seen": 8}, created=24, given=given))
    assert figures(sessions) == ("pass", 8, 8, 0)
    _, sessions = audit_sessions(context({**tokens(), "matches_seen": 7}, created=24, given=given))
    assert figures(sessions) == ("fail", 8, 7, 0)


def before(url: str) -> SetupResult:
    assert SESSIONS.set_up is not None
    return SESSIONS.set_up(SetupContext(url, settings_of(SESSIONS), 7))


def test_a_second_test_against_one_sandbox_counts_its_own_sessions(harness: Harness) -> None:
    assert before(harness.sandbox.url).private == {"sessions_before": 0}
    harness.open(SESSIONS)
    for _ in range(2):
        harness.start(SessionUser)
    until(lambda: harness.trend("choice_latency").count >= 2, 10.0)
    harness.drain()
    created = harness.sandbox.state()["sessions"]["created"]
    assert created >= 1
    given = before(harness.sandbox.url).private
    assert figures(audit_sessions(context(tokens(), created=created, given=given))[1]) == ("pass", 0, 0, 0)


def test_a_target_that_is_no_sandbox_is_not_asked_for_its_state() -> None:
    with serving(saying({"/health": answer(200, {})})) as server:
        assert before(server.url) == SetupResult()
        assert len(server.requests) == 1


def test_a_dead_target_is_no_obstacle_to_the_load() -> None:
    assert before("http://127.0.0.1:9") == SetupResult()


def test_without_sockets_nobody_sees_a_session() -> None:
    _, sessions = audit_sessions(context({**tokens(), "matches_seen": 0}, created=4, CONTRACT="suite"))
    assert (sessions.name, sessions.status) == ("sessions", "not_observed")


# Webhooks


def paid(*balances: bytes | None, facts: dict[str, Any]) -> AuditResult:
    """What the audit says of members u0, u1, … whose balance is asked for and answered so."""
    users = {f"u{number}": Credentials(f"token{number}") for number in range(len(balances))}

    def script(peer: Peer) -> None:
        while request := peer.request():
            number = int(request.partition(b"Bearer token")[2].partition(b"\r\n")[0])
            said = balances[number]
            if said is None:
                return
            peer.send(said)

    with serving(script) as server:
        (result,) = audit_webhooks(context(facts, server.url, given={"users": list(users), "members": users}))
    assert (result.name,) == TOKENS.audits
    return result


def holds(tokens: Any) -> bytes:
    return answer(200, {"tokenBalance": tokens})


WEBHOOK_BOOKS: dict[str, tuple[list[bytes | None], dict[str, Any], tuple[str, int, int, int]]] = {
    "as paid for": ([holds(5), holds(10)], {"credited 0": 5, "credited 1": 10}, ("pass", 15, 15, 0)),
    "nobody bought": ([holds(0), holds(0)], {}, ("pass", 0, 0, 0)),
    "one lost": ([holds(5), holds(5)], {"credited 0": 5, "credited 1": 10}, ("fail", 15, 10, 0)),
    "one lost and one doubled": ([holds(10), holds(5)], {"credited 0": 5, "credited 1": 10}, ("fail", 15, 15, 0)),
    "an open one that was credited": ([holds(10)], {"credited 0": 5, "maybe 0": 5}, ("pass", 5, 10, 5)),
    "an open one that was not": ([holds(5)], {"credited 0": 5, "maybe 0": 5}, ("pass", 5, 5, 5)),
    "more than the open one": ([holds(15)], {"credited 0": 5, "maybe 0": 5}, ("fail", 5, 15, 5)),
    "one who cannot be looked up": (
        [holds(5), answer(429, {})],
        {"credited 0": 5, "credited 1": 10},
        ("fail", 5, 5, 0),
    ),
    "one who is told nonsense": ([holds(5), holds("10")], {"credited 0": 5, "credited 1": 10}, ("fail", 5, 5, 0)),
}


@pytest.mark.parametrize(("balances", "facts", "expected"), WEBHOOK_BOOKS.values(), ids=WEBHOOK_BOOKS)
def test_every_acknowledged_webhook_was_credited_once(
    balances: list[bytes | None], facts: dict[str, Any], expected: tuple[str, int, int, int]
) -> None:
    assert figures(paid(*balances, facts=facts)) == expected


def test_what_the_webhook_audit_says() -> None:
    assert paid(holds(5), holds(0), facts={"credited 0": 5}).detail == "balances looked up: 2 of 2 members"
    some = paid(holds(5), None, facts={"credited 0": 5}).detail
    assert some.startswith("balances looked up: 1 of 2 members; 1 could not be read, such as user u1: closed")
    wrong = paid(holds(9), holds(9), facts={"credited 0": 5, "maybe 0": 5, "credited 1": 10, "maybe 1": 5})
    assert wrong.detail.startswith("1 of 2 balances are wrong: user u1 holds 9, owed 10 to 15; ")


@pytest.mark.parametrize("said", [None, answer(401, {}), answer(200, b"<html>")], ids=["silence", "401", "no JSON"])
def test_when_no_balance_can_be_looked_up_the_audit_has_failed(said: bytes | None) -> None:
    assert paid(said, facts={"credited 0": 5}).status == "fail"


def test_members_are_looked_up_from_the_addresses_they_had() -> None:
    # A server that throttles by address lets each of them see its own balance, and no more.
    users = {f"u{number}": Credentials(f"token{number}") for number in range(3)}
    asked: list[str] = []

    def script(peer: Peer) -> None:
        asked.append(peer.address[0])
        while peer.request():
            peer.send(holds(5))

    facts = {f"credited {number}": 5 for number in range(3)}
    with serving(script) as server:
        given = {"users": list(users), "members": users}
        (result,) = audit_webhooks(context(facts, server.url, given=given, SOURCE_ADDRESSES="127.0.8.1-127.0.8.3"))
    assert figures(result) == ("pass", 15, 15, 0)
    assert sorted(asked) == ["127.0.8.1", "127.0.8.2", "127.0.8.3"]


def test_without_members_there_is_nothing_to_see() -> None:
    (result,) = audit_webhooks(context({}))
    assert (result.status, result.detail) == ("not_observed", "no members got as far as having a balance")


def test_members_that_came_later_were_looked_up_by_the_workers() -> None:
    given = {"users": [], "members": {}}
    (result,) = audit_webhooks(context(tokens(), given=given))
    assert (result.name, figures(result)) == ("webhooks", ("pass", 6, 6, 0))
    (result,) = audit_webhooks(context(tokens(tokens_held=8, **WRONG_ONES), given=given))
    assert figures(result) == ("fail", 6, 8, 0)


def test_seeded_members_of_a_sandbox_hold_nothing_before_the_load(harness: Harness) -> None:
    given = seed_users(SetupContext(harness.sandbox.url, settings_of(TOKENS, SEED_USER_COUNT="4"), 7))
    both = {**given.public, **given.private}
    (result,) = audit_webhooks(context({}, harness.sandbox.url, given=both))
    assert (figures(result), result.detail) == (("pass", 0, 0, 0), "balances looked up: 4 of 4 members")

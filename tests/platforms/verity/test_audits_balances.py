from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from pika_locust.kit import sampled_audit
from pika_locust.platforms.verity.answers import Credentials
from pika_locust.platforms.verity.audits import ExpectedBalance, look_up_balances
from pika_locust.wire.http import HttpClient, Timeouts
from tests.platforms.verity.harness import answer, saying
from tests.wire.http_servers import Peer, Server, serving

FOR_EVER = time.monotonic() + 1e6


def expected(number: int, least: int, most: int | None = None, fresh_until_s: float = FOR_EVER) -> ExpectedBalance:
    entry = Credentials(f"token{number}", f"cookie{number}", fresh_until_s)
    return ExpectedBalance(f"u{number}", number, entry, least, least if most is None else most)


def holding(*balances: bytes | None) -> Any:
    """A script: the balance of user number n, whoever asks on whatever connection; None closes it."""

    def script(peer: Peer) -> None:
        while request := peer.request():
            said = balances[int(request.partition(b"Bearer token")[2].partition(b"\r\n")[0])]
            if said is None:
                return
            peer.send(said)

    return script


def holds(tokens: Any) -> bytes:
    return answer(200, {"tokenBalance": tokens})


def looked_up(script: Any, *owed: ExpectedBalance, **how: Any) -> tuple[dict[str, Any], Server]:
    with serving(script) as server:
        return look_up_balances(owed, lambda number: HttpClient(server.url), **how), server


FOUND: dict[str, tuple[list[bytes | None], list[ExpectedBalance], dict[str, Any]]] = {
    "all as owed": ([holds(2), holds(3)], [expected(0, 2), expected(1, 3)], {"tokens_expected": 5, "tokens_held": 5}),
    "within what is open": (
        [holds(2)],
        [expected(0, 1, 3)],
        {"tokens_expected": 1, "tokens_held": 2, "tokens_unanswered": 2},
    ),
    "spent, and never got": (
        [holds(0), holds(0), holds(2)],
        [expected(0, -3, 0), expected(1, -1), expected(2, 2)],
        {"users_audited": 3, "tokens_expected": 2, "tokens_unanswered": 0, "tokens_held": 2},
    ),
    "one too many, one too few": (
        [holds(3), holds(0)],
        [expected(0, 2), expected(1, 1, 2)],
        {
            "tokens_expected": 3,
            "tokens_unanswered": 1,
            "tokens_held": 3,
            "balances_wrong": 2,
            "balances_wrong_first": "user u0 holds 3, owed 2",
        },
    ),
    "a wrong one within bounds that are told": (
        [holds(0)],
        [expected(0, 1, 2)],
        {
            "tokens_expected": 1,
            "tokens_unanswered": 1,
            "balances_wrong": 1,
            "balances_wrong_first": "user u0 holds 0, owed 1 to 2",
        },
    ),
    "one who is not told": (
        [answer(429, {}), holds(1)],
        [expected(0, 2), expected(1, 1)],
        {
            "users_audited": 1,
            "tokens_expected": 1,
            "tokens_held": 1,
            "balances_untold": 1,
            "balances_untold_first": "user u0: 429 Words",
        },
    ),
    "one who is told nonsense": (
        [holds("2")],
        [expected(0, 2)],
        {
            "users_audited": 0,
            "balances_untold": 1,
            "balances_untold_first": 'user u0: 200 Words ({"tokenBalance": "2"})',
        },
    ),
    "nobody": ([], [], {"users_audited": 0}),
}


@pytest.mark.parametrize(("said", "owed", "found"), FOUND.values(), ids=FOUND)
def test_what_is_held_is_compared_with_what_was_owed(
    said: list[bytes | None], owed: list[ExpectedBalance], found: dict[str, Any]
) -> None:
    sums = {"users_audited": len(owed), "tokens_expected": 0, "tokens_unanswered": 0, "tokens_held": 0}
    assert looked_up(holding(*said), *owed)[0] == {**sums, **found}


def test_a_lookup_that_fails_is_tried_once_more() -> None:
    pages = {"/tokens/balance": [answer(500, {}), holds(2)]}
    found, server = looked_up(saying(pages), expected(0, 2))
    assert (found["users_audited"], len(server.requests)) == (1, 2)


def test_a_target_that_breaks_each_time_is_named() -> None:
    found, server = looked_up(saying({"/tokens/balance": answer(503, {})}), expected(0, 2))
    assert (found["balances_untold_first"], len(server.requests)) == ("user u0: 503 Words", 2)


def test_a_target_that_is_gone_is_named() -> None:
    with serving(lambda peer: None) as server:
        url = server.url
    found = look_up_balances([expected(n, 1) for n in range(50)], lambda number: HttpClient(url))
    assert (found["users_audited"], found["balances_untold"]) == (0, 50)
    assert "refused" in found["balances_untold_first"]


def test_a_pass_that_grew_old_is_renewed_first() -> None:
    pages = {"/auth/refresh": answer(200, {"accessToken": "token7"}), "/tokens/balance": holds(2)}
    found, server = looked_up(saying(pages), expected(0, 2, fresh_until_s=0.0))
    assert found["users_audited"] == 1
    refresh, balance = server.requests
    assert b"refresh_token=cookie0" in refresh
    assert b"Bearer token7" in balance


def test_a_pass_that_cannot_be_renewed_is_tried_as_it_is() -> None:
    pages = {"/auth/refresh": answer(401, {}), "/tokens/balance": holds(2)}
    found, server = looked_up(saying(pages), expected(0, 2, fresh_until_s=0.0))
    assert found["users_audited"] == 1
    assert b"Bearer token0" in server.requests[1]


def test_some_are_asked_for_at_a_time_and_connections_are_used_again() -> None:
    under_way = most = 0

    def script(peer: Peer) -> None:
        nonlocal under_way, most
        while peer.request():
            under_way += 1
            most = max(most, under_way)
            gevent.sleep(0.005)
            under_way -= 1
            peer.send(holds(1))

    found, server = looked_up(script, *(expected(n, 1) for n in range(100)))
    assert found["users_audited"] == 100
    assert most == len(server.peers) == sampled_audit.AT_ONCE


def test_where_each_has_an_address_each_has_a_connection() -> None:
    found, server = looked_up(saying({"/tokens/balance": holds(1)}), *(expected(n, 1) for n in range(5)), keep=False)
    assert (found["users_audited"], len(server.peers)) == (5, 5)


@pytest.mark.alone
def test_whoever_is_not_told_of_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled_audit, "AT_ONCE", 1)
    began_s = time.monotonic()
    found, _ = looked_up(lambda peer: peer.wait_for_end(), expected(0, 1), expected(1, 1), within_s=0.1)
    assert time.monotonic() - began_s < 1.0
    assert (found["balances_untold"], found["balances_untold_first"]) == (2, "user u0: not within 0.1 s")


def test_silence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled_audit, "TIMEOUTS", Timeouts(read_s=0.05))
    found, _ = looked_up(lambda peer: peer.wait_for_end(), expected(0, 1))
    assert found["balances_untold_first"].startswith("user u0: read_timeout")


def test_all_of_it_is_over_before_anybody_gives_a_worker_up() -> None:
    # A worker that is told to hurry has ten seconds; two tries, each until its own time-out, fit into the time for all.
    assert sampled_audit.TRIES * sampled_audit.TIMEOUTS.total_s < sampled_audit.WITHIN_S < 10

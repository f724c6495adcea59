from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.verity import account
from pika_locust.platforms.verity.queue_user import QueueUser
from pika_locust.platforms.verity.scenarios import QUEUE
from tests.platforms.verity.harness import RECEIVED, SIGNED_UP, Harness, answer, saying, until
from tests.wire.http_servers import Server, serving


def owed(user: QueueUser) -> tuple[int, int]:
    return user.account.tokens.least, user.account.tokens.most


def test_members_come_and_go_and_their_tokens_come_back(harness: Harness) -> None:
    harness.open(QUEUE)
    for _ in range(5):
        harness.start(QueueUser)
    until(lambda: harness.count("iterations") >= 20)
    harness.drain()
    joins = harness.trend("queue_join_latency").count
    assert joins == harness.count("http_reqs", name="queue_join") == harness.count("http_reqs", name="queue_leave")
    assert harness.count("http_reqs", name="auth_signup") == harness.count("http_reqs", name="stripe_webhook") == 5
    assert harness.rate("error_rate")[0] == 0
    state = harness.sandbox.state()
    assert (state["queued"], set(state["balances"].values())) == (0, {2})
    facts = harness.worker.facts
    assert (facts["users_audited"], facts["tokens_expected"], facts["tokens_held"]) == (5, 10, 10)
    assert "balances_wrong" not in facts


def test_members_of_one_queue_are_matched_and_a_match_costs_one_token(harness: Harness) -> None:
    harness.open(QUEUE, QUEUE_MODE="shared", TOKENS_PER_USER="20", THINK_TIME_MIN="0.2", THINK_TIME_MAX="0.5")
    for _ in range(6):
        harness.start(QueueUser)
    until(lambda: harness.sandbox.state()["tokens"]["spent"] >= 4)
    harness.drain()
    spent = harness.sandbox.state()["tokens"]["spent"]
    facts = harness.worker.facts
    assert facts["tokens_expected"] == facts["tokens_held"] == 6 * 20 - spent
    assert (facts["tokens_unanswered"], facts["users_audited"]) == (0, 6)
    assert "balances_wrong" not in facts


WRONG = {
    "lose-write": {"lose-write": 0.5},
    "double": {"double": 1.0},
}


@pytest.mark.parametrize("faults", WRONG.values(), ids=WRONG)
def test_a_target_that_counts_wrongly_has_wrong_balances(faults: dict[str, Any], harness: Harness) -> None:
    harness.sandbox.set_faults(faults)
    harness.open(QUEUE, TOKENS_PER_USER="20")
    for _ in range(4):
        harness.start(QueueUser)
    until(lambda: harness.count("iterations") >= 8)
    harness.drain()
    assert harness.worker.facts["balances_wrong"] >= 2
    assert harness.worker.facts["users_audited"] == 4


def test_tokens_that_are_kept_after_a_match_are_missing_in_the_balances(harness: Harness) -> None:
    harness.sandbox.set_faults({"kept-token": True})
    harness.open(QUEUE, QUEUE_MODE="shared", TOKENS_PER_USER="20", THINK_TIME_MIN="0.2", THINK_TIME_MAX="0.5")
    for _ in range(6):
        harness.start(QueueUser)
    until(lambda: harness.sandbox.state()["tokens"]["spent"] >= 6)
    spent = harness.count("iterations")
    until(lambda: harness.count("iterations") >= spent + 12)
    harness.drain()
    tokens = harness.sandbox.state()["tokens"]
    facts = harness.worker.facts
    assert facts["tokens_held"] < facts["tokens_expected"] == tokens["credited"] - tokens["spent"]
    assert facts["balances_wrong"] >= 1


def test_each_visit_has_a_queue_of_its_own_unless_all_share_one(harness: Harness) -> None:
    harness.open(QUEUE)
    user = harness.begun(QueueUser)
    seeds = {user._preferences()["seed"] for _ in range(100)}
    assert len(seeds) == 100
    harness.open(QUEUE, begin={"run_id": "another", "seed": harness.worker.begin.seed})
    other = harness.begun(QueueUser)
    assert other.number == user.number
    assert other._preferences()["seed"] not in seeds
    harness.open(QUEUE, QUEUE_MODE="shared")
    assert harness.begun(QueueUser)._preferences() == {"mode": "shared"}


def test_without_seeding_nobody_buys_and_no_join_can_work(harness: Harness) -> None:
    harness.open(QUEUE, SEED_TOKENS="0")
    harness.start(QueueUser)
    until(lambda: harness.count("http_rate_limited") == 0 and harness.rate("checks", check="queue join ok")[1] >= 2)
    harness.drain()
    assert harness.count("http_reqs", name="stripe_webhook") == 0
    assert harness.trend("queue_join_latency").count == 0
    assert harness.count("http_reqs", name="queue_leave") == 0


def test_whoever_gets_no_account_waits_before_the_next_try(harness: Harness) -> None:
    with serving(saying({"/auth/signup-anonymous": answer(429, {})})) as server:
        harness.open(QUEUE, server.url)
        harness.start(QueueUser)
        until(lambda: len(server.requests) == 2, 3.0)
        harness.drain()
    assert harness.count("http_rate_limited") == 2
    assert harness.worker.facts["users_owed"] == 0


# What is owed after each visit

QUEUED = answer(201, {"status": "queued"})
AGAIN = answer(201, {"status": "already_queued"})
REFUNDED = answer(200, {"status": "left", "refunded": True})
NOT_REFUNDED = answer(200, {"status": "left", "refunded": False})
KEPT = answer(200, {"status": "already_matched", "refunded": False})
GONE = answer(200, {"status": "not_queued", "refunded": False})
BROKEN = answer(500, {})
REFUSED = answer(403, {})

VISITS: dict[str, tuple[list[Any], list[Any], int, tuple[int, int], tuple[int, int]]] = {
    # joins, leaves, visits, owed where nobody meets, owed where all do
    "left and refunded": ([QUEUED], [REFUNDED], 1, (10, 10), (10, 10)),
    "not refunded: they may be being matched": ([QUEUED], [NOT_REFUNDED], 1, (10, 10), (9, 10)),
    "taken out of the queue by the target, unmatched": ([QUEUED], [KEPT], 1, (10, 10), (10, 10)),
    "gone: a match, where there can be one": ([QUEUED], [GONE], 1, (10, 10), (9, 9)),
    "an answer that says nothing": ([QUEUED], [answer(200, b"ok")], 1, (10, 10), (9, 10)),
    "a refused join costs nothing": ([REFUSED], [GONE], 1, (10, 10), (10, 10)),
    "a join that failed, and the visit never was": ([BROKEN], [GONE], 1, (10, 10), (9, 10)),
    "a join that failed, and the visit was": ([BROKEN], [REFUNDED], 1, (10, 10), (10, 10)),
    "a join without an answer, and the visit never was": ([None], [GONE], 1, (10, 10), (9, 10)),
    "a join without an answer, and the visit was": ([None], [REFUNDED], 1, (10, 10), (10, 10)),
    "a leave that failed, and left": ([QUEUED], [BROKEN, REFUNDED], 1, (10, 10), (10, 10)),
    "a leave without an answer that had worked": ([QUEUED], [None, GONE], 1, (10, 10), (9, 10)),
    "no leave ever worked": ([QUEUED], [BROKEN], 1, (9, 10), (9, 10)),
    "still queued when joining again": ([QUEUED, AGAIN], [BROKEN, REFUNDED], 2, (10, 10), (10, 10)),
    "queued anew: the first visit ended somehow": ([QUEUED, QUEUED], [BROKEN, REFUNDED], 2, (10, 10), (9, 10)),
    "refused when joining again": ([QUEUED, REFUSED], [BROKEN, REFUNDED], 2, (10, 10), (10, 10)),
}


def visits(harness: Harness, server: Server, mode: str, times: int) -> QueueUser:
    harness.open(QUEUE, server.url, QUEUE_MODE=mode, TOKENS_PER_USER="10")
    user: QueueUser = harness.begun(QueueUser)
    for _ in range(times):
        user.act()
    user.on_stop()
    harness.worker.end()
    return user


@pytest.mark.parametrize("mode", ["isolated", "shared"])
@pytest.mark.parametrize(("joins", "leaves", "times", "isolated", "shared"), VISITS.values(), ids=VISITS)
def test_what_is_owed_after_a_visit(
    joins: list[Any],
    leaves: list[Any],
    times: int,
    isolated: tuple[int, int],
    shared: tuple[int, int],
    mode: str,
    harness: Harness,
) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/queue/join": joins,
        "/queue/leave": leaves,
        "/tokens/balance": answer(200, {"tokenBalance": 10}),
    }
    with serving(saying(pages)) as server:
        user = visits(harness, server, mode, times)
    assert owed(user) == (isolated if mode == "isolated" else shared)
    assert harness.worker.facts["users_audited"] == 1


def test_a_balance_that_nobody_tells_is_named(harness: Harness) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/queue/join": QUEUED,
        "/queue/leave": REFUNDED,
        "/tokens/balance": BROKEN,
    }
    with serving(saying(pages)) as server:
        visits(harness, server, "isolated", 1)
    facts = harness.worker.facts
    assert (facts["users_owed"], facts["users_audited"], facts["balances_untold"]) == (1, 0, 1)
    assert facts["balances_untold_first"] == "user u1: 500 Words"


def test_whoever_has_no_token_left_for_sure_buys_again_before_joining_a_shared_queue(harness: Harness) -> None:
    harness.open(QUEUE, QUEUE_MODE="shared", TOKENS_PER_USER="1", THINK_TIME_MIN="0.2", THINK_TIME_MAX="0.5")
    for _ in range(6):
        harness.start(QueueUser)
    until(lambda: harness.sandbox.state()["tokens"]["spent"] >= 8, 8.0)
    harness.drain()
    assert harness.rate("error_rate")[0] == 0
    assert harness.count("http_reqs", name="stripe_webhook") > 6
    facts = harness.worker.facts
    assert facts["tokens_expected"] == facts["tokens_held"]
    assert "balances_wrong" not in facts


PURCHASES = {
    "who met somebody": ("shared", {}, GONE, 3),
    "who may have met somebody": ("shared", {}, NOT_REFUNDED, 3),
    "who has the token back": ("shared", {}, REFUNDED, 1),
    "the suite's users do not": ("shared", {"CONTRACT": "suite"}, GONE, 1),
    "where nobody meets, nobody has to": ("isolated", {}, GONE, 1),
    "who was given none does not": ("shared", {"SEED_TOKENS": "0"}, GONE, 0),
}


@pytest.mark.parametrize(("mode", "environ", "left", "bought"), PURCHASES.values(), ids=PURCHASES)
def test_who_buys_again(mode: str, environ: dict[str, str], left: bytes, bought: int, harness: Harness) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/queue/join": QUEUED,
        "/queue/leave": left,
    }
    with serving(saying(pages)) as server:
        harness.open(QUEUE, server.url, QUEUE_MODE=mode, TOKENS_PER_USER="1", **environ)
        user: QueueUser = harness.begun(QueueUser)
        for _ in range(3):
            user.act()
    assert harness.count("http_reqs", name="stripe_webhook") == bought


NO_TOKEN = answer(400, {"message": "Insufficient token balance"})
REFUSED: dict[str, tuple[dict[str, str], Any, int, int]] = {
    # settings, what the look at the balance finds, balances looked up, purchases with the first one
    "the balance says so": ({}, answer(200, {"tokenBalance": 0}), 1, 2),
    "the balance says otherwise": ({}, answer(200, {"tokenBalance": 1}), 1, 1),
    "the balance is not told": ({}, BROKEN, 1, 1),
    "the suite's users do not look": ({"CONTRACT": "suite"}, BROKEN, 0, 1),
    "who was given none does not look": ({"SEED_TOKENS": "0"}, BROKEN, 0, 0),
}


@pytest.mark.parametrize("mode", ["isolated", "shared"])
@pytest.mark.parametrize(("environ", "balance", "looks", "bought"), REFUSED.values(), ids=REFUSED)
def test_a_join_that_is_refused_for_want_of_a_token_is_one_error_after_which_the_user_buys(
    environ: dict[str, str], balance: bytes, looks: int, bought: int, mode: str, harness: Harness
) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/queue/join": [NO_TOKEN, QUEUED],
        "/queue/leave": REFUNDED,
        "/tokens/balance": balance,
    }
    with serving(saying(pages)) as server:
        harness.open(QUEUE, server.url, QUEUE_MODE=mode, **environ)
        user: QueueUser = harness.begun(QueueUser)
        for _ in range(4):
            user.act()
    assert harness.count("http_reqs", name="tokens_balance") == looks
    assert harness.count("http_reqs", name="stripe_webhook") == bought
    assert harness.rate("checks", check="queue join ok") == (3, 1)


def test_tokens_that_are_lost_cost_one_join_and_not_all_that_follow(harness: Harness) -> None:
    harness.sandbox.set_faults({"lose-write": 1.0})
    harness.open(QUEUE, TOKENS_PER_USER="2")
    user: QueueUser = harness.begun(QueueUser)
    user.act()
    assert harness.sandbox.state()["tokens"]["held"] == 0
    harness.sandbox.clear_faults()
    for _ in range(6):
        user.act()
    assert harness.rate("checks", check="queue join ok") == (6, 1)
    user.on_stop()
    harness.worker.end()
    assert harness.worker.facts["balances_wrong"] == 1


LOCKED = answer(409, {"message": "Queue operation in progress"})


def test_a_leave_that_meets_the_workers_lock_is_tried_again_and_is_no_failure(harness: Harness) -> None:
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/queue/join": QUEUED,
        "/queue/leave": [LOCKED, LOCKED, GONE],
    }
    with serving(saying(pages)) as server:
        harness.open(QUEUE, server.url, QUEUE_MODE="shared", TOKENS_PER_USER="10")
        user: QueueUser = harness.begun(QueueUser)
        user.act()
    assert harness.count("http_reqs", name="queue_leave") == 3
    assert harness.rate("checks", check="queue leave ok") == (1, 0)
    assert harness.rate("http_req_failed")[0] == harness.rate("error_rate")[0] == 0
    assert harness.errors("queue_leave") == []
    assert owed(user) == (9, 9)


def test_a_lock_that_stays_is_a_failure(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "LOCKED_AGAIN_S", 0.001)
    pages = {
        "/auth/signup-anonymous": SIGNED_UP,
        "/webhooks/stripe": RECEIVED,
        "/queue/join": QUEUED,
        "/queue/leave": LOCKED,
    }
    with serving(saying(pages)) as server:
        harness.open(QUEUE, server.url)
        harness.begun(QueueUser).act()
    assert harness.rate("checks", check="queue leave ok") == (0, 1)
    assert len(harness.errors("queue_leave")) == 1


def test_whoever_is_released_before_the_end_is_audited_like_all_others(harness: Harness) -> None:
    harness.open(QUEUE)
    users = [harness.start(QueueUser) for _ in range(6)]
    until(lambda: harness.count("iterations") >= 6)
    for user in users[:4]:
        user.release()
    until(lambda: len(harness.worker.actors("primary")) == 2)
    assert "users_audited" not in harness.worker.facts
    harness.drain()
    facts = harness.worker.facts
    assert (facts["users_owed"], facts["users_audited"], facts["tokens_held"]) == (6, 6, 12)


def test_whoever_is_cut_off_asks_for_nothing_more(harness: Harness) -> None:
    pages = {"/auth/signup-anonymous": SIGNED_UP, "/webhooks/stripe": RECEIVED, "/queue/join": QUEUED}
    with serving(saying(pages)) as server:
        harness.open(QUEUE, server.url, THINK_TIME_MIN="9", THINK_TIME_MAX="9")
        user = harness.start(QueueUser)
        until(lambda: harness.trend("queue_join_latency").count == 1)
        user.cut = lambda: setattr(user, "_cut", True)
        user.cut()
        user.on_stop()
        asked = [request.split(b" ")[1] for request in server.requests]
    assert asked == [b"/auth/signup-anonymous", b"/webhooks/stripe", b"/queue/join"]
    assert owed(user) == (1, 2)

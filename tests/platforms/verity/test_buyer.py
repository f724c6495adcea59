from __future__ import annotations

from typing import Any

import pytest

from pika_locust.judge import ThresholdEvaluator, decide
from pika_locust.load.plan import CONSTANT
from pika_locust.platforms.verity.buyer import Buyer, seed_users
from pika_locust.platforms.verity.scenarios import TOKENS
from pika_locust.runtime.options import all_metrics
from pika_locust.scenario import SetupContext
from pika_locust.wire.http import HttpClient
from tests.platforms.verity.harness import RECEIVED, Harness, answer, saying, settings_of, until
from tests.wire.http_servers import serving


def members(harness: Harness, number: int) -> list[str]:
    given = seed_users(SetupContext(harness.sandbox.url, settings_of(TOKENS, SEED_USER_COUNT=str(number)), 7))
    return list(given.public["users"])


def sold(harness: Harness, users: list[str], what: str = "credited") -> dict[str, int]:
    """What was noted in the end, by user, without those that nothing is said of."""
    harness.worker.end()
    facts = harness.worker.facts
    return {user: facts[f"{what} {at}"] for at, user in enumerate(users) if facts.get(f"{what} {at}")}


def test_every_checkout_is_credited_to_a_member_as_it_is_noted(harness: Harness) -> None:
    users = members(harness, 3)
    harness.open(TOKENS, begin={"given": {"users": users}}, TOKENS_PER_EVENT="7")
    for _ in range(2):
        harness.start(Buyer)
    until(lambda: harness.count("iterations") >= 20)
    harness.drain()
    assert sold(harness, users) == harness.sandbox.state()["balances"]
    assert sold(harness, users, "maybe") == {}
    webhooks = harness.trend("stripe_webhook_latency").count
    assert sum(sold(harness, users).values()) == 7 * webhooks == 7 * harness.count("http_reqs", name="stripe_webhook")
    assert len(sold(harness, users)) == 3
    assert harness.rate("forged_refused") == harness.rate("redelivery_ignored") == (0, 0)


def test_repeated_and_forged_deliveries_credit_nothing_and_stay_out_of_the_metrics(harness: Harness) -> None:
    users = members(harness, 2)
    harness.open(TOKENS, begin={"given": {"users": users}}, REDELIVERY="1")
    buyer = harness.begun(Buyer)
    for _ in range(5):
        buyer.act()
    buyer.on_stop()
    assert harness.rate("redelivery_ignored") == harness.rate("forged_refused") == (10, 0)
    assert harness.count("http_reqs") == harness.trend("stripe_webhook_latency").count == 5
    assert sold(harness, users) == {u: b for u, b in harness.sandbox.state()["balances"].items() if b}
    webhooks = harness.sandbox.state()["webhooks"]
    assert (webhooks["credited"], webhooks["duplicates"], webhooks["refused"]) == (5, 15, 10)


DEFECTS = {
    "a forged signature is taken": ({"forget-signature": True}, "forged_refused", (0, 2)),
    "a forged signature breaks the receiver": ({"forged-500": True}, "forged_refused", (0, 2)),
    "everything breaks": ({"error": 1.0}, "redelivery_ignored", (0, 0)),
}


@pytest.mark.parametrize(("faults", "metric", "seen"), DEFECTS.values(), ids=DEFECTS)
def test_defects_of_a_receiver(faults: dict[str, Any], metric: str, seen: tuple[int, int], harness: Harness) -> None:
    users = members(harness, 1)
    harness.sandbox.set_faults(faults)
    harness.open(TOKENS, begin={"given": {"users": users}}, REDELIVERY="1")
    buyer = harness.begun(Buyer)
    buyer.act()
    buyer.on_stop()
    assert harness.rate(metric) == seen


@pytest.mark.parametrize(
    ("fault", "subject", "reason"),
    [
        ("forget-signature", "forged_refused", "2 taken (answered 200)"),
        ("forged-500", "forged_refused", "2 not taken, but answered 500"),
        ("redelivery-500", "redelivery_ignored", "1 answered 500, 1 at once answered 500 and answered 500"),
    ],
)
def test_the_reason_of_a_failed_negative_says_what_the_receiver_did(
    fault: str, subject: str, reason: str, harness: Harness
) -> None:
    users = members(harness, 1)
    harness.sandbox.set_faults({fault: True})
    harness.open(TOKENS, begin={"given": {"users": users}}, REDELIVERY="1")
    buyer = harness.begun(Buyer)
    buyer.act()
    buyer.on_stop()
    scenario, worker = TOKENS, harness.worker
    panel = ThresholdEvaluator(scenario.thresholds_for(CONSTANT, worker.settings), all_metrics(scenario))
    decision = decide(thresholds=panel.results(worker.metrics.snapshot(), 5.0))
    (text,) = [told.text for told in decision.reasons if told.subject == subject]
    assert text.endswith(f"(2 samples): {reason}"), text


NEGATIVES: dict[str, tuple[list[Any], tuple[int, int], tuple[int, int]]] = {
    # after the delivery itself: again, then (at once) one over each of two connections, then forged, then stale
    "as they should be": ([RECEIVED] * 4 + [answer(400, {})], (2, 0), (2, 0)),
    "one of two at once breaks": ([RECEIVED, RECEIVED, answer(500, {}), RECEIVED, answer(400, {})], (2, 0), (2, 0)),
    "both at once break": ([RECEIVED, RECEIVED, *[answer(500, {})] * 2, answer(401, {})], (1, 1), (2, 0)),
    "a repeated one is refused": ([RECEIVED, answer(409, {}), RECEIVED, RECEIVED, answer(403, {})], (1, 1), (2, 0)),
    "a throttle refuses nothing": ([RECEIVED] * 4 + [answer(429, {})], (2, 0), (0, 2)),
    "silence refuses nothing": ([RECEIVED] * 4 + [None], (2, 0), (0, 2)),
}


@pytest.mark.parametrize(("answers", "ignored", "refused"), NEGATIVES.values(), ids=NEGATIVES)
def test_what_each_answer_to_a_negative_means(
    answers: list[Any], ignored: tuple[int, int], refused: tuple[int, int], harness: Harness
) -> None:
    with serving(saying({"/webhooks/stripe": answers})) as server:
        harness.open(TOKENS, server.url, begin={"given": {"users": ["u1"]}}, REDELIVERY="1")
        buyer = harness.begun(Buyer)
        buyer.act()
        buyer.on_stop()
    assert (harness.rate("redelivery_ignored"), harness.rate("forged_refused")) == (ignored, refused)
    assert harness.count("http_reqs") == 1


ANSWERS: dict[str, tuple[Any, dict[str, int], dict[str, int], int]] = {
    "acknowledged": (RECEIVED, {"u1": 5}, {}, 1),
    "refused": (answer(400, {}), {}, {}, 1),
    "a failure behind which it may be credited": (answer(504, {}), {}, {"u1": 5}, 1),
    "not answered": (None, {}, {"u1": 5}, 0),
}


@pytest.mark.parametrize(("said", "credited", "maybe", "timed"), ANSWERS.values(), ids=ANSWERS)
def test_what_one_checkout_may_have_credited(
    said: Any, credited: dict[str, int], maybe: dict[str, int], timed: int, harness: Harness
) -> None:
    with serving(saying({"/webhooks/stripe": said})) as server:
        harness.open(TOKENS, server.url, begin={"given": {"users": ["u1"]}}, REDELIVERY="1" if said is None else "0")
        buyer = harness.begun(Buyer)
        buyer.act()
        buyer.on_stop()
    assert (sold(harness, ["u1"]), sold(harness, ["u1"], "maybe")) == (credited, maybe)
    assert harness.trend("stripe_webhook_latency").count == timed
    assert harness.rate("forged_refused") == (0, 0)


def test_a_delivery_that_is_cut_off_may_have_been_credited(harness: Harness) -> None:
    with serving(lambda peer: peer.wait_for_end()) as server:
        harness.open(TOKENS, server.url, begin={"given": {"users": ["u1"]}})
        harness.start(Buyer)
        until(lambda: server.peers)
        harness.end()
    assert sold(harness, ["u1"], "maybe") == {"u1": 5}


def test_negatives_go_out_from_the_users_own_address(harness: Harness) -> None:
    seen: list[str] = []

    def script(peer: Any) -> None:
        seen.append(peer.address[0])
        saying({"/webhooks/stripe": RECEIVED})(peer)

    with serving(script) as server, HttpClient(server.url):
        harness.open(
            TOKENS, server.url, begin={"given": {"users": ["u1"]}}, REDELIVERY="1", SOURCE_ADDRESSES="127.0.9.7"
        )
        buyer = harness.begun(Buyer)
        buyer.act()
        buyer.on_stop()
    assert seen == ["127.0.9.7"] * 3


# Where the set-up made nobody


def test_while_a_target_is_dead_each_iteration_is_an_attempt_that_fails_and_is_counted(harness: Harness) -> None:
    with serving(lambda peer: None) as server:
        url = server.url
    harness.open(TOKENS, url, begin={"given": {"users": []}})
    buyer = harness.begun(Buyer)
    for _ in range(3):
        buyer.act()
    buyer.on_stop()
    harness.worker.end()
    assert harness.rate("http_req_failed", name="auth_signup") == (3, 0)
    assert harness.rate("error_rate") == (3, 0)
    assert harness.count("http_reqs") == 3
    assert "users_audited" not in sold_late(harness)


def sold_late(harness: Harness) -> dict[str, Any]:
    """What was found in the balances of those who signed up during the load."""
    return {name: value for name, value in harness.worker.facts.items() if value}


def test_a_target_that_comes_up_is_paid_for_and_audited(harness: Harness) -> None:
    harness.sandbox.set_faults({"error": 1.0})
    harness.open(TOKENS, begin={"given": {"users": []}})
    buyers = [harness.begun(Buyer) for _ in range(2)]
    for buyer in buyers:
        buyer.act()
    harness.sandbox.clear_faults()
    for _ in range(3):
        for buyer in buyers:
            buyer.act()
    for buyer in buyers:
        buyer.on_stop()
    harness.worker.end()
    assert harness.rate("http_req_failed", name="auth_signup") == (2, 1)
    assert harness.rate("http_req_failed", name="stripe_webhook") == (0, 6)
    assert list(harness.sandbox.state()["balances"].values()) == [30]
    assert sold_late(harness) == {"users_owed": 1, "users_audited": 1, "tokens_expected": 30, "tokens_held": 30}

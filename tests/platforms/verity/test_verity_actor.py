from __future__ import annotations

import json
import time

import pytest

from pika_locust.judge import ThresholdEvaluator, decide
from pika_locust.kit import stripe
from pika_locust.kit.webhook_actor import SANDBOX_SECRET
from pika_locust.load.plan import CONSTANT
from pika_locust.platforms.verity.account import TIMEOUTS, Account, VerityActor
from pika_locust.platforms.verity.scenarios import QUEUE
from pika_locust.runtime.options import all_metrics
from pika_locust.wire.http import Timeouts
from tests.platforms.verity.harness import Harness, answer, saying
from tests.wire.http_servers import serving


@pytest.fixture
def user(harness: Harness) -> VerityActor:
    harness.open(QUEUE)
    user: VerityActor = harness.begun(VerityActor)
    return user


def test_a_purchase_is_signed_for_now_and_is_no_other(user: VerityActor) -> None:
    payload, signature = user.purchase("u1", 5)
    event = json.loads(payload)
    assert event["data"]["object"]["metadata"] == {"userId": "u1", "packId": "starter", "tokens": "5"}
    at_s = int(signature[2:].partition(",")[0])
    assert abs(at_s - time.time()) < 2
    assert signature == stripe.signature(SANDBOX_SECRET, payload, at_s)
    ids = {json.loads(user.purchase("u1", 5)[0])["id"] for _ in range(1000)}
    assert len(ids) == 1000


def test_the_purchases_of_a_second_run_with_the_same_seed_are_no_redeliveries(harness: Harness) -> None:
    account = Account()
    for run_id in ("first", "second"):
        harness.open(QUEUE, begin={"run_id": run_id, "seed": 7})
        user: VerityActor = harness.begun(VerityActor)
        if not account.exists:
            user.sign_up(account)
        payload, signature = user.purchase(account.user_id, 5)
        assert user.pay_for(account, payload, signature, 5).status == 200
    assert harness.sandbox.state()["balances"] == {account.user_id: account.tokens.least} == {account.user_id: 10}


def test_a_secret_of_ones_own_signs(harness: Harness) -> None:
    harness.open(QUEUE, STRIPE_WEBHOOK_SECRET="whsec_mine")
    assert harness.begun(VerityActor).secret == "whsec_mine"


def test_a_check_counts_by_name_and_as_an_error_when_it_fails(harness: Harness, user: VerityActor) -> None:
    assert user.checked("queue join ok", True) is True
    assert user.checked("queue join ok", False) is False
    assert harness.rate("checks", check="queue join ok") == (1, 1)
    assert harness.rate("error_rate") == (1, 1)


def test_each_user_has_an_address_of_its_own_when_there_is_a_pool(harness: Harness) -> None:
    harness.open(QUEUE, SOURCE_ADDRESSES="127.0.8.1-127.0.8.3")
    users = [harness.begun(VerityActor) for _ in range(4)]
    addresses = ["127.0.8.1", "127.0.8.2", "127.0.8.3", "127.0.8.1"]
    assert [user.http.source_address for user in users] == addresses
    assert [user.new_client(metered=False).source_address for user in users] == addresses


def test_what_goes_over_a_client_that_is_not_metered_is_not_counted(harness: Harness, user: VerityActor) -> None:
    user.http.get("/health", name="health")
    with user.new_client(metered=False) as apart:
        apart.get("/health", name="health")
    assert harness.count("http_reqs", name="health") == 1


def test_the_target_has_the_suites_time_to_answer(user: VerityActor) -> None:
    assert user.timeouts == TIMEOUTS == Timeouts(connect_s=10.0, read_s=30.0, total_s=60.0)


THROTTLED = {
    "without a pool": ({}, "1 answered 429 (SOURCE_ADDRESSES gives each user an address of its own)"),
    "with a small one": ({"SOURCE_ADDRESSES": "127.0.8.1"}, "1 answered 429 (SOURCE_ADDRESSES has 1 for all users)"),
}


@pytest.mark.parametrize(("environ", "words"), THROTTLED.values(), ids=THROTTLED)
def test_a_run_that_is_red_by_429_names_the_setting_in_its_reasons(
    environ: dict[str, str], words: str, harness: Harness
) -> None:
    with serving(saying({"/auth/signup-anonymous": answer(429, {})})) as server:
        harness.open(QUEUE, server.url, **environ)
        user: VerityActor = harness.begun(VerityActor)
        user.sign_up(Account())
    worker = harness.worker
    panel = ThresholdEvaluator(QUEUE.thresholds_for(CONSTANT, worker.settings), all_metrics(QUEUE))
    reasons = decide(thresholds=panel.results(worker.metrics.snapshot(), 5.0)).reasons
    (text,) = [reason.text for reason in reasons if reason.subject == "http_rate_limited"]
    assert text == f"http_rate_limited count was 1, limit ==0: {words}"

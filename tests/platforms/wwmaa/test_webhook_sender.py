"""Webhooks against the sandbox on real sockets, in both contracts: what is booked, and what the audit finds."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from pika_locust.platforms.wwmaa.scenarios import WEBHOOKS
from pika_locust.platforms.wwmaa.webhook_sender import MIX
from pika_locust.testing.worker import outcomes
from tests.platforms.wwmaa.served import CONTRACTS, sent_twice, serving

BOTH = pytest.mark.parametrize("contract", CONTRACTS)


@BOTH
def test_each_webhook_is_processed_once_whatever_is_delivered_besides(contract: str) -> None:
    with serving(WEBHOOKS, contract, REDELIVERY="1") as run:
        run.act(30)
        assert run.worker.rate_of("webhook_processing_success") == (30, 0)
        assert run.worker.rate_of("webhook_signature_valid") == (30, 0)
        assert run.worker.rate_of("redelivery_ignored") == (60, 0)
        assert run.worker.rate_of("forged_refused") == (60, 0)
        assert run.worker.trend_of("webhook_processing_latency").count == 30
        assert outcomes(run.worker.ledgers["webhooks"]) == {"sent": 30, "acked": 30}
        assert run.worker.count_of("webhook_duplicates") == 0
        assert run.audit()["webhooks"].status == "pass"


@BOTH
@pytest.mark.parametrize(("fault", "held"), [("double", 21), ("lose-write", 19), ("forget-event", None)])
def test_one_webhook_that_was_not_processed_once_is_noticed(contract: str, fault: str, held: int | None) -> None:
    with serving(WEBHOOKS, contract, REDELIVERY="0.5") as run:
        run.plant(**{fault: "0.05"})
        run.act(20)
        audit = run.audit()["webhooks"]
        assert (audit.status, audit.expected) == ("fail", 20)
        assert audit.actual == held if held is not None else (audit.actual or 0) > 20


@BOTH
def test_forged_signatures_that_are_taken_are_noticed(contract: str) -> None:
    with serving(WEBHOOKS, contract, REDELIVERY="1") as run:
        run.plant(forget_signature=True)
        run.act(3)
        assert run.worker.rate_of("forged_refused") == (0, 6)
        assert run.audit()["webhooks"].status == "fail"


def test_the_wrong_secret_is_seen_as_such() -> None:
    with serving(WEBHOOKS, "suite") as run:
        run.worker.settings = run.worker.settings.with_public({"STRIPE_WEBHOOK_SECRET": "whsec_other"})
        run.act(2)
        assert run.worker.rate_of("webhook_signature_valid") == (0, 2)
        assert outcomes(run.worker.ledgers["webhooks"]) == {"sent": 2, "refused": 2}


def test_an_answer_of_error_is_no_success() -> None:
    with serving(WEBHOOKS, "server", REDELIVERY="0") as run:
        user = run.user()
        user.prepare_posts()
        user._event = lambda: ("evt_1", json.dumps({"id": "evt_1", "type": "customer.subscription.updated"}).encode())
        user.act()
        assert run.worker.rate_of("webhook_processing_success") == (0, 1)
        assert outcomes(run.worker.ledgers["webhooks"]) == {"sent": 1, "uncertain": 1}


def test_an_event_that_was_sent_twice_may_have_been_refused_for_being_there() -> None:
    with serving(WEBHOOKS, "suite", REDELIVERY="0") as run:
        user = run.user()
        user.deliver = lambda *sent: sent_twice(409)
        user.act()
        assert outcomes(run.worker.ledgers["webhooks"]) == {"sent": 1, "uncertain": 1}


def test_payments_are_for_the_membership_that_is_set() -> None:
    with serving(WEBHOOKS, "suite", TEST_MEMBERSHIP_TIER_ID="lifetime") as run:
        event = json.loads(run.user()._event()[1])
        about = event["data"]["object"]
        assert about["metadata"] == {"membership_tier": "lifetime", "user_id": about["metadata"]["user_id"]}


def test_the_mix_is_the_suite_s_and_ids_are_unique() -> None:
    with serving(WEBHOOKS, "suite") as run:
        events = [json.loads(run.user()._event()[1]) for _ in range(3)]
        user = run.users[0]
        events += [json.loads(user._event()[1]) for _ in range(1000)]
        assert len({event["id"] for event in events}) == 1003
        kinds = Counter(event["type"] for event in events)
        for kind, share in MIX:
            assert kinds[kind] / 1003 == pytest.approx(share, abs=0.05)

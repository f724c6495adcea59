from __future__ import annotations

import json
import time

import pytest

from pika_locust.kit import stripe
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.verity.account import SANDBOX_SECRET, VerityContext, think_s
from pika_locust.platforms.verity.scenarios import QUEUE
from tests.platforms.verity.night import Night, settings_of


def test_all_actors_of_a_process_share_one(night: Night) -> None:
    worker = night.open(QUEUE)
    assert worker.shared(VerityContext) is worker.shared(VerityContext)


def test_a_purchase_is_signed_for_now_and_is_no_other(night: Night) -> None:
    night.open(QUEUE)
    dice = SeededRandom(1, 2)
    payload, signature = night.lobby.purchase("u1", 5, dice)
    event = json.loads(payload)
    assert event["data"]["object"]["metadata"] == {"userId": "u1", "packId": "starter", "tokens": "5"}
    at_s = int(signature[2:].partition(",")[0])
    assert abs(at_s - time.time()) < 2
    assert signature == stripe.signature(SANDBOX_SECRET, payload, at_s)
    ids = {json.loads(night.lobby.purchase("u1", 5, dice)[0])["id"] for _ in range(1000)}
    assert len(ids) == 1000


def test_a_secret_of_ones_own_signs(night: Night) -> None:
    night.open(QUEUE, STRIPE_WEBHOOK_SECRET="whsec_mine")
    assert night.lobby.secret == "whsec_mine"


def test_a_check_counts_by_name_and_as_an_error_when_it_fails(night: Night) -> None:
    night.open(QUEUE)
    assert night.lobby.checked("queue join ok", True) is True
    assert night.lobby.checked("queue join ok", False) is False
    assert night.rate("checks", check="queue join ok") == (1, 1)
    assert night.rate("error_rate") == (1, 1)


def test_each_user_has_an_address_of_its_own_when_there_is_a_pool(night: Night) -> None:
    night.open(QUEUE, SOURCE_ADDRESSES="127.0.8.1-127.0.8.3")
    clients = [night.lobby.client(number) for number in (0, 1, 2, 3)]
    addresses = [client.source_address for client in clients]
    assert addresses == ["127.0.8.1", "127.0.8.2", "127.0.8.3", "127.0.8.1"]
    for client in clients:
        client.close()


def test_what_goes_over_a_client_that_is_not_metered_is_not_counted(night: Night) -> None:
    night.open(QUEUE)
    night.lobby.client(0).get("/health", name="health")
    night.lobby.client(0, metered=False).get("/health", name="health")
    assert night.count("http_reqs", name="health") == 1


THINKS = {
    "between": ("0.5", "2", 0.5, 2.0),
    "no span": ("1", "1", 1.0, 1.0),
    "the wrong way round": ("2", "1", 2.0, 2.0),
}


@pytest.mark.parametrize(("least", "most", "low", "high"), THINKS.values(), ids=THINKS)
def test_thoughts_are_uniform_between_their_bounds(least: str, most: str, low: float, high: float) -> None:
    settings = settings_of(QUEUE, THINK_TIME_MIN=least, THINK_TIME_MAX=most)
    thoughts = [think_s(settings, dice) for dice in [SeededRandom(1, 2)] for _ in range(500)]
    assert low <= min(thoughts)
    assert max(thoughts) <= high
    assert sum(thoughts) / 500 == pytest.approx((low + high) / 2, abs=0.1)

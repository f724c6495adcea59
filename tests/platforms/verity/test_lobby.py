from __future__ import annotations

import json
import time

import pytest

from pika_locust.load.dice import Dice
from pika_locust.platforms.verity.lobby import SANDBOX_SECRET, Lobby, think_s
from pika_locust.platforms.verity.scenarios import QUEUE, SESSIONS
from pika_locust.wire import stripe
from tests.platforms.verity.night import Night, settings_of


def test_all_actors_of_a_process_share_one(night: Night) -> None:
    share = night.open(QUEUE)
    assert share.shared(Lobby) is share.shared(Lobby)


KEYS = {
    "few": (20, "2", 1),
    "as many as one key takes": (72, "2", 1),
    "one more": (73, "2", 2),
    "the suite's, at 45 s": (2000, "45", 2),
    "many and short": (2000, "2", 28),
    "nobody": (0, "2", 1),
}


@pytest.mark.parametrize(("users", "hold", "keys"), KEYS.values(), ids=KEYS)
def test_users_are_spread_over_enough_queues_for_the_worker_to_keep_up(
    users: int, hold: str, keys: int, night: Night
) -> None:
    # Each user comes by once in `hold` + 1 seconds; a key may get 60 % of the 40 users a second that can be matched.
    night.open(SESSIONS, begin={"users_peak": users}, SESSION_HOLD_SECONDS=hold)
    assert night.lobby.queue_keys == keys


def test_how_many_queues_there_are_can_be_said(night: Night) -> None:
    night.open(SESSIONS, begin={"users_peak": 2000}, QUEUE_KEYS="1")
    assert night.lobby.queue_keys == 1


def test_a_purchase_is_signed_for_now_and_is_no_other(night: Night) -> None:
    night.open(QUEUE)
    dice = Dice(1, 2)
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


AUDITED = {"one process": (1, 1000), "three": (3, 334), "more than users": (2000, 1)}


@pytest.mark.parametrize(("workers", "wanted"), AUDITED.values(), ids=AUDITED)
def test_a_thousand_balances_in_all_are_looked_up(workers: int, wanted: int, night: Night) -> None:
    night.open(QUEUE, begin={"workers": workers})
    assert [night.lobby.wants_audit() for _ in range(1500)].count(True) == wanted


def test_balances_are_booked_against_what_they_had_to_be(night: Night) -> None:
    facts = night.open(QUEUE).facts
    lobby = night.lobby
    assert facts == {"users_audited": 0, "tokens_expected": 0, "tokens_held": 0}
    lobby.audited("u1", 2, 2, 2)
    lobby.audited("u2", 1, 3, 2)
    assert "balances_wrong" not in facts
    lobby.audited("u3", 2, 2, 3)
    lobby.audited("u4", 1, 2, 0)
    assert facts == {
        "users_audited": 4,
        "tokens_expected": 6,
        "tokens_unanswered": 3,
        "tokens_held": 7,
        "balances_wrong": 2,
        "balances_wrong_first": "user u3 holds 3, owed 2",
    }


THINKS = {
    "between": ("0.5", "2", 0.5, 2.0),
    "no span": ("1", "1", 1.0, 1.0),
    "the wrong way round": ("2", "1", 2.0, 2.0),
}


@pytest.mark.parametrize(("least", "most", "low", "high"), THINKS.values(), ids=THINKS)
def test_thoughts_are_uniform_between_their_bounds(least: str, most: str, low: float, high: float) -> None:
    settings = settings_of(QUEUE, THINK_TIME_MIN=least, THINK_TIME_MAX=most)
    thoughts = [think_s(settings, dice) for dice in [Dice(1, 2)] for _ in range(500)]
    assert low <= min(thoughts)
    assert max(thoughts) <= high
    assert sum(thoughts) / 500 == pytest.approx((low + high) / 2, abs=0.1)

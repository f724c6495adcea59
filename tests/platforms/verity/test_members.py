from __future__ import annotations

from collections import Counter

from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.verity.account import SeededMembers
from pika_locust.platforms.verity.scenarios import TOKENS
from tests.platforms.verity.night import Night


def test_seeded_members_are_picked_at_random_each_as_often(night: Night) -> None:
    members = SeededMembers(night.open(TOKENS, begin={"given": {"users": ["u1", "u2", "u3"]}}))
    dice = SeededRandom(1, 2)
    picked = Counter(payee.user_id for _ in range(300) if (payee := members.pick(dice)) is not None)
    assert set(picked) == {"u1", "u2", "u3"}
    # 100 each on average; four standard deviations are 33.
    assert all(67 <= times <= 133 for times in picked.values())


def test_the_books_of_seeded_members_are_told_when_all_users_have_ended(night: Night) -> None:
    worker = night.open(TOKENS, begin={"given": {"users": ["u1", "u2"]}})
    members = SeededMembers(worker)
    for _ in range(20):
        payee = members.pick(SeededRandom(1))
        assert payee is not None
        payee.tokens.credited(5)
    payee.tokens.maybe(7)
    assert "credited 0" not in worker.facts
    worker.end()
    told = {name: value for name, value in worker.facts.items() if value}
    number = 0 if payee.user_id == "u1" else 1
    assert told == {f"credited {number}": 100, f"maybe {number}": 7}


def test_without_any_there_is_nobody_to_pay_for_until_somebody_comes(night: Night) -> None:
    worker = night.open(TOKENS, begin={"given": {}})
    members = worker.shared(SeededMembers)
    assert members.pick(SeededRandom(1)) is None
    account = night.begun_account()
    members.welcome(account)
    payee = members.pick(SeededRandom(1))
    assert payee is not None
    assert payee.user_id == account.user_id
    account.buy(4)
    payee.tokens.credited(1)
    worker.end()
    facts = worker.facts
    assert (facts["users_owed"], facts["users_audited"]) == (1, 1)
    assert facts["balances_wrong_first"] == f"user {account.user_id} holds 4, owed 5"

from __future__ import annotations

from collections import Counter

from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.verity.account import Account, SeededMembers, VerityActor
from pika_locust.platforms.verity.scenarios import TOKENS
from tests.platforms.verity.harness import Harness


def test_seeded_members_are_picked_at_random_each_as_often(harness: Harness) -> None:
    members = SeededMembers(harness.open(TOKENS, begin={"given": {"users": ["u1", "u2", "u3"]}}))
    dice = SeededRandom(1, 2)
    picked = Counter(picked_account.user_id for _ in range(300) if (picked_account := members.pick(dice)) is not None)
    assert set(picked) == {"u1", "u2", "u3"}
    # 100 each on average; four standard deviations are 33.
    assert all(67 <= times <= 133 for times in picked.values())


def test_what_seeded_members_were_paid_is_told_when_all_users_have_ended(harness: Harness) -> None:
    worker = harness.open(TOKENS, begin={"given": {"users": ["u1", "u2"]}})
    members = SeededMembers(worker)
    for _ in range(20):
        picked_account = members.pick(SeededRandom(1))
        assert picked_account is not None
        picked_account.tokens.add(5)
    picked_account.tokens.maybe(7)
    assert "credited 0" not in worker.facts
    worker.end()
    told = {name: value for name, value in worker.facts.items() if value}
    number = 0 if picked_account.user_id == "u1" else 1
    assert told == {f"credited {number}": 100, f"maybe {number}": 7}


def test_without_any_there_is_nobody_to_pay_for_until_somebody_comes(harness: Harness) -> None:
    worker = harness.open(TOKENS, begin={"given": {}})
    members = worker.shared(SeededMembers)
    assert members.pick(SeededRandom(1)) is None
    user = harness.begun(VerityActor)
    account = Account()
    assert user.sign_up(account)
    members.add(account)
    picked_account = members.pick(SeededRandom(1))
    assert picked_account is not None
    assert picked_account.user_id == account.user_id
    user.pay_for(account, *user.purchase(account.user_id, 4), 4)
    picked_account.tokens.add(1)
    worker.end()
    facts = worker.facts
    assert (facts["users_owed"], facts["users_audited"]) == (1, 1)
    assert facts["balances_wrong_first"] == f"user {account.user_id} holds 4, owed 5"

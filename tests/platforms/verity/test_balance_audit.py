from __future__ import annotations

from pika_locust.kit.sampled_audit import AT_ONCE, TOPIC, SampledAudit
from pika_locust.platforms.verity.account import Account, VerityActor, balance_audit
from pika_locust.platforms.verity.answers import Credentials
from pika_locust.platforms.verity.audits import ExpectedBalance
from pika_locust.platforms.verity.queue_user import QueueUser
from pika_locust.platforms.verity.scenarios import QUEUE
from tests.platforms.verity.harness import Harness, answer, until
from tests.wire.http_servers import Peer, serving


def test_all_actors_of_a_process_share_one(harness: Harness) -> None:
    worker = harness.open(QUEUE)
    assert worker.shared(balance_audit) is worker.shared(balance_audit)


def end(harness: Harness, auditor: SampledAudit[ExpectedBalance], users: int) -> None:
    """So many users come, buy two tokens, and end."""
    user = harness.begun(VerityActor)
    for number in range(users):
        account = Account(number)
        assert user.sign_up(account)
        user.pay_for(account, *user.purchase(account.user_id, 2), 2)
        auditor.take(account.expected)


def test_a_sample_of_those_who_have_ended_is_looked_up_when_all_have(harness: Harness) -> None:
    facts = harness.open(QUEUE).facts
    auditor = balance_audit(harness.worker, wanted=5)
    end(harness, auditor, 12)
    assert facts == {"users_owed": 12}
    before = harness.count("http_reqs")
    harness.worker.end()
    assert facts == {
        "users_owed": 12,
        "users_audited": 5,
        "tokens_expected": 10,
        "tokens_unanswered": 0,
        "tokens_held": 10,
    }
    assert harness.count("http_reqs") == before == 24
    assert harness.rate("error_rate") == (0, 24)


def test_nobody_is_looked_up_while_users_are_there(harness: Harness) -> None:
    harness.open(QUEUE)
    users = [harness.start(QueueUser) for _ in range(3)]
    until(lambda: harness.count("iterations") >= 3)
    users[0].release()
    until(lambda: harness.worker.facts["users_owed"] == 1)
    assert "users_audited" not in harness.worker.facts
    harness.drain()
    assert harness.worker.facts["users_audited"] == 3
    assert harness.count("http_reqs", name="tokens_balance") == 0


def test_the_other_processes_are_told_at_every_power_of_two(harness: Harness) -> None:
    harness.open(QUEUE)
    auditor = balance_audit(harness.worker)
    end(harness, auditor, 9)
    assert harness.worker.published == [(TOPIC, {"worker": 0, "users": users}) for users in (1, 2, 4, 8)]


def test_each_process_takes_a_part_that_fits_what_it_has(harness: Harness) -> None:
    harness.open(QUEUE)
    auditor = balance_audit(harness.worker, wanted=6)
    end(harness, auditor, 4)
    for news in ({"worker": 1, "users": 2}, {"worker": 1, "users": 8}, {"worker": 0, "users": 999}):
        harness.worker.hear(TOPIC, news)
    harness.worker.end()
    # 4 of 12, and 6 are wanted of all.
    assert harness.worker.facts["users_audited"] == 2


def test_each_is_asked_for_from_the_address_it_came_from(harness: Harness) -> None:
    seen: dict[str, str] = {}

    def script(peer: Peer) -> None:
        while request := peer.request():
            seen[request.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()] = peer.address[0]
            peer.send(answer(200, {"tokenBalance": 0}))

    with serving(script) as server:
        harness.open(QUEUE, server.url, SOURCE_ADDRESSES="127.0.9.1-127.0.9.3")
        auditor = balance_audit(harness.worker)
        # More than are asked for at once, so that connections could be used again.
        for number in range(2 * AT_ONCE):
            auditor.take(ExpectedBalance(f"u{number}", number, Credentials(f"t{number}"), 0, 0))
        harness.worker.end()
    assert seen == {f"t{number}": f"127.0.9.{number % 3 + 1}" for number in range(2 * AT_ONCE)}

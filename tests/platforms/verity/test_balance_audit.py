from __future__ import annotations

from pika_locust.kit.sampled_audit import TOPIC, SampledAudit
from pika_locust.platforms.verity.account import balance_audit
from pika_locust.platforms.verity.audits import ExpectedBalance
from pika_locust.platforms.verity.messages import Credentials
from pika_locust.platforms.verity.queue_user import QueueUser
from pika_locust.platforms.verity.scenarios import QUEUE
from tests.platforms.verity.night import Night, answer, until
from tests.wire.http_servers import Peer, serving


def test_all_actors_of_a_process_share_one(night: Night) -> None:
    worker = night.open(QUEUE)
    assert worker.shared(balance_audit) is worker.shared(balance_audit)


def leave(night: Night, auditor: SampledAudit[ExpectedBalance], users: int) -> None:
    """So many users come, buy two tokens, and end."""
    for number in range(users):
        account = night.begun_account(number)
        account.buy(2)
        account.close()
        auditor.take(account.books())


def test_a_sample_of_those_who_have_ended_is_looked_up_when_all_have(night: Night) -> None:
    facts = night.open(QUEUE).facts
    auditor = balance_audit(night.worker, wanted=5)
    leave(night, auditor, 12)
    assert facts == {"users_owed": 12}
    before = night.count("http_reqs")
    night.worker.end()
    assert facts == {
        "users_owed": 12,
        "users_audited": 5,
        "tokens_expected": 10,
        "tokens_unanswered": 0,
        "tokens_held": 10,
    }
    assert night.count("http_reqs") == before == 24
    assert night.rate("error_rate") == (0, 24)


def test_nobody_is_looked_up_while_users_are_there(night: Night) -> None:
    night.open(QUEUE)
    users = [night.start(QueueUser) for _ in range(3)]
    until(lambda: night.count("iterations") >= 3)
    users[0].release()
    until(lambda: night.worker.facts["users_owed"] == 1)
    assert "users_audited" not in night.worker.facts
    night.drain()
    assert night.worker.facts["users_audited"] == 3
    assert night.count("http_reqs", name="tokens_balance") == 0


def test_the_other_processes_are_told_at_every_power_of_two(night: Night) -> None:
    night.open(QUEUE)
    auditor = balance_audit(night.worker)
    leave(night, auditor, 9)
    assert night.worker.told == [(TOPIC, {"worker": 0, "users": users}) for users in (1, 2, 4, 8)]


def test_each_process_takes_a_part_that_fits_what_it_has(night: Night) -> None:
    night.open(QUEUE)
    auditor = balance_audit(night.worker, wanted=6)
    leave(night, auditor, 4)
    for news in ({"worker": 1, "users": 2}, {"worker": 1, "users": 8}, {"worker": 0, "users": 999}):
        night.worker.hear(TOPIC, news)
    night.worker.end()
    # 4 of 12, and 6 are wanted of all.
    assert night.worker.facts["users_audited"] == 2


def test_each_is_asked_for_from_the_address_it_came_from(night: Night) -> None:
    seen: dict[str, str] = {}

    def script(peer: Peer) -> None:
        while request := peer.request():
            seen[request.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()] = peer.address[0]
            peer.send(answer(200, {"tokenBalance": 0}))

    with serving(script) as server:
        night.open(QUEUE, server.url, SOURCE_ADDRESSES="127.0.9.1-127.0.9.3")
        auditor = balance_audit(night.worker)
        for number in range(4):
            auditor.take(ExpectedBalance(f"u{number}", number, Credentials(f"t{number}"), 0, 0))
        night.worker.end()
    assert seen == {f"t{number}": f"127.0.9.{number % 3 + 1}" for number in range(4)}

from __future__ import annotations

import json
import time

import pytest

from pika_locust.kit import pending as pending_replies
from pika_locust.kit.pending import BATCH, REPLY_TIMEOUT_S, PendingReplies, SharedReplies
from pika_locust.platforms.pika.messages import SPELLING
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.runtime.context import WorkerContext
from pika_locust.testing.worker import make_context
from tests.platforms.pika.harness import Harness
from tests.runtime.test_locust_stats import locusts_of


class Owner:
    """Somebody who sends, and hears what became of it."""

    def __init__(self) -> None:
        self.unanswered = 0
        self.heard: list[tuple[bool, str]] = []

    def hear(self, ok: bool, why: str) -> None:
        self.heard.append((ok, why))
        assert self.unanswered >= 0


@pytest.fixture
def pending(harness: Harness) -> PendingReplies:
    return harness.worker.shared(SharedReplies(SPELLING))


def ack(message_id: str) -> bytes:
    return b'{"type":"ACK","messageId":"%s","status":"ok","timestamp":"2026-05-01T20:00:00.000Z"}' % message_id.encode()


def nack(message_id: str, error: str = "Poll not found or already ended") -> bytes:
    return json.dumps({"type": "NACK", "messageId": message_id, "error": error, "timestamp": "t"}).encode()


def send(harness: Harness, owner: Owner, kind: str = "like", items: int = 1) -> str:
    pending = harness.worker.shared(SharedReplies(SPELLING))
    message_id = pending.next_id()
    pending.expect(message_id, kind, owner, harness.worker.ledgers["likes"], items, owner.hear)
    return message_id


def test_an_ack_is_a_success_with_its_round_trip(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner)
    assert (owner.unanswered, harness.worker.ledger_of("likes")) == (1, {"sent": 1})
    harness.time.run(0.25)
    pending.on_ack(ack(message_id), harness.time.now_ns)
    assert owner.unanswered == 0
    assert owner.heard == [(True, "")]
    assert harness.worker.ledger_of("likes") == {"sent": 1, "acked": 1}
    assert harness.worker.rate_of("ack_success", kind="like") == (1, 0)
    for name in ("ack_latency", "ws_message_latency"):
        latency = harness.worker.metrics.trend(name).read()
        assert (latency.count, latency.minimum, latency.maximum) == (1, 250_000, 250_000)  # type: ignore[union-attr]
    assert [(event["name"], event["exception"]) for event in harness.worker.request_events] == [("like", None)]


def test_a_nack_is_a_failure_that_keeps_out_of_the_latency_of_acks(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner, "vote")
    pending.on_nack(nack(message_id), harness.time.now_ns)
    assert owner.unanswered == 0
    assert owner.heard == [(False, "Poll not found or already ended")]
    assert harness.worker.ledger_of("likes") == {"sent": 1, "refused": 1}
    assert harness.worker.ledgers["likes"].refused_by == {"Poll not found or already ended": 1}
    assert harness.worker.rate_of("ack_success", kind="vote") == (0, 1)
    assert harness.worker.trend_of("ack_latency").count == 0
    assert harness.worker.count_of("nacks", error="Poll not found or already ended") == 1
    assert harness.worker.errors_of("vote") == ["Poll not found or already ended"]
    assert str(harness.worker.request_events[0]["exception"]) == "Poll not found or already ended"


def test_silence_for_five_seconds_is_a_failure(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    send(harness, owner)
    harness.time.run(REPLY_TIMEOUT_S - 0.1)
    assert owner.heard == []
    harness.time.run(0.4)
    assert owner.heard == [(False, "no answer within 5 s")]
    assert owner.unanswered == 0
    assert harness.worker.ledger_of("likes") == {"sent": 1, "timed_out": 1}
    assert harness.worker.rate_of("ack_success") == (0, 1)
    assert harness.worker.trend_of("ack_latency").count == 0


def test_a_late_ack_stays_a_failure_and_is_booked_as_held(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner)
    harness.time.run(6.0)
    pending.on_ack(ack(message_id), harness.time.now_ns)
    pending.on_ack(ack(message_id), harness.time.now_ns)
    assert owner.heard == [(False, "no answer within 5 s")]
    assert owner.unanswered == 0
    assert harness.worker.rate_of("ack_success") == (0, 1)
    assert harness.worker.count_of("late_answers") == 2
    expected = harness.worker.ledgers["likes"].expect()
    assert (expected.acknowledged, expected.unanswered) == (1, 0)
    assert expected.consistent


def test_of_very_many_that_timed_out_the_latest_can_still_be_booked(
    harness: Harness, pending: PendingReplies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_replies, "_LATE_KEPT", 2)
    first, *later = [send(harness, Owner()) for _ in range(3)]
    harness.time.run(6.0)
    pending.on_ack(ack(first), harness.time.now_ns)
    assert harness.worker.ledger_of("likes") == {"sent": 3, "timed_out": 3}
    for message_id in later:
        pending.on_ack(ack(message_id), harness.time.now_ns)
    assert harness.worker.ledger_of("likes") == {"sent": 3, "timed_out": 3, "acked": 2}
    assert harness.worker.count_of("late_answers") == 3


def test_a_mistake_of_whoever_hears_of_a_loss_leaves_none_of_the_others_open(
    harness: Harness, pending: PendingReplies
) -> None:
    owner = Owner()

    def stumble(ok: bool, why: str) -> None:
        raise ZeroDivisionError("stumbled")

    pending.expect(pending.next_id(), "like", owner, on_reply=stumble)
    send(harness, owner)
    pending.connection_lost(owner)
    assert owner.unanswered == 0
    assert harness.worker.rate_of("ack_success") == (0, 2)
    assert harness.worker.ledger_of("likes") == {"sent": 1, "uncertain": 1}
    assert harness.worker.internal_errors == ["ZeroDivisionError: stumbled"]
    harness.worker.internal_errors.clear()


def test_a_server_with_ever_new_words_does_not_use_up_all_series(harness: Harness, pending: PendingReplies) -> None:
    for number in range(60):
        pending.on_nack(nack(f"id {number}", f"no item {number}"), harness.time.now_ns)
    pending.on_nack(nack("id", "no item 7"), harness.time.now_ns)
    assert harness.worker.count_of("nacks", error="no item 7") == 2
    assert harness.worker.count_of("nacks", error="no item 50") == 0
    assert harness.worker.count_of("nacks", error="other reasons") == 10


def test_a_late_nack_is_booked_as_refused(harness: Harness, pending: PendingReplies) -> None:
    message_id = send(harness, Owner())
    harness.time.run(6.0)
    pending.on_nack(nack(message_id, "Internal server error"), harness.time.now_ns)
    expected = harness.worker.ledgers["likes"].expect()
    assert (expected.acknowledged, expected.unanswered) == (0, 0)
    assert harness.worker.count_of("late_answers") == 1


def test_a_second_answer_changes_nothing(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner)
    pending.on_ack(ack(message_id), harness.time.now_ns)
    pending.on_ack(ack(message_id), harness.time.now_ns)
    pending.on_nack(nack(message_id), harness.time.now_ns)
    assert owner.unanswered == 0
    assert len(owner.heard) == 1
    assert harness.worker.ledger_of("likes") == {"sent": 1, "acked": 1}
    assert harness.worker.count_of("late_answers") == 2


def test_a_lost_connection_leaves_only_its_own_messages_open(harness: Harness, pending: PendingReplies) -> None:
    gone, other = Owner(), Owner()
    first, _, kept = send(harness, gone), send(harness, gone), send(harness, other)
    pending.on_ack(ack(first), harness.time.now_ns)
    pending.connection_lost(gone)
    assert gone.heard == [(True, ""), (False, "the connection was lost before the answer")]
    assert (gone.unanswered, other.unanswered) == (0, 1)
    assert harness.worker.ledger_of("likes") == {"sent": 3, "acked": 1, "uncertain": 1}
    assert harness.worker.ledgers["likes"].unanswered == 2
    pending.connection_lost(gone)
    pending.on_ack(ack(kept), harness.time.now_ns)
    assert other.heard == [(True, "")]
    assert harness.worker.rate_of("ack_success") == (2, 1)


def test_who_sends_again_after_a_loss_can_lose_again(harness: Harness, pending: PendingReplies) -> None:
    one, two = Owner(), Owner()
    send(harness, one), send(harness, two)
    pending.connection_lost(one)
    send(harness, one)
    pending.connection_lost(one)
    pending.connection_lost(two)
    assert (len(one.heard), len(two.heard)) == (2, 1)
    assert harness.worker.ledger_of("likes") == {"sent": 3, "uncertain": 3}


def test_a_connection_that_is_lost_because_of_a_time_out_counts_every_message_once(
    harness: Harness, pending: PendingReplies
) -> None:
    owner = Owner()
    first = pending.next_id()

    def give_up(ok: bool, why: str) -> None:
        owner.hear(ok, why)
        pending.connection_lost(owner)

    pending.expect(first, "subscribe", owner, on_reply=give_up)
    for _ in range(3):
        send(harness, owner)
    harness.time.run(6.0)
    assert owner.unanswered == 0
    assert len(owner.heard) == 4
    assert harness.worker.rate_of("ack_success") == (0, 4)


def test_a_bulk_is_one_message_and_many_items(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner, "bulk_like", items=3)
    assert (owner.unanswered, harness.worker.ledger_of("likes")) == (1, {"sent": 3})
    pending.on_ack(ack(message_id), harness.time.now_ns)
    assert owner.unanswered == 0
    assert harness.worker.ledger_of("likes") == {"sent": 3, "acked": 3}
    assert harness.worker.ledgers["likes"].consistent
    assert harness.worker.rate_of("ack_success", kind="bulk_like") == (1, 0)


ENDS = {
    "refused": ({"sent": 2, "refused": 2}, 0),
    "timed out": ({"sent": 2, "timed_out": 2}, 2),
    "cut off": ({"sent": 2, "uncertain": 2}, 2),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_bulk_that_is_not_acknowledged(end: str, harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner, "bulk_like", items=2)
    if end == "refused":
        pending.on_nack(nack(message_id), harness.time.now_ns)
    elif end == "timed out":
        harness.time.run(6.0)
    else:
        pending.connection_lost(owner)
    booked, unanswered = ENDS[end]
    assert harness.worker.ledger_of("likes") == booked
    assert harness.worker.ledgers["likes"].unanswered == unanswered


def test_messages_without_a_ledger_are_only_measured(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = pending.next_id()
    pending.expect(message_id, "subscribe", owner)
    pending.on_ack(ack(message_id), harness.time.now_ns)
    assert harness.worker.rate_of("ack_success", kind="subscribe") == (1, 0)
    assert harness.worker.ledger_of("likes") == {}


FOREIGN = {
    "an ACK for nobody": ack("other.0.1"),
    "an ACK without an id": b'{"type":"ACK","status":"ok"}',
    "an ACK that is no JSON": b'{"type":"ACK","messageId":"',
    "an ACK with a number for an id": b'{"type":"ACK","messageId":7}',
}


@pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN.keys())
def test_answers_to_nobody_are_counted(payload: bytes, harness: Harness, pending: PendingReplies) -> None:
    pending.on_ack(payload, harness.time.now_ns)
    assert harness.worker.count_of("late_answers") == 1
    assert harness.worker.rate_of("ack_success") == (0, 0)


ODD_NACKS = {
    "no id and no text": (b'{"type":"NACK"}', "no reason given"),
    "a text of many kilobytes": (nack("x", "y" * 10_000), "y" * 120),
    "a text that is none": (b'{"type":"NACK","messageId":"x","error":{"code":5}}', "{'code': 5}"),
    "signs that series are written with": (nack("x", 'a{b:"c"},d'), 'a{b:"c"},d'),
    "no JSON": (b'{"type":"NACK"', "no reason given"),
}


@pytest.mark.parametrize(("payload", "why"), ODD_NACKS.values(), ids=ODD_NACKS.keys())
def test_odd_refusals_are_counted_by_their_text(
    payload: bytes, why: str, harness: Harness, pending: PendingReplies
) -> None:
    pending.on_nack(payload, harness.time.now_ns)
    assert harness.worker.count_of("nacks", error=why) == 1
    assert harness.worker.count_of("late_answers") == 1


def test_an_ack_with_its_keys_in_another_order_is_understood(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    message_id = send(harness, owner)
    pending.on_ack(b'{"type":"ACK","status":"ok","messageId":"%s"}' % message_id.encode(), harness.time.now_ns)
    assert owner.heard == [(True, "")]


def test_ids_differ_between_messages_workers_and_runs(harness: Harness) -> None:
    ids = []
    for worker in (0, 1, 17):
        harness.make_context(worker=worker)
        ids += [harness.worker.shared(SharedReplies(SPELLING)).next_id() for _ in range(100)]
    assert len(set(ids)) == 300
    assert all(message_id.startswith("0123456789ab.") for message_id in ids)


def test_nothing_is_timed_after_the_end(harness: Harness) -> None:
    owner = Owner()
    send(harness, owner)
    harness.worker.end()
    harness.time.run(60.0)
    assert owner.heard == []
    assert harness.worker.ledgers["likes"].open == 1


def test_a_server_that_dies_with_ten_thousand_open_messages_costs_no_standstill(
    harness: Harness, pending: PendingReplies
) -> None:
    owners = [Owner() for _ in range(10_000)]
    for owner in owners:
        send(harness, owner, "subscribe")
    began = time.process_time()
    for owner in owners:
        pending.connection_lost(owner)
    assert time.process_time() - began < 1.0
    assert harness.worker.ledger_of("likes") == {"sent": 10_000, "uncertain": 10_000}


def test_what_is_counted_in_batches_is_what_would_be_counted_one_by_one(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for batch in (1, 3, 10**9):
        monkeypatch.setattr(pending_replies, "BATCH", batch)
        worker = harness.make_context()
        pending, owner = worker.shared(SharedReplies(SPELLING)), Owner()
        for number in range(10):
            message_id = send(harness, owner, ("like", "vote")[number % 2])
            if number == 5:
                pending.on_nack(nack(message_id), harness.time.now_ns + 9_000_000)
            else:
                pending.on_ack(ack(message_id), harness.time.now_ns + number * 1_000_000)
        reports.append(worker.figures())
    assert reports[0] == reports[1] == reports[2]
    assert harness.worker.rate_of("ack_success") == (9, 1)


def test_not_more_than_a_batch_waits_to_be_counted(harness: Harness, pending: PendingReplies) -> None:
    owner = Owner()
    for count in range(1, 2 * BATCH + 2):
        pending.on_ack(ack(send(harness, owner)), harness.time.now_ns)
        assert len(pending._kinds["like"].acked_us) == count % BATCH
        assert len(harness.worker.request_events) == count, "who listens to Locust's event hears of each at once"
    assert harness.worker.rate_of("ack_success", kind="like") == (2 * BATCH + 1, 0)


def test_locusts_own_statistics_wait_with_the_metrics_and_nobody_else_does(harness: Harness) -> None:
    heard: list[str] = []

    def listener(name: str, **_: object) -> None:
        heard.append(name)

    given = make_context(DANCERS, {}, target="ws://127.0.0.1:1/ws")
    with locusts_of(1) as (locust,):
        worker = WorkerContext(given.begin, DANCERS, given.settings, 0, lambda *news: None, locust.event)
        pending, owner = worker.shared(SharedReplies(SPELLING)), Owner()

        def acknowledge(kind: str, count: int) -> None:
            for _ in range(count):
                message_id = pending.next_id()
                pending.expect(message_id, kind, owner)
                pending.on_ack(ack(message_id), harness.time.now_ns + 2_000_000)

        acknowledge("before", 7)
        assert locust.stats.num_requests == 0
        locust.event.add_listener(listener)
        acknowledge("while", 5)
        assert heard == ["while"] * 5, "of what was before it came, it hears nothing"
        assert locust.stats.num_requests == 12
        locust.event.remove_listener(listener)
        acknowledge("after", 3)
        assert (len(heard), locust.stats.num_requests) == (5, 12)
        worker.metrics.snapshot()
        assert locust.stats.num_requests == 15
        acknowledge("before", BATCH)
        assert locust.stats.num_requests == 15 + BATCH
        rows = {entry.name: entry for entry in locust.stats.entries.values()}
    assert {name: row.num_requests for name, row in rows.items()} == {"before": 7 + BATCH, "while": 5, "after": 3}
    assert rows["after"].total_response_time == 3 * 2.0
    assert rows["after"].total_content_length == 3 * len(ack("0123456789ab.0.1"))
    assert worker.metrics.rate("ack_success").read().samples == 15 + BATCH
    worker.end()

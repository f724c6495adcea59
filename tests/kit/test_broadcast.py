from __future__ import annotations

from typing import Any

import pytest

from pika_locust.kit.broadcast import DEADLINE_S, FORGET_AFTER_S, SWEEP_EVERY_S, TOPIC, BroadcastDelivery
from pika_locust.platforms.pika.dancer import broadcast_delivery
from pika_locust.platforms.pika.messages import Stamp
from pika_locust.runtime.clocks import Offset
from pika_locust.runtime.machine import boot_id
from tests.platforms.pika.harness import RUN_ID, Harness

ELSEWHERE = "00000000"
WAY_S = 0.02


class Receivers:
    """Users by number, and a sender whose broadcasts they get or do not."""

    def __init__(self, harness: Harness, boot: str = "") -> None:
        self.harness = harness
        self.delivery: BroadcastDelivery = harness.worker.shared(broadcast_delivery)
        self.boot = boot or boot_id()
        self.ahead_ns: int | None = None if boot else 0
        """How far the DJ's clock is ahead of ours; None: its times say nothing here."""

    def join(self, *users: int) -> None:
        for user in users:
            self.delivery.joined(user)
        self.wait(0.001)

    def leave(self, *users: int) -> None:
        for user in users:
            self.delivery.left(user)
        self.wait(0.001)

    def wait(self, seconds: float) -> None:
        self.harness.time.run(seconds)

    def broadcast(self, number: int, *receivers: int, kind: str = "track", told: bool = True) -> Stamp:
        """Sent now, received after WAY_S, told past the target after twice that, when the DJ has its ACK."""
        sent_ns = 5 if self.ahead_ns is None else self.harness.time.now_ns + self.ahead_ns
        stamp = Stamp(number, RUN_ID, self.boot, sent_ns)
        self.wait(WAY_S)
        for user in receivers:
            self.delivery.received(kind, stamp, user, self.harness.time.now_ns)
        self.wait(WAY_S)
        if told:
            self.tell(stamp, kind)
        return stamp

    def tell(self, stamp: Stamp, kind: str = "track") -> None:
        data: dict[str, Any] = {
            "kind": kind,
            "number": stamp.number,
            "sent_ns": stamp.sent_ns,
            "boot": stamp.boot,
        }
        self.harness.worker.hear(TOPIC, data)

    def delivered(self, kind: str = "track") -> tuple[int, int]:
        """Received and missed, after the deadline."""
        self.wait(DEADLINE_S + 0.1)
        return self.harness.worker.rate_of("fanout_delivery", kind=kind)


@pytest.fixture
def receivers(harness: Harness) -> Receivers:
    return Receivers(harness)


def test_everybody_who_is_there_is_owed_a_broadcast_and_got_it(receivers: Receivers) -> None:
    receivers.join(1, 2, 3)
    receivers.broadcast(1, 1, 2, 3)
    assert receivers.harness.worker.rate_of("fanout_delivery") == (0, 0)
    assert receivers.delivered() == (3, 0)
    latency = receivers.harness.worker.trend_of("fanout_latency")
    assert (latency.count, latency.minimum, latency.maximum) == (3, 20_000, 20_000)  # type: ignore[union-attr]
    assert receivers.harness.worker.trend_of("ws_message_latency").count == 3


def test_who_got_nothing_missed_it(receivers: Receivers) -> None:
    receivers.join(1, 2, 3)
    receivers.broadcast(1, 1, 3)
    assert receivers.delivered() == (2, 1)


def test_nobody_received_anything(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.broadcast(1)
    assert receivers.delivered() == (0, 2)
    assert receivers.harness.worker.trend_of("fanout_latency").count == 0


def test_kinds_are_kept_apart_though_their_numbers_are_equal(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.broadcast(1, 1, 2, kind="track")
    receivers.broadcast(1, 1, kind="poll")
    receivers.broadcast(1, kind="announcement")
    assert receivers.delivered("track") == (2, 0)
    assert receivers.delivered("poll") == (1, 1)
    assert receivers.delivered("announcement") == (0, 2)
    assert receivers.harness.worker.rate_of("fanout_delivery") == (3, 3)


def test_who_came_after_the_broadcast_is_not_owed_it(receivers: Receivers) -> None:
    receivers.join(1)
    stamp = receivers.broadcast(1, 1, told=False)
    receivers.join(2)
    receivers.tell(stamp)
    assert receivers.delivered() == (1, 0)


def test_what_comes_after_the_deadline_was_missed(receivers: Receivers) -> None:
    receivers.join(1)
    stamp = receivers.broadcast(1)
    assert receivers.delivered() == (0, 1)
    receivers.delivery.received("track", stamp, 1, receivers.harness.time.now_ns)
    assert receivers.delivered() == (0, 1)
    assert receivers.harness.worker.trend_of("fanout_latency").count == 1


LEFT = {
    "one second after the broadcast: not owed, the connection may have closed first": (1.0, (1, 0)),
    "three seconds after the broadcast: owed": (3.0, (1, 1)),
}


@pytest.mark.parametrize(("after_s", "wanted"), LEFT.values(), ids=LEFT.keys())
def test_who_left(after_s: float, wanted: tuple[int, int], receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.broadcast(1, 1)
    receivers.wait(after_s)
    receivers.leave(2)
    assert receivers.delivered() == wanted


def test_who_left_before_is_not_owed_and_who_came_back_is_owed_what_follows(receivers: Receivers) -> None:
    receivers.join(1)
    receivers.leave(1)
    receivers.broadcast(1)
    receivers.wait(1.0)
    receivers.join(1)
    receivers.broadcast(2, 1)
    assert receivers.delivered() == (1, 0)


def test_leaving_twice_or_without_having_come_changes_nothing(receivers: Receivers) -> None:
    receivers.join(1)
    receivers.leave(1, 1, 2)
    receivers.broadcast(1)
    assert receivers.delivered() == (0, 0)


def test_a_broadcast_that_comes_twice_is_delivered_and_doubled(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.broadcast(1, 1, 2, 2)
    assert receivers.delivered() == (2, 0)
    assert receivers.harness.worker.count_of("fanout_duplicates") == 1


def test_a_broadcast_that_was_refused_is_owed_to_nobody(receivers: Receivers) -> None:
    receivers.join(1)
    receivers.broadcast(1, told=False)
    assert receivers.delivered() == (0, 0)


def test_at_the_end_what_is_still_open_is_settled_at_once(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.broadcast(1, 1, 2)
    receivers.wait(3.0)
    receivers.broadcast(2, 1)
    receivers.leave(1, 2)
    receivers.harness.worker.end()
    assert receivers.harness.worker.rate_of("fanout_delivery") == (2, 0)
    assert receivers.delivered() == (2, 0)


def test_at_the_end_who_stayed_long_enough_and_got_nothing_missed_it(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.broadcast(1, 1)
    receivers.wait(3.0)
    receivers.leave(1, 2)
    receivers.harness.worker.end()
    assert receivers.harness.worker.rate_of("fanout_delivery") == (1, 1)


def test_a_long_run_leaves_nothing_behind(receivers: Receivers) -> None:
    for number in range(1, 200):
        receivers.join(number)
        receivers.broadcast(number, number)
        # Its sender got no acknowledgement, so that nobody tells of it.
        receivers.broadcast(number, number, kind="poll", told=False)
        receivers.wait(5.0)
        receivers.leave(number)
    assert receivers.delivered() == (199, 0)
    delivery = receivers.delivery
    assert len(delivery._left) < 10
    assert len(delivery._received) < 20
    assert len(delivery._settled) < 20
    receivers.wait(FORGET_AFTER_S + 2 * SWEEP_EVERY_S)
    assert delivery._left == []
    assert delivery._open == delivery._received == delivery._settled == {}


def test_in_a_long_run_without_broadcasts_of_ours_who_left_is_forgotten(receivers: Receivers) -> None:
    for number in range(1, 100):
        receivers.join(number)
        receivers.leave(number)
        receivers.wait(5.0)
    assert len(receivers.delivery._left) < 10


def test_another_machines_clock_gives_deliveries_and_no_latency(harness: Harness) -> None:
    receivers = Receivers(harness, boot=ELSEWHERE)
    receivers.join(1, 2)
    receivers.wait(10.0)
    receivers.broadcast(1, 1)
    assert receivers.delivered() == (1, 1)
    assert harness.worker.trend_of("fanout_latency").count == harness.worker.trend_of("ws_message_latency").count == 0
    assert harness.worker.count_of("latencies_left_out") == 1


def test_from_another_machine_who_came_just_before_we_heard_of_it_is_not_owed(harness: Harness) -> None:
    """When exactly it was sent cannot be known here: a user may have come between, and been shown it as a replay."""
    receivers = Receivers(harness, boot=ELSEWHERE)
    receivers.join(1)
    receivers.wait(10.0)
    stamp = receivers.broadcast(1, 1, told=False)
    receivers.join(2)
    receivers.tell(stamp)
    receivers.wait(1.0)
    receivers.leave(1)
    assert receivers.delivered() == (0, 0)
    receivers.join(3)
    receivers.wait(10.0)
    receivers.broadcast(2, 2, 3)
    assert receivers.delivered() == (2, 0)


AHEAD_NS = 86_400 * 10**9


def far_receivers(harness: Harness, error_ns: int) -> Receivers:
    """The DJ is on the master's machine, whose clock is a day ahead, and by how much is known to `error_ns`."""
    harness.worker.clocks.learn("00ff00ff", Offset(AHEAD_NS, error_ns, harness.time.now_ns + AHEAD_NS), {})
    receivers = Receivers(harness, boot="00ff00ff")
    receivers.ahead_ns = AHEAD_NS
    return receivers


def test_another_machines_broadcast_is_timed_where_the_clocks_can_be_compared(harness: Harness) -> None:
    receivers = far_receivers(harness, error_ns=400_000)
    receivers.join(1, 2)
    receivers.broadcast(1, 1, 2)
    assert receivers.delivered() == (2, 0)
    for name in ("fanout_latency", "ws_message_latency"):
        latency = harness.worker.metrics.trend(name).read()
        assert (latency.count, latency.minimum, latency.maximum) == (2, 20_000, 20_000)  # type: ignore[union-attr]
    assert (harness.worker.count_of("latencies_two_clocks"), harness.worker.count_of("latencies_one_clock")) == (2, 0)


def test_another_machines_broadcast_is_owed_to_whoever_was_there_when_it_was_sent(harness: Harness) -> None:
    receivers = far_receivers(harness, error_ns=400_000)
    receivers.join(1)
    stamp = receivers.broadcast(1, 1, told=False)
    receivers.join(2)
    receivers.tell(stamp)
    # Without the other's clock, nobody who came within two seconds before we heard of it would be owed anything.
    assert receivers.delivered() == (1, 0)


def test_who_came_while_it_was_sent_as_far_as_the_clocks_can_tell_is_not_owed_it(harness: Harness) -> None:
    receivers = far_receivers(harness, error_ns=3_000_000)
    receivers.join(1)
    receivers.wait(0.01)
    receivers.join(2)
    receivers.broadcast(1, 1)
    assert receivers.delivered() == (1, 0)


def test_however_little_is_known_of_its_clock_a_broadcast_was_sent_before_we_heard_of_it(harness: Harness) -> None:
    receivers = far_receivers(harness, error_ns=3_000_000_000)
    receivers.join(1, 2)
    receivers.wait(4.0)
    receivers.broadcast(1, 1)
    receivers.wait(2.2)
    receivers.leave(2)
    assert receivers.delivered() == (1, 1)

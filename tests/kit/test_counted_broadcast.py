"""Broadcasts without a mark, in virtual time: what is owed to whom, what is too much, which numbers are right."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from pika_locust.kit.broadcast import LEAVING_MARGIN_NS
from pika_locust.kit.counted_broadcast import (
    SETTLE_S,
    SWEEP_EVERY_S,
    TOPIC,
    CountedBroadcasts,
    CountedMetrics,
    Presence,
)
from pika_locust.platforms.pika.broadcasts import _KINDS as pika_kinds
from pika_locust.platforms.pika.broadcasts import LIKE, counted_broadcasts
from pika_locust.platforms.pika.scenarios import COUNTED
from pika_locust.runtime.machine import boot_id
from tests.platforms.pika.harness import Harness

ELSEWHERE = "00000000"
WAY_S = 0.02


class Receivers:
    """Users by number, whose likes reach each other, or do not."""

    def __init__(self, harness: Harness, counted: CountedBroadcasts | None = None) -> None:
        self.harness = harness
        self.counted: CountedBroadcasts = counted or harness.worker.shared(counted_broadcasts)
        self.heard: dict[int, list[int]] = {}

    def join(self, *users: int) -> None:
        for user in users:
            self.heard[user] = self.counted.joined(user)
        self.wait(0.001)

    def wait(self, seconds: float) -> None:
        self.harness.time.run(seconds)

    def like(self, sender: int, *receivers: int, ok: bool = True, items: int = 1) -> None:
        """Sent now, received after WAY_S, acknowledged after twice that."""
        replied = self.counted.after("like", sender, items=items)
        self.wait(WAY_S)
        for user in receivers:
            self.heard[user][LIKE] += 1
        self.wait(WAY_S)
        replied(ok, "")

    def leave(self, *users: int, after_s: float = 3.0, has_all: bool = False) -> None:
        self.wait(after_s)
        for user in users:
            self.counted.left(user, has_all=has_all)

    def settle(self) -> None:
        self.wait(SETTLE_S + SWEEP_EVERY_S + 1)

    def delivered(self) -> tuple[int, int]:
        """Likes received and missed."""
        return self.harness.worker.rate_of("fanout_delivery", kind="like")

    @property
    def duplicates(self) -> int:
        return self.harness.worker.count_of("fanout_duplicates", kind="like")

    def correct(self, kind: str) -> tuple[int, int]:
        return self.harness.worker.rate_of("fanout_correct", kind=kind)


@pytest.fixture
def receivers(harness: Harness) -> Receivers:
    return Receivers(harness)


def test_everybody_else_is_owed_what_was_acknowledged(receivers: Receivers) -> None:
    receivers.join(1, 2, 3)
    receivers.like(1, 2, 3)
    receivers.like(2, 1, 3)
    receivers.leave(1, 2, 3)
    receivers.settle()
    assert (receivers.delivered(), receivers.duplicates) == ((4, 0), 0)


def test_what_reaches_nobody_was_missed_by_everybody_else(receivers: Receivers) -> None:
    receivers.join(1, 2, 3)
    receivers.like(1)
    receivers.like(2, 1, 3)
    receivers.leave(1, 2, 3)
    receivers.settle()
    assert (receivers.delivered(), receivers.duplicates) == ((2, 2), 0)


def test_what_comes_twice_is_a_duplicate(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.like(1, 2, 2)
    receivers.leave(1, 2)
    receivers.settle()
    assert (receivers.delivered(), receivers.duplicates) == ((1, 0), 1)


def test_a_message_that_stands_for_several_brings_as_many(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.like(1, 2, 2, items=3)
    receivers.leave(1, 2)
    receivers.settle()
    assert (receivers.delivered(), receivers.duplicates) == ((2, 1), 0)


def test_what_was_not_acknowledged_may_have_been_broadcast_or_not(receivers: Receivers) -> None:
    receivers.join(1, 2, 3)
    receivers.like(1, 2, ok=False)
    receivers.leave(1, 2, 3)
    receivers.settle()
    assert (receivers.delivered(), receivers.duplicates) == ((0, 0), 0)


def test_who_comes_after_or_left_before_is_owed_nothing(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.leave(2)
    receivers.like(1)
    receivers.join(3)
    receivers.leave(1, 3)
    receivers.settle()
    assert receivers.delivered() == (0, 0)


LEAVING = {
    "at once: it may have been on its way": (1.0, False, (0, 0)),
    "at once, but answered after it": (0.001, True, (0, 1)),
    "later": (3.0, False, (0, 1)),
}


@pytest.mark.parametrize(("after_s", "has_all", "wanted"), LEAVING.values(), ids=LEAVING.keys())
def test_who_leaves_after_it(after_s: float, has_all: bool, wanted: tuple[int, int], receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.like(1)
    receivers.leave(2, after_s=after_s, has_all=has_all)
    receivers.settle()
    assert receivers.delivered() == wanted


def test_who_leaves_with_an_answer_to_what_it_sent_last_had_got_all_that_was_acknowledged_before(
    receivers: Receivers,
) -> None:
    receivers.join(1, 2)
    receivers.like(1)
    receivers.wait(0.1)
    receivers.like(2, 1)
    receivers.leave(2, after_s=0.001)
    receivers.leave(1)
    receivers.settle()
    assert receivers.delivered() == (1, 1)


def test_at_the_end_all_is_settled_at_once(receivers: Receivers) -> None:
    receivers.join(1, 2)
    receivers.like(1)
    receivers.wait(3.0)
    receivers.harness.worker.end()
    assert receivers.delivered() == (0, 1)


def news(harness: Harness, boot: str, actions: list[list[Any]]) -> Mapping[str, Any]:
    data = {"boot": boot, "actions": actions}
    harness.worker.hear(TOPIC, data)
    return data


def test_actions_of_other_processes_count(receivers: Receivers) -> None:
    receivers.join(1)
    receivers.wait(1.0)
    now_ns = receivers.harness.time.now_ns
    news(receivers.harness, boot_id(), [["like", 0, now_ns - 5_000_000, now_ns - 1_000_000, 1]])
    receivers.leave(1)
    receivers.settle()
    assert receivers.delivered() == (0, 1)


def test_a_clock_that_says_nothing_here_makes_it_owed_only_to_who_was_there_long_before(receivers: Receivers) -> None:
    receivers.join(1)
    receivers.wait(5.0)
    receivers.join(2)
    receivers.wait(1.0)
    news(receivers.harness, ELSEWHERE, [["like", 0, 5, 1_000_005, 1]])
    receivers.leave(1, 2)
    receivers.settle()
    assert receivers.delivered() == (0, 1)


def test_others_tell_what_ours_do(receivers: Receivers) -> None:
    receivers.join(1)
    receivers.like(1)
    receivers.wait(1.0)
    (topic, data), *_ = receivers.harness.worker.published
    assert (topic, data["boot"], [action[0] for action in data["actions"]]) == (TOPIC, boot_id(), ["like"])


def told_since(receivers: Receivers, before: int) -> list[list[str]]:
    return [[action[0] for action in data["actions"]] for _, data in receivers.harness.worker.published[before:]]


def test_others_are_told_of_all_before_they_hear_that_users_have_left_and_then_at_once(receivers: Receivers) -> None:
    """They judge next, and what they have not heard of would be a duplicate. Tens of thousands who leave at once make
    few messages; who comes on top of them is a receiver, too, and stays."""
    worker = receivers.harness.worker
    for number in range(4):
        receivers.join(number)
    before = len(worker.published)
    receivers.counted.after("thanks", 1)(True, "")
    for number in range(1, 4):
        receivers.counted.left(number)
    assert told_since(receivers, before) == []
    worker.drain("primary", 1.0)
    assert told_since(receivers, before) == [["thanks", *["receivers gone"] * 3]]
    receivers.counted.after("tempo_reset", 0)(True, "")
    assert told_since(receivers, before)[1:] == [["tempo_reset"]]


def test_beside_others_who_act_more_than_ours_is_no_duplicate(harness: Harness) -> None:
    harness.make_context(PIKA_DJ="external")
    receivers = Receivers(harness)
    receivers.join(1, 2)
    receivers.like(1, 2, 2, 2)
    receivers.like(1)
    receivers.leave(1, 2)
    receivers.settle()
    assert (receivers.delivered(), receivers.duplicates) == ((2, 0), 0)


NUMBERS = {"right": (3, (1, 0)), "too high": (53, (0, 1)), "too low": (2, (0, 1))}


@pytest.mark.parametrize(("told", "wanted"), NUMBERS.values(), ids=NUMBERS.keys())
def test_the_number_of_receivers_that_is_told(told: int, wanted: tuple[int, int], receivers: Receivers) -> None:
    for user in (1, 2, 3):
        receivers.counted.after("listeners", user)(True, "")
        receivers.join(user)
    receivers.wait(3.0)
    receivers.counted.told("listeners", told, receivers.harness.time.now_ns)
    receivers.settle()
    assert receivers.correct("listeners") == wanted


def test_a_number_may_be_what_it_was_before_or_will_be_soon(receivers: Receivers) -> None:
    for user in (1, 2):
        receivers.counted.after("listeners", user)(True, "")
        receivers.join(user)
        receivers.wait(3.0)
    receivers.counted.left(1)
    for told in (1, 2):
        receivers.counted.told("listeners", told, receivers.harness.time.now_ns)
        receivers.wait(0.3)
    receivers.settle()
    assert receivers.correct("listeners") == (2, 0)


def test_one_wrong_number_among_many_at_a_time_is_seen(receivers: Receivers) -> None:
    receivers.counted.after("listeners", 1)(True, "")
    receivers.wait(3.0)
    for told in (1, 1, 51, 1):
        receivers.counted.told("listeners", told, receivers.harness.time.now_ns)
    receivers.settle()
    assert receivers.correct("listeners") == (0, 1)


def test_numbers_of_one_poll_are_not_those_of_another(receivers: Receivers) -> None:
    for poll in (41, 41, 42):
        receivers.counted.after("vote", 1, about=poll)(True, "")
    receivers.wait(3.0)
    for poll, told in ((41, 2), (42, 1), (42, 2)):
        receivers.counted.told("vote", told, receivers.harness.time.now_ns, poll)
        receivers.wait(0.3)
    receivers.settle()
    assert receivers.correct("vote") == (2, 1)


def test_a_number_that_starts_anew_has_only_a_most(receivers: Receivers) -> None:
    receivers.counted.after("tempo", 1)(True, "")
    receivers.wait(3.0)
    for told in (0, 1, 2):
        receivers.counted.told("tempo", told, receivers.harness.time.now_ns)
        receivers.wait(0.3)
    receivers.settle()
    assert receivers.correct("tempo") == (2, 1)


def test_moments_of_long_ago_are_not_kept(receivers: Receivers) -> None:
    receivers.join(1, 2)
    most = 0
    for _ in range(300):
        receivers.like(1, 2)
        receivers.like(1, 2, ok=False)
        receivers.wait(0.5)
        actions = receivers.counted._actions.get(("like", 0))
        most = max(most, *map(len, (actions.earliest, actions.latest, actions.unsure))) if actions is not None else 0
    # Those of 20 s: two seconds and five in which news come, as long again for good measure, and between two sweeps.
    assert 0 < most <= 20 / 0.58 + 2
    receivers.leave(1, 2)
    receivers.settle()
    assert receivers.delivered() == (300, 0)
    assert receivers.duplicates == 0


def test_a_long_run_comes_to_the_same_as_if_all_were_kept(harness: Harness) -> None:
    """Receivers come and go for minutes, and news come whenever they like, some of them far too late."""
    dice = Random(11)
    news: list[tuple[int, int, int]] = []
    unsure: list[int] = []
    checked = []

    class Checked(CountedBroadcasts):
        def _on_news(self, data: Mapping[str, Any]) -> None:
            super()._on_news(data)
            for kind, _, sent_ns, acked_ns, items in data["actions"]:
                if kind == "like" and acked_ns:
                    news.append((sent_ns, acked_ns, items))
                elif kind == "like":
                    unsure.extend([sent_ns] * items)

        def _settle_presence(self, presence: Presence) -> None:
            since_ns, until_ns, margin_ns = presence.since_ns, presence.until_ns, LEAVING_MARGIN_NS
            least = sum(items for _, latest, items in news if latest <= presence.has_all_until_ns)
            least -= sum(items for earliest, _, items in news if earliest < since_ns)
            most = sum(items for earliest, _, items in news if earliest <= until_ns + margin_ns)
            most -= sum(items for _, latest, items in news if latest < since_ns - margin_ns)
            most += sum(sent_ns <= until_ns + margin_ns for sent_ns in unsure)
            got, owed = presence.counts[LIKE], max(0, least - presence.own_until_then[LIKE])
            before = *harness.worker.rate_of("fanout_delivery", kind="like"), receivers.duplicates
            super()._settle_presence(presence)
            after = *harness.worker.rate_of("fanout_delivery", kind="like"), receivers.duplicates
            wanted = min(owed, got), max(0, owed - got), max(0, got - (most - presence.own_acked[LIKE]))
            assert tuple(now - then for now, then in zip(after, before, strict=True)) == wanted
            checked.append(wanted)

    kinds = [pika_kinds[name] for name in COUNTED]
    worker = harness.worker
    receivers = Receivers(harness, Checked(worker, kinds, CountedMetrics.of(worker, kinds)))
    late: list[tuple[float, list[Any]]] = []
    for step in range(900):
        user = dice.randrange(12)
        if user in receivers.heard and dice.random() < 0.1:
            del receivers.heard[user]
            receivers.leave(user, after_s=0.0, has_all=dice.random() < 0.5)
        elif user not in receivers.heard and dice.random() < 0.4:
            receivers.join(user)
        got_by = [other for other in receivers.heard if dice.random() < 0.95]
        if receivers.heard and dice.random() < 0.5:
            receivers.like(
                dice.choice(list(receivers.heard)), *got_by, ok=dice.random() < 0.8, items=dice.randint(1, 3)
            )
        else:
            now_ns = harness.time.now_ns
            action = ["like", 0, now_ns - 30_000_000, now_ns if dice.random() < 0.9 else 0, 1]
            late.append((step + dice.choice([0, 1, 5, 60, 200]), action))
        for entry in [entry for entry in late if entry[0] <= step]:
            late.remove(entry)
            worker.hear(TOPIC, {"boot": boot_id(), "actions": [entry[1]]})
        receivers.wait(0.2)
        if user in receivers.heard and dice.random() < 0.05:
            receivers.heard[user][LIKE] += 100
    receivers.leave(*receivers.heard)
    receivers.settle()
    assert len(checked) > 50
    assert all(sum(column) > 0 for column in zip(*checked, strict=True)), "something of each kind has been there"
    assert receivers.counted._known_until_ns > 0


def test_many_who_leave_at_once_are_told_of_together(receivers: Receivers) -> None:
    receivers.join(*range(1000))
    published = receivers.harness.worker.published
    receivers.leave(*range(1000), after_s=0.0)
    assert published == []
    receivers.wait(0.3)
    assert [len(data["actions"]) for _, data in published] == [1000]

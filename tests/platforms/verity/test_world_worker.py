from __future__ import annotations

import pytest

from pika_locust.platforms.verity.world_queue import ATTEMPT_S, TICK_S
from tests.platforms.verity.world_club import Club, Member, couple


def queue_up(club: Club, number: int, tokens: int = 1) -> list[Member]:
    members = [club.member(tokens) for _ in range(number)]
    for member in members:
        member.join()
    return members


def test_the_first_two_are_paired_at_the_next_tick() -> None:
    club = Club()
    first, second = couple(club)
    (name, seen), (other, seen_too) = first.events()[2], second.events()[1]
    assert (name, other) == ("match", "match")
    assert seen["sessionId"] == seen_too["sessionId"]
    assert seen["partnerAnonymousId"] != seen_too["partnerAnonymousId"]
    assert seen["queueKey"] == seen_too["queueKey"]
    assert (first.balance(), second.balance()) == (1, 1)
    assert first.leave()[1] == {"status": "not_queued", "refunded": False}
    assert club.state()["matches"] == {first.id: 1, second.id: 1}


def test_a_line_is_paired_in_order_ten_pairs_a_tick() -> None:
    club = Club()
    members = queue_up(club, 25)
    club.wait_until_tick()
    club.wait(0.1)
    assert club.state()["sessions"]["created"] == 10
    assert [member.leave()[1]["status"] for member in members] == ["not_queued"] * 20 + ["left"] * 5


def test_a_pair_a_tick_for_each_key_however_many_keys() -> None:
    club = Club()
    for n in range(100):
        for _ in range(2):
            club.member(1).join(preferences={"pair": n})
    club.wait(TICK_S + 0.01)
    assert club.state()["sessions"]["created"] == 100
    assert club.state()["lines"] == 0


def test_lone_users_give_the_worker_nothing_to_do() -> None:
    club = Club()
    for n in range(50):
        club.member(1).join(preferences={"alone": n})
    club.wait(0.01)
    assert club.world.due == float("inf")


@pytest.mark.parametrize(
    ("after_s", "position"), [(0.001, None), (ATTEMPT_S + 0.001, 0)], ids=["is out of the line", "is back"]
)
def test_a_lone_user_is_popped_for_a_moment_at_each_tick(after_s: float, position: int | None) -> None:
    club = Club()
    member = club.member(1)
    member.join()
    club.wait_until_tick()
    club.wait(after_s)
    assert member.join()[1]["position"] == position


def test_who_joins_while_the_first_is_popped_is_first_until_the_put_back() -> None:
    club = Club()
    first, second = club.member(1), club.member(1)
    first.listen("/queue"), second.listen("/queue")
    first.join()
    club.wait_until_tick()
    first.events()
    assert second.join()[1]["position"] == 0
    club.wait(0.02)
    # one is told 1 before the put-back, or 2 after it; the change by the put-back is told to both
    assert first.events()[-1] == ("queue:status", {"usersSearching": 2})
    assert second.events()[-1] == ("queue:status", {"usersSearching": 2})
    assert (first.join()[1]["position"], second.join()[1]["position"]) == (0, 1)
    club.wait(TICK_S)
    assert club.state()["sessions"]["created"] == 1


def test_a_lone_user_leaves_with_a_refund_also_while_popped() -> None:
    club = Club()
    member = club.member(1)
    member.join()
    club.wait_until_tick()
    assert member.leave()[1]["refunded"] is True
    assert member.balance() == 1


def test_who_leaves_while_in_the_workers_hand_is_answered_when_it_has_decided() -> None:
    club = Club()
    first, _ = queue_up(club, 2)
    club.wait_until_tick()
    leave = club.send("DELETE", "/queue/leave", authorization=f"Bearer {first.token}")
    assert leave not in club.answers
    club.wait(ATTEMPT_S)
    assert club.answers[leave].body == b'{"status":"not_queued","refunded":false}'
    assert club.state()["sessions"]["created"] == 1


def test_no_match_pairs_nobody() -> None:
    club = Club("no-match")
    queue_up(club, 4)
    club.wait(5.0)
    assert (club.state()["queued"], club.state()["sessions"]["created"]) == (4, 0)
    club.switch()
    club.wait(TICK_S * 2)
    assert club.state()["sessions"]["created"] == 2


def test_late_match_pairs_those_who_have_waited_long_enough() -> None:
    club = Club("late-match=2000")
    queue_up(club, 2)
    club.wait(1.9)
    assert club.state()["sessions"]["created"] == 0
    club.wait(0.7)
    assert club.state()["sessions"]["created"] == 1

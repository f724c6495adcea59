from __future__ import annotations

import pytest

from pika_locust.platforms.verity.world_queue import ATTEMPT_S, TICK_S
from tests.platforms.verity.world_driver import Member, VerityDriver, pair


def queue_up(driver: VerityDriver, number: int, tokens: int = 1) -> list[Member]:
    members = [driver.member(tokens) for _ in range(number)]
    for member in members:
        member.join()
    return members


def test_the_first_two_are_paired_at_the_next_tick() -> None:
    driver = VerityDriver()
    first, second = pair(driver)
    seen, seen_too = (dict(member.events())["match"] for member in (first, second))
    assert seen["sessionId"] == seen_too["sessionId"]
    assert seen["partnerAnonymousId"] != seen_too["partnerAnonymousId"]
    assert seen["queueKey"] == seen_too["queueKey"]
    assert (first.balance(), second.balance()) == (1, 1)
    assert first.leave()[1] == {"status": "not_queued", "refunded": False}
    assert driver.state()["matches"] == {first.id: 1, second.id: 1}


def test_a_line_is_paired_in_order_ten_pairs_a_tick() -> None:
    driver = VerityDriver()
    members = queue_up(driver, 25)
    driver.wait_until_tick()
    driver.wait(0.1)
    assert driver.state()["sessions"]["created"] == 10
    assert [member.leave()[1]["status"] for member in members] == ["not_queued"] * 20 + ["left"] * 5


def test_a_pair_a_tick_for_each_key_however_many_keys() -> None:
    driver = VerityDriver()
    for n in range(100):
        for _ in range(2):
            driver.member(1).join(preferences={"pair": n})
    driver.wait(TICK_S + 0.01)
    assert driver.state()["sessions"]["created"] == 100
    assert driver.state()["lines"] == 0


def test_lone_users_give_the_worker_nothing_to_do() -> None:
    driver = VerityDriver()
    for n in range(50):
        driver.member(1).join(preferences={"alone": n})
    driver.wait(0.01)
    assert driver.world.due == float("inf")


@pytest.mark.parametrize(
    ("after_s", "position"), [(0.001, None), (ATTEMPT_S + 0.001, 0)], ids=["is out of the line", "is back"]
)
def test_a_lone_user_is_popped_for_a_moment_at_each_tick(after_s: float, position: int | None) -> None:
    driver = VerityDriver()
    member = driver.member(1)
    member.join()
    driver.wait_until_tick()
    driver.wait(after_s)
    assert member.join()[1]["position"] == position


def test_who_joins_while_the_first_is_popped_is_first_until_the_put_back() -> None:
    driver = VerityDriver()
    first, second = driver.member(1), driver.member(1)
    first.listen("/queue"), second.listen("/queue")
    first.join()
    driver.wait_until_tick()
    first.events()
    assert second.join()[1]["position"] == 0
    driver.wait(0.02)
    # one is told 1 before the put-back, or 2 after it; the change by the put-back is told to both
    assert first.events()[-1] == ("queue:status", {"usersSearching": 2})
    assert second.events()[-1] == ("queue:status", {"usersSearching": 2})
    assert (first.join()[1]["position"], second.join()[1]["position"]) == (0, 1)
    driver.wait(TICK_S)
    assert driver.state()["sessions"]["created"] == 1


def test_a_lone_user_leaves_with_a_refund_also_while_popped() -> None:
    driver = VerityDriver()
    member = driver.member(1)
    member.join()
    driver.wait_until_tick()
    assert member.leave()[1]["refunded"] is True
    assert member.balance() == 1


def test_who_leaves_while_in_the_workers_hand_is_answered_when_it_has_decided() -> None:
    driver = VerityDriver()
    first, _ = queue_up(driver, 2)
    driver.wait_until_tick()
    leave = driver.request("DELETE", "/queue/leave", authorization=f"Bearer {first.token}")
    assert leave not in driver.answers
    driver.wait(ATTEMPT_S)
    assert driver.answers[leave].body == b'{"status":"not_queued","refunded":false}'
    assert driver.state()["sessions"]["created"] == 1


def test_no_match_pairs_nobody() -> None:
    driver = VerityDriver("no-match")
    queue_up(driver, 4)
    driver.wait(5.0)
    assert (driver.state()["queued"], driver.state()["sessions"]["created"]) == (4, 0)
    driver.switch()
    driver.wait(TICK_S * 2)
    assert driver.state()["sessions"]["created"] == 2


def test_late_match_pairs_those_who_have_waited_long_enough() -> None:
    driver = VerityDriver("late-match=2000")
    queue_up(driver, 2)
    driver.wait(1.9)
    assert driver.state()["sessions"]["created"] == 0
    driver.wait(0.7)
    assert driver.state()["sessions"]["created"] == 1

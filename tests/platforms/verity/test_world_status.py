from __future__ import annotations

import pytest

from pika_locust.platforms.verity.world_queue import MANY, SLICE
from tests.platforms.verity.world_driver import Member, VerityDriver


def heard(member: Member) -> list[int]:
    return [told["usersSearching"] for name, told in member.events() if name == "queue:status"]


def listeners(driver: VerityDriver, number: int) -> list[Member]:
    members = [driver.member(1) for _ in range(number)]
    for member in members:
        member.listen("/queue")
    return members


def test_everybody_in_the_line_is_told_its_size_when_somebody_joins_or_leaves() -> None:
    driver = VerityDriver("no-match")
    first, second, third = listeners(driver, 3)
    for member in (first, second, third):
        member.join()
        driver.wait(0.01)
    assert (heard(first), heard(second), heard(third)) == ([1, 2, 3], [2, 3], [3])
    second.leave()
    driver.wait(0.01)
    assert (heard(first), heard(second), heard(third)) == ([2], [], [2])


def test_other_lines_are_not_told() -> None:
    driver = VerityDriver()
    first, second = listeners(driver, 2)
    first.join(preferences={"a": 1})
    driver.wait(0.01)
    heard(first)
    second.join(preferences={"a": 2})
    driver.wait(0.01)
    assert (heard(first), heard(second)) == ([], [1])


def test_each_change_is_told_with_the_size_of_a_few_milliseconds_later() -> None:
    driver = VerityDriver("no-match")
    members = listeners(driver, 3)
    for member in members:
        member.begin_join()
    driver.wait(0.01)
    assert [heard(member) for member in members] == [[3, 3, 3]] * 3


def test_a_tick_tells_those_who_stay() -> None:
    driver = VerityDriver()
    members = listeners(driver, 3)
    for member in members:
        member.join()
    driver.wait(0.1)
    for member in members:
        heard(member)
    driver.wait(0.5)
    assert [heard(member) for member in members] == [[], [], [1]]


@pytest.mark.parametrize("number", [MANY + 1, SLICE + 7, 3 * SLICE])
def test_long_lines_are_told_in_rounds_and_always_the_last_size(number: int) -> None:
    driver = VerityDriver("no-match")
    members = listeners(driver, number)
    for member in members:
        member.begin_join()
        driver.wait(0.001)
    driver.wait(0.2)
    told = [heard(member) for member in members]
    assert {sizes[-1] for sizes in told} == {number}
    # one by one it would be about number² / 2
    assert sum(map(len, told)) < number * (MANY + 20)


def test_who_has_left_meanwhile_is_not_told_any_more() -> None:
    driver = VerityDriver("no-match")
    members = listeners(driver, 2 * SLICE)
    for member in members:
        member.begin_join()
    driver.wait(0.2)
    last = members[-1]
    members[0].leave()
    heard(last)
    last.leave()
    driver.wait(0.5)
    assert heard(last) == []


def test_the_fan_out_can_be_switched_off() -> None:
    driver = VerityDriver(settings={"PIKA_SANDBOX_STATUS_FANOUT": "0"})
    (member,) = listeners(driver, 1)
    member.join()
    driver.wait(0.1)
    assert heard(member) == []

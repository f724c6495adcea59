from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.verity.world_driver import KEY, VerityDriver

LOCKED = (409, {"message": "Queue operation in progress", "error": "Conflict", "statusCode": 409})
NOT_QUEUED = (200, {"status": "not_queued", "refunded": False})
LEFT = (200, {"status": "left", "refunded": True, "queueKey": KEY})


def queued(position: int | None, status: str = "queued", key: str = KEY) -> tuple[int, Any]:
    return 201, {"status": status, "queueKey": key, "position": position}


def test_a_join_takes_a_token_and_a_leave_gives_it_back() -> None:
    driver = VerityDriver()
    member = driver.member(2)
    assert member.join() == queued(0)
    assert (member.balance(), driver.state()["queued"]) == (1, 1)
    assert member.leave() == LEFT
    assert (member.balance(), driver.state()["queued"], driver.state()["lines"]) == (2, 0, 0)
    assert member.leave() == NOT_QUEUED


def test_without_a_token_nobody_joins() -> None:
    member = VerityDriver().member()
    assert member.join()[1] == {"message": "Insufficient token balance", "error": "Bad Request", "statusCode": 400}
    assert member.leave() == NOT_QUEUED


def test_whoever_is_queued_stays_under_the_first_key_at_no_cost() -> None:
    member = VerityDriver().member(2)
    member.join()
    assert member.join(city="sydney", preferences={"mode": "other"}) == queued(0, "already_queued")
    assert member.balance() == 1


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({}, "canberra:44136fa355b3"),
        ({"region": "australiacentral", "preferences": {"mode": "shared"}}, "australiacentral:3f932d1eb7dd"),
        ({"city": "Perth", "region": "sydney"}, "perth:44136fa355b3"),
        ({"city": None, "region": "sydney", "preferences": None}, "sydney:44136fa355b3"),
        ([], "canberra:44136fa355b3"),
    ],
    ids=str,
)
def test_the_key_comes_from_city_or_region_and_preferences(body: Any, key: str) -> None:
    member = VerityDriver().member(1)
    assert member.ask("POST", "/queue/join", body) == queued(0, key=key)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"city": ""}, "City must be a non-empty string when provided"),
        ({"city": "  "}, "City must be a non-empty string when provided"),
        ({"city": 5}, ["city must be a string"]),
        ({"preferences": [1]}, ["preferences must be an object"]),
        ({"region": 7, "bar": True}, ["property bar should not exist", "region must be a string"]),
    ],
    ids=str,
)
def test_a_body_that_does_not_validate_costs_nothing(body: Any, message: Any) -> None:
    member = VerityDriver().member(1)
    assert member.ask("POST", "/queue/join", body) == (
        400,
        {"message": message, "error": "Bad Request", "statusCode": 400},
    )
    assert member.balance() == 1


def test_while_a_join_is_under_way_its_user_is_locked() -> None:
    driver = VerityDriver()
    member = driver.member(2)
    first = member.begin_join()
    assert first not in driver.answers
    assert member.join() == LOCKED
    assert member.leave() == LOCKED
    driver.wait(0.01)
    assert driver.answers[first].status == 201
    assert member.balance() == 1
    assert member.join() == queued(0, "already_queued")


def test_positions_count_from_zero_in_order_of_joining() -> None:
    driver = VerityDriver("no-match")
    assert [driver.member(1).join() for _ in range(4)] == [queued(n) for n in range(4)]


def test_a_closed_socket_leaves_the_queue_for_its_user() -> None:
    driver = VerityDriver()
    member = driver.member(1)
    socket, other = member.listen("/queue"), member.listen("/queue")
    member.join()
    driver.close(other)
    assert member.leave() == NOT_QUEUED
    assert member.balance() == 1
    member.join()
    driver.send(socket, "41/queue,")
    assert member.leave() == NOT_QUEUED
    assert member.balance() == 1


def test_a_socket_that_closes_while_its_join_is_under_way_leaves_as_well() -> None:
    driver = VerityDriver()
    member = driver.member(1)
    socket = member.listen("/queue")
    join = member.begin_join()
    driver.close(socket)
    driver.wait(0.01)
    assert b'"position":null' in driver.answers[join].body
    assert (member.balance(), member.leave()) == (1, NOT_QUEUED)


def test_a_closed_socket_of_video_only_does_not_leave() -> None:
    driver = VerityDriver()
    member = driver.member(1)
    socket = member.listen("/video")
    member.join()
    driver.close(socket)
    assert member.leave() == LEFT


def test_lost_writes_acknowledge_a_refund_that_does_not_come() -> None:
    driver = VerityDriver("lose-write=0.5")
    members = [driver.member(2) for _ in range(4)]
    # half of the credits were lost as well
    before = [member.balance() for member in members]
    assert sorted(before) == [0, 0, 2, 2]
    rich = [member for member in members if member.balance()]
    for member in rich:
        member.join(preferences={"alone": member.id})
        assert member.leave()[1]["refunded"] is True
    assert sorted(member.balance() for member in rich) == [1, 2]

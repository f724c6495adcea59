"""Verity's queue: keys, waiting lines, joining and leaving, how many are searching, the worker that matches."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.verity.world_model import User
from pika_locust.platforms.verity.world_queue import (
    ATTEMPT_S,
    MANY,
    SLICE,
    TICK_S,
    Entry,
    Queue,
    WaitingLine,
    city_of,
    fingerprint,
    queue_key,
)
from tests.platforms.verity.world_driver import KEY, Member, VerityDriver, pair


@pytest.mark.parametrize(
    ("preferences", "wanted"),
    [
        ({}, "44136fa355b3"),
        (None, "44136fa355b3"),
        ({"mode": "shared"}, "3f932d1eb7dd"),
        ({"mode": "video-session-sustain"}, "590676b5b014"),
        ({"seed": "1-0-123456789"}, "c6e2111c0d10"),
        ({"seed": "1-1-987654321"}, "fa23856eb715"),
        ({"b": 1, "a": [1, {"z": 1, "y": 2}]}, "2da4014350f2"),
        ({"a": [1, {"y": 2, "z": 1}], "b": 1}, "2da4014350f2"),
        ({"mode": "g07"}, "77c37e9d442d"),
        ({"seed": "a"}, "9ac07f4baf7e"),
    ],
    ids=str,
)
def test_preferences_have_the_fingerprint_that_the_real_server_gave_them(preferences: Any, wanted: str) -> None:
    assert fingerprint(preferences) == wanted


@pytest.mark.parametrize(
    ("place", "city"),
    [
        ("australiacentral", "australiacentral"),
        ("  New  York! ", "new-york"),
        ("São Paulo", "s-o-paulo"),
        ("au", "canberra"),
        ("AU", "canberra"),
        ("", "canberra"),
        (None, "canberra"),
        ("!!!", "canberra"),
    ],
)
def test_a_place_becomes_a_city(place: str | None, city: str) -> None:
    assert city_of(place) == city
    assert queue_key(place, {"mode": "shared"}) == f"{city}:3f932d1eb7dd"


@pytest.fixture
def queue() -> Queue:
    return Queue()


def entered(queue: Queue, line: WaitingLine, *names: str, at: float = 1.0) -> list[Entry]:
    return [queue.enter(User(name, 0.0), line, at + n / 64) for n, name in enumerate(names)]


def test_a_line_is_first_come_first_served(queue: Queue) -> None:
    line = queue.line("k")
    entries = entered(queue, line, "c", "a", "b")
    assert [queue.position(entry) for entry in entries] == [0, 1, 2]
    assert queue.first(line, 2) == entries[:2]
    queue.end(entries[0])
    assert [queue.position(entry) for entry in entries[1:]] == [0, 1]


def test_those_of_the_same_millisecond_stand_in_the_order_of_their_ids(queue: Queue) -> None:
    line = queue.line("k")
    late, early = (queue.enter(User(name, 0.0), line, 1.0) for name in ("b", "a"))
    assert (queue.position(early), queue.position(late)) == (0, 1)


def test_whoever_is_in_hand_has_no_position_and_comes_back_to_their_place(queue: Queue) -> None:
    line = queue.line("k")
    first, second = entered(queue, line, "a", "b")
    queue.take_in_hand(first)
    assert (queue.position(first), queue.position(second)) == (None, 0)
    queue.put_back(first)
    assert (queue.position(first), queue.position(second)) == (0, 1)


def test_only_lines_with_two_or_more_are_crowded(queue: Queue) -> None:
    line = queue.line("k")
    entered(queue, queue.line("other"), "z")
    (first,) = entered(queue, line, "a")
    assert queue.crowded == {}
    (second,) = entered(queue, line, "b", at=2.0)
    assert queue.crowded == {"k": line}
    queue.take_in_hand(first)
    assert queue.crowded == {}
    queue.put_back(first)
    queue.end(second)
    assert queue.crowded == {}


def test_empty_lines_are_forgotten_unless_the_worker_is_at_them(queue: Queue) -> None:
    line = queue.line("k")
    first, second = entered(queue, line, "a", "b")
    queue.end(first)
    assert queue.line("k") is line
    line.worked_on = True
    queue.end(second)
    assert queue.lines == {"k": line}
    line.worked_on = False
    queue.tidy(line)
    assert (queue.lines, queue.entries) == ({}, {})


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


def test_who_is_queued_stays_under_the_first_key_at_no_cost() -> None:
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


def sizes(member: Member) -> list[int]:
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
    assert (sizes(first), sizes(second), sizes(third)) == ([1, 2, 3], [2, 3], [3])
    second.leave()
    driver.wait(0.01)
    assert (sizes(first), sizes(second), sizes(third)) == ([2], [], [2])


def test_other_lines_are_not_told() -> None:
    driver = VerityDriver()
    first, second = listeners(driver, 2)
    first.join(preferences={"a": 1})
    driver.wait(0.01)
    sizes(first)
    second.join(preferences={"a": 2})
    driver.wait(0.01)
    assert (sizes(first), sizes(second)) == ([], [1])


def test_each_change_is_told_with_the_size_of_a_few_milliseconds_later() -> None:
    driver = VerityDriver("no-match")
    members = listeners(driver, 3)
    for member in members:
        member.begin_join()
    driver.wait(0.01)
    assert [sizes(member) for member in members] == [[3, 3, 3]] * 3


def test_a_tick_tells_those_who_stay() -> None:
    driver = VerityDriver()
    members = listeners(driver, 3)
    for member in members:
        member.join()
    driver.wait(0.1)
    for member in members:
        sizes(member)
    driver.wait(0.5)
    assert [sizes(member) for member in members] == [[], [], [1]]


@pytest.mark.parametrize("number", [MANY + 1, SLICE + 7, 3 * SLICE])
def test_long_lines_are_told_in_rounds_and_always_the_last_size(number: int) -> None:
    driver = VerityDriver("no-match")
    members = listeners(driver, number)
    for member in members:
        member.begin_join()
        driver.wait(0.001)
    driver.wait(0.2)
    told = [sizes(member) for member in members]
    assert {told_one[-1] for told_one in told} == {number}
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
    sizes(last)
    last.leave()
    driver.wait(0.5)
    assert sizes(last) == []


def test_the_fan_out_can_be_switched_off() -> None:
    driver = VerityDriver(settings={"PIKA_SANDBOX_STATUS_FANOUT": "0"})
    (member,) = listeners(driver, 1)
    member.join()
    driver.wait(0.1)
    assert sizes(member) == []


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


def test_whom_the_worker_is_matching_meets_its_lock_when_leaving() -> None:
    driver = VerityDriver()
    first, _ = queue_up(driver, 2)
    driver.wait_until_tick()
    assert first.leave() == (409, {"message": "Queue operation in progress", "error": "Conflict", "statusCode": 409})
    driver.wait(ATTEMPT_S)
    assert first.leave() == (200, {"status": "not_queued", "refunded": False})
    assert driver.state()["sessions"]["created"] == 1


def test_whom_the_worker_has_popped_alone_is_answered_when_they_are_back() -> None:
    driver = VerityDriver()
    first, second = driver.member(1), driver.member(1)
    first.join()
    driver.wait_until_tick()
    second.begin_join()
    leave = driver.request("DELETE", "/queue/leave", authorization=f"Bearer {first.token}")
    assert leave not in driver.answers
    driver.wait(ATTEMPT_S)
    assert b'"left","refunded":true' in driver.answers[leave].body


def left_as_ghost(driver: VerityDriver, member: Member) -> None:
    status, body = member.leave()
    assert (status, body["status"], body["refunded"]) == (200, "left", False)
    assert member.balance() == 0


def test_a_ghost_is_who_leaves_while_popped_alone_and_is_counted_until_somebody_else_comes() -> None:
    driver = VerityDriver("ghost")
    ghost, other = driver.member(1), driver.member(1)
    ghost.join()
    driver.wait_until_tick()
    left_as_ghost(driver, ghost)
    driver.wait(3 * TICK_S)
    other.listen()
    driver.wait_until_tick(before_s=0.1)
    assert other.join()[1]["position"] == 1
    driver.wait(0.05)
    assert other.events() == [("queue:status", {"usersSearching": 2})]
    driver.wait(TICK_S)
    assert other.events() == [("queue:status", {"usersSearching": 1})]
    assert other.join()[1]["position"] == 0
    assert driver.state()["sessions"]["created"] == 0


def test_a_ghost_of_a_pair_is_found_out_and_the_other_is_matched_later() -> None:
    driver = VerityDriver("ghost")
    ghost, other = queue_up(driver, 2)
    driver.wait_until_tick()
    left_as_ghost(driver, ghost)
    driver.wait(TICK_S)
    assert (driver.state()["queued"], driver.state()["sessions"]["created"]) == (1, 0)
    third = driver.member(1)
    third.join()
    driver.wait(TICK_S * 2)
    assert driver.state()["sessions"]["created"] == 1
    assert driver.state()["matches"] == {ghost.id: 0, other.id: 1, third.id: 1}


def test_a_ghost_that_joins_anew_waits_once() -> None:
    driver = VerityDriver("ghost")
    ghost, other = driver.member(2), driver.member(1)
    ghost.join()
    driver.wait_until_tick()
    ghost.leave()
    driver.wait(TICK_S / 2)
    assert ghost.join()[1]["position"] == 0
    assert other.join()[1]["position"] == 1
    driver.wait(TICK_S)
    assert driver.state()["sessions"]["created"] == 1
    assert (ghost.balance(), driver.state()["lines"]) == (0, 0)


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

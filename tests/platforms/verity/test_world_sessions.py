"""Verity's video sessions: how they begin, end, and what their users choose."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pika_locust.platforms.verity.world_sessions import SETUP_S
from tests.platforms.verity.world_driver import Member, VerityDriver, pair

SHORT = {"SESSION_HOLD_SECONDS": "2", "PIKA_SANDBOX_CHOICE_SECONDS": "5"}


def session_of(member: Member) -> str:
    return next(str(told["sessionId"]) for name, told in member.events() if name == "session:start")


def choose(member: Member, session: str, choice: Any) -> tuple[int, Any]:
    return member.ask("POST", f"/sessions/{session}/choice", {"choice": choice})


def ended(driver: VerityDriver) -> tuple[Member, Member, str]:
    """A pair whose session is over."""
    first, second = pair(driver)
    session = session_of(first)
    driver.wait(2.0)
    first.events(), second.events()
    return first, second, session


def refused(status: int, message: Any, error: str) -> tuple[int, Any]:
    return status, {"message": message, "error": error, "statusCode": status}


NON_MUTUAL = (201, {"status": "resolved", "outcome": "non_mutual"})


def seconds(told: dict[str, Any], later: str, earlier: str) -> float:
    return (datetime.fromisoformat(told[later]) - datetime.fromisoformat(told[earlier])).total_seconds()


def test_a_session_starts_at_once_and_lasts_45_seconds() -> None:
    driver = VerityDriver()
    first, second = pair(driver)
    (_, matched), (_, start) = first.events()[-2:]
    _, other = second.events()[-1]
    assert start["sessionId"] == matched["sessionId"] == other["sessionId"]
    assert start["channelName"] == f"session_{start['sessionId']}"
    begun = datetime.fromisoformat(start["startAt"]) - datetime.fromisoformat(matched["matchedAt"])
    assert begun.total_seconds() == pytest.approx(SETUP_S, abs=0.0011)
    assert (seconds(start, "endAt", "startAt"), start["durationSeconds"]) == (45.0, 45)
    assert seconds(start, "expiresAt", "startAt") == 60.0
    assert start["rtm"]["userId"] == first.id
    assert start["rtc"]["uid"] != other["rtc"]["uid"]
    driver.wait(44.8)
    assert first.names() == []
    driver.wait(0.2)
    ((name, end),) = first.events()
    assert (name, end["sessionId"], end["reason"]) == ("session:end", start["sessionId"], "timeout")
    assert seconds({**start, **end}, "endedAt", "startAt") == pytest.approx(45.0, abs=0.0011)


@pytest.mark.parametrize(
    ("settings", "lasts_s"),
    [
        ({"SESSION_HOLD_SECONDS": "10"}, 10),
        ({"SESSION_HOLD_SECONDS": "10", "VERITY_SESSION_HOLD_SECONDS": "2.5"}, 2.5),
        ({"SESSION_HOLD_SECONDS": "10", "PIKA_SANDBOX_SESSION_SECONDS": "3"}, 3),
        ({"SESSION_HOLD_SECONDS": " "}, 45),
    ],
    ids=str,
)
def test_a_session_lasts_as_long_as_the_settings_say(settings: dict[str, str], lasts_s: float) -> None:
    first, _ = pair(VerityDriver(settings=settings))
    assert first.events()[-1][1]["durationSeconds"] == lasts_s


def test_the_counts_follow_a_session_through_its_life() -> None:
    driver = VerityDriver(settings=SHORT)
    first, second = pair(driver)
    assert driver.state()["sessions"]["live"] == driver.state()["sessions_live"] == 1
    session = session_of(first)
    driver.wait(2.0)
    assert driver.state()["sessions"]["live"] == 0
    choose(first, session, "MATCH"), choose(second, session, "MATCH")
    counts = {"created": 1, "started": 1, "ended": 1, "mutual": 1, "non_mutual": 0, "live": 0}
    assert driver.state()["sessions"] == {**counts, "users_in_two_live": 0, "in_two_live": []}


def test_before_the_end_there_is_no_choice() -> None:
    driver = VerityDriver()
    first, _ = pair(driver)
    session = session_of(first)
    stranger = driver.member()
    assert choose(first, session, "MATCH") == refused(400, "Session has not ended", "Bad Request")
    assert choose(stranger, session, "MATCH") == refused(403, "Not a session participant", "Forbidden")
    assert choose(stranger, "nope", "MATCH") == refused(404, "Session not found", "Not Found")
    wrong = ["choice must be one of the following values: MATCH, PASS"]
    assert choose(first, session, "X") == refused(400, wrong, "Bad Request")
    assert first.ask("POST", f"/sessions/{session}/choice", {}) == refused(400, wrong, "Bad Request")


def test_two_matches_are_mutual() -> None:
    driver = VerityDriver(settings=SHORT)
    first, second, session = ended(driver)
    status, pending = choose(first, session, "MATCH")
    assert (status, pending["status"]) == (201, "pending")
    assert choose(first, session, "PASS") == (201, pending)
    status, resolved = choose(second, session, "MATCH")
    reveal = {"id": first.id, "displayName": None, "primaryPhotoUrl": None, "age": None, "bio": None}
    assert (status, resolved["outcome"], resolved["partnerReveal"]) == (201, "mutual", reveal)
    (name, told), (_, told_too) = first.events()[-1], second.events()[-1]
    assert name == "match:mutual"
    assert told["matchId"] == told_too["matchId"] == resolved["matchId"]
    assert told["partnerReveal"]["id"] == second.id
    assert choose(first, session, "PASS")[1]["outcome"] == "mutual"


@pytest.mark.parametrize("order", [("PASS",), ("MATCH", "PASS"), ("PASS", "MATCH")], ids=" then ".join)
def test_a_pass_resolves_at_once_and_is_told_once(order: tuple[str, ...]) -> None:
    driver = VerityDriver(settings=SHORT)
    first, second, session = ended(driver)
    answers = [choose(member, session, choice) for member, choice in zip((first, second), order, strict=False)]
    assert answers[-1] == NON_MUTUAL
    driver.wait(10.0)
    assert first.names() == second.names() == ["match:non_mutual"]
    assert driver.state()["sessions"]["non_mutual"] == 1


@pytest.mark.parametrize("choices", [(), ("MATCH",)], ids=["nobody", "only one"])
def test_the_deadline_parts_those_of_whom_not_both_have_chosen(choices: tuple[str, ...]) -> None:
    driver = VerityDriver(settings=SHORT)
    first, second, session = ended(driver)
    for choice in choices:
        choose(first, session, choice)
    driver.wait(4.8)
    assert "match:non_mutual" not in first.names()
    driver.wait(0.3)
    assert second.events()[-1] == ("match:non_mutual", {"sessionId": session, "outcome": "pass"})
    assert choose(second, session, "MATCH") == NON_MUTUAL


def test_whoever_joins_again_during_a_session_may_be_in_two() -> None:
    driver = VerityDriver()
    first, _ = pair(driver)
    third = driver.member(1)
    first.join(), third.join()
    driver.wait(1.0)
    sessions = driver.state()["sessions"]
    assert (sessions["live"], sessions["users_in_two_live"], sessions["in_two_live"]) == (2, 1, [first.id])


def test_a_dead_session_is_announced_and_paid_for_but_does_not_exist() -> None:
    driver = VerityDriver("dead-session", settings=SHORT)
    first, second = pair(driver)
    driver.wait(3.0)
    (name, told) = first.events()[-1]
    assert name == "match"
    assert (first.balance(), second.balance()) == (1, 1)
    assert choose(first, told["sessionId"], "MATCH")[0] == 404
    assert driver.state()["sessions"]["created"] == 0


def test_end_early_cuts_a_session_short_of_what_it_promised() -> None:
    driver = VerityDriver("end-early=1", settings=SHORT)
    first, _ = pair(driver)
    ((_, start),) = [event for event in first.events() if event[0] == "session:start"]
    assert start["durationSeconds"] == 2
    driver.wait(0.95)
    ((_, end),) = [event for event in first.events() if event[0] == "session:end"]
    lasted = datetime.fromisoformat(end["endedAt"]) - datetime.fromisoformat(start["startAt"])
    assert lasted.total_seconds() == pytest.approx(1.0, abs=0.002)


def test_kept_token_keeps_the_token_of_an_unmatched_leave_within_an_hour_of_a_match() -> None:
    driver = VerityDriver("kept-token", settings=SHORT)
    first, _ = pair(driver, tokens=4)
    assert first.join()[0] == 201
    answer = first.leave()[1]
    assert (answer["status"], answer["refunded"]) == ("already_matched", False)
    assert first.balance() == 2
    never_matched = driver.member(1)
    never_matched.join()
    assert (never_matched.leave()[1]["status"], never_matched.balance()) == ("left", 1)
    driver.wait(3590.0)
    first.token = driver.world.access.mint(first.id, driver.now)
    first.join()
    assert (first.leave()[1]["status"], first.balance()) == ("already_matched", 1)
    driver.wait(20.0)
    first.join()
    assert (first.leave()[1]["status"], first.balance()) == ("left", 1)


EVENT_FAULTS = {
    "swallow-starts=1": ["match", "session:end", "match:mutual"],
    "swallow-ends=1": ["match", "session:start", "match:mutual"],
    "swallow-outcomes=1": ["match", "session:start", "session:end"],
    "wrong-outcomes=1": ["match", "session:start", "session:end", "match:non_mutual"],
    "double-matches=1": ["match", "match", "session:start", "session:end", "match:mutual"],
}


@pytest.mark.parametrize(("fault", "told"), EVENT_FAULTS.items(), ids=EVENT_FAULTS)
def test_faults_of_what_participants_are_told(fault: str, told: list[str]) -> None:
    driver = VerityDriver(fault, settings=SHORT)
    first, second = pair(driver)
    driver.wait(2.1)
    heard = [event for event in first.events() if event[0] != "queue:status"]
    session = heard[0][1]["sessionId"]
    choose(first, session, "MATCH"), choose(second, session, "MATCH")
    assert [name for name, _ in heard] + first.names() == told


def test_faults_of_what_is_told_of_the_queue() -> None:
    for fault, told in (
        ("swallow-statuses=1", []),
        ("miscount-searching=1", [("queue:status", {"usersSearching": 51})]),
    ):
        driver = VerityDriver(fault)
        member = driver.member(1)
        member.listen()
        member.join()
        driver.wait(0.1)
        assert member.events() == told

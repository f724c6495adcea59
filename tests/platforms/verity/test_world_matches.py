from __future__ import annotations

from typing import Any

import pytest

from tests.platforms.verity.test_world_sessions import SHORT, choose, ended
from tests.platforms.verity.world_club import Club, Member

NOT_ACKNOWLEDGED = (
    403,
    {"code": "REVEAL_ACK_REQUIRED", "message": "Profile reveal acknowledgement required before chat"},
)


@pytest.fixture
def club() -> Club:
    return Club(settings=SHORT)


def matched(club: Club) -> tuple[Member, Member, str]:
    """A couple who chose each other, and the path of their match."""
    first, second, session = ended(club)
    choose(first, session, "MATCH")
    match = choose(second, session, "MATCH")[1]["matchId"]
    for member in (first, second):
        member.listen("/chat")
    return first, second, f"/matches/{match}"


def reveal_of(member: Member) -> dict[str, Any]:
    return {"id": member.id, "displayName": None, "primaryPhotoUrl": None, "age": None, "bio": None}


def test_a_match_is_listed_for_both_and_its_reveal_waits_for_the_acknowledgement(club: Club) -> None:
    first, second, path = matched(club)
    match = {"matchId": path.rpartition("/")[2], "partnerRevealVersion": 1}
    hidden = {"revealAcknowledged": False, "revealAcknowledgedAt": None, "partnerReveal": None}
    assert first.ask("GET", "/matches") == (200, [{**match, **hidden}])
    assert first.ask("GET", f"{path}/reveal")[1]["partnerReveal"] == reveal_of(second)
    status, acknowledged = first.ask("POST", f"{path}/reveal-ack", {})
    assert (status, acknowledged["revealAcknowledged"]) == (201, True)
    (listed,) = first.ask("GET", "/matches")[1]
    assert listed["partnerReveal"] == reveal_of(second)
    assert listed["revealAcknowledgedAt"] == acknowledged["revealAcknowledgedAt"]
    assert second.ask("GET", "/matches") == (200, [{**match, **hidden}])


def test_the_first_acknowledgement_keeps_its_time(club: Club) -> None:
    first, _, path = matched(club)
    told = first.ask("POST", f"{path}/reveal-ack", {})
    club.wait(1.0)
    assert first.ask("POST", f"{path}/reveal-ack", {}) == told


def test_chat_opens_with_the_acknowledgement_and_is_pushed_to_a_partner_who_has_given_it(club: Club) -> None:
    first, second, path = matched(club)
    assert first.ask("POST", f"{path}/messages", {"text": "hi"}) == NOT_ACKNOWLEDGED
    first.ask("POST", f"{path}/reveal-ack", {})
    status, hi = first.ask("POST", f"{path}/messages", {"text": "hi"})
    assert (status, hi["text"], hi["senderId"]) == (201, "hi", first.id)
    assert second.events() == []
    assert second.ask("GET", f"{path}/messages") == NOT_ACKNOWLEDGED
    second.ask("POST", f"{path}/reveal-ack", {})
    _, again = first.ask("POST", f"{path}/messages", {"text": "hello again"})
    assert second.events() == [("message:new", again)]
    assert first.events() == []
    assert second.ask("GET", f"{path}/messages") == (200, [hi, again])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "text must be longer than or equal to 1 characters"),
        ("x" * 1001, "text must be shorter than or equal to 1000 characters"),
        (5, "text must be a string"),
        (None, "text must be a string"),
    ],
    ids=["empty", "too long", "no text", "missing"],
)
def test_a_message_has_1_to_1000_characters(club: Club, text: Any, problem: str) -> None:
    first, _, path = matched(club)
    assert first.ask("POST", f"{path}/messages", {"text": text})[1]["message"] == [problem]


@pytest.mark.parametrize(
    ("method", "tail"), [("GET", "reveal"), ("POST", "reveal-ack"), ("GET", "messages"), ("POST", "messages")]
)
def test_a_match_is_only_for_its_two(club: Club, method: str, tail: str) -> None:
    _, _, path = matched(club)
    stranger, body = club.member(), {"text": "hi"} if tail == "messages" and method == "POST" else None
    assert stranger.ask(method, f"{path}/{tail}", body)[0] == 403
    assert stranger.ask(method, f"/matches/nope/{tail}", body)[1]["message"] == "Match not found"
    assert stranger.ask("GET", "/matches") == (200, [])

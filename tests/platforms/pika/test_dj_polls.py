from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.pika.dj import Polls


def told(poll_id: object, votes: object) -> dict[str, Any]:
    return {"type": "POLL_UPDATE", "pollId": poll_id, "votes": [1], "totalVotes": votes}


def test_the_poll_that_was_told_of_last_is_the_one_to_end_and_it_is_ended_once() -> None:
    polls = Polls()
    assert polls.end() is None
    assert polls.on_update(told(41, 1))
    assert polls.on_update(told(41, 3))
    assert (polls.end(), polls.end()) == (41, None)


def test_votes_are_added_up_over_polls_each_with_its_latest_number() -> None:
    polls = Polls()
    for poll_id, votes in ((41, 1), (41, 5), (42, 2)):
        polls.on_update(told(poll_id, votes))
    assert polls.votes == 7


def test_a_vote_told_after_the_end_counts_and_opens_nothing() -> None:
    polls = Polls()
    polls.on_update(told(41, 3))
    polls.end()
    assert polls.on_update(told(41, 4))
    assert (polls.votes, polls.end()) == (4, None)


def test_a_poll_of_a_lost_connection_is_not_ended_on_the_next() -> None:
    polls = Polls()
    polls.on_update(told(41, 3))
    polls.forget_open()
    assert (polls.votes, polls.end()) == (3, None)


NOTHING = {
    "no fields at all": {"type": "POLL_UPDATE"},
    "a number that is a list": told([], 3),
    "votes that are text": told(41, "4"),
}


@pytest.mark.parametrize("message", NOTHING.values(), ids=NOTHING)
def test_what_says_nothing_changes_nothing(message: dict[str, Any]) -> None:
    polls = Polls()
    assert not polls.on_update(message)
    assert (polls.votes, polls.end()) == (0, None)

from __future__ import annotations

import json

import pytest

from pika_locust.platforms.pika.world_messages import Activity
from pika_locust.sandbox.world import Effects, Publish, Send
from tests.platforms.pika.world_driver import SESSION, PikaDriver, types


@pytest.mark.parametrize(
    ("published", "seen"),
    [
        pytest.param([], {1: 0, 2: 0, 3: 0}, id="nothing yet"),
        pytest.param([(5, None)], {1: 5, 2: 5, 3: 5}, id="to everyone"),
        pytest.param([(5, 1), (6, 1)], {1: 0, 2: 6, 3: 6}, id="always through the same socket"),
        pytest.param([(5, 1), (6, 2)], {1: 6, 2: 5, 3: 6}, id="through one, then another"),
        pytest.param([(5, 1), (6, 2), (7, 2)], {1: 7, 2: 5, 3: 7}, id="twice through the other"),
        pytest.param([(5, 1), (6, None), (7, 1)], {1: 6, 2: 7, 3: 7}, id="to everyone in between"),
    ],
)
def test_everyone_but_one_takes_part_in_a_broadcast(published: list[tuple[int, int]], seen: dict[int, int]) -> None:
    activity = Activity()
    for at, without in published:
        activity.published(at, without)
    assert {socket: activity.seen_by(socket) for socket in seen} == seen


def test_answers_go_to_the_sender_and_broadcasts_to_the_rest_under_the_name_of_their_type() -> None:
    driver = PikaDriver()
    driver.dj()
    one = driver.dancer()

    def effects(type_: str, **fields: object) -> Effects:
        said: Effects = driver.world.received(one, json.dumps({"type": type_, "messageId": "m", **fields}), 0.0, 0)
        return said

    reaction = {"sessionId": SESSION, "reaction": "thank_you"}
    assert effects("SEND_REACTION", **reaction) == [
        Publish(
            f'{{"type":"REACTION_RECEIVED","sessionId":"{SESSION}","reaction":"thank_you"}}', one, "REACTION_RECEIVED"
        ),
        Send(one, '{"type":"ACK","messageId":"m","status":"ok","timestamp":"1970-01-01T00:00:00.000Z"}'),
    ]
    error = "Poll not found or already ended"
    assert effects("VOTE_ON_POLL", pollId=1, optionIndex=0, clientId="client_one") == [
        Send(one, f'{{"type":"NACK","messageId":"m","error":"{error}","timestamp":"1970-01-01T00:00:00.000Z"}}')
    ]


def test_drop_takes_confirmations_and_refusals_away_by_kind_of_message_and_nothing_else() -> None:
    driver = PikaDriver("drop=0.5")
    driver.dj()
    one, answered = driver.open(), {"SEND_LIKE": 0, "PING": 0}
    for n in range(30):
        kind = "PING" if n % 3 == 2 else "SEND_LIKE"
        fields = {"payload": {"track": {"title": f"T{n}", "artist": "A"}}, "clientId": "client_one"}
        came = [message["type"] for message in driver.say(one, kind, messageId="m", sessionId=SESSION, **fields)]
        answered[kind] += "ACK" in came or "NACK" in came
        assert ("PONG" in came) == (kind == "PING")
    assert answered == {"SEND_LIKE": 10, "PING": 5}
    assert driver.faults.counts()["drop"]["by_kind"]["SEND_LIKE"] == {"eligible": 20, "hit": 10}


def test_drop_has_nothing_to_take_away_where_no_answer_was_asked_for() -> None:
    driver = PikaDriver("drop=1")
    one = driver.open()
    assert types(driver.say(one, "PING")) == ["PONG"]
    assert driver.faults.counts()["drop"]["eligible"] == 0


@pytest.mark.parametrize(
    ("faults", "kept"),
    [((), 100), (("lose-write=0.1",), 90), (("double=0.1",), 110), (("lose-write=0.5", "double=1"), 100)],
    ids=["as it should", "lost", "doubled", "the lost ones cannot be doubled"],
)
def test_votes_are_kept_once_unless_a_fault_says_otherwise(faults: tuple[str, ...], kept: int) -> None:
    driver = PikaDriver(*faults)
    driver.say(driver.dj(), "START_POLL", sessionId=SESSION, question="?", options=["a", "b"])
    for n in range(100):
        vote = {"pollId": 1, "optionIndex": 0, "clientId": f"client_{n:03}", "messageId": "v"}
        assert types(driver.say(driver.open(), "VOTE_ON_POLL", **vote))[-1] == "ACK"
    assert driver.state()["poll_votes_held"] == kept

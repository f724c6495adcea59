from __future__ import annotations

import pytest

from pika_locust.platforms.pika.world_model import Socket
from pika_locust.platforms.pika.world_turn import Activity, MessageContext, ServerState, iso
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.world import Publish, Send


def live(*faults: str) -> ServerState:
    return ServerState(FaultSwitches(faults=parse_faults(faults)), 10)


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


def test_times_are_written_as_javascript_does() -> None:
    assert iso(1_795_230_767.5294) == "2026-11-21T03:12:47.529Z"
    assert iso(1_795_230_767) == "2026-11-21T03:12:47.000Z"


def test_answers_go_to_the_speaker_and_broadcasts_to_the_rest() -> None:
    turn = MessageContext(live(), Socket(7, 0.0, 0.0), {"type": "PING", "messageId": "m"}, 0.0)
    turn.publish(type="A", x=1)
    turn.ack()
    turn.nack("no")
    assert turn.effects == [
        Publish('{"type":"A","x":1}', 7, "A"),
        Send(7, '{"type":"ACK","messageId":"m","status":"ok","timestamp":"1970-01-01T00:00:00.000Z"}'),
        Send(7, '{"type":"NACK","messageId":"m","error":"no","timestamp":"1970-01-01T00:00:00.000Z"}'),
    ]


def test_drop_takes_answers_away_by_kind_of_message() -> None:
    state = live("drop=0.5")
    kinds = ("SEND_LIKE", "PING")
    answered = dict.fromkeys(kinds, 0)
    for n in range(30):
        kind = kinds[n % 3 == 2]
        turn = MessageContext(state, Socket(7, 0.0, 0.0), {"type": kind, "messageId": "m"}, 0.0)
        turn.ack()
        answered[kind] += len(turn.effects)
    assert answered == {"SEND_LIKE": 10, "PING": 5}


@pytest.mark.parametrize(
    ("faults", "kept"),
    [((), 100), (("lose-write=0.1",), 90), (("double=0.1",), 110), (("lose-write=0.5", "double=1"), 100)],
    ids=["as it should", "lost", "doubled", "the lost ones cannot be doubled"],
)
def test_writes_are_kept_once_unless_a_fault_says_otherwise(faults: tuple[str, ...], kept: int) -> None:
    state = live(*faults)
    assert sum(state.copies("like") for _ in range(100)) == kept

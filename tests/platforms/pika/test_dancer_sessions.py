"""Whole sessions of dancers and a DJ in Pika's world, in virtual time: what a seed repeats, and what breaks nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from tests.platforms.pika.evening import Evening
from tests.platforms.pika.virtual_server import VirtualServer


def session(evening: Evening, seed: int, lost_at_s: float | None = None) -> list[list[tuple[str, Any]]]:
    """What each of eight dancers sends in forty seconds, ids and times aside."""
    evening.make_context(seed=seed, TRACK_EVERY="6s")
    server = VirtualServer(evening)
    evening.start(Dj)
    dancers = [evening.start(Dancer) for _ in range(8)]
    if lost_at_s is not None:
        evening.clock.run(lost_at_s)
        server.cut(next(wire for wire in evening.wires if wire.handler is dancers[3]))
    evening.clock.run(40.0 - evening.clock.now_s)
    evening.drain("primary")
    evening.clock.run(8.0)
    evening.drain("supporter")
    evening.clock.run(8.0)
    did = []
    for user in dancers:
        sent = [message for wire in evening.wires if wire.handler is user for _, message in wire.sent]
        did.append([(message["type"], choice(message)) for message in sent])
    return did


def choice(message: dict[str, Any]) -> Any:
    """What was chosen: the track by its number, the option, the tempo."""
    match message:
        case {"payload": {"track": {"title": title}}}:
            return title.split()[1]
        case {"optionIndex": option}:
            return option
        case {"preference": preference}:
            return preference
    return None


@pytest.fixture
def evenings(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda: Evening(monkeypatch)


def test_a_seed_repeats_an_evening_and_another_seed_makes_another(evenings: Any) -> None:
    first, second, other = session(evenings(), 7), session(evenings(), 7), session(evenings(), 8)
    assert first == second
    assert first != other
    assert len({tuple(did) for did in map(tuple, first)}) == 8
    assert {kind for did in first for kind, _ in did} == {
        "SUBSCRIBE",
        "SEND_LIKE",
        "SEND_TEMPO_REQUEST",
        "VOTE_ON_POLL",
        "SEND_REACTION",
        "PING",
    }


def test_what_one_dancer_suffers_changes_nothing_for_the_others(evenings: Any) -> None:
    calm, rough = session(evenings(), 7), session(evenings(), 7, lost_at_s=13.0)
    assert calm[:3] == rough[:3]
    assert calm[4:] == rough[4:]
    assert sum(kind == "SUBSCRIBE" for kind, _ in rough[3]) == 2


WAYS_S = {"a fast server": 0.001, "a slow server": 0.4}


@pytest.mark.parametrize("way_s", WAYS_S.values(), ids=WAYS_S.keys())
def test_connections_that_break_cost_no_like_and_no_vote(way_s: float, evening: Evening) -> None:
    """What was acknowledged is held once, what was not may be: the audit's inequality, over two hundred breaks."""
    evening.make_context(TRACK_EVERY="6s")
    server = VirtualServer(evening, way_s=way_s)
    evening.start(Dj)
    dancers = [evening.start(Dancer) for _ in range(20)]
    for number in range(200):
        evening.clock.run(0.37)
        unlucky = dancers[number % 20]
        wires = [wire for wire in server.wires.values() if wire.handler is unlucky]
        if wires:
            server.cut(wires[0])
    evening.clock.run(20.0)
    evening.drain("primary")
    evening.clock.run(12.0)
    evening.drain("supporter")
    evening.clock.run(12.0)
    state = server.state()
    for ledger, held in (("likes", "likes_held"), ("tempo votes", "tempo_held"), ("poll votes", "poll_votes_held")):
        expected = evening.worker.ledgers[ledger].expect()
        assert expected.acknowledged > 0
        assert expected.consistent
        assert expected.acknowledged <= state[held] <= expected.acknowledged + expected.unanswered, ledger
    assert evening.count("ws_reconnects") > 100
    assert evening.rate("fanout_delivery")[1] == 0
    assert evening.count("fanout_duplicates") == 0
    assert {text for _, text in evening.worker.errors} <= {
        "the server ended the connection without a close frame",
        "the connection was lost before the answer",
        "Poll not found or already ended",
    }

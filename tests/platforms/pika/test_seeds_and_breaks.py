"""Whole runs of dancers and a DJ in Pika's world, in virtual time: what a seed repeats, and what a break costs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.testing.virtual_server import VirtualServer
from tests.platforms.pika.harness import Harness, virtual_run


def messages_of_run(seed: int, lost_at_s: float | None = None) -> list[list[tuple[str, Any]]]:
    """What each of eight dancers sends in forty seconds, ids and times aside."""
    with virtual_run() as harness, VirtualServer(harness.time, PLATFORM) as server:
        harness.make_context(seed=seed, TRACK_EVERY="6s")
        harness.start(Dj)
        dancers = [harness.start(Dancer) for _ in range(8)]
        if lost_at_s is not None:
            harness.time.run(lost_at_s)
            assert server.cut(dancers[3])
        harness.time.run(40.0 - harness.time.elapsed_s)
        harness.drain("primary")
        harness.time.run(8.0)
        harness.drain("supporter")
        harness.time.run(8.0)
    did = []
    for user in dancers:
        sent = [json.loads(text) for socket in server.ever if socket.handler is user for text in socket.sent]
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


def test_a_seed_repeats_a_run_and_another_seed_makes_another() -> None:
    first, second, other = messages_of_run(7), messages_of_run(7), messages_of_run(8)
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


def test_what_happens_to_one_dancer_changes_nothing_for_the_others() -> None:
    calm, rough = messages_of_run(7), messages_of_run(7, lost_at_s=13.0)
    assert calm[:3] == rough[:3]
    assert calm[4:] == rough[4:]
    assert sum(kind == "SUBSCRIBE" for kind, _ in rough[3]) == 2


WAYS_S = {"a fast server": 0.001, "a slow server": 0.4}


@pytest.mark.parametrize("way_s", WAYS_S.values(), ids=WAYS_S.keys())
def test_connections_that_break_cost_no_like_and_no_vote(way_s: float, harness: Harness) -> None:
    """What was acknowledged is held once, what was not may be: the audit's inequality, over two hundred breaks."""
    harness.make_context(TRACK_EVERY="6s")
    with VirtualServer(harness.time, PLATFORM, way_s=way_s) as server:
        harness.start(Dj)
        dancers = [harness.start(Dancer) for _ in range(20)]
        for number in range(200):
            harness.time.run(0.37)
            server.cut(dancers[number % 20])
        harness.time.run(20.0)
        harness.drain("primary")
        harness.time.run(12.0)
        harness.drain("supporter")
        harness.time.run(12.0)
        state = server.state()
    for ledger, held in (("likes", "likes_held"), ("tempo votes", "tempo_held"), ("poll votes", "poll_votes_held")):
        expected = harness.worker.ledgers[ledger].expect()
        assert expected.acknowledged > 0
        assert expected.consistent
        assert expected.acknowledged <= state[held] <= expected.acknowledged + expected.unanswered, ledger
    assert harness.worker.count_of("ws_reconnects") > 100
    assert harness.worker.rate_of("fanout_delivery")[1] == 0
    assert harness.worker.count_of("fanout_duplicates") == 0
    assert {text for _, text in harness.worker.errors} <= {
        "the server ended the connection without a close frame",
        "the connection was lost before the answer",
        "Poll not found or already ended",
    }

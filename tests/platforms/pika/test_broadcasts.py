"""What dancers and the DJ notice of broadcasts, in whole virtual runs against the world."""

from __future__ import annotations

import pytest

from pika_locust.kit.counted_broadcast import SETTLE_S, SWEEP_EVERY_S
from pika_locust.platforms.pika.broadcasts import counted_broadcasts
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from pika_locust.platforms.pika.scenarios import COUNTED, NAMED, TOLD
from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.testing.virtual_server import VirtualServer
from pika_locust.wire.websocket import Close
from tests.platforms.pika.harness import RUN_ID, SESSION, Harness, VirtualSocket

DANCERS = 5


def play(harness: Harness, *faults: str, cut: bool = False) -> None:
    """A whole run of 22 s; with `cut`, a dancer loses its connection in the middle of it."""
    harness.make_context(TRACK_EVERY="5.2s")
    with VirtualServer(harness.time, PLATFORM, *faults) as server:
        harness.start(Dj)
        dancers = []
        for _ in range(DANCERS):
            dancers.append(harness.start(Dancer))
            harness.time.run(0.1)
        harness.time.run(9.0)
        if cut:
            assert server.cut(dancers[0])
        harness.time.run(12.0)
        for role in ("primary", "supporter"):
            harness.drain(role)
            harness.time.run(8.0)
        harness.time.run(SETTLE_S + SWEEP_EVERY_S)
        harness.worker.end()


def missed(harness: Harness) -> set[str]:
    """Kinds of broadcasts that somebody missed."""
    return {kind for kind in (*NAMED, *COUNTED) if harness.worker.rate_of("fanout_delivery", kind=kind)[1]}


def wrong(harness: Harness) -> set[str]:
    """Kinds of broadcasts that told a wrong number."""
    return {kind for kind in TOLD if harness.worker.rate_of("fanout_correct", kind=kind)[1]}


@pytest.mark.usefixtures("eager")
def test_a_healthy_server_broadcasts_everything_once_and_rightly(harness: Harness) -> None:
    play(harness)
    assert (missed(harness), wrong(harness), harness.worker.count_of("fanout_duplicates")) == (set(), set(), 0)
    for kind in (*NAMED, *COUNTED):
        assert harness.worker.rate_of("fanout_delivery", kind=kind)[0] > 0, kind
    for kind in TOLD:
        assert harness.worker.rate_of("fanout_correct", kind=kind)[0] > 0, kind


@pytest.mark.usefixtures("eager")
def test_a_connection_that_is_cut_and_comes_back_is_no_fault_of_any_broadcast(harness: Harness) -> None:
    play(harness, cut=True)
    assert harness.worker.count_of("ws_reconnects") == 1
    assert (missed(harness), wrong(harness), harness.worker.count_of("fanout_duplicates")) == (set(), set(), 0)


SWALLOWED = {
    "swallow-likes": "like",
    "swallow-tempo": "tempo",
    "swallow-poll-updates=0.5": "vote",
    "swallow-poll-ends": "poll_end",
    "swallow-reactions": "thanks",
    "swallow-session-ends": "session_end",
    "swallow-tempo-resets": "tempo_reset",
}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("fault", "kind"), SWALLOWED.items(), ids=SWALLOWED.keys())
def test_a_broadcast_that_is_swallowed_is_missed(fault: str, kind: str, harness: Harness) -> None:
    play(harness, fault if "=" in fault else f"{fault}=1")
    assert missed(harness) == {kind}
    assert (wrong(harness), harness.worker.count_of("fanout_duplicates")) == (set(), 0)


@pytest.mark.usefixtures("eager")
def test_a_broadcast_that_comes_twice_is_a_duplicate(harness: Harness) -> None:
    play(harness, "double-tracks=1")
    assert harness.worker.count_of("fanout_duplicates", kind="track") > 0
    assert (missed(harness), wrong(harness)) == (set(), set())


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("fault", "kinds"), [("miscount-listeners=1", {"listeners"}), ("lose-write=0.5", {"vote"})], ids=str
)
def test_a_number_that_is_not_ours_is_wrong(fault: str, kinds: set[str], harness: Harness) -> None:
    play(harness, fault)
    assert wrong(harness) == kinds
    assert missed(harness) == set()


def is_liked_by_another(harness: Harness, socket: VirtualSocket) -> None:
    """Another receiver's like is acknowledged, and this connection is told."""
    harness.worker.shared(counted_broadcasts).after("like", 99)(True, "")
    socket.hear({"type": "LIKE_RECEIVED", "payload": {"track": {"title": f"LT 000001 {RUN_ID} 89abcdef 1"}}})


@pytest.mark.parametrize("lost", ["connection", "session"])
def test_what_a_dancer_hears_before_it_is_subscribed_again_is_no_duplicate(lost: str, harness: Harness) -> None:
    _, socket = harness.live_dancer()
    if lost == "connection":
        socket.drop(Close(1006, error="cut"))
    else:
        socket.hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    harness.time.run(3.0)
    if lost == "session":
        socket.hear({"type": "SESSION_STARTED", "sessionId": SESSION})
    again = harness.sockets[-1]
    assert (again is not socket) == (lost == "connection")
    is_liked_by_another(harness, again)
    harness.time.run(0.5)
    harness.welcome(again)
    harness.time.run(SETTLE_S + SWEEP_EVERY_S)
    harness.worker.end()
    assert harness.worker.count_of("fanout_duplicates", kind="like") == 0


def test_what_a_dj_hears_before_it_is_live_again_is_no_duplicate(harness: Harness) -> None:
    harness.start(Dj)
    harness.time.run(0.001)
    first = harness.sockets[-1]
    first.ack()
    first.drop(Close(1006, error="cut"))
    harness.time.run(3.0)
    again = harness.sockets[-1]
    assert again is not first
    is_liked_by_another(harness, again)
    harness.time.run(0.5)
    again.ack()
    harness.time.run(SETTLE_S + SWEEP_EVERY_S)
    harness.worker.end()
    assert harness.worker.count_of("fanout_duplicates", kind="like") == 0

"""Broadcasts: what is written to whom, in one turn of the event loop and over several."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pika_locust.sandbox.fanout import SLOW_LIMIT_BYTES, Fanout


class Turns:
    """Stands in for the event loop's `call_soon`."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def end(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Socket:
    def __init__(self, number: int) -> None:
        self.id = number
        self.got = b""
        self.writes = 0
        self.waiting = 0
        self.dropped = False
        self.on_write: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        self.got += data
        self.writes += 1
        self.on_write()

    def waiting_bytes(self) -> int:
        return self.waiting

    def drop(self) -> None:
        self.dropped = True


@pytest.fixture
def turns() -> Turns:
    return Turns()


def room(turns: Turns, size: int) -> tuple[Fanout, list[Socket]]:
    fanout, sockets = Fanout(turns), [Socket(n) for n in range(size)]
    for socket in sockets:
        fanout.join(socket)
    return fanout, sockets


def test_all_frames_of_a_turn_leave_in_one_write_and_none_before_its_end(turns: Turns) -> None:
    fanout, sockets = room(turns, 3)
    for frame in (b"a", b"b", b"c"):
        fanout.publish(frame, None)
    assert [socket.writes for socket in sockets] == [0, 0, 0]
    turns.end()
    assert [(socket.got, socket.writes) for socket in sockets] == [(b"abc", 1)] * 3
    assert fanout.published == 3


def test_answers_stay_in_order_with_broadcasts(turns: Turns) -> None:
    fanout, sockets = room(turns, 3)
    fanout.publish(b"a", 1)
    fanout.send(1, b"[1]")
    fanout.publish(b"b", None)
    fanout.send(1, b"[2]")
    fanout.send(2, b"[3]")
    fanout.publish(b"c", 2)
    turns.end()
    assert [socket.got for socket in sockets] == [b"abc", b"[1]b[2]c", b"ab[3]"]


def test_a_withheld_frame_is_the_latest_one(turns: Turns) -> None:
    fanout, sockets = room(turns, 3)
    fanout.publish(b"a", None)
    fanout.publish(b"b", 0)
    fanout.withhold(2)
    fanout.publish(b"c", None)
    turns.end()
    assert [socket.got for socket in sockets] == [b"ac", b"abc", b"ac"]


def test_who_joins_in_the_middle_of_a_turn_gets_only_what_is_published_afterwards(turns: Turns) -> None:
    fanout, sockets = room(turns, 1)
    fanout.publish(b"a", None)
    late = Socket(9)
    fanout.join(late)
    fanout.publish(b"b", None)
    turns.end()
    assert (sockets[0].got, late.got) == (b"ab", b"b")


def test_who_leaves_gets_what_was_published_before_and_nothing_more(turns: Turns) -> None:
    fanout, sockets = room(turns, 2)
    fanout.publish(b"a", None)
    fanout.leave(sockets[0])
    fanout.publish(b"b", 0)
    fanout.send(0, b"[x]")
    turns.end()
    assert [socket.got for socket in sockets] == [b"a", b"ab"]


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_is_what_writing_frame_by_frame_would_give(turns: Turns, seed: int) -> None:
    dice = random.Random(seed)
    fanout, sockets = room(turns, 6)
    want = {socket.id: b"" for socket in sockets}
    for n in range(300):
        frame, number = f"<{n}>".encode(), dice.randrange(6)
        if dice.random() < 0.4:
            fanout.send(number, frame)
            want[number] += frame
        else:
            without = dice.choice([None, number])
            fanout.publish(frame, without)
            for other in want:
                want[other] += frame if other != without else b""
        if dice.random() < 0.1:
            turns.end()
    turns.end()
    assert {socket.id: socket.got for socket in sockets} == want


def test_a_paused_member_still_gets_everything_in_order(turns: Turns) -> None:
    fanout, sockets = room(turns, 2)
    fanout.pause(sockets[0], True)
    fanout.publish(b"a", None)
    fanout.send(0, b"[1]")
    turns.end()
    fanout.publish(b"b", None)
    turns.end()
    fanout.pause(sockets[0], False)
    fanout.publish(b"c", None)
    turns.end()
    assert [socket.got for socket in sockets] == [b"a[1]bc", b"abc"]


@pytest.mark.parametrize("own", [False, True], ids=["by a broadcast", "by an answer"])
def test_a_member_that_does_not_read_is_dropped_instead_of_fed(turns: Turns, own: bool) -> None:
    fanout, sockets = room(turns, 2)
    fanout.pause(sockets[0], True)
    sockets[0].waiting = SLOW_LIMIT_BYTES + 1
    fanout.publish(b"a", None)
    if own:
        fanout.send(0, b"[1]")
    turns.end()
    assert (sockets[0].dropped, sockets[0].got, sockets[1].got) == (True, b"", b"a")


def test_a_transport_may_fill_up_in_the_middle_of_a_broadcast(turns: Turns) -> None:
    fanout, sockets = room(turns, 3)
    sockets[0].on_write = lambda: fanout.pause(sockets[1], True)
    fanout.publish(b"a", None)
    turns.end()
    assert [socket.got for socket in sockets] == [b"a"] * 3

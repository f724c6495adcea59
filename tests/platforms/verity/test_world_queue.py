from __future__ import annotations

import pytest

from pika_locust.platforms.verity.world_model import User
from pika_locust.platforms.verity.world_queue import Entry, Queue, WaitingLine


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

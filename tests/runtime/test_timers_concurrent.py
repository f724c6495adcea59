from __future__ import annotations

import gevent
import pytest

from pika_locust.clock import monotonic
from pika_locust.runtime.timers import run_concurrently

pytestmark = pytest.mark.usefixtures("virtual_time")


def test_all_is_done_and_only_so_much_at_once() -> None:
    under_way: list[int] = []
    done: list[int] = []
    most = 0

    def work(item: int) -> None:
        nonlocal most
        under_way.append(item)
        most = max(most, len(under_way))
        gevent.sleep(0.001)
        under_way.remove(item)
        done.append(item)

    assert run_concurrently(range(20), work, at_once=4, within_s=5.0)
    assert sorted(done) == list(range(20))
    assert most == 4


def test_what_is_not_done_in_time_is_given_up() -> None:
    begun: list[int] = []
    done: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        gevent.sleep(0.2 * item)
        done.append(item)

    began_s = monotonic()
    assert not run_concurrently(range(9), work, at_once=2, within_s=0.1)
    assert monotonic() - began_s == pytest.approx(0.1)
    gevent.sleep(0.3)
    assert (begun, done) == ([0, 1, 2], [0])


def test_nothing_to_do_is_done() -> None:
    assert run_concurrently([], print, at_once=1, within_s=0.1)


def test_what_an_action_raises_is_not_lost() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            raise KeyError(item)
        done.append(item)

    with pytest.raises(KeyError):
        run_concurrently(range(4), work, at_once=2, within_s=5.0)
    assert done == [0, 2, 3]

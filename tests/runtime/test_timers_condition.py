from __future__ import annotations

import gevent
import pytest

from pika_locust.clock import monotonic
from pika_locust.runtime.timers import Condition

pytestmark = pytest.mark.usefixtures("virtual_time")


def test_what_is_so_already_is_not_waited_for() -> None:
    began_s = monotonic()
    assert Condition().wait_for(lambda: True, 5.0)
    assert monotonic() == began_s


def test_a_notification_makes_whoever_waits_look_again_and_nothing_more() -> None:
    changed = Condition()
    looks: list[int] = []
    notified: list[int] = []

    def enough() -> bool:
        looks.append(1)
        return len(notified) == 2

    waiting = gevent.spawn(changed.wait_for, enough, 5.0)
    for times in (1, 2):
        gevent.sleep(0.01)
        assert (waiting.dead, len(looks)) == (False, times)
        notified.append(1)
        changed.notify()
    assert waiting.get(timeout=1.0) is True
    assert len(looks) == 3


def test_a_notification_from_before_is_no_news() -> None:
    changed = Condition()
    changed.notify()
    began_s = monotonic()
    assert not changed.wait_for(lambda: False, 0.05)
    assert monotonic() - began_s == pytest.approx(0.05)


def test_something_that_became_so_without_a_notification_is_seen_in_the_end() -> None:
    so: list[int] = []
    gevent.spawn(so.append, 1)
    assert Condition().wait_for(lambda: so, 0.05)

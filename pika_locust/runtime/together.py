"""Much small work done by a few greenlets at once, within a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import gevent
from gevent.pool import Pool

T = TypeVar("T")


def run_concurrently(items: Iterable[T], action: Callable[[T], None], *, at_once: int, within_s: float) -> bool:
    """Do `action` for all items, `at_once` at a time. False when the seconds were not enough.

    What is under way then is given up, and the rest is not begun. Raises what an action raised, when all are done.
    """
    pool = Pool(at_once)
    begun = []
    with gevent.Timeout(within_s, False):
        for item in items:
            begun.append(pool.spawn(action, item))
        pool.join()
        for greenlet in begun:
            greenlet.get(block=False)
        return True
    pool.kill()
    return False

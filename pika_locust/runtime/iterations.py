"""A fixed number of iterations (`ITERATIONS`) in one process: workers ask for more, and the master grants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import Event

from pika_locust.load.iterations import IterationPool, Iterations


class IterationQuota:
    """Which users of this process may begin another iteration."""

    def __init__(self, iterations: Iterations, ask: Callable[[int], None], when_idle: Callable[[], None]) -> None:
        """`ask` asks for so many more; `when_idle` is called when there is nothing left to do here."""
        self._most = iterations.number if iterations.per_user else None
        """For one user."""
        self._taken: dict[int, int] = {}
        self._pool = IterationPool()
        self._ask = ask
        self._when_idle = when_idle
        self._asked = False
        self._none_left = False
        self._waiting: set[int] = set()
        self._more = Event()
        self.begun = 0
        self.done = 0

    def take(self, user: int, released: Event) -> bool:
        """Begin an iteration of user `user`, as soon as there is one; False when the user is to finish first."""
        taken = self._taken.setdefault(user, 0)
        while not released.is_set():
            if taken == self._most:
                released.wait()
            elif self._pool.take():
                self._taken[user] = taken + 1
                self.begun += 1
                return True
            else:
                self._wait(user, released)
        return False

    def _wait(self, user: int, released: Event) -> None:
        self._more.clear()
        self._waiting.add(user)
        try:
            if not self._asked:
                self._asked = True
                # In a moment: until then, others that are free are counted as well.
                gevent.spawn_later(0, lambda: self._ask(self._wanted()))
            gevent.wait([self._more, released], count=1)
        finally:
            self._waiting.discard(user)

    def _wanted(self) -> int:
        """What those who wait could begin; of a number that all share, one each is asked for."""
        if self._most is None:
            return len(self._waiting)
        return sum(self._most - self._taken[user] for user in self._waiting)

    def finish(self) -> None:
        """An iteration has come to its end."""
        self.done += 1
        self._note_idle()

    def _note_idle(self) -> None:
        if self.done < self.begun:
            return
        if self._none_left or all(taken == self._most for taken in self._taken.values()):
            self._when_idle()

    def on_granted(self, granted: Mapping[str, Any], worker: str) -> None:
        """News of grants; `worker` is who we are."""
        if worker not in granted:
            return
        self._none_left = granted[worker] == 0
        if self._none_left:
            self._note_idle()
            return
        self._asked = False
        self._pool.grant(granted[worker])
        self._more.set()

"""How many users there are to be now: the load plan on the clock of the running test."""

from __future__ import annotations

import time
from collections.abc import Callable

from pika_locust.errors import ConfigurationError
from pika_locust.runtime.options import RunOptions
from pika_locust.scenario import Scenario


class PlanClock:
    """Follows the load plan of one test after another, seconds after their beginning."""

    def __init__(self, scenario: Scenario, options: RunOptions, chosen: Callable[[], RunOptions] | None) -> None:
        self._scenario = scenario
        self._options = options
        self._chosen = chosen
        self._asked: dict[int, int] = {}
        self._last: tuple[int, float] | None = None
        self.options = options
        """Those of the test that runs, or is about to."""
        self.refused = False
        """Whether what was chosen for it makes no test."""
        self.began_s = 0.0
        """When the plan's clock was started, by the monotonic clock."""

    def prepare(self) -> None:
        """A test is about to start; its clock is 0 now."""
        self.restart()
        self._last = None
        self._asked = {}
        self.options = self._options
        self.refused = False
        if self._chosen is not None:
            try:
                self.options = self._chosen()
            except ConfigurationError:
                self.refused = True

    def restart(self) -> None:
        """The plan's clock is 0 now."""
        self.began_s = time.monotonic()

    def more_users(self, worker: int, users: int) -> None:
        """A worker has asked for so many users beyond those prepared: arrivals found nobody free."""
        self._asked[worker] = users

    def hold(self) -> tuple[int, float] | None:
        """The same as last time."""
        return self._last

    def tick(self) -> tuple[int, float] | None:
        """Total users wanted now, supporters included, and how many to start a second; None when the plan is over."""
        supporters = len(self._scenario.supporters(self.options.settings))
        primaries = self.options.plan.users_at(time.monotonic() - self.began_s)
        if primaries is None:
            return None
        total = primaries + self._more() + supporters
        before = self._last[0] if self._last is not None else 0
        if self._last is None or total != before:
            # An unchanged answer must be the very same one: then Locust sends nothing.
            self._last = (total, float(max(1, abs(total - before))))
        return self._last

    @property
    def primaries(self) -> int:
        """Primary users that are wanted, as said last."""
        supporters = len(self._scenario.supporters(self.options.settings))
        return self._last[0] - supporters if self._last is not None else 0

    def _more(self) -> int:
        rate = self.options.plan.arrivals
        if rate is None or not self._asked:
            return 0
        most = rate.max_vus if rate.max_vus is not None else rate.pre_allocated_vus
        return min(sum(self._asked.values()), most - rate.pre_allocated_vus)

"""The load plan applied to Locust: how many users there should be now, and which worker runs them.

`PlanClock` reads the plan at the time of the running test, `PlanShape` hands its numbers to Locust, and
`SteadyDispatcher` spreads the users over the workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

from locust import LoadTestShape
from locust.dispatch import UsersDispatcher

from pika_locust.clock import monotonic
from pika_locust.errors import ConfigurationError
from pika_locust.load.plan import LoadPlan, edited
from pika_locust.runtime.options import RunOptions
from pika_locust.scenario import Scenario


class SteadyDispatcher(UsersDispatcher):  # type: ignore[misc]
    """Locust's dispatcher, but one that leaves running users on their worker.

    When a worker joins or is lost, Locust works the distribution out anew, from nothing, and users change workers:
    those here are killed, others start there. A user whose connection is the session (a DJ) would end it for everybody.
    Here running users stay; a new worker gets users as more are started.
    """

    _users_on_workers: dict[str, dict[str, int]]
    _active_users: list[tuple[Any, str]]

    def _prepare_rebalance(self) -> None:
        alive = {worker.id for worker in self._worker_nodes}
        nobody = {user.__name__: 0 for user in self._original_user_classes}
        self._users_on_workers = {
            worker.id: self._users_on_workers.get(worker.id, dict(nobody)) for worker in self._worker_nodes
        }
        self._active_users = [(worker, user) for worker, user in self._active_users if worker.id in alive]
        self._current_user_count = self.get_current_user_count()
        self._worker_node_generator = itertools.cycle(self._worker_nodes)
        # Supporters of a lost worker are started again elsewhere, before anybody else.
        self._try_dispatch_fixed = True


class PlanClock:
    """Follows the load plan of one test after another, seconds after their beginning."""

    def __init__(self, scenario: Scenario, options: RunOptions, chosen: Callable[[], RunOptions] | None) -> None:
        self._scenario = scenario
        self._options = options
        self._chosen = chosen
        self._asked: dict[int, int] = {}
        self._last: tuple[int, float] | None = None
        self.options = options
        """Those of the test that runs, or is about to, as it begins."""
        self._plan = options.plan
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
        self._plan = self.options.plan

    def edit(self, users: int, spawn_rate: float) -> LoadPlan:
        """Go on with other numbers; the plan that is followed from now on. Raises ValueError, see `edited`."""
        self._plan = edited(self._plan, monotonic() - self.began_s, users, spawn_rate)
        return self._plan

    def restart(self) -> None:
        """The plan's clock is 0 now."""
        self.began_s = monotonic()

    def more_users(self, worker: int, users: int) -> None:
        """A worker has asked for so many users beyond those prepared: arrivals found nobody free."""
        self._asked[worker] = users

    def hold(self) -> tuple[int, float] | None:
        """The same as last time."""
        return self._last

    def tick(self) -> tuple[int, float] | None:
        """Total users wanted now, supporters included, and how many to start a second; None when the plan is over."""
        supporters = self._supporters
        primaries = self._plan.users_at(monotonic() - self.began_s)
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
        return self._last[0] - self._supporters if self._last is not None else 0

    @property
    def _supporters(self) -> int:
        return len(self._scenario.supporters(self.options.settings, self.options.plan.users_peak))

    def _more(self) -> int:
        rate = self.options.plan.arrivals
        if rate is None or not self._asked:
            return 0
        most = rate.max_vus if rate.max_vus is not None else rate.pre_allocated_vus
        return min(sum(self._asked.values()), most - rate.pre_allocated_vus)


class Driver(Protocol):
    """What knows how many users there should be now: the `Coordinator`."""

    def prepare(self) -> None:
        """A test is about to start: its clock is 0 now."""

    def tick(self) -> tuple[int, float] | None:
        """Total users, and how many to start or stop a second; None ends the test."""


# Locust's classes are untyped here: see the mypy overrides.
class PlanShape(LoadTestShape):  # type: ignore[misc]
    """The only LoadTestShape that Locust sees: it asks the coordinator, which owns the load plan and its clock."""

    abstract = True
    use_common_options = True

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def reset_time(self) -> None:
        super().reset_time()
        self._driver.prepare()

    def tick(self) -> Any:
        return self._driver.tick()

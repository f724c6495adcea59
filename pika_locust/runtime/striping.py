"""Who takes which arrivals of the open model, while workers are lost and others come."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pika_locust.load.arrivals import Schedule
from pika_locust.measure import Snapshot
from pika_locust.runtime.crew import Workers
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings

logger = logging.getLogger(__name__)

NOTICE_S = 1.0
"""How long before an arrival is due the workers are told that it is another's now: messages take their time."""


def schedule_of(scenario: Scenario, settings: Settings, seed: int, duration_s: float) -> Schedule:
    """A scenario's arrivals for `duration_s` seconds: the same in all processes. Raises ValueError when it has none."""
    if scenario.arrivals is None:
        raise ValueError(f"the scenario {scenario.name} has no arrival rate")
    rate = scenario.arrivals(settings)
    return rate.schedule(seed if settings["ARRIVALS"] == "poisson" else None).cut(duration_s)


class ArrivalAssignment:
    """The leading side's view: every arrival is in the hands of a worker that is there and has users."""

    def __init__(self, schedule: Schedule, start_ns: int, crew: Workers, holders: Iterable[str]) -> None:
        self._schedule = schedule
        self._start_ns = start_ns
        self._crew = crew
        self.holders = tuple(holders)

    def review(self) -> Mapping[str, Any] | None:
        """What all workers are to hear when others than before take the arrivals from now on; None: nothing new."""
        here = [worker for worker in self.holders if not self._crew.is_lost(worker)]
        holders = (*here, *(worker for worker in self._crew.with_users() if worker not in here))
        if holders == self.holders or not holders:
            return None
        first = self._schedule.count(max(0.0, self._elapsed_s() + NOTICE_S))
        if first < self._schedule.total:
            logger.warning(
                "From arrival %s of %s on, %s workers take the arrivals, and not %s as before",
                f"{first:,}",
                f"{self._schedule.total:,}",
                len(holders),
                len(self.holders),
            )
        self.holders = holders
        return {"first": first, "workers": {worker: index for index, worker in enumerate(holders)}}

    def lost(self, snapshot: Snapshot, ended_ns: int) -> int:
        """How many arrivals went down with lost workers: due before `ended_ns` (by the monotonic clock), but neither
        begun nor dropped in anybody's last report."""
        due = self._schedule.count(max(0.0, (ended_ns - self._start_ns) / 1e9))
        return due - snapshot.counted("iterations_started") - snapshot.counted("dropped_iterations")

    def _elapsed_s(self) -> float:
        return (time.monotonic_ns() - self._start_ns) / 1e9

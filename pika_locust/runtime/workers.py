"""The workers as the master sees them: who is there, lost or drained, and which part of the load each one takes.

`ArrivalAssignment` deals out the arrivals of the open model, `IterationGrants` a fixed number of iterations.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import gevent

from pika_locust.clock import monotonic, monotonic_ns
from pika_locust.load.arrivals import Schedule
from pika_locust.load.iterations import Iterations, part
from pika_locust.metrics import Snapshot
from pika_locust.runtime import messages
from pika_locust.runtime.collector import Collector, WorkerRecord

logger = logging.getLogger(__name__)


MISSING = "missing"
"""Locust's word for a worker whose heartbeats have stopped."""


LEAVE_S = 3.0
"""How long the master waits for the last words of workers that it has let go."""


class Workers:
    """All workers of a master's runner, or the one process of a local run."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._left: set[str] = set()
        self._dismissing = False

    def participants(self) -> list[tuple[str, int]]:
        """Id and index of everybody who is connected."""
        if not hasattr(self._runner, "clients"):
            return [(self._runner.client_id, 0)]
        return [(client.id, self._runner.get_worker_index(client.id)) for client in self._runner.clients.all]

    def with_users(self) -> list[str]:
        """Ids of those who are connected and have said that they run users."""
        if not hasattr(self._runner, "clients"):
            return [self._runner.client_id]
        return [client.id for client in self._runner.clients.all if client.state != MISSING and client.user_count]

    def is_lost(self, worker: str) -> bool:
        """Whether a worker has disconnected, or its heartbeats have stopped."""
        if not hasattr(self._runner, "clients"):
            return False
        client = self._runner.clients.get(worker)
        return client is None or client.state == MISSING

    def all_lost(self) -> bool:
        """Whether nobody is left who could run a user."""
        return all(self.is_lost(worker) for worker, _ in self.participants())

    def note_lost(self, collector: Collector, at_s: float) -> None:
        """Note who is lost since when, `at_s` seconds after the start; one that is back is not lost."""
        for record in collector.records():
            lost = not record.final and self.is_lost(record.worker)
            if lost and record.lost_at_s is None:
                record.lost_at_s = at_s
                logger.error("%s is lost; its last report was %.0f s ago", record, at_s - record.seen_at_s)
            elif not lost:
                record.lost_at_s = None

    def keep_users_in_place(self) -> None:
        """The test is ending: from now on, the users of a worker that leaves are started nowhere else.

        Locust's master would do that in the greenlet that hears the workers, and hear none of them, not even their last
        figures, until users are there that will never be.
        """
        dispatcher = getattr(self._runner, "_users_dispatcher", None)
        if dispatcher is not None:
            # Locust starts nothing while users are being dispatched. A next test has a dispatcher of its own.
            dispatcher._dispatch_in_progress = True

    def drop(self, worker: str) -> None:
        """Give a worker nothing to do from now on; what it sends is not heard either."""
        client = self._runner.clients.pop(worker, None)
        if client is not None and (dispatcher := self._runner._users_dispatcher) is not None:
            dispatcher.remove_worker(client)

    def note_left(self, worker: str) -> None:
        """A worker has said its last."""
        self._left.add(worker)

    def dismiss(self) -> bool:
        """Let all workers end, and wait until each that is not lost has said its last; False while that is going on.

        What a worker's listeners raise at the very end would be lost otherwise, as Locust's master does not wait.
        """
        if self._dismissing:
            return False
        self._dismissing = True
        self._runner.stop(send_stop_to_client=False)
        leaving = [client.id for client in self._runner.clients.all if client.state != MISSING]
        for worker in leaving:
            self._runner.send_message("quit", None, worker)
        deadline_s = monotonic() + LEAVE_S
        while not self._left.issuperset(leaving) and monotonic() < deadline_s:
            gevent.sleep(0.02)
        self._dismissing = False
        return True

    def send_drain(self, role: str, timeout_s: float) -> None:
        """Ask everybody to let the users of a role finish within so many seconds."""
        self._runner.send_message(messages.DRAIN, {"role": role, "timeout_s": timeout_s})

    def wait_until_drained(self, collector: Collector, role: str, timeout_s: float) -> None:
        """Wait until everybody who is not lost has said that the role's users have ended."""
        deadline_s = monotonic() + timeout_s
        while monotonic() < deadline_s:
            if all(role in record.drained or self.is_lost(record.worker) for record in collector.records()):
                return
            gevent.sleep(0.05)


NOTICE_S = 1.0
"""How long before an arrival is due the workers are told that it is another's now: messages take their time."""


class ArrivalAssignment:
    """Which worker takes which arrivals of the open model: each arrival is one's that is connected, has users
    and is not about to leave."""

    def __init__(self, schedule: Schedule, start_ns: int, workers: Workers, holders: Iterable[str]) -> None:
        self._schedule = schedule
        self._start_ns = start_ns
        self._workers = workers
        self._leaving: set[str] = set()
        self.holders = tuple(holders)

    def note_leaving(self, worker: str) -> None:
        """A worker will end, though its users are still there."""
        self._leaving.add(worker)

    def review(self) -> Mapping[str, Any] | None:
        """The news for all workers when others than before take the arrivals from now on; None: nothing new."""
        here = [worker for worker in self.holders if not self._workers.is_lost(worker)]
        here += [worker for worker in self._workers.with_users() if worker not in here]
        holders = tuple(worker for worker in here if worker not in self._leaving)
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
        """How many arrivals were lost with their workers: due before `ended_ns` (by the monotonic clock), but neither
        begun nor dropped in anybody's last report."""
        due = self._schedule.count(max(0.0, (ended_ns - self._start_ns) / 1e9))
        return due - snapshot.counted("iterations_started") - snapshot.counted("dropped_iterations")

    def _elapsed_s(self) -> float:
        return (monotonic_ns() - self._start_ns) / 1e9


class IterationGrants:
    """Deals out a fixed number of iterations to the workers, and takes back what those did not finish that are gone."""

    def __init__(self, iterations: Iterations, users: int, workers: int) -> None:
        self._workers = workers
        self._total = iterations.total(users)
        self._per_user = iterations.per_user
        self._left = self._total
        self._granted: dict[str, int] = {}
        self._waiting: dict[str, int] = {}

    def grant(self, worker: str, wanted: int) -> dict[str, int]:
        """A part of what is left for a worker that could begin so many: 0 when there is nothing left, and it waits."""
        if self._left == 0:
            self._waiting[worker] = wanted
            return {worker: 0}
        granted = min(wanted, self._left)
        if not self._per_user:
            # One for each who is free, if that leaves something for those who have not asked yet.
            granted = max(part(self._left, self._workers), min(wanted, math.ceil(self._left / self._workers)))
        self._left -= granted
        self._granted[worker] = self._granted.get(worker, 0) + granted
        return {worker: granted}

    def take_back(self, gone: Iterable[WorkerRecord]) -> Iterator[dict[str, int]]:
        """Grants, to those who wait, of what workers were granted that are gone, and cannot be shown to have finished.
        Of so many for each user, that is what the users do which Locust starts elsewhere in place of theirs: no more in
        all."""
        for record in gone:
            self._left += self._granted.pop(record.worker, record.iterations_done) - record.iterations_done
            self._waiting.pop(record.worker, None)
        while self._left > 0 and self._waiting:
            yield self.grant(*self._waiting.popitem())

    def is_done(self, iterations_done: int) -> bool:
        """Whether so many are all there are."""
        return iterations_done >= self._total

    def not_begun(self, iterations_begun: int) -> int:
        """How many never began when so many did."""
        return max(0, self._total - iterations_begun)

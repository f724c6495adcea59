"""Collects the reports of the workers of a test: the newest of each, who is missing, and all of them folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pika_locust.judge import Ledger
from pika_locust.judge.ledger import fold as fold_ledgers
from pika_locust.metrics import GaugeValue, Snapshot
from pika_locust.metrics.snapshot import fold as fold_snapshots


@dataclass(slots=True)
class WorkerRecord:
    """One worker's newest report."""

    worker: str
    host: str = ""
    index: int = 0
    pid: int = 0
    sequence: int = 0
    seen_at_s: float = 0.0
    final: bool = False
    lost_at_s: float | None = None
    cpu_percent_max: float | None = None
    rss_mb_max: float | None = None
    snapshot: Snapshot | None = None
    ledgers: tuple[Ledger, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[tuple[str, str, int], ...] = ()
    internal_errors: tuple[str, ...] = ()
    iterations_begun: int = 0
    iterations_done: int = 0
    """Of a fixed number of iterations: how many have begun here, and how many of those have come to their end."""
    drained: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"worker {self.index} ({self.host}, pid {self.pid})" if self.pid else f"worker {self.worker}"


class Collector:
    """The newest report of every worker that takes part; folding them can be repeated at any time."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.workers: dict[str, WorkerRecord] = {}

    def expect(self, worker: str, index: int) -> WorkerRecord:
        """A worker takes part from now on."""
        return self.workers.setdefault(worker, WorkerRecord(worker, index=index))

    def take(self, report: Mapping[str, Any], at_s: float) -> WorkerRecord | None:
        """Keep a report in place of the worker's earlier ones; reports of other tests and late ones are dropped."""
        if report["run_id"] != self.run_id:
            return None
        record = self.expect(report["worker"], report["index"])
        if report["sequence"] <= record.sequence:
            return None
        # Read first and kept afterwards: half a report must not pass for a whole one.
        snapshot = Snapshot.from_wire(report["metrics"])
        ledgers = tuple(Ledger.from_wire(wire) for wire in report["ledgers"])
        record.sequence = report["sequence"]
        record.host, record.index, record.pid = report["host"], report["index"], report["pid"]
        record.seen_at_s = at_s
        record.final = report["final"]
        record.cpu_percent_max, record.rss_mb_max = report["cpu_percent_max"], report["rss_mb_max"]
        record.snapshot, record.ledgers = snapshot, ledgers
        record.facts = report["facts"]
        record.errors = tuple((name, error, count) for name, error, count in report["errors"])
        record.internal_errors = tuple(report["internal_errors"])
        record.iterations_begun, record.iterations_done = report["iterations"]
        return record

    @property
    def missing(self) -> list[WorkerRecord]:
        """Workers whose final report is not there."""
        return [record for record in self._by_index() if not record.final]

    def lost(self) -> list[WorkerRecord]:
        """Workers that have disconnected, or whose heartbeats have stopped."""
        return [record for record in self._by_index() if record.lost_at_s is not None]

    @property
    def users(self) -> int:
        """Primary users that are there now, as far as reported: those of workers that are lost or have left are not."""
        present = [record for record in self.workers.values() if record.lost_at_s is None and not record.final]
        levels = [record.snapshot.select("vus") for record in present if record.snapshot is not None]
        return sum(int(level.value) for level in levels if isinstance(level, GaugeValue))

    @property
    def iterations_done(self) -> int:
        """Of a fixed number, how many have come to their end."""
        return sum(record.iterations_done for record in self.workers.values())

    @property
    def iterations_begun(self) -> int:
        """Of a fixed number, how many have begun."""
        return sum(record.iterations_begun for record in self.workers.values())

    def _by_index(self) -> list[WorkerRecord]:
        return sorted(self.workers.values(), key=lambda record: record.index)

    def records(self) -> Iterable[WorkerRecord]:
        """All workers, by index."""
        return self._by_index()

    def fold(self, *more: Snapshot) -> Snapshot:
        """Everything measured so far, of all workers and whatever else is given."""
        snapshots = [record.snapshot for record in self._by_index() if record.snapshot is not None]
        return fold_snapshots([*snapshots, *more])

    def ledgers(self) -> dict[str, Ledger]:
        """The ledgers of all workers, folded by name."""
        return fold_ledgers(ledger for record in self._by_index() for ledger in record.ledgers)

    def facts(self) -> dict[str, Any]:
        """The facts of all workers: whole numbers are added; of other values the later worker's stays."""
        facts: dict[str, Any] = {}
        for record in self._by_index():
            for name, value in record.facts.items():
                adds = isinstance(value, int) and not isinstance(value, bool)
                facts[name] = facts.get(name, 0) + value if adds else value
        return facts

    def errors(self) -> list[tuple[str, str, int]]:
        """Errors of all workers, the most frequent first."""
        total: Counter[tuple[str, str]] = Counter()
        for record in self._by_index():
            for name, error, count in record.errors:
                total[name, error] += count
        return [(name, error, count) for (name, error), count in total.most_common()]

    def internal_errors(self) -> list[str]:
        """Unexpected exceptions, of all workers."""
        return [error for record in self._by_index() for error in record.internal_errors]

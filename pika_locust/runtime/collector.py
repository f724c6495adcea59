"""Collects the reports of the workers of a test: the figures of each, who is missing, and all of them folded.

A report is whole, or says what has changed since the one before; a whole one replaces all before it. Folded trends are
kept, as most of what workers report goes into them: what a report adds to its worker's is added to those of all.

A report that cannot be read, or that says what cannot be, is refused whole. Its worker counts as missing from then on,
and what it reported before stays, so that one faulty process does not cost the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pika_locust.judge import Ledger
from pika_locust.judge.ledger import fold as fold_ledgers
from pika_locust.metrics import GaugeValue, Metric, Snapshot, plain
from pika_locust.metrics.changes import Changes, merge_trends
from pika_locust.metrics.snapshot import fold as fold_snapshots
from pika_locust.wire.tracing import Trace, worth_keeping


class MissedReportError(Exception):
    """Changes of a report that never came, or not of this worker: only a whole report helps."""


@dataclass(slots=True)
class WorkerRecord:
    """What one worker has reported."""

    worker: str
    host: str = ""
    index: int = 0
    pid: int = 0
    sequence: int = 0
    seen_at_s: float = 0.0
    final: bool = False
    lost_at_s: float | None = None
    cpu_percent: float | None = None
    cpu_percent_max: float | None = None
    rss_mb_max: float | None = None
    snapshot: Snapshot | None = None
    """Of a report that says what has changed: None, until it is put together with the one before."""
    ledgers: tuple[Ledger, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[tuple[str, str, int], ...] = ()
    internal_errors: tuple[str, ...] = ()
    traces: tuple[Trace, ...] = ()
    """Sampled requests, as far as they are worth a look."""
    anew: int = 0
    """How often its figures have started anew."""
    arrivals_left_out: int = 0
    """How many arrivals are not in its figures any more since then."""
    supporters: int = 0
    """How many supporters have begun here."""
    iterations_begun: int = 0
    iterations_done: int = 0
    """Of a fixed number of iterations: how many have begun here, and how many of those have come to their end."""
    drained: set[str] = field(default_factory=set)
    problem: str = ""
    """What was wrong with a report or another message of it; empty while nothing was."""

    @classmethod
    def from_wire(cls, report: Mapping[str, Any], at_s: float) -> WorkerRecord:
        """A report of `at_s` seconds after the start, as it came over the wire. Raises ValueError for anything else."""
        try:
            begun, done = map(plain.count, plain.items(report["iterations"]))
            return cls(
                worker=plain.text(report["worker"]),
                host=plain.text(report["host"]),
                index=plain.count(report["index"]),
                pid=plain.count(report["pid"]),
                sequence=plain.count(report["sequence"]),
                seen_at_s=at_s,
                final=report["final"] is True,
                cpu_percent=_level(report["cpu_percent"]),
                cpu_percent_max=_level(report["cpu_percent_max"]),
                rss_mb_max=_level(report["rss_mb_max"]),
                snapshot=Snapshot.from_wire(report["metrics"]) if "changes" not in report else None,
                ledgers=tuple(map(Ledger.from_wire, plain.items(report["ledgers"]))),
                facts={name: _fact(value) for name, value in plain.mapping(report["facts"]).items()},
                errors=tuple(map(_error, plain.items(report["errors"]))),
                internal_errors=tuple(map(plain.text, plain.items(report["internal_errors"]))),
                traces=tuple(map(_trace, plain.items(report["traces"]))),
                anew=plain.count(report["anew"]),
                arrivals_left_out=plain.count(report["arrivals_left_out"]),
                supporters=plain.count(report["supporters"]),
                iterations_begun=begun,
                iterations_done=done,
            )
        except KeyError as error:
            raise ValueError(f"{error} is missing") from error

    def __str__(self) -> str:
        return f"worker {self.index} ({self.host}, pid {self.pid})" if self.pid else f"worker {self.worker}"


def _level(value: Any) -> float | None:
    return None if value is None else plain.number(value)


def _fact(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    return plain.number(value)


def _error(entry: Any) -> tuple[str, str, int]:
    name, error, count = plain.items(entry)
    return plain.text(name), plain.text(error), plain.count(count)


def _trace(entry: Any) -> Trace:
    trace_id, name, duration_us, error = plain.items(entry)
    return Trace(plain.text(trace_id), plain.text(name), plain.count(duration_us), plain.text(error))


class Collector:
    """The newest report of every worker that takes part; folding them can be repeated at any time."""

    def __init__(self, run_id: str, metrics: Iterable[Metric] = ()) -> None:
        """`metrics` are the declarations of the test; what others say of these is not believed."""
        self.run_id = run_id
        self.workers: dict[str, WorkerRecord] = {}
        self._declared = Snapshot(metrics={metric.name: metric for metric in metrics})
        self._trends: Snapshot | None = None
        """Those of all workers, folded; None: to be folded anew."""

    def expect(self, worker: str, index: int) -> WorkerRecord:
        """A worker takes part from now on."""
        return self.workers.setdefault(worker, WorkerRecord(worker, index=index))

    def forget(self, worker: str) -> None:
        """A worker does not take part after all; one that has reported did."""
        if worker in self.workers and not self.workers[worker].sequence:
            del self.workers[worker]

    def take(self, report: Mapping[str, Any], at_s: float) -> WorkerRecord | None:
        """Keep a report in place of the worker's earlier ones; reports of other tests and late ones are dropped.

        Raises ValueError, and keeps nothing of it, when it cannot be read or does not go together with the earlier ones
        or with those of others; MissedReportError when it says what has changed since a report that is not here.
        """
        if plain.mapping(report).get("run_id") != self.run_id:
            return None
        new = WorkerRecord.from_wire(report, at_s)
        record = self.expect(new.worker, new.index)
        if new.sequence <= record.sequence:
            return None
        # Read first and kept afterwards: half a report must not pass for a whole one.
        if new.anew < record.anew:
            raise ValueError("its figures had started anew, and have not now")
        if new.snapshot is None:
            new.snapshot = self._with_changes(record, report, new.anew)
        else:
            declared = fold_snapshots([self._declared, Snapshot(metrics=new.snapshot.metrics)])
            if record.snapshot is not None and new.anew == record.anew:
                new.snapshot.minus(record.snapshot)
            self._declared, self._trends = declared, None
        self.workers[new.worker] = replace(
            new, drained=record.drained, lost_at_s=record.lost_at_s, problem=record.problem
        )
        return self.workers[new.worker]

    def _with_changes(self, record: WorkerRecord, report: Mapping[str, Any], anew: int) -> Snapshot:
        """The worker's figures brought up to date."""
        snapshot = record.snapshot
        if snapshot is None or plain.count(report.get("since")) != record.sequence:
            raise MissedReportError
        if anew != record.anew:
            raise ValueError("its figures have started anew, and are not whole")
        changes = Changes.from_wire(report["changes"], snapshot)
        changes.apply(snapshot)
        if self._trends is not None:
            merge_trends(self._trends, changes.added)
        return snapshot

    def refuse(self, worker: str, problem: str) -> WorkerRecord | None:
        """A worker has sent what cannot be read: it counts as missing, whatever else it sends. Gives its record the
        first time; None when it is known already, or does not take part."""
        record = self.workers.get(worker)
        if record is None or record.problem:
            return None
        record.problem = problem
        return record

    @property
    def missing(self) -> list[WorkerRecord]:
        """Workers whose final report is not there, or that have sent what cannot be read."""
        return [record for record in self._by_index() if not record.final or record.problem]

    def lost(self) -> list[WorkerRecord]:
        """Workers that have disconnected, or whose heartbeats have stopped."""
        return [record for record in self._by_index() if record.lost_at_s is not None]

    def gone(self) -> list[WorkerRecord]:
        """Those, and workers that have sent their final report: while a test goes on, they have left it."""
        return [record for record in self._by_index() if record.final or record.lost_at_s is not None]

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
        if self._trends is None:
            self._trends = fold_snapshots(snapshot.trends() for snapshot in snapshots)
        return fold_snapshots([self._trends, *(snapshot.but_trends() for snapshot in snapshots), *more])

    def ledgers(self) -> dict[str, Ledger]:
        """The ledgers of all workers, folded by name."""
        return fold_ledgers(ledger for record in self._by_index() for ledger in record.ledgers)

    def facts(self) -> dict[str, Any]:
        """The facts of all workers: whole numbers are added; of other values the later worker's stays."""
        facts: dict[str, Any] = {}
        for record in self._by_index():
            for name, value in record.facts.items():
                adds = type(value) is int and type(facts.get(name, 0)) is int
                facts[name] = facts.get(name, 0) + value if adds else value
        return facts

    def errors(self) -> list[tuple[str, str, int]]:
        """Errors of all workers, the most frequent first."""
        total: Counter[tuple[str, str]] = Counter()
        for record in self._by_index():
            for name, error, count in record.errors:
                total[name, error] += count
        return [(name, error, count) for (name, error), count in total.most_common()]

    def traces(self) -> list[Trace]:
        """Sampled requests of all workers: the slowest, and failed ones."""
        return worth_keeping(trace for record in self._by_index() for trace in record.traces)

    def internal_errors(self) -> list[str]:
        """Unexpected exceptions, of all workers."""
        return [error for record in self._by_index() for error in record.internal_errors]

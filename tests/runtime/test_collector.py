from __future__ import annotations

from typing import Any

import msgpack
import pytest

from pika_locust.judge import Ledger
from pika_locust.metrics import CounterValue, GaugeValue, Histogram, Registry
from pika_locust.metrics.changes import changes_to_wire
from pika_locust.metrics.metric import counter, gauge, trend
from pika_locust.metrics.snapshot import fold
from pika_locust.runtime.collector import Collector, MissedReportError

METRICS = (counter("errors"), gauge("vus"), trend("latency"))


class Worker:
    """Measures a little, and reports it as a worker does."""

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.registry = Registry(METRICS)
        self.ledger = Ledger("visits")
        self.sequence = 0

    def work(self, *latencies_us: int, users: int = 1) -> Worker:
        for latency_us in latencies_us:
            self.registry.trend("latency").add(latency_us)
            self.registry.counter("errors").add(1)
            visit = f"{self.name}/{latency_us}"
            self.ledger.sent(visit)
            self.ledger.acked(visit)
        self.registry.gauge("vus").set(users)
        return self

    def changes(self, **changed: Any) -> dict[str, Any]:
        """The next report, of what has changed since the one before."""
        since, before = self.sequence, self.reported
        report = self.report(since=since, changes=changes_to_wire(self.registry.snapshot(), before), **changed)
        del report["metrics"]
        return report

    def report(self, **changed: Any) -> dict[str, Any]:
        """The next report, as it arrives after its way over the network."""
        self.sequence += 1
        self.reported = self.registry.snapshot()
        report = {
            "run_id": "r1",
            "worker": self.name,
            "index": self.index,
            "sequence": self.sequence,
            "host": "box",
            "pid": 100 + self.index,
            "final": False,
            "cpu_percent": 9.0,
            "cpu_percent_max": 10.0 * (self.index + 1),
            "rss_mb_max": 50.0,
            "metrics": self.registry.snapshot().to_wire(),
            "ledgers": [self.ledger.to_wire()],
            "facts": {},
            "errors": [],
            "internal_errors": [],
            "traces": [],
            "anew": 0,
            "arrivals_left_out": 0,
            "supporters": 0,
            "iterations": [self.index + 2, self.index + 1],
            **changed,
        }
        arrived: dict[str, Any] = msgpack.unpackb(msgpack.packb(report), strict_map_key=False)
        return arrived


def latencies(collector: Collector) -> tuple[int, float]:
    value = collector.fold().select("latency")
    assert isinstance(value, Histogram)
    return value.count, value.total


def test_workers_are_folded_and_folding_can_be_repeated() -> None:
    collector = Collector("r1")
    collector.take(Worker("a", 0).work(1000, 2000, users=3).report(), 2.0)
    collector.take(Worker("b", 1).work(4000, users=4).report(), 2.1)
    for _ in range(3):
        assert latencies(collector) == (3, 7000)
        errors, users = collector.fold().select("errors"), collector.fold().select("vus")
        assert isinstance(errors, CounterValue)
        assert isinstance(users, GaugeValue)
        assert (errors.count, users.value) == (3, 7)


def test_something_else_can_be_folded_in() -> None:
    collector = Collector("r1")
    collector.take(Worker("a", 0).work(1000).report(), 2.0)
    other = Worker("target", 0).work(5000).registry.snapshot()
    folded = collector.fold(other).select("latency")
    assert isinstance(folded, Histogram)
    assert folded.count == 2
    assert latencies(collector) == (1, 1000)


def test_the_newest_report_of_a_worker_replaces_its_earlier_ones() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    first, second = worker.work(1000).report(), worker.work(2000).report()
    collector.take(first, 2.0)
    assert latencies(collector) == (1, 1000)
    collector.take(second, 4.0)
    assert latencies(collector) == (2, 3000)
    collector.take(first, 4.1)
    collector.take(second, 4.2)
    assert latencies(collector) == (2, 3000)
    (record,) = collector.records()
    assert (record.sequence, record.seen_at_s) == (2, 4.0)


def test_a_lost_report_loses_nothing() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    worker.work(1000).report()
    collector.take(worker.work(2000).report(), 4.0)
    assert latencies(collector) == (2, 3000)


def test_a_late_ordinary_report_does_not_undo_the_final_one() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    early, last = worker.report(), worker.work(1000).report(final=True)
    collector.take(last, 5.0)
    collector.take(early, 5.1)
    assert collector.missing == []
    assert latencies(collector) == (1, 1000)


def test_reports_of_other_tests_are_dropped() -> None:
    collector = Collector("r1")
    collector.take(Worker("a", 0).work(1000).report(run_id="r0"), 2.0)
    assert list(collector.records()) == []
    assert collector.fold().series == {}


def test_who_was_expected_and_did_not_deliver_its_final_report_is_missing() -> None:
    collector = Collector("r1")
    for index, name in enumerate("abc"):
        collector.expect(name, index)
    collector.take(Worker("a", 0).report(final=True), 2.0)
    collector.take(Worker("b", 1).report(), 2.0)
    assert [record.worker for record in collector.missing] == ["b", "c"]
    assert [str(record) for record in collector.missing] == ["worker 1 (box, pid 101)", "worker c"]


def test_a_worker_that_comes_late_takes_part() -> None:
    collector = Collector("r1")
    collector.expect("a", 0)
    collector.take(Worker("b", 1).work(1000).report(), 9.0)
    assert [record.worker for record in collector.records()] == ["a", "b"]
    assert collector.expect("b", 7).index == 1


def test_workers_are_listed_by_their_index_whoever_was_first() -> None:
    collector = Collector("r1")
    for name, index in (("c", 2), ("a", 0), ("b", 1)):
        collector.take(Worker(name, index).report(), 2.0)
    assert [record.worker for record in collector.records()] == ["a", "b", "c"]
    assert [record.cpu_percent_max for record in collector.records()] == [10.0, 20.0, 30.0]


def test_half_a_report_does_not_pass_for_a_whole_one() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    collector.take(worker.work(1000).report(), 2.0)
    with pytest.raises(Exception, match=r"."):
        collector.take(worker.work(2000).report(final=True, ledgers=[["nonsense"]]), 4.0)
    assert [record.worker for record in collector.missing] == ["a"]
    assert latencies(collector) == (1, 1000)


def test_errors_of_all_workers_are_added_the_most_frequent_first() -> None:
    collector = Collector("r1")
    collector.take(Worker("a", 0).report(errors=[["join", "429", 2], ["leave", "timeout", 4]]), 2.0)
    collector.take(Worker("b", 1).report(errors=[["join", "429", 5]]), 2.0)
    assert collector.errors() == [("join", "429", 7), ("leave", "timeout", 4)]


def test_faults_and_facts_of_all_workers() -> None:
    collector = Collector("r1")
    collector.take(Worker("b", 1).report(internal_errors=["KeyError: 'x'"], facts={"session": "later", "seen": 3}), 2.0)
    collector.take(Worker("a", 0).report(internal_errors=["ValueError"], facts={"session": "earlier", "seen": 4}), 2.0)
    assert collector.internal_errors() == ["ValueError", "KeyError: 'x'"]
    assert collector.facts() == {"session": "later", "seen": 7}


def test_a_fact_that_is_true_or_false_is_not_added() -> None:
    collector = Collector("r1")
    for index, name in enumerate("ab"):
        collector.take(Worker(name, index).report(facts={"other_clock": True}), 2.0)
    assert collector.facts() == {"other_clock": True}


def test_ledgers_of_all_workers_are_one() -> None:
    collector = Collector("r1")
    collector.take(Worker("a", 0).work(1000, 2000).report(), 2.0)
    collector.take(Worker("b", 1).work(1000).report(), 2.0)
    whole = Ledger("visits")
    for visit in ("a/1000", "a/2000", "b/1000"):
        whole.sent(visit)
        whole.acked(visit)
    assert list(collector.ledgers()) == ["visits"]
    assert collector.ledgers()["visits"].to_wire() == whole.to_wire()


def test_of_a_fixed_number_of_iterations_what_all_have_begun_and_done() -> None:
    collector = Collector("r1")
    for worker in (Worker("a", 0), Worker("b", 1)):
        collector.take(worker.report(), 1.0)
    assert (collector.iterations_begun, collector.iterations_done) == (5, 3)


def test_who_is_lost() -> None:
    collector = Collector("r1")
    collector.expect("a", 0)
    collector.expect("b", 1).lost_at_s = 3.0
    assert [record.worker for record in collector.lost()] == ["b"]


def test_a_worker_whose_figures_start_anew_may_report_less_and_cannot_go_back() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    collector.take(worker.work(1000, 2000).report(), 2.0)
    worker.registry = Registry(METRICS)
    collector.take(worker.work(4000).report(anew=1), 4.0)
    assert latencies(collector) == (1, 4000)
    with pytest.raises(ValueError, match="had started anew, and have not now"):
        collector.take(worker.work(5000).report(), 6.0)


def test_changes_bring_a_worker_s_figures_up_to_date_and_those_of_all() -> None:
    collector = Collector("r1")
    a, b = Worker("a", 0), Worker("b", 1)
    collector.take(a.work(1000, 2000, users=3).report(), 2.0)
    collector.take(b.work(1500).report(), 2.0)
    for latency_us in (1000, 5000, 40, 3_000_000):
        # Folded in between, and not only at the end: what is kept of the last fold must come to the same.
        assert collector.fold().series == fold([a.reported, b.reported]).series
        collector.take(a.work(latency_us, latency_us, 2001, users=latency_us).changes(), 4.0)
        assert collector.fold().series == fold([a.reported, b.reported]).series
        collector.take(b.changes(), 4.1)
    (record, _) = collector.records()
    assert record.snapshot == a.reported
    assert (record.sequence, record.seen_at_s) == (5, 4.0)
    collector.take(a.work(7000).report(final=True), 6.0)
    assert collector.fold().series == fold([a.reported, b.reported]).series


def test_changes_since_a_report_that_is_not_here_are_not_taken() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    worker.report()
    with pytest.raises(MissedReportError):
        collector.take(worker.work(1000).changes(), 2.0)
    collector.take(worker.report(), 4.0)
    worker.work(2000).changes()
    with pytest.raises(MissedReportError):
        collector.take(worker.work(3000).changes(), 6.0)
    assert latencies(collector) == (1, 1000)
    collector.take(worker.report(), 8.0)
    collector.take(worker.work(4000).changes(), 10.0)
    assert latencies(collector) == (4, 10_000)


def test_changes_of_figures_that_started_anew_are_refused() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    collector.take(worker.work(1000).report(), 2.0)
    with pytest.raises(ValueError, match="have started anew, and are not whole"):
        collector.take(worker.work(2000).changes(anew=1), 4.0)
    assert latencies(collector) == (1, 1000)


def test_changes_that_cannot_be_read_are_refused_whole() -> None:
    collector = Collector("r1")
    worker = Worker("a", 0)
    collector.take(worker.work(1000).report(), 2.0)
    report = worker.work(2000).changes()
    report["changes"]["series"].append(["unknown", [], [1]])
    with pytest.raises(ValueError, match="not the changes of a snapshot: 'unknown'"):
        collector.take(report, 4.0)
    assert latencies(collector) == (1, 1000)


def test_sampled_requests_of_all_workers_are_ranked_together() -> None:
    collector = Collector("r1")
    collector.take(Worker("a", 0).report(traces=[["id-a", "join", 5000, ""]]), 2.0)
    collector.take(Worker("b", 1).report(traces=[["id-b", "join", 9000, ""]]), 2.0)
    assert [trace.trace_id for trace in collector.traces()] == ["id-b", "id-a"]


def test_changes_that_do_not_say_since_when_are_unreadable() -> None:
    collector = Collector("r1", METRICS)
    worker = Worker("w1", 0).work(5)
    collector.take(worker.report(), 1.0)
    report = {name: value for name, value in worker.work(1).report().items() if name not in ("metrics", "since")}
    with pytest.raises(ValueError, match="whole number"):
        collector.take({**report, "changes": {"series": [], "refused": 0}}, 2.0)

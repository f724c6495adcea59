from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from types import SimpleNamespace
from typing import Any, ClassVar

import gevent
import pytest

from pika_locust.clock import monotonic_ns
from pika_locust.errors import ConfigurationError, SetupError
from pika_locust.judge import AuditResult, Ledger, Observed, Report, ThresholdResult, balance
from pika_locust.kit.audits import AuditedRun, ledger_audits
from pika_locust.load.arrivals import ConstantArrivalRate
from pika_locust.load.plan import LEAD_S
from pika_locust.load.stages import Hold
from pika_locust.metrics import CounterValue, GaugeValue, Kind, Metric, RateValue, Registry
from pika_locust.metrics.builtin import TARGET_METRICS
from pika_locust.observe.prometheus import Reading
from pika_locust.observe.prometheus_settings import PROMETHEUS_SETTINGS
from pika_locust.observe.target import Outages
from pika_locust.runtime import coordinator as module
from pika_locust.runtime import messages
from pika_locust.runtime.arrivals import LEAVING, MORE_USERS, STRIPES
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.messages import ITERATIONS_GRANTED, ITERATIONS_WANTED
from pika_locust.runtime.monitors import PrometheusMonitor
from pika_locust.runtime.observations import Observations
from pika_locust.runtime.run import Run
from pika_locust.runtime.worker import MASTER_WAIT_S
from pika_locust.scenario import AuditContext, Scenario, SetupContext, SetupResult
from pika_locust.settings import Setting, text
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.worker import RecordingContext, wait_until
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context, read

HELLO = messages.hello(SAMPLE_SCENARIO.name)


class Clock:
    """The coordinator's clock: virtual, and at times it is simply set."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    @property
    def now_s(self) -> float:
        return 1000.0 + self._time.elapsed_s

    @now_s.setter
    def now_s(self, now_s: float) -> None:
        self._time.stand_still(now_s - self.now_s)


class FakeTargetMonitor:
    """Stands in for the probes of the target."""

    def __init__(self, base_url: str, sandbox_pid: int | None) -> None:
        self.about = (base_url, sandbox_pid)
        self.running = False
        self.internal_errors: list[str] = []
        self.errors_of_sandbox: list[str] = []
        self.fault_changes: list[tuple[float, str]] = []

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def snapshot(self) -> Any:
        return Registry(TARGET_METRICS).snapshot()

    outages = Outages()

    def look_at_memory(self) -> None:
        return

    def sandbox_errors(self) -> list[str]:
        return self.errors_of_sandbox

    def sandbox_state(self) -> Mapping[str, Any]:
        return {"visits_held": 3}


class Worker:
    """Answers as a worker does; `answers` False is one whose process was killed."""

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.worker: RecordingContext = make_context()
        self.worker.metrics.gauge("vus").set(2)
        self.state = "running"
        self.answers = True
        self.sequence = 0
        self.user_count = 2

    id = property(lambda self: self.name)

    def work(self, *latencies_us: int) -> None:
        for latency_us in latencies_us:
            self.worker.metrics.trend("latency").add(latency_us)
            self.worker.ledgers["visits"].sent(f"{self.name}/{latency_us}")
            self.worker.ledgers["visits"].acked(f"{self.name}/{latency_us}")

    def report(self, run_id: str, *, final: bool) -> dict[str, Any]:
        self.sequence += 1
        return {
            "worker": self.name,
            "index": self.index,
            "sequence": self.sequence,
            "host": "box",
            "pid": 1,
            "cpu_percent": 9.0,
            "cpu_percent_max": 1.0,
            "rss_mb_max": 1.0,
            **self.worker.report(final=final),
            "metrics": self.worker.figures().to_wire(),
            "run_id": run_id,
        }


class Clients(dict[str, Worker]):
    """Locust's collection of workers."""

    @property
    def all(self) -> list[Worker]:
        return [worker for worker in self.values() if worker.state != "missing"]


class Runner:
    """A master with workers that answer at once."""

    def __init__(self, *workers: Worker) -> None:
        self.clients = Clients({worker.name: worker for worker in workers})
        self.listeners: dict[str, Callable[..., None]] = {}
        self.sent: list[tuple[str, Any, str | None]] = []
        self.exceptions: dict[int, dict[str, str]] = {}
        self.ended: list[str] = []
        self.interrupts = 0

    @property
    def _users_dispatcher(self) -> Any:
        return SimpleNamespace(remove_worker=lambda client: self.ended.append(f"no users for {client.id}"))

    def get_worker_index(self, name: str) -> int:
        return self.clients[name].index

    def register_message(self, kind: str, listener: Callable[..., None]) -> None:
        self.listeners[kind] = listener

    def receive(self, kind: str, data: Any, sender: str) -> None:
        self.listeners[kind](environment=None, msg=SimpleNamespace(data=data, node_id=sender))

    def send_message(self, kind: str, data: Any, client_id: str | None = None) -> None:
        self.sent.append((kind, data, client_id))
        if kind == messages.BEGIN:
            self.run_id = data["run_id"]
        if kind == messages.DRAIN and self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        for worker in self.clients.values():
            if kind == messages.DRAIN and worker.answers:
                if data["role"] == "supporter":
                    self.receive(messages.REPORT, worker.report(self.run_id, final=True), worker.name)
                self.receive(messages.DRAINED, {"run_id": self.run_id, "role": data["role"]}, worker.name)

    def quit(self) -> None:
        self.ended.append("quit")

    def stop(self) -> None:
        self.ended.append("stop")

    def kinds(self) -> list[str]:
        return [kind.removeprefix("pika_locust_") for kind, _, _ in self.sent]


class Harness:
    """A coordinator with everything around it."""

    made: ClassVar[list[Harness]] = []

    def __init__(
        self,
        line: str = "-u 4 -t 60 --seed 7",
        scenario: Scenario = SAMPLE_SCENARIO,
        web: bool = False,
        form: Callable[[], Any] | None = None,
        environ: Mapping[str, str] | None = None,
        token: str = "",
    ) -> None:
        self.workers = [Worker("w0", 0), Worker("w1", 1)]
        self.runner = Runner(*self.workers)
        self.told: list[Report] = []
        environment = SimpleNamespace(
            host="http://sample",
            stop_timeout=0.2,
            process_exit_code=None,
            web_ui=SimpleNamespace(stop=lambda: self.runner.ended.append("the web page stops")) if web else None,
            shape_class=object(),
            reset_stats=False,
            parsed_options=SimpleNamespace(autostart=False, autoquit=-1, expect_workers=1),
            pika_locust=SimpleNamespace(sandbox_url="http://sample", sandbox_pid=77),
            runner=self.runner,
        )
        self.environment = environment
        self.options = read(line, {"PIKA_CODE": "sesame", **(environ or {})}, scenario)
        self.begun: list[Report] = []
        self.coordinator = Coordinator(
            environment, scenario, self.options, "locust", self.begun.append, self._tell, token
        )
        self.coordinator.attach(self.runner, form)
        self.made.append(self)

    def _tell(self, report: Report) -> Report:
        self.told.append(report)
        return report

    def play(self) -> None:
        """To the middle of a test."""
        self.coordinator.prepare()
        self.coordinator.tick()
        self.coordinator.begin()
        for worker in self.workers:
            worker.work(1000, 2000)

    @property
    def report(self) -> Report:
        (report,) = self.told
        return report

    def reasons(self) -> list[tuple[str, str]]:
        return [(reason.code, reason.subject) for reason in self.report.reasons]


@pytest.fixture(autouse=True)
def clock(virtual_time: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    monkeypatch.setattr(module, "TargetMonitor", FakeTargetMonitor)
    monkeypatch.setattr(module, "DRAIN_GRACE_S", 0.2)
    monkeypatch.setattr(module, "SUPPORTER_DRAIN_S", 0.2)
    monkeypatch.setattr(messages, "REPORT_EVERY_S", 0.01)
    yield Clock(virtual_time)
    for harness in Harness.made:
        if harness.coordinator._run is not None:
            harness.coordinator._run.judge.kill()
    Harness.made.clear()


# The load


def test_the_coordinator_wants_the_plan_s_users_and_the_supporters(clock: Clock) -> None:
    harness = Harness("--stage 10s:11,10s:0")
    harness.coordinator.prepare()
    wanted = []
    for at_s in (0.1, 4.1, 4.2, 9.9, 19.7):
        clock.now_s = 1000.0 + at_s
        wanted.append(harness.coordinator.tick())
    assert wanted == [(2, 2.0), (6, 4.0), (6, 4.0), (12, 6.0), (1, 11.0)]
    clock.now_s = 1020.1
    assert harness.coordinator.tick() is None


def test_an_unchanged_number_is_the_same_answer_so_that_locust_sends_nothing(clock: Clock) -> None:
    harness = Harness("-u 4")
    harness.coordinator.prepare()
    first = harness.coordinator.tick()
    clock.now_s += 3600
    assert first == (5, 5.0)
    assert harness.coordinator.tick() is first


def test_the_plan_s_clock_starts_again_when_locust_prepares_once_more(clock: Clock) -> None:
    harness = Harness("--stage 10s:11")
    harness.play()
    clock.now_s += 5
    harness.coordinator.prepare()
    assert harness.coordinator.tick() == (2, 2.0)


def test_while_users_drain_nobody_is_started_or_stopped(clock: Clock) -> None:
    harness = Harness("--stage 10s:11")
    harness.play()
    seen = []
    harness.runner.listeners[messages.DRAINED] = lambda **_: seen.append(harness.coordinator.tick())
    clock.now_s += 3600
    harness.coordinator.finish()
    assert seen
    assert set(seen) == {(2, 2.0)}


# Beginning


def test_every_process_is_told_of_the_test_before_its_first_user() -> None:
    harness = Harness("-u 4 -r 2 -t 60 --seed 7")
    harness.play()
    ((kind, begin, client),) = harness.runner.sent
    assert (kind, client) == (messages.BEGIN, None)
    assert (begin["seed"], begin["target"], begin["planned_s"]) == (7, "http://sample/", 60.0)
    assert (begin["supporters"], begin["workers"], begin["spread"], begin["stop_timeout_s"]) == (1, 2, True, 0.2)
    assert begin["settings"]["PAGES"] == 1
    every_run = ("dropped_iterations:count==0", "target_memory_mb:slope<20")
    assert begin["thresholds"] == ("latency:p(95)<500", "errors:count<10", *every_run)
    assert "sesame" not in str(begin)


def test_what_stands_for_the_report_of_a_test_that_runs_is_no_pass_and_says_which_test_it_is() -> None:
    harness = Harness()
    harness.play()
    (placeholder,) = harness.begun
    assert (placeholder.verdict, placeholder.exit_code) == ("invalid", 107)
    assert [(reason.code, reason.subject) for reason in placeholder.reasons] == [("unfinished", "run")]
    harness.coordinator.finish("end")
    assert harness.report.run_id == placeholder.run_id
    assert harness.report.target == placeholder.target == "http://sample/"


def test_users_that_come_all_at_once_are_not_spread() -> None:
    harness = Harness("-u 4")
    harness.play()
    assert harness.runner.sent[0][1]["spread"] is False


def test_two_tests_at_once_are_a_fault() -> None:
    harness = Harness()
    harness.play()
    with pytest.raises(RuntimeError, match="while another was running"):
        harness.coordinator.begin()


def test_a_worker_that_comes_late_is_told_of_the_running_test() -> None:
    harness = Harness()
    harness.runner.receive(messages.HELLO, HELLO, "w0")
    assert harness.runner.sent == []
    harness.play()
    late = Worker("w2", 2)
    harness.runner.clients["w2"] = late
    harness.runner.receive(messages.HELLO, HELLO, "w2")
    assert harness.runner.sent[-1][2] == "w2"
    assert harness.runner.sent[-1][1] == harness.runner.sent[0][1]
    harness.coordinator.finish(cause="end")
    assert harness.report.load.workers == 3


@pytest.mark.parametrize(
    ("said", "theirs"),
    [
        ({**HELLO, "scenario": "queue"}, "queue with pika_locust"),
        ({**HELLO, "version": "0.0.9"}, "0.0.9"),
        ({}, "unknown"),
    ],
    ids=["another scenario", "another version", "who does not say"],
)
def test_a_worker_of_another_kind_is_sent_away_and_told_why(said: dict[str, str], theirs: str) -> None:
    harness = Harness()
    harness.play()
    harness.runner.receive(messages.HELLO, said, "w2")
    kind, told, client = harness.runner.sent[-1]
    assert (kind, client) == (messages.REFUSE, "w2")
    assert theirs in told["why"]
    assert f"the master sample with {HELLO['version']}" in told["why"]
    harness.coordinator.finish(cause="end")
    assert harness.report.load.workers == 2
    assert harness.report.notes[0] == f"worker w2 was sent away: {told['why']}"


@pytest.mark.parametrize(
    ("token", "why"),
    [("of another run", "it was forked by another run"), ("", "the master has forked its own workers")],
    ids=["forked by another run", "started by hand"],
)
def test_a_worker_of_another_run_is_sent_away_gets_no_users_and_costs_nothing(
    token: str, why: str, clock: Clock
) -> None:
    harness = Harness(token="of this run")
    foreign = Worker("w2", 2)
    # It is there when the test begins, as Locust counted it before it could say whose it is.
    harness.runner.clients["w2"] = foreign
    harness.play()
    harness.runner.receive(messages.HELLO, {**HELLO, "token": token}, "w2")
    assert harness.runner.sent[-1][0] == messages.REFUSE
    assert "w2" not in harness.runner.clients
    assert harness.runner.ended == ["no users for w2"]
    harness.runner.receive(messages.FAILURE, {"code": 104, "why": "it was sent away"}, "w2")
    harness.runner.receive(messages.HELLO, {**HELLO, "token": "of this run"}, "w1")
    end(harness, clock)
    assert harness.report.exit_code == 0
    assert harness.report.load.workers == 2
    assert f"worker w2 was sent away: {why}" in harness.report.notes[0]


def test_a_worker_that_is_sent_away_before_the_test_is_named_in_its_report(clock: Clock) -> None:
    harness = Harness()
    harness.runner.receive(messages.HELLO, {**HELLO, "token": "of another run"}, "w2")
    harness.play()
    end(harness, clock)
    assert "worker w2 was sent away: it was forked by another run" in harness.report.notes[0]


@pytest.mark.parametrize(("expected", "named"), [(2, True), (1, False), (3, False)])
def test_workers_beyond_those_that_were_expected_are_named(expected: int, named: bool, clock: Clock) -> None:
    harness = Harness()
    harness.environment.parsed_options.expect_workers = expected
    harness.runner.clients["w2"] = Worker("w2", 2)
    harness.play()
    end(harness, clock)
    note = "3 workers took part, and not 2 (--expect-workers): worker 2 (box, pid 1) came on top"
    assert (note in harness.report.notes) is named


def test_who_asks_for_the_time_is_told_it_by_the_master_s_clock() -> None:
    harness = Harness()
    harness.runner.receive(messages.CLOCK_REQUEST, {"machine": "away", "offset": [5, 6, 7], "sent_ns": 70}, "w0")
    ((kind, said, client),) = harness.runner.sent
    assert (kind, client, said["machine"], said["sent_ns"]) == (messages.CLOCK_REPLY, "w0", boot_id(), 70)
    assert said["heard_ns"] <= said["answered_ns"] <= monotonic_ns()


def test_news_go_to_all() -> None:
    harness = Harness()
    harness.play()
    harness.runner.receive(messages.PUBLISH, {"topic": "track", "data": {}}, "w0")
    assert harness.runner.sent[-1] == (messages.NEWS, {"topic": "track", "data": {}}, None)


# The end


def end(harness: Harness, clock: Clock) -> None:
    """The plan comes to its end."""
    clock.now_s += 60
    assert harness.coordinator.tick() is None
    harness.coordinator.finish()


def test_a_test_that_comes_to_its_end_is_drained_and_judged(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    end(harness, clock)
    assert harness.runner.kinds() == ["begin", "drain", "drain"]
    assert [data["role"] for _, data, _ in harness.runner.sent[1:]] == ["primary", "supporter"]
    assert [data["timeout_s"] for _, data, _ in harness.runner.sent[1:]] == [0.2, 0.2]
    report = harness.report
    assert (report.verdict, report.exit_code, report.reasons) == ("pass", 0, ())
    assert (report.metrics["latency"]["count"], report.seed, report.sandbox) == (4, 7, True)
    assert (report.load.workers, report.load.complete) == (2, True)
    assert 60.0 <= report.duration_s < 65.0
    assert harness.coordinator.reports == [report]


def test_a_second_call_changes_nothing_and_a_next_test_can_begin(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    end(harness, clock)
    harness.coordinator.finish()
    assert len(harness.told) == 1
    harness.play()
    end(harness, clock)
    assert len(harness.told) == 2
    assert harness.told[0].run_id != harness.told[1].run_id


def test_two_callers_at_once_wait_for_one_report() -> None:
    harness = Harness()
    harness.play()
    harness.workers[0].answers = False
    callers = [gevent.spawn(harness.coordinator.finish) for _ in range(3)]
    gevent.joinall(callers, timeout=5)
    assert all(caller.successful() for caller in callers)
    assert len(harness.told) == 1


def test_without_a_test_there_is_nothing_to_finish() -> None:
    harness = Harness()
    harness.coordinator.finish()
    assert harness.told == []


def test_a_worker_that_says_nothing_is_given_up_and_named(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.workers[1].answers = False
    end(harness, clock)
    assert harness.reasons() == [("incomplete", "worker 1")]
    assert harness.report.metrics["latency"]["count"] == 2


def test_a_worker_that_locust_calls_missing_is_not_waited_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_GRACE_S", 60.0)
    harness = Harness()
    harness.play()
    harness.workers[1].answers, harness.workers[1].state = False, "missing"
    with gevent.Timeout(5):
        end(harness, clock)
    assert harness.reasons() == [("incomplete", "worker 1")]
    assert harness.report.workers[1].lost_at_s is not None


def series(report: Any, name: str) -> Any:
    """The wire form of the one series of a metric."""
    place = [declared[0] for declared in report["metrics"]["metrics"]].index(name)
    return next(entry for entry in report["metrics"]["series"] if entry[0] == place)


def a_nan(report: Any) -> None:
    series(report, "vus")[2][0] = math.nan


def fewer_than_before(report: Any) -> None:
    report["metrics"]["series"].remove(series(report, "latency"))


def another_declaration(report: Any) -> None:
    for declared in report["metrics"]["metrics"]:
        if declared[0] == "latency":
            declared[2] = "s"


def in_another_s_name(report: Any) -> None:
    report["worker"] = "w0"


DAMAGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "NaN": (a_nan, "nan is not a finite number"),
    "a count below zero": (lambda report: report.update(iterations=[-1, 0]), "-1 is below zero"),
    "a text for a number": (lambda report: report.update(sequence="9"), "'9' is not a whole number"),
    "nested without an end": (
        lambda report: report.update(metrics=reduce(lambda inner, _: [inner], range(100_000), [])),
        "is not a mapping of names",
    ),
    "a part is missing": (lambda report: report.pop("ledgers"), "'ledgers' is missing"),
    "fewer samples than before": (fewer_than_before, "latency is in the earlier snapshot only"),
    "a metric of another unit": (another_declaration, "metric latency is declared in two ways"),
    "as if it had not started anew": (lambda report: report.update(anew=-1), "-1 is below zero"),
    "in another worker's name": (in_another_s_name, "it is in another worker's name"),
}


@pytest.mark.parametrize(("damage", "why"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("final", [False, True], ids=["an ordinary report", "the final report"])
def test_a_worker_whose_report_cannot_be_read_is_incomplete_and_the_rest_is_judged(
    damage: Callable[[Any], object], why: str, final: bool, clock: Clock
) -> None:
    harness = Harness()
    harness.play()
    run_id, faulty = harness.runner.run_id, harness.workers[1]
    harness.runner.receive(messages.REPORT, faulty.report(run_id, final=False), "w1")
    damaged = faulty.report(run_id, final=final)
    damage(damaged)
    harness.runner.receive(messages.REPORT, damaged, "w1")
    end(harness, clock)
    assert harness.reasons() == [("incomplete", "worker 1")]
    assert "worker 1 on box sent what cannot be read (pika_locust_report: " in harness.report.reasons[0].text
    assert why in harness.report.reasons[0].text
    assert harness.report.exit_code == 99
    assert harness.report.metrics["latency"]["count"] == 4
    assert not harness.report.load.complete


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (messages.REPORT, None),
        (messages.DRAINED, {"role": "primary"}),
        (messages.PUBLISH, ["topic"]),
        (messages.PUBLISH, {"topic": MORE_USERS, "data": {"worker": 1, "users": -5}}),
        (messages.HELLO, 7),
    ],
)
def test_any_message_that_cannot_be_read_makes_its_worker_incomplete(kind: str, data: Any, clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.runner.receive(kind, data, "w1")
    end(harness, clock)
    assert ("incomplete", "worker 1") in harness.reasons()
    assert harness.report.exit_code == 99


def test_an_error_of_ours_beside_a_message_is_not_swallowed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.play()
    monkeypatch.setattr(harness.coordinator, "_publish", lambda topic, data: 1 // 0)
    harness.runner.receive(messages.PUBLISH, {"topic": "news", "data": {}}, "w1")
    end(harness, clock)
    assert harness.reasons() == [("internal", "exception")]
    assert "ZeroDivisionError" in harness.report.reasons[0].text


def test_what_somebody_says_who_does_not_take_part_costs_nobody_anything(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.runner.receive(messages.REPORT, {"run_id": harness.runner.run_id, "worker": "x"}, "x")
    end(harness, clock)
    assert harness.report.exit_code == 0


@pytest.mark.parametrize("gone", ["missing", "disconnected"])
def test_a_run_whose_workers_are_all_lost_is_incomplete_and_ends(gone: str) -> None:
    harness = Harness()
    harness.play()
    for worker in harness.workers:
        worker.answers, worker.state = False, "missing"
    if gone == "disconnected":
        harness.runner.clients.clear()
    harness.coordinator.finish()
    gevent.sleep(0)
    assert harness.reasons()[:3] == [("incomplete", "workers"), ("incomplete", "worker 0"), ("incomplete", "worker 1")]
    assert harness.report.exit_code == 99
    assert harness.runner.ended == ["quit"]


@pytest.mark.parametrize(("supporters", "first"), [(1, ("incomplete", "worker 1")), (0, None)])
def test_a_worker_that_leaves_and_takes_supporters_along_makes_the_run_incomplete(
    supporters: int, first: tuple[str, str] | None, clock: Clock
) -> None:
    harness = Harness()
    harness.play()
    leaving = harness.workers[1]
    last = {**leaving.report(harness.runner.run_id, final=True), "supporters": supporters}
    harness.runner.receive(messages.REPORT, last, "w1")
    leaving.answers = False
    del harness.runner.clients["w1"]
    for worker in harness.workers:
        for _ in range(100):
            worker.worker.metrics.trend("latency").add(9_000_000)
    end(harness, clock)
    reasons = harness.reasons()
    assert ("threshold", "latency") in reasons
    assert reasons[0] == (first or ("threshold", "latency"))
    assert "worker 1 (box, pid 1) left 0 s after the start; its users" in harness.report.notes[0]


def test_figures_that_start_anew_after_the_ramp_up_are_what_is_judged_and_the_report_says_so(clock: Clock) -> None:
    harness = Harness()
    harness.environment.reset_stats = True
    harness.play()
    assert harness.runner.sent[0][1]["drops_ramp"] is True
    for worker in harness.workers:
        worker.work(*[9_000_000] * 50)
        harness.runner.receive(messages.REPORT, worker.report(harness.runner.run_id, final=False), worker.name)
    gevent.sleep(0.05)
    clock.now_s += 20
    for worker in harness.workers:
        worker.worker.start_anew()
        worker.work(*[1000] * 30)
        harness.runner.receive(messages.REPORT, worker.report(harness.runner.run_id, final=False), worker.name)
        gevent.sleep(0.05)
    clock.now_s += 40
    assert harness.coordinator.tick() is None
    harness.coordinator.finish()
    assert harness.reasons() == []
    assert harness.report.metrics["latency"]["count"] == 60
    assert harness.report.notes[0].startswith("figures start anew 20 s after the start, when the ramp-up was over")
    # Rates are those of the time that is measured, of 60 s the last 40.
    assert harness.report.thresholds[0].worst_window is None or harness.report.thresholds[0].worst_window.from_s >= 20


def test_what_was_seen_of_the_target_starts_anew_as_well(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    target, pages = Registry(TARGET_METRICS), Registry([Metric("log_lines", Kind.COUNTER)])
    monkeypatch.setattr(FakeTargetMonitor, "snapshot", lambda monitor: target.snapshot())
    harness = Harness()
    harness.environment.reset_stats = True
    harness.play()
    run = harness.coordinator._run
    assert run is not None
    monkeypatch.setattr(run.observations, "snapshot", pages.snapshot)

    def see(is_healthy: bool, lines: int) -> None:
        target.rate("health_success").add(is_healthy)
        target.gauge("target_memory_mb").set(70)
        pages.counter("log_lines").add(lines)

    see(False, 100)
    harness.workers[0].worker.start_anew()
    harness.runner.receive(messages.REPORT, harness.workers[0].report(run.facts.run_id, final=False), "w0")
    assert run.measured().counted("log_lines") == 0
    see(True, 5)
    found = {name: value for (name, _), value in run.measured().series.items()}
    assert found["log_lines"] == CounterValue(5)
    assert found["health_success"] == RateValue(1, 0)
    # A level is what it is.
    level = found["target_memory_mb"]
    assert isinstance(level, GaugeValue)
    assert level.value == 70


def test_a_ramp_up_that_was_not_over_is_told(clock: Clock) -> None:
    harness = Harness()
    harness.environment.reset_stats = True
    harness.play()
    end(harness, clock)
    assert harness.report.notes[0] == "--reset-stats left nothing out, as the ramp-up was not over"


FAILED = {"code": 2, "why": "an exception in a listener"}


def test_a_failure_in_a_worker_s_listeners_during_the_test_fails_the_run(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    for _ in range(3):
        harness.runner.receive(messages.FAILURE, FAILED, "w1")
    end(harness, clock)
    assert [(reason.code, reason.text) for reason in harness.report.reasons] == [
        ("exit_code", "worker 1: an exception in a listener")
    ]
    assert (harness.report.exit_code, harness.report.verdict) == (2, "fail")


def test_a_failure_in_a_worker_s_last_listeners_changes_the_report_that_is_written(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    end(harness, clock)
    assert harness.coordinator.reports[-1].exit_code == 0
    harness.runner.receive(messages.FAILURE, FAILED, "w0")
    harness.runner.receive(messages.FAILURE, FAILED, "w1")
    assert [report.exit_code for report in harness.told] == [0, 2, 2]
    assert len(harness.coordinator.reports[-1].reasons) == 2


def test_an_error_of_ours_in_a_worker_says_nothing_of_the_target(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.runner.receive(messages.FAILURE, {"code": 107, "why": "message begin: TypeError"}, "w1")
    end(harness, clock)
    assert (harness.report.exit_code, harness.report.verdict) == (107, "invalid")


def test_what_a_lost_worker_had_reported_is_kept(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    lost = harness.workers[1]
    harness.runner.receive(messages.REPORT, lost.report(harness.runner.run_id, final=False), "w1")
    harness.runner.receive(messages.REPORT, lost.report("another run", final=True), "w1")
    lost.answers = False
    end(harness, clock)
    assert harness.reasons() == [("incomplete", "worker 1")]
    assert harness.report.metrics["latency"]["count"] == 4


def test_a_signal_is_a_reason() -> None:
    harness = Harness()
    harness.play()
    harness.coordinator.signalled = "SIGTERM"
    harness.coordinator.finish(cause="signal")
    assert harness.reasons() == [("stopped", "SIGTERM")]
    assert harness.report.reasons[0].text == "stopped by SIGTERM after 0 s of 60 s"
    assert harness.report.exit_code == 105


def test_locust_ending_a_headless_test_by_itself_is_a_reason() -> None:
    harness = Harness()
    harness.play()
    harness.coordinator.finish()
    assert harness.reasons() == [("stopped", "locust")]


def test_a_test_that_ends_because_its_last_worker_is_gone_was_not_stopped_but_is_incomplete() -> None:
    harness = Harness()
    harness.play()
    harness.runner.clients.clear()
    harness.coordinator.finish()
    assert harness.reasons()[0] == ("incomplete", "workers")
    assert harness.report.reasons[0].text == "Locust ended the test after 0 s of 60 s, as no worker was left"
    assert harness.report.exit_code == 99


@pytest.mark.parametrize(
    ("autostart", "autoquit", "shape", "ended"),
    [
        (True, 0.05, None, ["stop", "quit", "the web page stops"]),
        (True, -1, None, ["stop"]),
        (False, -1, None, ["stop"]),
        (True, 0.05, object(), ["stop"]),
    ],
    ids=["asked to quit", "not asked to", "started in the page", "a shape, whose end Locust waits for"],
)
def test_after_an_abort_autoquit_counts_from_there(
    autostart: bool, autoquit: float, shape: Any, ended: list[str]
) -> None:
    harness = Harness(web=True)
    harness.environment.parsed_options = SimpleNamespace(autostart=autostart, autoquit=autoquit)
    harness.environment.shape_class = shape
    harness.coordinator._stop_test()
    assert harness.runner.ended == ended


def test_stopping_in_the_web_page_is_a_note() -> None:
    harness = Harness(web=True)
    harness.play()
    harness.coordinator.finish()
    assert harness.report.verdict == "pass"
    assert "stopped in the web page after 0 s of 60 s" in harness.report.notes


def test_who_interrupts_the_drain_has_users_cut_off_and_everything_told(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    clock.now_s += 60
    assert harness.coordinator.tick() is None
    harness.runner.interrupts = 1
    harness.coordinator.finish()
    drains = [(data["role"], data["timeout_s"]) for kind, data, _ in harness.runner.sent if kind == messages.DRAIN]
    assert drains == [("primary", 0.2), ("primary", 0.0), ("supporter", 0.0), ("supporter", 0.2)]
    assert harness.reasons() == [("stopped", "SIGINT")]
    assert harness.report.load.complete


def test_who_interrupts_the_wait_for_another_s_drain_has_users_cut_off_as_well(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.environment.stop_timeout = 60.0
    harness.workers[0].answers = False
    waiting = [gevent.spawn(harness.coordinator.finish) for _ in range(2)]
    gevent.sleep(0.02)
    harness.workers[0].answers = True
    waiting[1].kill(KeyboardInterrupt, block=False)
    gevent.joinall(waiting, timeout=5)
    assert harness.reasons() == [("stopped", "SIGINT")]
    assert harness.report.load.complete


def test_who_interrupts_again_and_again_waits_for_nobody_and_still_gets_a_report(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.environment.stop_timeout = 60.0
    report = harness.workers[0].report(harness.runner.run_id, final=False)
    harness.runner.receive(messages.REPORT, report, "w0")
    for worker in harness.workers:
        worker.answers = False
    finishing, waiting = (gevent.spawn(harness.coordinator.finish) for _ in range(2))
    harness.coordinator.signalled = "SIGTERM"
    for _ in range(3):
        gevent.sleep(0.02)
        finishing.kill(KeyboardInterrupt, block=False)
        waiting.kill(KeyboardInterrupt, block=False)
    gevent.joinall([finishing, waiting], timeout=5)
    assert harness.reasons()[0] == ("stopped", "SIGTERM")
    assert harness.report.metrics["latency"]["count"] == 2


# Judging


def wary(line: str, **of: Any) -> Harness:
    """With a threshold that ends the test."""
    return Harness(f"-u 4 -t 60 --threshold {line}", **of)


@pytest.mark.parametrize(("web", "how"), [(False, "quit"), (True, "stop")], ids=["headless", "in the web page"])
def test_a_threshold_can_end_the_test(web: bool, how: str) -> None:
    harness = wary("latency:max<5;abort_on_fail", web=web)
    harness.play()
    harness.workers[0].work(9000)
    harness.runner.receive(messages.REPORT, harness.workers[0].report(harness.runner.run_id, final=False), "w0")
    wait_until(lambda: harness.runner.ended)
    harness.coordinator.finish()
    assert harness.runner.ended == [how]
    assert harness.reasons() == [("threshold", "latency")]
    assert harness.report.notes[0].startswith("ended early by abort_on_fail: latency max was 9")


def test_a_test_that_a_threshold_has_ended_has_failed_though_it_holds_when_all_users_have_finished() -> None:
    harness = wary("latency:avg<3;abort_on_fail")
    harness.play()
    first = harness.workers[0]
    first.work(9000)
    harness.runner.receive(messages.REPORT, first.report(harness.runner.run_id, final=False), "w0")
    wait_until(lambda: harness.runner.ended)
    for _ in range(100):
        first.worker.metrics.trend("latency").add(1000)
    harness.coordinator.finish()
    (result,) = [result for result in harness.report.thresholds if result.expression == "avg<3"]
    assert (result.status, result.value) == ("fail", 4.0)
    assert "it ended the test (abort_on_fail)" in result.why
    assert harness.report.metrics["latency"]["avg"] < 3
    assert (harness.report.exit_code, harness.reasons()) == (99, [("threshold", "latency")])
    assert harness.report.reasons[0].text.startswith("latency avg was 4 ms, limit <3 ms")


def grown(
    harness: Harness, clock: Clock, monkeypatch: pytest.MonkeyPatch, mb_a_minute: float, seconds: float = 120
) -> ThresholdResult:
    """What a test finds of a target whose memory grows so fast."""
    memory = Registry(TARGET_METRICS)
    began_s = clock.now_s

    def looked(monitor: FakeTargetMonitor) -> Any:
        memory.gauge("target_memory_mb").set(35 + mb_a_minute * (clock.now_s - began_s) / 60)
        return memory.snapshot()

    monkeypatch.setattr(FakeTargetMonitor, "snapshot", looked)
    monkeypatch.setattr(messages, "REPORT_EVERY_S", 2.0)
    harness.play()
    gevent.sleep(seconds)
    harness.coordinator.tick()
    harness.coordinator.finish()
    (result,) = [result for result in harness.report.thresholds if result.metric == "target_memory_mb"]
    return result


def test_a_target_that_grows_under_the_same_load_is_a_leak(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness("-u 4 -r 2 -t 120")
    result = grown(harness, clock, monkeypatch, 50)
    assert (result.status, result.value, result.conclusive) == ("fail", pytest.approx(50), True)
    assert result.held_s == pytest.approx(88)  # two seconds of ramp, half a minute to settle
    assert harness.reasons() == [("threshold", "target_memory_mb")]


def test_one_that_does_not_is_none(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness("-u 4 -r 2 -t 120")
    result = grown(harness, clock, monkeypatch, 1)
    assert (result.status, result.value) == ("pass", pytest.approx(1))
    assert harness.reasons() == []


@pytest.mark.parametrize(
    ("line", "setting", "status"),
    [
        ("-u 4 -t 120", "3m", "not_observed"),
        ("-u 4 -t 50", "1m", "not_observed"),
        ("-u 4 -t 50", "40s", "fail"),
        ("--stage 60s:50,60s:0", "1m", "not_observed"),
    ],
)
def test_a_load_must_be_held_for_as_long_as_is_said(
    line: str, setting: str, status: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = Harness(line, environ={"SLOPE_MIN_HOLD": setting})
    seconds = harness.options.plan.duration_s
    assert seconds is not None
    assert grown(harness, clock, monkeypatch, 50, seconds).status == status


def test_a_load_is_not_held_while_users_finish(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness("-u 4 -t 120")
    harness.environment.stop_timeout = 15.0
    harness.workers[1].answers = False
    assert grown(harness, clock, monkeypatch, 50, seconds=50).status == "not_observed"
    assert harness.report.duration_s > 65


def test_what_a_load_that_is_edited_grows_by_is_no_leak(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness("-u 4 -t 120")
    harness.coordinator.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(messages, "REPORT_EVERY_S", 2.0)
        harness.play()
        gevent.sleep(40)
        harness.coordinator.edit(9, 1)
        run = harness.coordinator._run
        assert run is not None
        assert run.evaluator.holds == (Hold(0, pytest.approx(40)), Hold(pytest.approx(45), 120))


def test_an_exception_while_judging_is_an_internal_error(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("progress")

    monkeypatch.setattr(module.ProgressPrinter, "show", broken)
    monkeypatch.setattr(gevent.get_hub(), "print_exception", lambda *_: None)
    harness = Harness()
    harness.play()
    wait_until(lambda: harness.coordinator._run is not None and harness.coordinator._run.internal_errors)
    end(harness, clock)
    assert harness.reasons() == [("internal", "exception")]
    assert "judging: ZeroDivisionError('progress')" in harness.report.reasons[0].text


@pytest.mark.parametrize(
    "errors_of",
    [lambda run: run.target_monitor.errors_of_sandbox, lambda run: run.observations.internal_errors],
    ids=["in the sandbox itself", "in observing"],
)
def test_what_went_wrong_elsewhere_is_an_internal_error(errors_of: Callable[[Any], list[str]], clock: Clock) -> None:
    harness = Harness()
    harness.play()
    errors_of(harness.coordinator._run).append("failed once: KeyError: 'x'")
    end(harness, clock)
    assert harness.reasons() == [("internal", "exception")]
    assert harness.report.reasons[0].text == "failed once: KeyError: 'x'"


def test_what_locust_caught_in_users_is_an_internal_error(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    harness.runner.exceptions[1] = {"msg": "KeyError('x')", "traceback": "…"}
    end(harness, clock)
    assert harness.reasons() == [("internal", "exception")]
    assert harness.report.exit_code == 107


def test_users_that_never_came_make_no_green_run(clock: Clock) -> None:
    harness = Harness("-u 6 -t 60")
    harness.play()
    harness.coordinator.tick()
    # Each of the two workers runs two.
    wait_until(lambda: harness.coordinator._run is not None and len(harness.coordinator._run.wanted) > 4)
    end(harness, clock)
    assert harness.reasons() == [("incomplete", "load")]
    assert harness.report.reasons[0].text.startswith("4 users at most, where the plan wanted 6")
    assert harness.report.exit_code == 99


@pytest.mark.parametrize("cause", ["user", "abort"])
def test_who_ends_a_test_early_wanted_fewer_users(cause: Any, clock: Clock) -> None:
    harness = Harness("-u 6 -t 60", web=True)
    harness.play()
    wait_until(lambda: harness.coordinator._run is not None and len(harness.coordinator._run.wanted) > 4)
    harness.coordinator.finish(cause)
    assert harness.reasons() == []


def test_a_worker_that_leaves_before_the_end_is_noted(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    clock.now_s += 20
    harness.runner.receive(messages.REPORT, harness.workers[1].report(harness.runner.run_id, final=True), "w1")
    end(harness, clock)
    assert harness.reasons() == []
    assert (
        harness.report.notes[0]
        == "worker 1 (box, pid 1) left 20 s after the start; its users were started anew elsewhere"
    )


def test_users_that_were_started_anew_elsewhere_do_not_count_twice(clock: Clock) -> None:
    harness = Harness()
    harness.play()
    stays, goes = harness.workers

    def look(times: int) -> None:
        test = harness.coordinator._run
        assert test is not None
        before = len(test.present)
        wait_until(lambda: len(test.present) >= before + times)

    for worker in (stays, goes):
        harness.runner.receive(messages.REPORT, worker.report(harness.runner.run_id, final=False), worker.name)
    look(2)
    harness.runner.receive(messages.REPORT, goes.report(harness.runner.run_id, final=True), goes.name)
    look(2)
    stays.worker.metrics.gauge("vus").set(4)
    harness.runner.receive(messages.REPORT, stays.report(harness.runner.run_id, final=False), stays.name)
    look(2)
    end(harness, clock)
    # Two and two, then four in the one that stayed: never two and four.
    assert harness.report.load.users_peak == 4


# Set-up and audits


def test_an_audit_sees_the_ledgers_the_facts_and_the_sandbox(clock: Clock) -> None:
    seen: list[AuditContext] = []

    def audit(context: AuditContext) -> list[AuditResult]:
        seen.append(context)
        return [AuditResult("visits", "fail", 4, 3)]

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    harness.workers[0].worker.facts["session"] = "s"
    end(harness, clock)
    (context,) = seen
    assert (context.target, context.settings["PIKA_CODE"]) == ("http://sample/", "sesame")
    assert context.facts == {"session": "s", "run_id": harness.report.run_id}
    assert context.sandbox_state == {"visits_held": 3}
    whole = Ledger("visits")
    for visit in ("w0/1000", "w0/2000", "w1/1000", "w1/2000"):
        whole.sent(visit)
        whole.acked(visit)
    assert context.ledgers["visits"].to_wire() == whole.to_wire()
    assert harness.reasons() == [("audit", "visits")]


def test_an_audit_that_raises_is_an_internal_error(clock: Clock) -> None:
    def audit(context: AuditContext) -> list[AuditResult]:
        raise KeyError("likes")

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    end(harness, clock)
    assert harness.reasons() == [("internal", "audit")]
    assert harness.report.audits == ()


def test_a_ledger_whose_audit_raises_hides_no_loss_of_another(clock: Clock) -> None:
    def broken(run: AuditedRun) -> int:
        count: int = {"error": 1}["count"]
        return count

    audit = ledger_audits({"likes": broken, "visits": lambda run: 3})
    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    end(harness, clock)
    assert harness.reasons() == [("internal", "audit"), ("audit", "visits")]
    assert (harness.report.verdict, harness.report.exit_code) == ("invalid", 107)
    assert harness.report.reasons[0].text == "the audit of likes raised KeyError: 'count'"
    assert [(one.name, one.status, one.actual) for one in harness.report.audits] == [
        ("likes", "not_observed", None),
        ("visits", "fail", 3),
    ]


def test_who_interrupts_an_audit_still_gets_a_report(clock: Clock) -> None:
    def audit(context: AuditContext) -> list[AuditResult]:
        raise KeyboardInterrupt

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    end(harness, clock)
    assert harness.reasons() == [("stopped", "SIGINT")]
    assert harness.report.metrics["latency"]["count"] == 4


def test_who_interrupts_the_wait_for_another_s_audit_ends_it(clock: Clock) -> None:
    def audit(context: AuditContext) -> list[AuditResult]:
        gevent.sleep(60)
        return []

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    finishing, waiting = (gevent.spawn(harness.coordinator.finish, "end") for _ in range(2))
    gevent.sleep(0.05)
    waiting.kill(KeyboardInterrupt, block=False)
    gevent.joinall([finishing, waiting], timeout=5)
    assert harness.reasons() == [("stopped", "SIGINT")]
    assert finishing.successful()
    assert waiting.successful()


@pytest.mark.parametrize("web", [False, True], ids=["headless", "with a web page"])
def test_the_first_signal_during_the_audits_ends_them_and_is_told_by_its_name(web: bool, clock: Clock) -> None:
    def audit(context: AuditContext) -> list[AuditResult]:
        gevent.sleep(60)
        return []

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit), web=web)
    harness.play()
    finishing = gevent.spawn(harness.coordinator.finish, "end")
    gevent.sleep(0.05)
    # A web page goes on to serve until Locust is interrupted; a headless Locust is about to end anyway.
    assert harness.coordinator.on_signal("SIGTERM") is web
    finishing.join(5)
    assert harness.reasons() == [("stopped", "SIGTERM")]
    assert harness.report.metrics["latency"]["count"] == 4
    assert harness.coordinator.on_signal("SIGTERM") is True


@pytest.mark.parametrize(
    ("looking", "how"),
    [(Observations, "finish"), (PrometheusMonitor, "after")],
    ids=["at figures of the target", "at a Prometheus"],
)
def test_a_signal_while_somebody_looks_for_the_last_time_ends_the_audits_and_loses_no_figure(
    looking: type, how: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def audit(context: AuditContext) -> list[AuditResult]:
        looked.append(context)
        return []

    monkeypatch.setattr(looking, how, lambda self: gevent.sleep(60))
    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    finishing = gevent.spawn(harness.coordinator.finish, "end")
    gevent.sleep(0.05)
    harness.coordinator.on_signal("SIGTERM")
    finishing.join(5)
    assert harness.reasons() == [("stopped", "SIGTERM")]
    assert harness.report.metrics["latency"]["count"] == 4
    assert looked == []


def test_an_audit_that_does_not_end_has_failed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def audit(context: AuditContext) -> list[AuditResult]:
        gevent.sleep(60)
        return []

    monkeypatch.setattr("pika_locust.runtime.run.AUDITS_WITHIN_S", 0.05)
    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    end(harness, clock)
    assert harness.reasons() == [("audit", "visits")]
    assert "not done within 0.05 s" in harness.report.reasons[0].text


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=["an exception", "an interrupt"])
def test_a_run_that_cannot_be_judged_has_a_report(
    error: BaseException, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise error

    harness = Harness()
    harness.play()
    monkeypatch.setattr(Run, "settled", broken)
    with suppress(KeyboardInterrupt):
        end(harness, clock)
    assert harness.reasons() == [("internal", "report")]
    assert (harness.report.verdict, harness.report.exit_code) == ("invalid", 107)
    assert harness.report.run_id


def test_what_is_held_beyond_the_ledger_of_a_lost_worker_fails_no_audit(clock: Clock) -> None:
    def audit(context: AuditContext) -> list[AuditResult]:
        return [balance("visits", 5, 6, 0), balance("likes", 6, 5, 0)]

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, audit=audit))
    harness.play()
    harness.workers[1].answers = False
    end(harness, clock)
    assert [result.status for result in harness.report.audits] == ["not_observed", "fail"]
    assert harness.reasons() == [("audit", "likes"), ("incomplete", "worker 1")]


def test_the_plan_is_over_when_a_fixed_number_of_iterations_is_done(clock: Clock) -> None:
    harness = Harness("-u 4 -t 60", environ={"ITERATIONS": "3/user"})
    harness.play()
    assert harness.runner.sent[0][1]["iterations"] == {"number": 3, "per_user": True}
    assert harness.coordinator.tick() is not None
    for worker in harness.workers:
        report = worker.report(harness.runner.run_id, final=False)
        harness.runner.receive(messages.REPORT, {**report, "iterations": [6, 6]}, worker.name)
    assert harness.coordinator.tick() is None


@pytest.mark.parametrize("how", ["lost", "left"])
def test_workers_that_want_iterations_are_granted_some_and_lose_theirs_when_they_are_gone(
    how: str, clock: Clock
) -> None:
    harness = Harness("-u 4 -t 60", environ={"ITERATIONS": "8"})
    harness.play()

    def ask(worker: str) -> Any:
        harness.runner.receive(
            messages.PUBLISH, {"topic": ITERATIONS_WANTED, "data": {"worker": worker, "users": 2}}, worker
        )
        return harness.runner.sent[-1][1]

    granted = [ask("w0")["data"]["w0"], ask("w1")["data"]["w1"]]
    assert granted == [2, 2]
    while ask("w0")["data"]["w0"]:
        pass
    if how == "lost":
        harness.workers[1].state = "missing"
    else:
        last = harness.workers[1].report(harness.runner.run_id, final=True)
        harness.runner.receive(messages.REPORT, {**last, "iterations": [2, 1]}, "w1")
    wait_until(
        lambda: harness.runner.sent[-1] == (messages.NEWS, {"topic": ITERATIONS_GRANTED, "data": {"w0": 1}}, None)
    )


def open_load() -> Harness:
    """Ten arrivals a second for a minute."""
    rate = ConstantArrivalRate(rate=10, duration_s=60, pre_allocated_vus=4)
    arrivals = Setting("ARRIVALS", text, "uniform", "spacing")
    scenario = replace(SAMPLE_SCENARIO, arrivals=lambda settings: rate, settings=(*SAMPLE_SCENARIO.settings, arrivals))
    return Harness("", scenario)


def test_arrivals_that_nobody_began_beside_a_worker_that_left_are_dropped(clock: Clock) -> None:
    harness = open_load()
    harness.play()
    for worker, started in zip(harness.workers, (400, 150), strict=True):
        worker.worker.metrics.counter("iterations_started").add(started)
    leaving = harness.workers[1]
    harness.runner.receive(messages.REPORT, leaving.report(harness.runner.run_id, final=True), "w1")
    leaving.answers = False
    del harness.runner.clients["w1"]
    clock.now_s += 63
    harness.coordinator.finish(cause="end")
    assert harness.report.load.dropped_iterations == 50
    assert any("50 arrivals went down with workers that left" in note for note in harness.report.notes)


def test_the_arrivals_of_a_lost_worker_are_taken_by_the_others() -> None:
    harness = open_load()
    harness.play()
    assert harness.runner.sent[0][1]["stripes"] == {"w0": 0, "w1": 1}
    harness.workers[1].state = "missing"
    wait_until(lambda: harness.runner.sent[-1][0] == messages.NEWS)
    news = harness.runner.sent[-1][1]
    assert (news["topic"], news["data"]["workers"]) == (STRIPES, {"w0": 0})
    harness.workers[1].answers = False
    harness.coordinator.finish(cause="end")
    # Nobody reported any arrival, and none was due: they begin two seconds after the first user.
    assert harness.report.load.dropped_iterations == 0


def leave(harness: Harness, worker: str) -> None:
    harness.runner.receive(messages.PUBLISH, {"topic": LEAVING, "data": {"worker": worker}}, worker)


def test_the_arrivals_of_a_worker_that_was_told_to_end_are_taken_by_the_others_before_it_does(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is not the next look at all workers that does it.
    monkeypatch.setattr(messages, "REPORT_EVERY_S", 60.0)
    harness = open_load()
    harness.play()
    clock.now_s += 20
    leave(harness, "w1")
    gevent.sleep(1.0)
    kind, news, _ = harness.runner.sent[-1]
    assert (kind, news["topic"], news["data"]["workers"]) == (messages.NEWS, STRIPES, {"w0": 0})
    # It goes on for three seconds.
    assert news["data"]["first"] < (20 - LEAD_S + MASTER_WAIT_S) * 10


def test_where_all_are_told_to_end_nobody_takes_the_arrivals_of_others(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "REPORT_EVERY_S", 60.0)
    harness = open_load()
    harness.play()
    leave(harness, "w1")
    harness.coordinator.finish(cause="signal")
    gevent.sleep(1.0)
    assert messages.NEWS not in [kind for kind, _, _ in harness.runner.sent]


def test_what_the_set_up_made_reaches_all_users_and_its_time_is_not_the_load_s(clock: Clock) -> None:
    def set_up(context: SetupContext) -> SetupResult:
        clock.now_s += 30
        return SetupResult(public={"accounts": 5, "seed": context.seed}, private={"token": "t0k3n"})

    harness = Harness("--stage 10s:11 --seed 7", replace(SAMPLE_SCENARIO, set_up=set_up))
    harness.play()
    assert harness.runner.sent[0][1]["given"] == {"accounts": 5, "seed": 7}
    assert "t0k3n" not in str(harness.runner.sent)
    assert harness.coordinator.tick() == (2, 2.0)


def test_while_the_set_up_lasts_locust_is_told_nothing_new(clock: Clock) -> None:
    # Another number of users would make Locust start anew, and the end of the plan would make it stop.
    asked = []

    def set_up(context: SetupContext) -> SetupResult:
        for _ in range(3):
            clock.now_s += 7
            asked.append(harness.coordinator.tick())
        return SetupResult()

    harness = Harness("--stage 10s:11 --seed 7", replace(SAMPLE_SCENARIO, set_up=set_up))
    harness.play()
    assert asked == [(2, 2.0)] * 3
    clock.now_s += 1.1
    assert harness.coordinator.tick() == (3, 1.0)


def test_a_worker_that_comes_during_the_set_up_is_told_with_all_others() -> None:
    def set_up(context: SetupContext) -> SetupResult:
        harness.runner.clients["w2"] = Worker("w2", 2)
        harness.runner.receive(messages.HELLO, HELLO, "w2")
        return SetupResult()

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, set_up=set_up))
    harness.play()
    ((kind, begin, client),) = harness.runner.sent
    assert (kind, client, begin["workers"]) == (messages.BEGIN, None, 3)
    harness.coordinator.finish(cause="end")
    assert harness.report.load.workers == 3
    assert "internal" not in {code for code, _ in harness.reasons()}


def test_a_set_up_that_fails_ends_the_test_with_its_own_code() -> None:
    def set_up(context: SetupContext) -> SetupResult:
        raise SetupError("no accounts could be made")

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, set_up=set_up))
    harness.play()
    wait_until(lambda: harness.runner.ended)
    harness.coordinator.finish()
    assert harness.reasons()[0] == ("setup", "set-up")
    assert (harness.report.exit_code, harness.report.reasons[0].text) == (100, "no accounts could be made")
    ((_, begin, _),) = [sent for sent in harness.runner.sent if sent[0] == messages.BEGIN]
    assert begin["is_called_off"] is True


def test_a_set_up_that_raises_is_an_internal_error() -> None:
    def set_up(context: SetupContext) -> SetupResult:
        raise KeyError("accounts")

    harness = Harness(scenario=replace(SAMPLE_SCENARIO, set_up=set_up))
    harness.play()
    wait_until(lambda: harness.runner.ended)
    harness.coordinator.finish()
    assert harness.reasons()[0] == ("internal", "exception")
    assert (harness.report.exit_code, harness.report.verdict) == (107, "invalid")


def test_a_start_that_raises_ends_the_test_and_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("stripes")

    monkeypatch.setattr(module, "run_start", broken)
    harness = Harness()
    for worker in harness.workers:
        worker.answers = False
    harness.play()
    wait_until(lambda: harness.runner.ended == ["quit"])
    harness.coordinator.finish()
    assert harness.reasons()[0] == ("internal", "exception")
    assert harness.report.reasons[0].text == "beginning: KeyError: 'stripes'"


def test_a_test_that_cannot_even_be_made_has_a_report_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.play()
    harness.coordinator.finish("end")

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("outputs")

    monkeypatch.setattr(module, "make_run", broken)
    harness.coordinator.begin()
    wait_until(lambda: harness.runner.ended == ["quit"])
    harness.coordinator.finish()
    _, second = harness.told
    assert (second.exit_code, second.verdict, second.run_id) == (107, "invalid", "")
    assert [reason.text for reason in second.reasons] == ["beginning: KeyError: 'outputs'"]
    assert harness.coordinator.reports[1:] == [second]


# Prometheus


def test_a_prometheus_is_asked_before_anybody_begins_and_after_everybody_has_drained(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def ask(observer: PrometheusMonitor, when: str, readings: list[Reading]) -> None:
        clock.now_s += 3
        asked.append(harness.runner.kinds())
        readings.append(Reading("keys", {(("db", "0"),): 10.0 * len(asked)}))

    monkeypatch.setattr(PrometheusMonitor, "_ask", ask)
    settings = (*SAMPLE_SCENARIO.settings, *PROMETHEUS_SETTINGS)
    environ = {"PROMETHEUS_URL": "http://me:secret@prom:9090", "PROMETHEUS_QUERIES": "keys"}
    harness = Harness(scenario=replace(SAMPLE_SCENARIO, settings=settings), environ=environ)
    harness.play()
    # Workers do not ask it, and are not told of it.
    assert not [name for name in harness.runner.sent[0][1]["settings"] if name.startswith("PROMETHEUS")]
    assert asked == [[]]
    end(harness, clock)
    assert asked[1:] == [["begin", "drain", "drain"]]
    assert harness.report.observed == (Observed("keys", {"db": "0"}, 10.0, 20.0, 10.0),)
    # Neither the first three seconds nor the last are the load's.
    assert 60.0 <= harness.report.duration_s < 62.0


# The web form


def test_a_running_test_of_constant_users_goes_on_with_edited_numbers(clock: Clock) -> None:
    harness = Harness("-u 4 -t 60 --seed 7")
    with pytest.raises(ValueError, match="beginning or ending"):
        harness.coordinator.edit(9, 5)
    harness.play()
    clock.now_s += 20
    harness.coordinator.edit(9, 5)
    clock.now_s += 1
    # The supporter is one more.
    assert harness.coordinator.tick() == (10, 5.0)
    clock.now_s += 1
    end(harness, clock)
    assert ("pika_locust_news", {"topic": "users_peak", "data": {"users": 9}}) in [
        (message[0], message[1]) for message in harness.runner.sent
    ]
    assert [stage["target"] for stage in harness.report.load.stages] == [4, 9, 9]
    assert "edited in the web page after 20s: 9 users, 5 started or stopped a second" in harness.report.notes
    with pytest.raises(ValueError, match="beginning or ending"):
        harness.coordinator.edit(9, 5)


def test_a_test_that_follows_a_profile_is_not_edited_and_says_why(clock: Clock) -> None:
    harness = Harness("--stage 60s:4")
    harness.play()
    clock.now_s += 20
    with pytest.raises(ValueError, match="this test follows 'by hand', whose load was settled"):
        harness.coordinator.edit(9, 5)
    assert harness.coordinator.tick() == (3, 1.0)


def test_the_form_s_options_are_those_of_the_next_test() -> None:
    harness = Harness(form=lambda: read("-u 9 -t 5 --seed 8"))
    harness.coordinator.prepare()
    assert harness.coordinator.tick() == (10, 10.0)
    harness.coordinator.begin()
    assert harness.runner.sent[0][1]["seed"] == 8


def test_a_form_that_makes_no_test_starts_none() -> None:
    asked = [0]

    def form() -> Any:
        asked[0] += 1
        if asked[0] == 1:
            raise ConfigurationError("a production host")
        return read("-u 9")

    harness = Harness(form=form)
    harness.coordinator.prepare()
    assert harness.coordinator.tick() is None
    harness.coordinator.finish()
    assert harness.told == []
    harness.coordinator.prepare()
    assert harness.coordinator.tick() == (10, 10.0)

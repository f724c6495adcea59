from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gevent
import locust.log
import pytest
from locust.event import EventHook

from pika_locust.load.arrivals import ConstantArrivalRate
from pika_locust.runtime import messages
from pika_locust.runtime.arrivals import LEAVING
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.machine import boot_id
from pika_locust.runtime.worker import WorkerSide
from pika_locust.settings import Settings
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context

MS = 1_000_000
S = 1_000_000_000
DAY = 86_400 * S

RUSH = replace(
    SAMPLE_SCENARIO, arrivals=lambda settings: ConstantArrivalRate(rate=10, duration_s=60, pre_allocated_vus=4)
)
START_NS = 500 * S


class Worker:
    """A worker whose master's clock, on another machine, says `ahead_ns` more than this one's."""

    def __init__(self, ahead_ns: int) -> None:
        self.ahead_ns = ahead_ns
        self.client_id = "w0"
        self.worker_index = 0
        self.last_heartbeat_timestamp = None
        self.listeners: dict[str, Callable[..., None]] = {}
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.has_quit = False
        hooks = {name: EventHook() for name in ("test_stop", "quitting", "spawning_complete")}
        events = SimpleNamespace(request=None, **hooks)
        self.environment = environment = SimpleNamespace(events=events, stop_timeout=0.0, process_exit_code=None)
        values = Settings({"ARRIVALS": "uniform", "PAGES": 1}, {}, frozenset())
        self.side = WorkerSide(environment, RUSH, values)
        self.side.attach(self)

    def register_message(self, kind: str, listener: Callable[..., None], concurrent: bool = False) -> None:
        self.listeners[kind] = listener

    def handle_message(self, message: Any) -> None:
        raise NotImplementedError

    def quit(self) -> None:
        self.has_quit = True

    def send_message(self, kind: str, data: Mapping[str, Any]) -> None:
        self.sent.append((kind, data))

    def begin(self, boot: str, start_ns: int, run_id: str = "r1") -> None:
        arrivals = {"boot": boot, "start_ns": start_ns, "duration_s": 60.0}
        begin = make_context(RUSH, arrivals=arrivals, stripes={"w0": 0}, run_id=run_id).begin
        self.listeners[messages.BEGIN](None, SimpleNamespace(data=begin.to_wire()))

    def answer(self) -> None:
        asked = next(data for kind, data in reversed(self.sent) if kind == messages.CLOCK_REQUEST)
        there_ns = time.monotonic_ns() + self.ahead_ns
        said = {"machine": "master", "offsets": {}, "sent_ns": asked["sent_ns"]}
        said |= {"heard_ns": there_ns, "answered_ns": there_ns}
        self.listeners[messages.CLOCK_REPLY](None, SimpleNamespace(data=said))

    @property
    def start_ns(self) -> int:
        assert self.side.context is not None
        return self.side.context.arrivals._start_ns  # type: ignore[no-any-return]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(locust.log, "unhandled_greenlet_exception", False)
    worker = Worker(DAY)
    yield worker
    if worker.side.context is not None:
        worker.side.context.end()
    worker.side._end()
    worker.side._clock._asking.kill()
    assert worker.side._master_watch is not None
    worker.side._master_watch.stop()


def test_a_worker_asks_for_the_time_before_it_says_that_it_is_there(worker: Worker) -> None:
    assert [kind for kind, _ in worker.sent] == [messages.CLOCK_REQUEST, messages.HELLO]


@pytest.mark.alone
def test_arrivals_begin_when_the_master_s_clock_says_so(worker: Worker) -> None:
    start_ns = time.monotonic_ns() + START_NS
    worker.answer()
    worker.begin("master", start_ns + DAY)
    assert abs(worker.start_ns - start_ns) < 100 * MS
    assert worker.side.context is not None
    assert worker.side.context.clocks.here("master", 0, 0) is not None


def test_beside_the_master_arrivals_begin_exactly_then(worker: Worker) -> None:
    start_ns = time.monotonic_ns() + START_NS
    worker.begin(boot_id(), start_ns)
    assert worker.start_ns == start_ns


@pytest.mark.alone
def test_a_test_that_begins_before_the_first_answer_begins_with_it(worker: Worker) -> None:
    start_ns = time.monotonic_ns() + START_NS
    worker.begin("master", start_ns + DAY, "r0")
    worker.begin("master", start_ns + DAY)
    assert worker.side.context is None
    worker.answer()
    assert worker.side.context is not None
    assert worker.side.context.begin.run_id == "r1"
    assert abs(worker.start_ns - start_ns) < 100 * MS
    arrivals = worker.side.context.arrivals
    worker.begin("master", start_ns + DAY)
    worker.answer()
    assert worker.side.context.arrivals is arrivals


def test_a_test_without_arrivals_waits_for_nobody_s_clock(worker: Worker) -> None:
    worker.listeners[messages.BEGIN](None, SimpleNamespace(data=make_context().begin.to_wire()))
    assert worker.side.context is not None
    assert worker.side.context.arrivals is None


def test_a_worker_that_is_sent_away_says_why_and_ends(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    assert dict(worker.sent)[messages.HELLO] == messages.hello("sample")
    worker.listeners[messages.REFUSE](None, SimpleNamespace(data={"why": "it runs queue"}))
    assert "sent this worker away: it runs queue" in caplog.text
    assert worker.environment.process_exit_code == 104
    assert worker.has_quit
    worker.environment.events.quitting.fire(reverse=True)
    # That the master sent it away is no failure of the master's run.
    assert messages.FAILURE not in dict(worker.sent)


def test_without_its_master_a_worker_stops_at_once_and_that_is_no_success(worker: Worker) -> None:
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    began_s = time.monotonic()
    worker.side._on_master_gone()
    assert time.monotonic() - began_s < 2
    assert worker.side.context is not None
    assert worker.side.context.draining == {"primary", "supporter"}
    assert worker.environment.process_exit_code == 99
    assert worker.has_quit


def test_a_worker_that_is_told_to_end_says_so_while_it_still_serves_arrivals(worker: Worker) -> None:
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    context = worker.side.context
    assert context is not None
    leaving = gevent.spawn(worker.side.drain_before_quitting)
    gevent.sleep(0.02)
    assert dict(worker.sent)[messages.PUBLISH] == {"topic": LEAVING, "data": {"worker": "w0"}}
    assert not context.draining
    for role in ("primary", "supporter"):
        worker.listeners[messages.DRAIN](None, SimpleNamespace(data={"role": role, "timeout_s": 0.0}))
    leaving.join(5)
    assert leaving.successful()


def test_who_interrupts_a_worker_again_and_again_gets_its_last_figures_all_the_same(worker: Worker) -> None:
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    leaving = gevent.spawn(worker.side.drain_before_quitting)
    gevent.sleep(0.02)
    for _ in range(3):
        leaving.kill(KeyboardInterrupt, block=False)
    leaving.join(5)
    assert leaving.successful()
    assert [data["final"] for kind, data in worker.sent if kind == messages.REPORT][-1:] == [True]


def test_of_two_who_end_a_test_nobody_sends_figures_before_the_last_look_up_is_done(worker: Worker) -> None:
    """A worker's own second Ctrl-C and the master's word after its own, say."""
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    context = worker.side.context
    assert context is not None

    def look_up() -> None:
        gevent.sleep(0.05)
        context.facts["looked_up"] = 7

    context.on_end(look_up)
    drain = SimpleNamespace(data={"role": "supporter", "timeout_s": 0.0})
    gevent.joinall([gevent.spawn(worker.listeners[messages.DRAIN], None, drain) for _ in range(2)], raise_error=True)
    finals = [data for kind, data in worker.sent if kind == messages.REPORT and data["final"]]
    assert [data["facts"].get("looked_up") for data in finals] == [7, 7]
    assert next(kind for kind, _ in worker.sent if kind in (messages.REPORT, messages.DRAINED)) == messages.REPORT


def test_a_worker_that_was_told_to_end_does_not_leave_before_its_figures_are_sent(worker: Worker) -> None:
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    context = worker.side.context
    assert context is not None
    context.on_end(lambda: gevent.sleep(0.3))
    leaving = gevent.spawn(worker.side.drain_before_quitting)
    for role in ("primary", "supporter"):
        gevent.spawn(worker.listeners[messages.DRAIN], None, SimpleNamespace(data={"role": role, "timeout_s": 0.0}))
    leaving.join(5)
    assert leaving.successful()
    assert [data["final"] for kind, data in worker.sent if kind == messages.REPORT][-1:] == [True]


@pytest.fixture
def unhandled(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener of the locustfile's raised, and Locust logged it."""
    monkeypatch.setattr(locust.log, "unhandled_greenlet_exception", True)


def told(worker: Worker) -> list[str]:
    return [kind for kind, _ in worker.sent if kind != messages.CLOCK_REQUEST]


@pytest.mark.usefixtures("unhandled")
def test_a_failure_in_a_listener_reaches_the_master_before_the_figures_do(worker: Worker) -> None:
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    worker.listeners[messages.DRAIN](None, SimpleNamespace(data={"role": "supporter", "timeout_s": 0.0}))
    assert told(worker) == [messages.HELLO, messages.FAILURE, messages.REPORT, messages.DRAINED]
    assert dict(worker.sent)[messages.FAILURE]["code"] == 2


@pytest.mark.usefixtures("unhandled")
def test_a_failure_in_the_last_listeners_reaches_the_master_before_the_farewell(worker: Worker) -> None:
    events, order = worker.environment.events, []
    events.quitting.add_listener(lambda **_: order.append(told(worker)))
    events.test_stop.fire()
    assert told(worker) == [messages.HELLO, messages.FAILURE]
    events.quitting.fire(reverse=True)
    assert order == [[messages.HELLO, messages.FAILURE]]
    assert told(worker)[2:] == [messages.FAILURE, messages.LEFT]


def test_an_exit_code_that_a_plugin_sets_in_a_worker_reaches_the_master(worker: Worker) -> None:
    worker.environment.process_exit_code = 3
    worker.environment.events.quitting.fire(reverse=True)
    assert dict(worker.sent)[messages.FAILURE]["code"] == 3


def test_without_a_failure_a_worker_only_says_that_it_leaves(worker: Worker) -> None:
    worker.environment.events.test_stop.fire()
    worker.environment.events.quitting.fire(reverse=True)
    assert told(worker) == [messages.HELLO, messages.LEFT]


def test_a_worker_whose_users_were_stopped_hears_its_master_at_once(worker: Worker) -> None:
    """Locust's sleeps for the stop time-out, and would miss that its figures are asked for."""
    worker.environment.stop_timeout = 12.0
    worker.environment.events.test_stop.fire()
    assert worker.environment.stop_timeout == 0.0


def test_an_error_of_ours_beside_a_message_to_a_worker_is_not_swallowed(worker: Worker) -> None:
    worker.listeners[messages.BEGIN](None, SimpleNamespace(data={"run_id": "r1"}))
    failure = dict(worker.sent)[messages.FAILURE]
    assert failure["code"] == 107
    assert "pika_locust_begin: TypeError" in failure["why"]


@pytest.mark.parametrize(
    ("drops_ramp", "counts", "anew"),
    [(True, [3, 5], 0), (True, [3, 6, 3, 6], 1), (False, [6], 0)],
    ids=["still in the ramp-up", "at its end and never again", "not asked to"],
)
def test_the_figures_of_a_scenario_start_anew_when_its_ramp_up_is_over(
    drops_ramp: bool, counts: list[int], anew: int, worker: Worker
) -> None:
    begin = make_context(drops_ramp=drops_ramp, users_peak=5, supporters=1).begin
    worker.listeners[messages.BEGIN](None, SimpleNamespace(data=begin.to_wire()))
    assert worker.side.context is not None
    for count in counts:
        worker.environment.events.spawning_complete.fire(user_count=count)
    assert worker.side.context.anew == anew
    assert [data["anew"] for kind, data in worker.sent if kind == messages.REPORT] == [1] * anew


def test_after_its_last_figures_a_worker_starts_nothing_anew(worker: Worker) -> None:
    begin = make_context(drops_ramp=True, users_peak=5).begin
    worker.listeners[messages.BEGIN](None, SimpleNamespace(data=begin.to_wire()))
    worker.listeners[messages.DRAIN](None, SimpleNamespace(data={"role": "supporter", "timeout_s": 0.0}))
    worker.environment.events.spawning_complete.fire(user_count=5)
    assert [data["final"] for kind, data in worker.sent if kind == messages.REPORT] == [True]


def reports(worker: Worker) -> list[Mapping[str, Any]]:
    return [data for kind, data in worker.sent if kind == messages.REPORT]


def test_reports_say_what_has_changed_and_the_last_one_everything(worker: Worker) -> None:
    collector = Collector("r1")
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    side, context = worker.side, worker.side.context
    assert context is not None
    for latency_us in (1000, 2000, 1000):
        context.metrics.trend("latency").add(latency_us)
        side._send_report(final=False)
        collector.take(reports(worker)[-1], 2.0)
        assert collector.fold().select("latency") == context.figures().select("latency")
    side._send_report(final=True)
    assert [("since" in report, "metrics" in report) for report in reports(worker)] == [
        (False, True),
        (True, False),
        (True, False),
        (False, True),
    ]
    # Of all series it is the one that has changed, and of that one the bucket that has.
    changes = reports(worker)[2]["changes"]
    assert [name for name, _, value in changes["series"] if name == "latency" and len(value["b"]) == 2] == ["latency"]
    assert len(changes["series"]) < len(reports(worker)[0]["metrics"]["series"]) / 4


def test_a_report_is_whole_where_the_master_cannot_know_the_one_before(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.begin(boot_id(), time.monotonic_ns() + START_NS)
    side, context = worker.side, worker.side.context
    assert context is not None

    def is_whole() -> bool:
        side._send_report(final=False)
        return "metrics" in reports(worker)[-1]

    assert [is_whole(), is_whole()] == [True, False]
    worker.listeners[messages.REPORT_WHOLE](None, SimpleNamespace(data={}))
    assert [is_whole(), is_whole()] == [True, False]
    context.start_anew()
    assert [is_whole(), is_whole()] == [True, False]
    with monkeypatch.context() as broken:
        broken.setattr(worker, "send_message", lambda kind, data: 1 / 0)
        side._send_report(final=False)
    assert [is_whole(), is_whole()] == [True, False]
    worker.begin(boot_id(), time.monotonic_ns() + START_NS, "r2")
    assert [is_whole(), is_whole()] == [True, False]

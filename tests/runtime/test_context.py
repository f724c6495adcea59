from __future__ import annotations

import logging
from typing import Any

import gevent
import pytest
from locust.event import EventHook

from pika_locust.clock import monotonic
from pika_locust.judge import Ledger
from pika_locust.load.iterations import Iterations
from pika_locust.metrics import CounterValue, GaugeValue, Histogram, RateValue
from pika_locust.runtime.clocks import Clocks
from pika_locust.runtime.context import BATCH, MAX_ERRORS, MAX_INTERNAL_ERRORS, MAX_SAID, WorkerContext
from pika_locust.runtime.iterations import IterationQuota
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context, sample_settings


class FakeUser:
    """An actor as far as a context knows it: it takes `stays_s` to finish once it was asked to, and `leaves_s` to end
    when it is cut off."""

    def __init__(
        self, worker: WorkerContext, role: str = "primary", stays_s: float | None = 0.0, leaves_s: float = 0.0
    ) -> None:
        self.worker = worker
        self.leaves_s = leaves_s
        self.role = role
        self.stays_s = stays_s
        self.released = 0
        self.was_cut = False
        self.number = worker.enter(self)  # type: ignore[arg-type]

    def release(self) -> None:
        self.released += 1
        if self.stays_s is not None:
            gevent.spawn_later(self.stays_s, self.worker.leave, self)

    def cut(self) -> None:
        self.was_cut = True
        if self.leaves_s:
            gevent.spawn_later(self.leaves_s, self.worker.leave, self)
        else:
            self.worker.leave(self)  # type: ignore[arg-type]


def gauge(worker: WorkerContext, name: str) -> tuple[float | None, float | None]:
    value = worker.metrics.snapshot().select(name)
    assert isinstance(value, GaugeValue)
    return value.value, value.max


def count(worker: WorkerContext, name: str) -> float:
    value = worker.metrics.snapshot().select(name)
    assert isinstance(value, CounterValue)
    return value.count


# Users


def test_primary_users_are_counted_while_they_are_there() -> None:
    worker = make_context()
    users = [FakeUser(worker) for _ in range(3)]
    assert [user.number for user in users] == [0, 1, 2]
    assert gauge(worker, "vus") == (3, 3)
    worker.leave(users[1])  # type: ignore[arg-type]
    worker.leave(users[1])  # type: ignore[arg-type]
    assert gauge(worker, "vus") == (2, 3)
    assert FakeUser(worker).number == 3
    assert gauge(worker, "vus_max") == (3, 3)
    assert worker.actors("primary") == [users[0], users[2], worker.actors("primary")[-1]]


def test_supporters_come_on_top() -> None:
    worker = make_context(supporters=1)
    FakeUser(worker, "supporter")
    assert worker.actors("primary") == []
    assert len(worker.actors("supporter")) == 1
    value = worker.metrics.snapshot().select("vus")
    assert value is not None
    assert value.samples == 0


def test_users_of_all_processes_have_different_numbers_and_dice() -> None:
    first, second = make_context(workers=2), make_context(workers=2)
    first.worker_index, second.worker_index = 0, 1
    shares = (first, second)
    assert sorted(worker.global_number(number) for worker in shares for number in range(5)) == list(range(10))
    assert len({worker.dice(number).bits() for worker in shares for number in range(5)}) == 10
    assert first.dice(3).bits() == first.dice(3).bits()


def test_users_that_come_together_are_spread_over_the_second() -> None:
    worker = make_context()
    delays = sorted(worker.start_delay_s(number) for number in range(100))
    assert delays[0] >= 0.0
    assert delays[-1] < 1.0
    gaps = [after - before for before, after in zip(delays, [*delays[1:], 1.0], strict=True)]
    assert max(gaps) < 0.02
    assert {make_context(spread=False).start_delay_s(number) for number in range(100)} == {0.0}


# Draining


@pytest.mark.usefixtures("virtual_time")
def test_a_drain_lets_everybody_of_the_role_finish() -> None:
    worker = make_context()
    dancers = [FakeUser(worker, stays_s=0.03 * number) for number in range(3)]
    host = FakeUser(worker, "supporter")
    worker.drain("primary", 5.0)
    assert worker.actors("primary") == []
    assert [dancer.released for dancer in dancers] == [1, 1, 1]
    assert not any(dancer.was_cut for dancer in dancers)
    assert (host.released, worker.draining) == (0, {"primary"})
    assert count(worker, "iterations_cut") == 0


@pytest.mark.usefixtures("virtual_time")
def test_a_drain_ends_as_soon_as_the_last_one_is_gone() -> None:
    worker = make_context()
    FakeUser(worker, stays_s=0.02)
    began_s = monotonic()
    worker.drain("primary", 30.0)
    assert monotonic() - began_s == pytest.approx(0.02)


@pytest.mark.usefixtures("virtual_time")
def test_who_does_not_finish_in_time_is_cut_and_counted() -> None:
    worker = make_context()
    quick, slow, never = FakeUser(worker), FakeUser(worker, stays_s=9.0), FakeUser(worker, stays_s=None)
    worker.drain("primary", 0.1)
    assert (quick.was_cut, slow.was_cut, never.was_cut) == (False, True, True)
    assert count(worker, "iterations_cut") == 2
    assert worker.errors == {("primary", "cut off 0.1 s after the end"): 1}
    assert worker.actors("primary") == []


@pytest.mark.usefixtures("virtual_time")
def test_whom_two_cut_off_at_once_is_counted_once_and_has_left_before_the_end_is_told() -> None:
    worker = make_context()
    user = FakeUser(worker, stays_s=None, leaves_s=0.2)
    left: list[int] = []
    worker.on_end(lambda: left.append(len(worker.actors("primary"))))
    drains = [gevent.spawn(worker.drain, "primary", 0.0) for _ in range(2)]
    gevent.sleep(0)
    worker.drain("supporter", 0.0)
    worker.end()
    gevent.joinall(drains, raise_error=True)
    assert user.was_cut
    assert count(worker, "iterations_cut") == 1
    assert left == [0]


def test_at_the_end_everybody_who_asked_is_called_once_and_a_fault_stops_nobody() -> None:
    worker = make_context()
    called: list[str] = []

    def broken() -> None:
        raise KeyError("orders")

    worker.on_end(lambda: called.append("first"))
    worker.on_end(broken)
    worker.on_end(lambda: called.append("last"))
    worker.end()
    worker.end()
    assert called == ["last", "first"]
    assert worker.internal_errors == ["KeyError: 'orders'"]


# What is measured


def test_what_the_target_says_is_told_with_an_error_unless_it_is_different_each_time() -> None:
    worker = make_context()
    assert worker.error("join", "400 Bad Request", "no tokens left") == "400 Bad Request (no tokens left)"
    worker.error("join", "400 Bad Request", "no tokens left")
    assert worker.errors == {("join", "400 Bad Request (no tokens left)"): 2}
    for number in range(50):
        worker.error("join", "400 Bad Request", f"{number} is not my number")
    assert len(worker.errors) == MAX_SAID + 1
    assert worker.errors["join", "400 Bad Request"] == 50 - (MAX_SAID - 1)
    assert worker.error("leave", "400 Bad Request", "no tokens left") == "400 Bad Request (no tokens left)"


def test_checks_are_counted_by_name() -> None:
    worker = make_context()
    for ok in (True, True, False):
        worker.check("answered", ok)
    worker.check("polite", True)
    snapshot = worker.metrics.snapshot()
    whole, answered = snapshot.select("checks"), snapshot.select("checks{check:answered}")
    assert isinstance(whole, RateValue)
    assert isinstance(answered, RateValue)
    assert (whole.passes, whole.fails, answered.passes, answered.fails) == (3, 1, 2, 1)


def test_errors_are_counted_by_place_and_words() -> None:
    worker = make_context()
    for _ in range(3):
        worker.error("join", "429 Too Many Requests")
    worker.error("join", "timeout")
    worker.error("join", "x" * 500)
    assert worker.errors == {("join", "429 Too Many Requests"): 3, ("join", "timeout"): 1, ("join", "x" * 200): 1}


def test_kinds_of_errors_are_bounded_and_none_is_lost() -> None:
    worker = make_context()
    for number in range(MAX_ERRORS + 50):
        worker.error("join", f"error {number}")
    worker.error("join", "error 0")
    assert len(worker.errors) == MAX_ERRORS + 1
    assert sum(worker.errors.values()) == MAX_ERRORS + 51
    assert worker.errors["other", "more kinds of errors than are kept apart"] == 50


def test_faults_are_logged_with_their_traceback_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    worker = make_context()
    with caplog.at_level(logging.ERROR):
        for number in range(MAX_INTERNAL_ERRORS + 5):
            with worker.guarded():
                raise RuntimeError(f"fault {number}")
    assert worker.internal_errors == [f"RuntimeError: fault {number}" for number in range(MAX_INTERNAL_ERRORS)]
    assert len(caplog.records) == MAX_INTERNAL_ERRORS
    assert "test_context.py" in caplog.text


def test_locust_hears_of_requests() -> None:
    worker = make_context()
    worker.request("WS", "like", 1.5, 20)
    worker.request("WS", "like", None, 0, RuntimeError("no answer"))
    assert [(fired["request_type"], fired["name"], fired["response_time"]) for fired in worker.request_events] == [
        ("WS", "like", 1.5),
        ("WS", "like", None),
    ]
    assert worker.request_events[0]["exception"] is None
    assert str(worker.request_events[1]["exception"]) == "no answer"


def test_what_actors_share_is_made_once_in_a_process() -> None:
    worker = make_context()
    made: list[WorkerContext] = []

    def table(own: WorkerContext) -> list[int]:
        made.append(own)
        return []

    assert worker.shared(table) is worker.shared(table)
    assert made == [worker]
    assert make_context().shared(table) is not worker.shared(table)


# News


def test_news_reach_those_who_listen_to_the_topic() -> None:
    worker = make_context()
    heard: list[Any] = []
    worker.listen("track", heard.append)
    worker.listen("track", lambda data: heard.append(data["title"]))
    worker.hear("track", {"title": "Alley Cat"})
    worker.hear("poll", {"title": "?"})
    assert heard == [{"title": "Alley Cat"}, "Alley Cat"]
    worker.tell_all("track", {"title": "Alley Cat"})
    assert worker.published == [("track", {"title": "Alley Cat"})]


def test_a_listener_s_exception_is_counted_and_the_others_are_called_all_the_same() -> None:
    worker = make_context()
    heard: list[Any] = []

    def broken(data: Any) -> None:
        raise KeyError("title")

    worker.listen("track", broken)
    worker.listen("track", heard.append)
    worker.hear("track", {})
    assert heard == [{}]
    assert worker.internal_errors == ["KeyError: 'title'"]


def test_who_waits_for_supporters_waits_until_they_say_so() -> None:
    worker = make_context(supporters=1)
    assert not worker.supporters_ready.is_set()
    worker.hear("supporters_ready", {"who": "the only one"})
    assert worker.supporters_ready.is_set()
    assert make_context(supporters=0).supporters_ready.is_set()


def test_who_waits_for_several_supporters_waits_for_each_of_them() -> None:
    worker = make_context(supporters=2)
    worker.hear("supporters_ready", {"who": "one"})
    worker.hear("supporters_ready", {"who": "one"})
    assert not worker.supporters_ready.is_set()
    worker.hear("supporters_ready", {"who": "other"})
    assert worker.supporters_ready.is_set()


# The report


def test_a_report_holds_everything_so_far_in_plain_values() -> None:
    worker = make_context()
    FakeUser(worker)
    worker.metrics.trend("latency").add(1500)
    worker.ledgers["visits"].sent("v1")
    worker.facts["session"] = "s"
    worker.error("join", "429")
    for final in (False, True):
        report = worker.report(final=final)
        assert (report["run_id"], report["final"]) == ("r1", final)
        latency = worker.figures().select("latency")
        assert latency is not None
        assert latency.samples == 1
        (ledger,) = [Ledger.from_wire(wire) for wire in report["ledgers"]]
        assert (ledger.name, ledger.expect().unanswered) == ("visits", 1)
        assert (report["facts"], report["errors"], report["internal_errors"]) == (
            {"session": "s"},
            [["join", "429", 1]],
            [],
        )


def test_a_context_is_complete_when_its_arrivals_are_made_of_it() -> None:
    seen: list[set[str]] = []

    def make_arrivals(context: WorkerContext) -> str:
        seen.append(set(vars(context)))
        return "arrivals"

    begin, clocks, quota = make_context().begin, Clocks("here"), IterationQuota(Iterations(1, False), print, print)
    context = WorkerContext(
        begin,
        SAMPLE_SCENARIO,
        sample_settings(),
        0,
        lambda *news: None,
        EventHook(),
        clocks=clocks,
        quota=quota,
        make_arrivals=make_arrivals,
    )
    assert seen == [set(vars(context)) - {"arrivals"}]
    assert (context.clocks, context.quota, context.arrivals) == (clocks, quota, "arrivals")


def test_figures_that_start_anew_leave_out_what_was_measured_before_and_keep_levels_and_ledgers() -> None:
    worker = make_context()
    vus, latency, errors = worker.metrics.gauge("vus"), worker.metrics.trend("latency"), worker.errors
    vus.set(5)
    latency.add(9_000_000)
    worker.check("seated", False)
    worker.error("join", "429")
    worker.ledgers["visits"].sent("a")
    worker.start_anew()
    latency.add(1_000)
    worker.error("join", "500")
    report = worker.report(final=True)
    figures = worker.figures()
    assert figures.select("latency") == Histogram([1_000])
    assert figures.select("checks{check:seated}") == RateValue(0, 0)
    assert figures.select("vus") == vus.own_value()
    assert report["errors"] == [["join", "500", 1]]
    assert report["anew"] == 1
    assert Ledger.from_wire(report["ledgers"][0]).count("sent") == 1
    assert errors is worker.errors


def test_arrivals_that_are_left_out_are_known() -> None:
    worker = make_context()
    worker.metrics.counter("iterations_started").add(7)
    worker.metrics.counter("dropped_iterations").add(2)
    assert worker.report(final=False)["arrivals_left_out"] == 0
    worker.start_anew()
    assert worker.report(final=False)["arrivals_left_out"] == 9


def test_the_peak_of_users_follows_an_edited_plan_and_never_falls() -> None:
    worker = make_context(users_peak=40)
    assert worker.users_peak == 40
    for users, peak in ((60, 60), (30, 60)):
        worker.hear("users_peak", {"users": users})
        assert worker.users_peak == peak


def test_iterations_are_counted_together_and_all_of_them_when_somebody_reads() -> None:
    worker = make_context()
    for count in range(1, 2 * BATCH + 4):
        worker.note_iteration(count * 1000 + 999)
        assert worker.iterations.own_count == count - count % BATCH, "not more than a batch waits"
    snapshot = worker.metrics.snapshot()
    assert snapshot.counted("iterations") == 2 * BATCH + 3
    duration = snapshot.series["iteration_duration", ()]
    assert isinstance(duration, Histogram)
    assert (duration.count, duration.minimum, duration.maximum) == (2 * BATCH + 3, 1, 2 * BATCH + 3)
    assert worker.metrics.snapshot() == snapshot

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
import pytest

from pika_locust.judge import Ledger
from pika_locust.measure import CounterValue, GaugeValue, RateValue, Snapshot
from pika_locust.runtime.share import MAX_ERRORS, MAX_FAULTS, WorkerContext
from tests.runtime.house import make_share


class Guest:
    """An actor as far as a share knows it: it takes `stays_s` to finish once it was asked to."""

    def __init__(self, share: WorkerContext, role: str = "primary", stays_s: float | None = 0.0) -> None:
        self.share = share
        self.role = role
        self.stays_s = stays_s
        self.released = 0
        self.was_cut = False
        self.number = share.enter(self)  # type: ignore[arg-type]

    def release(self) -> None:
        self.released += 1
        if self.stays_s is not None:
            gevent.spawn_later(self.stays_s, self.share.leave, self)

    def cut(self) -> None:
        self.was_cut = True
        self.share.leave(self)  # type: ignore[arg-type]


def gauge(share: WorkerContext, name: str) -> tuple[float | None, float | None]:
    value = share.metrics.snapshot().select(name)
    assert isinstance(value, GaugeValue)
    return value.value, value.max


def count(share: WorkerContext, name: str) -> float:
    value = share.metrics.snapshot().select(name)
    assert isinstance(value, CounterValue)
    return value.count


# Users


def test_primary_users_are_counted_while_they_are_there() -> None:
    share = make_share()
    guests = [Guest(share) for _ in range(3)]
    assert [guest.number for guest in guests] == [0, 1, 2]
    assert gauge(share, "vus") == (3, 3)
    share.leave(guests[1])  # type: ignore[arg-type]
    share.leave(guests[1])  # type: ignore[arg-type]
    assert gauge(share, "vus") == (2, 3)
    assert Guest(share).number == 3
    assert gauge(share, "vus_max") == (3, 3)
    assert share.actors("primary") == [guests[0], guests[2], share.actors("primary")[-1]]


def test_supporters_come_on_top() -> None:
    share = make_share(supporters=1)
    Guest(share, "supporter")
    assert share.actors("primary") == []
    assert len(share.actors("supporter")) == 1
    value = share.metrics.snapshot().select("vus")
    assert value is not None
    assert value.samples == 0


def test_users_of_all_processes_have_different_numbers_and_dice() -> None:
    first, second = make_share(workers=2), make_share(workers=2)
    first.worker_index, second.worker_index = 0, 1
    shares = (first, second)
    assert sorted(share.global_number(number) for share in shares for number in range(5)) == list(range(10))
    assert len({share.dice(number).bits() for share in shares for number in range(5)}) == 10
    assert first.dice(3).bits() == first.dice(3).bits()


def test_users_that_come_together_are_spread_over_the_second() -> None:
    share = make_share()
    delays = sorted(share.start_delay_s(number) for number in range(100))
    assert delays[0] >= 0.0
    assert delays[-1] < 1.0
    gaps = [after - before for before, after in zip(delays, [*delays[1:], 1.0], strict=True)]
    assert max(gaps) < 0.02
    assert {make_share(spread=False).start_delay_s(number) for number in range(100)} == {0.0}


# Draining


def test_a_drain_lets_everybody_of_the_role_finish() -> None:
    share = make_share()
    dancers = [Guest(share, stays_s=0.03 * number) for number in range(3)]
    host = Guest(share, "supporter")
    share.drain("primary", 5.0)
    assert share.actors("primary") == []
    assert [dancer.released for dancer in dancers] == [1, 1, 1]
    assert not any(dancer.was_cut for dancer in dancers)
    assert (host.released, share.draining) == (0, {"primary"})
    assert count(share, "iterations_cut") == 0


def test_a_drain_ends_as_soon_as_the_last_one_is_gone() -> None:
    share = make_share()
    Guest(share, stays_s=0.02)
    began_s = time.monotonic()
    share.drain("primary", 30.0)
    assert time.monotonic() - began_s < 2.0


def test_who_does_not_finish_in_time_is_cut_and_counted() -> None:
    share = make_share()
    quick, slow, never = Guest(share), Guest(share, stays_s=9.0), Guest(share, stays_s=None)
    share.drain("primary", 0.1)
    assert (quick.was_cut, slow.was_cut, never.was_cut) == (False, True, True)
    assert count(share, "iterations_cut") == 2
    assert share.errors == {("primary", "cut off 0.1 s after the end"): 1}
    assert share.actors("primary") == []


def test_at_the_end_everybody_who_asked_is_called_once_and_a_fault_stops_nobody() -> None:
    share = make_share()
    called: list[str] = []

    def broken() -> None:
        raise KeyError("books")

    share.on_end(lambda: called.append("first"))
    share.on_end(broken)
    share.on_end(lambda: called.append("last"))
    share.end()
    share.end()
    assert called == ["last", "first"]
    assert share.faults == ["KeyError: 'books'"]


# What is measured


def test_checks_are_counted_by_name() -> None:
    share = make_share()
    for ok in (True, True, False):
        share.check("answered", ok)
    share.check("polite", True)
    snapshot = share.metrics.snapshot()
    whole, answered = snapshot.select("checks"), snapshot.select("checks{check:answered}")
    assert isinstance(whole, RateValue)
    assert isinstance(answered, RateValue)
    assert (whole.passes, whole.fails, answered.passes, answered.fails) == (3, 1, 2, 1)


def test_errors_are_counted_by_place_and_words() -> None:
    share = make_share()
    for _ in range(3):
        share.error("join", "429 Too Many Requests")
    share.error("join", "timeout")
    share.error("join", "x" * 500)
    assert share.errors == {("join", "429 Too Many Requests"): 3, ("join", "timeout"): 1, ("join", "x" * 200): 1}


def test_kinds_of_errors_are_bounded_and_none_is_lost() -> None:
    share = make_share()
    for number in range(MAX_ERRORS + 50):
        share.error("join", f"error {number}")
    share.error("join", "error 0")
    assert len(share.errors) == MAX_ERRORS + 1
    assert sum(share.errors.values()) == MAX_ERRORS + 51
    assert share.errors["other", "more kinds of errors than are kept apart"] == 50


def test_faults_are_logged_with_their_traceback_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    share = make_share()
    with caplog.at_level(logging.ERROR):
        for number in range(MAX_FAULTS + 5):
            with share.guarded():
                raise RuntimeError(f"fault {number}")
    assert share.faults == [f"RuntimeError: fault {number}" for number in range(MAX_FAULTS)]
    assert len(caplog.records) == MAX_FAULTS
    assert "test_share.py" in caplog.text


def test_locust_hears_of_requests() -> None:
    share = make_share()
    share.request("WS", "like", 1.5, 20)
    share.request("WS", "like", None, 0, RuntimeError("no answer"))
    assert [(fired["request_type"], fired["name"], fired["response_time"]) for fired in share.fired] == [
        ("WS", "like", 1.5),
        ("WS", "like", None),
    ]
    assert share.fired[0]["exception"] is None
    assert str(share.fired[1]["exception"]) == "no answer"


def test_what_actors_share_is_made_once_in_a_process() -> None:
    share = make_share()
    made: list[WorkerContext] = []

    def table(own: WorkerContext) -> list[int]:
        made.append(own)
        return []

    assert share.shared(table) is share.shared(table)
    assert made == [share]
    assert make_share().shared(table) is not share.shared(table)


# News


def test_news_reach_those_who_listen_to_the_topic() -> None:
    share = make_share()
    heard: list[Any] = []
    share.listen("track", heard.append)
    share.listen("track", lambda data: heard.append(data["title"]))
    share.hear("track", {"title": "Alley Cat"})
    share.hear("poll", {"title": "?"})
    assert heard == [{"title": "Alley Cat"}, "Alley Cat"]
    share.tell_all("track", {"title": "Alley Cat"})
    assert share.told == [("track", {"title": "Alley Cat"})]


def test_a_listener_s_fault_is_counted_and_the_others_hear_all_the_same() -> None:
    share = make_share()
    heard: list[Any] = []

    def broken(data: Any) -> None:
        raise KeyError("title")

    share.listen("track", broken)
    share.listen("track", heard.append)
    share.hear("track", {})
    assert heard == [{}]
    assert share.faults == ["KeyError: 'title'"]


def test_who_waits_for_supporters_waits_until_they_say_so() -> None:
    share = make_share(supporters=1)
    assert not share.supporters_ready.is_set()
    share.hear("supporters_ready", {"ok": True})
    assert share.supporters_ready.is_set()
    assert make_share(supporters=0).supporters_ready.is_set()


# The report


def test_a_report_holds_everything_so_far_in_plain_values() -> None:
    share = make_share()
    Guest(share)
    share.metrics.trend("latency").add(1500)
    share.ledgers["visits"].sent("v1")
    share.facts["session"] = "s"
    share.error("join", "429")
    for final in (False, True):
        report = share.report(final=final)
        assert (report["run_id"], report["final"]) == ("r1", final)
        latency = Snapshot.from_wire(report["metrics"]).select("latency")
        assert latency is not None
        assert latency.samples == 1
        (ledger,) = [Ledger.from_wire(wire) for wire in report["ledgers"]]
        assert (ledger.name, ledger.expect().unanswered) == ("visits", 1)
        assert (report["facts"], report["errors"], report["faults"]) == ({"session": "s"}, [["join", "429", 1]], [])

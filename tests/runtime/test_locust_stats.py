from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gevent
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from locust import stats as locusts
from locust.env import Environment
from locust.event import Events
from locust.stats import RequestStats, StatsEntry

from pika_locust.runtime import locust_stats
from pika_locust.runtime.context import WorkerContext
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context, sample_settings

Request = tuple[str, str, float | None, int, Any]


class Locust:
    """A Locust with a runner, and the share of a test in it."""

    def __init__(self, cache: bool = True) -> None:
        self.environment = Environment(events=Events())
        self.runner = self.environment.create_local_runner()
        self.environment.stats.use_response_times_cache = cache
        self.environment.stats.clear_all()
        self.event = self.environment.events.request
        self.worker = WorkerContext(
            make_context().begin, SAMPLE_SCENARIO, sample_settings(), 0, lambda *news: None, self.event
        )
        self.fired: list[dict[str, Any]] = []
        fire = self.event.fire
        self.event.fire = lambda **fields: (self.fired.append(fields), fire(**fields))

    def fire(self, request: Request) -> None:
        """What Locust's own clients do."""
        kind, name, response_time, size, error = request
        self.event.fire(
            request_type=kind,
            name=name,
            response_time=response_time,
            response_length=size,
            exception=error,
            context={},
        )

    @property
    def stats(self) -> RequestStats:
        return self.environment.stats

    def recorded(self) -> Any:
        """Everything that the statistics hold, and what the web page and the console make of it."""
        entries = [self.stats.total, *self.stats.entries.values()]
        return (
            [{**vars(entry), "stats": None} for entry in entries],
            [entry.to_dict() for entry in entries],
            [entry.percentile() for entry in entries if entry.num_requests],
            self.stats.serialize_errors(),
            self.stats.history,
        )


@contextmanager
def locusts_of(count: int, **arguments: Any) -> Iterator[list[Locust]]:
    made = [Locust(**arguments) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.runner.greenlet.kill(block=False)
        gevent.sleep(0)


@contextmanager
def clock() -> Iterator[SimpleNamespace]:
    """The wall clock of Locust's statistics and ours, which stands still until it is told the time."""
    hand = SimpleNamespace(now=1_800_000_000.25)

    def time() -> float:
        return hand.now

    with mock.patch.object(locust_stats, "time", time), mock.patch.object(locusts, "time", SimpleNamespace(time=time)):
        yield hand


@pytest.fixture
def locust() -> Iterator[Locust]:
    with clock(), locusts_of(1) as (made,):
        yield made


# Eighths add up exactly, whatever the order.
SOME_REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["page", "join"]),
    st.lists(st.tuples(st.integers(0, 99_000).map(lambda eighths: eighths / 8), st.integers(0, 10**6)), min_size=1),
)
REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST", "WS"]),
    st.sampled_from(["page", "join"]),
    st.one_of(st.none(), st.integers(0, 99_000), st.floats(0, 99_000)),
    st.integers(0, 10**9),
    st.sampled_from([None, None, None, RuntimeError("no"), "500 Oops"]),
)
PAGE, JOIN = ("GET", "page", 12.5, 70, None), ("POST", "join", 12.5, 70, None)
ACTIONS = st.one_of(
    REQUESTS,
    REQUESTS,
    SOME_REQUESTS,
    SOME_REQUESTS,
    st.sampled_from([0.1, 0.7, 1.0, 15.0, -2.0]),
    st.sampled_from(["reset_all", "clear_all", "reset total"]),
)


@pytest.mark.parametrize("cache", [True, False], ids=["as the master keeps them", "as workers keep them"])
@settings(max_examples=200)
@example(actions=[PAGE, PAGE, "reset total", PAGE, PAGE])
@example(actions=[PAGE, -2.0, JOIN, 1.0, PAGE, PAGE])
@example(actions=[PAGE, 1.0, JOIN, PAGE, PAGE])
@example(actions=[PAGE, "reset total", ("GET", "page", None, 0, None), PAGE])
@given(actions=st.lists(ACTIONS, min_size=5, max_size=40))
def test_the_statistics_are_those_that_locust_would_have_written(cache: bool, actions: list[Any]) -> None:
    with clock() as hand, locusts_of(2, cache=cache) as (ours, theirs):
        for action in actions:
            if isinstance(action, float):
                hand.now += action
            elif action == "reset total":
                ours.stats.total.reset()
                theirs.stats.total.reset()
            elif isinstance(action, str):
                getattr(ours.stats, action)()
                getattr(theirs.stats, action)()
            elif len(action) == 3:
                kind, name, requests = action
                assert ours.worker.may_tell_later()
                ours.worker.requests(
                    kind, name, [each_ms for each_ms, _ in requests], sum(size for _, size in requests)
                )
                for each_ms, size in requests:
                    theirs.fire((kind, name, each_ms, size, None))
            else:
                ours.worker.request(*action)
                theirs.fire(action)
            assert ours.recorded() == theirs.recorded()


def test_the_event_is_fired_for_what_is_not_a_success(locust: Locust) -> None:
    for _ in range(3):
        locust.worker.request("GET", "page", 12.5, 70)
    assert len(locust.fired) == 0
    locust.worker.request("GET", "page", 12.5, 70, RuntimeError("no"))
    locust.worker.request("GET", "page", None, 70)
    assert len(locust.fired) == 2
    assert (locust.stats.total.num_requests, locust.stats.total.num_failures) == (5, 1)


def test_another_listener_hears_every_request_from_when_it_came_to_when_it_went(locust: Locust) -> None:
    heard: list[dict[str, Any]] = []

    def listener(**fields: Any) -> None:
        heard.append(fields)

    def ask(count: int) -> None:
        for _ in range(count):
            locust.worker.request("GET", "page", 12.5, 70)

    ask(5)
    locust.event.add_listener(listener)
    ask(5)
    locust.event.remove_listener(listener)
    ask(5)
    usual = {"request_type": "GET", "name": "page", "response_time": 12.5, "response_length": 70}
    assert heard == [{**usual, "exception": None, "context": {}}] * 5
    assert locust.stats.get("page", "GET").num_requests == 15


def test_some_can_be_told_together(locust: Locust) -> None:
    with clock() as hand:
        assert locust.worker.may_tell_later()
        locust.worker.requests("GET", "page", [1.0, 12.5, 800.0], 60)
        hand.now += 1.0
        locust.worker.requests("GET", "page", [3.0, 4.0], 3)
        locust.worker.requests("GET", "page", [0.5], 1)
    total = locust.stats.total
    assert (total.num_requests, total.total_content_length) == (6, 64)
    assert (total.min_response_time, total.max_response_time) == (0.5, 800.0)
    assert sorted(total.num_reqs_per_sec.values()) == [3, 3]
    assert locust.fired == []


def test_a_locust_without_handlers_to_look_at_is_told_by_its_event() -> None:
    fired: list[str] = []
    event = SimpleNamespace(fire=lambda name, **_: fired.append(name))
    worker = WorkerContext(make_context().begin, SAMPLE_SCENARIO, sample_settings(), 0, lambda *news: None, event)
    assert not worker.may_tell_later()
    worker.request("GET", "page", 12.5, 70)
    assert fired == ["page"]


def test_a_single_listener_that_is_not_locusts_hears_every_request(locust: Locust) -> None:
    heard: list[str] = []
    locust.worker.request("GET", "page", 12.5, 70)
    locust.event._handlers[:] = [lambda name, **fields: heard.append(name)]
    for name in ("page", "page", "join"):
        locust.worker.request("GET", name, 12.5, 70)
    assert heard == ["page", "page", "join"]
    assert locust.stats.total.num_requests == 1


def test_a_listener_that_has_an_environment_as_locusts_has_is_still_not_locusts(locust: Locust) -> None:
    heard: list[str] = []

    class Collector:
        environment = locust.environment

        def listener(self) -> Callable[..., None]:
            def on_request(name: str, **fields: Any) -> None:
                heard.append(f"{name} at {self.environment.host}")

            return on_request

    locust.worker.request("GET", "page", 12.5, 70)
    locust.event._handlers[:] = [Collector().listener()]
    for _ in range(3):
        locust.worker.request("GET", "page", 12.5, 70)
    assert heard == ["page at None"] * 3
    assert locust.stats.total.num_requests == 1


def test_an_error_in_a_listener_is_locusts_affair(locust: Locust, caplog: pytest.LogCaptureFixture) -> None:
    def broken(**fields: Any) -> None:
        raise ValueError("a listener's own")

    locust.event.add_listener(broken)
    locust.worker.request("GET", "page", 12.5, 70)
    assert "a listener's own" in caplog.text
    assert locust.stats.total.num_requests == 1


def test_buckets_of_ones_own_are_used(locust: Locust, monkeypatch: pytest.MonkeyPatch) -> None:
    locust.worker.request("GET", "page", 12.5, 70)
    monkeypatch.setattr(locusts, "bucket_response_time", lambda response_time: 1000)
    locust.worker.request("GET", "page", 12.5, 70)
    assert locust.stats.total.response_times == {12: 1, 1000: 1}


def test_an_error_in_buckets_of_ones_own_is_a_fault_of_the_run(locust: Locust, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(response_time: float) -> int:
        raise ValueError("a bucket's own")

    locust.worker.request("GET", "page", 12.5, 70)
    monkeypatch.setattr(locusts, "bucket_response_time", broken)
    locust.worker.request("GET", "page", 12.5, 70)
    assert locust.worker.internal_errors == ["ValueError: a bucket's own"]


def test_a_locust_that_counts_otherwise_counts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def counts_double(entry: StatsEntry, current_time: float) -> None:
        entry.num_reqs_per_sec[int(current_time)] += 2
        entry.last_request_timestamp = current_time

    monkeypatch.setattr(StatsEntry, "_log_time_of_request", counts_double)
    with clock() as hand, locusts_of(1) as (locust,):
        for _ in range(3):
            locust.worker.request("GET", "page", 12.5, 70)
        assert locust.stats.total.num_reqs_per_sec == {int(hand.now): 6}
        assert len(locust.fired) == 3


def test_a_locust_that_somebody_has_changed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    original = RequestStats.log_request

    def log_request(stats: RequestStats, method: str, name: str, response_time: int, content_length: int) -> None:
        logged.append(name)
        original(stats, method, name, response_time, content_length)

    monkeypatch.setattr(RequestStats, "log_request", log_request)
    with clock(), locusts_of(1) as (locust,):
        for name in ("join", "join", "leave"):
            locust.worker.request("POST", name, 12.5, 70)
        assert logged == ["join", "join", "leave"]
        assert locust.stats.total.num_requests == 3


def test_statistics_of_another_class_are_left_to_locust(locust: Locust) -> None:
    class Own(RequestStats):
        pass

    locust.environment.stats = Own()
    for _ in range(3):
        locust.worker.request("GET", "page", 12.5, 70)
    assert len(locust.fired) == 3

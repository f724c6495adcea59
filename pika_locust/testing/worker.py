"""A worker context outside of a run: it records what a process would tell the others and what it would tell Locust.

    class Visitor(Actor):
        def act(self) -> None:
            self.worker.check("greeted", True)
            self.pause(10)

    def test_a_visitor_is_greeted_every_ten_seconds() -> None:
        with VirtualTime() as time:
            worker = make_context(SCENARIO, seed=1)
            time.spawn(live, make_user(Visitor, worker))
            time.run(25)
            assert worker.rate_of("checks", check="greeted") == (3, 0)
            assert worker.internal_errors == []

Users of several processes share nothing: give each process a context of its own, with its `worker_index`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

import gevent
from locust.event import EventHook
from locust.exception import StopUser

from pika_locust.clock import monotonic
from pika_locust.judge import Ledger
from pika_locust.metrics import Histogram
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.options import LOAD_SETTINGS
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings, read_settings

RUN_ID = "0123456789ab"
"""The id of the run that `make_context` makes up."""

User = TypeVar("User")


class RecordingContext(WorkerContext):
    """A worker context that keeps what it would send to others, and reads metrics and ledgers for assertions."""

    def __init__(self, begin: RunStart, scenario: Scenario, settings: Settings, worker_index: int = 0) -> None:
        """The context of the process `worker_index` in the run that `begin` announces."""
        self.published: list[tuple[str, Any]] = []
        """(topic, data) of the news for all processes, oldest first; `hear` hands one over."""
        self.hears_itself = False
        """Whether news are handed over to this context at once, as in a run of one process."""
        self.request_events: list[dict[str, Any]] = []
        """The fields of Locust's `request` events, oldest first."""
        event = EventHook()
        event.add_listener(lambda **fields: self.request_events.append(fields))
        super().__init__(begin, scenario, settings, worker_index, self._publish, event)

    def _publish(self, topic: str, data: Mapping[str, Any]) -> None:
        self.published.append((topic, data))
        if self.hears_itself:
            self.hear(topic, data)

    def count_of(self, metric: str, /, **tags: str) -> int:
        """The value of a counter, of the series with these tags where some are given."""
        return int(_read(self.metrics.counter(metric), tags).count)

    def rate_of(self, metric: str, /, **tags: str) -> tuple[int, int]:
        """How often a rate was true, and how often it was false."""
        value = _read(self.metrics.rate(metric), tags)
        return value.passes, value.fails

    def trend_of(self, metric: str, /, **tags: str) -> Histogram:
        """The samples of a trend, in microseconds where it is one of times."""
        histogram: Histogram = _read(self.metrics.trend(metric), tags)
        return histogram

    def ledger_of(self, ledger: str) -> dict[str, int]:
        """How many items of a ledger had which outcome; outcomes that did not occur are left out."""
        return outcomes(self.ledgers[ledger])

    def errors_of(self, name: str) -> list[str]:
        """The different texts of the errors that were counted under a name."""
        return [text for where, text in self.errors if where == name]


def _read(handle: Any, tags: Mapping[str, str]) -> Any:
    return (handle.tagged(**tags) if tags else handle).read()


def outcomes(ledger: Ledger) -> dict[str, int]:
    """How many items of a ledger had which outcome; outcomes that did not occur are left out."""
    names = ("sent", "acked", "refused", "timed_out", "uncertain")
    return {name: ledger.count(name) for name in names if ledger.count(name)}


def settings_of(scenario: Scenario, environ: Mapping[str, str] | None = None) -> Settings:
    """A scenario's settings as a run reads them from these environment variables, and from nowhere else.

    Raises ValueError with all mistakes in them.
    """
    settings, problems = read_settings(
        (*LOAD_SETTINGS, *scenario.settings), environ or {}, scenario.platform, scenario.name
    )
    if problems:
        raise ValueError("; ".join(problems))
    return settings


def make_context(
    scenario: Scenario,
    environ: Mapping[str, str] | None = None,
    *,
    settings: Settings | None = None,
    worker_index: int = 0,
    **start: Any,
) -> RecordingContext:
    """One process's context in a run of a scenario.

    Arguments:
        scenario: what is run.
        environ: the environment variables that its settings are read from.
        settings: the settings, instead of reading them.
        worker_index: which of the run's processes this is.
        start: fields of `RunStart` that are to differ: by default a run of 60 s against http://127.0.0.1 with seed 7,
            whose users begin at once and wait for no supporters.

    Raises ValueError when the environment has mistakes.
    """
    values = settings_of(scenario, environ) if settings is None else settings
    fields: dict[str, Any] = {
        "run_id": RUN_ID,
        "seed": 7,
        "target": "http://127.0.0.1",
        "settings": values.for_workers(),
        "planned_s": 60.0,
        "spread": False,
        "supporters": 0,
        "stop_timeout_s": 30.0,
        **start,
    }
    return RecordingContext(RunStart(**fields), scenario, values, worker_index)


def make_user(kind: Callable[[Any], User], worker: WorkerContext | None) -> User:
    """A user as Locust makes it, in an environment that has this context to give, or None: no run has begun.

    It does nothing before `on_start`, and then what is called; `live` lets it live as Locust does.
    """
    plugin = SimpleNamespace(wait_for_context=lambda timeout_s: worker)
    return kind(SimpleNamespace(pika_locust=plugin, events=None, host=None))


def live(user: Any) -> None:
    """A user's life as Locust leads it: `on_start`, iterations until it stops or is killed, `on_stop`."""
    try:
        user.on_start()
        while True:
            user.iterate()
    except (StopUser, gevent.GreenletExit):
        user.on_stop()


def wait_until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Let the event loop run until something is so; TimeoutError when it is not in time."""
    deadline_s = monotonic() + within_s
    while not condition():
        if monotonic() >= deadline_s:
            raise TimeoutError(f"not so within {within_s:g} s")
        gevent.sleep(0.005)

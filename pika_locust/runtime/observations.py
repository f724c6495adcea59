"""Figures of the target while it is loaded (`--observe`), read every few seconds in the master (or local) process."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import gevent

from pika_locust.clock import monotonic
from pika_locust.judge import Reason, ThresholdResult
from pika_locust.metrics import Kind, Metric, Registry, Snapshot
from pika_locust.observe.sources import Observation, Source, UnobservedError, source_of
from pika_locust.observe.target import PROBE_WITHIN_S
from pika_locust.outputs import redact
from pika_locust.scenario import Scenario

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0


def observations_of(scenario: Scenario, target: str) -> Iterator[Observation]:
    """What a scenario observes by itself, where the target has it."""
    base = scenario.http_base(target)
    for metric, place in scenario.observes.items():
        if base:
            yield Observation(metric.name, f"{base}{place}", is_optional=True, declared=metric)


class Observations:
    """Asks each source in a greenlet of its own, so that one that hangs delays no other.

    Arguments:
        observed: what is asked.
        headers: sent to pages.
    """

    def __init__(self, observed: Sequence[Observation] = (), headers: Mapping[str, str] | None = None) -> None:
        self._observed = [_Observed(one, headers) for one in observed]
        self._registry = Registry([one.metric for one in observed])
        self._greenlets: list[Any] = []
        self.internal_errors: list[str] = []
        """Exceptions of this package's own, once for each figure; any of them ends the run with 107."""

    def start(self) -> None:
        """Begin to ask."""
        self._greenlets = [gevent.spawn(self._watch, one) for one in self._observed]

    def stop(self) -> None:
        """Ask no more."""
        gevent.killall(self._greenlets, block=False)

    def finish(self) -> None:
        """The load is over: ask all of them for the last time. Interrupted, it ends at once and raises on."""
        gevent.killall(self._greenlets)
        asking = [gevent.spawn(self._look_to_the_end, one) for one in self._observed]
        try:
            gevent.joinall(asking, timeout=PROBE_WITHIN_S)
        finally:
            late = [one for one, last in zip(self._observed, asking, strict=True) if not last.ready()]
            gevent.killall(asking)
            for one in self._observed:
                one.close()
        for one in late:
            what = "it was not read to its end" if one.is_behind else "no answer"
            one.note(f"{what} within {PROBE_WITHIN_S:g} s")

    def snapshot(self) -> Snapshot:
        """What was seen so far."""
        return self._registry.snapshot()

    def reasons(self, thresholds: Sequence[ThresholdResult]) -> list[Reason]:
        """Why a run cannot pass: a threshold asks for a figure that could be read, and could not at the end. (One that
        never could has no data, which is a reason by itself.)"""
        asked = {result.metric for result in thresholds if result.status == "pass"}
        return [
            Reason("no_data", one.name, f"{one.name} could not be read at the end of the load: {one.problem}")
            for one in self._observed
            if one.problem and one.name in asked and not one.is_optional
        ]

    def notes(self) -> list[str]:
        """How often what could not be read, a sentence each."""
        return [
            f"{one.name}: {one.failed} of {one.looks} looks failed, the last one of these: {one.last_problem}"
            for one in self._observed
            if one.failed and not (one.is_optional and one.failed == one.looks)
        ]

    def _watch(self, one: _Observed) -> None:
        next_s = monotonic()
        while True:
            self._look(one)
            next_s = max(next_s + LOOK_EVERY_S, monotonic())
            gevent.sleep(next_s - monotonic())

    def _look_to_the_end(self, one: _Observed) -> None:
        self._look(one)
        while one.is_behind and not one.problem:
            gevent.sleep(0)
            self._look(one)

    def _look(self, one: _Observed) -> None:
        try:
            self._measure(one.metric, one.read())
        except UnobservedError as error:
            one.note(redact.one_line(str(error)))
        except Exception as error:
            # Without this, the figure that was read last would be judged, and nobody would know how old it is.
            problem = redact.one_line(f"{type(error).__name__}: {error}")
            one.note(problem)
            if not any(known.startswith(f"observing {one.name}: ") for known in self.internal_errors):
                logger.exception("%s could not be looked at", one.name)
                self.internal_errors.append(f"observing {one.name}: {problem}")
        else:
            one.note("")

    def _measure(self, metric: Metric, value: float) -> None:
        if metric.kind is Kind.COUNTER:
            self._registry.counter(metric.name).add(value)
        else:
            self._registry.gauge(metric.name).set(value)


class _Observed:
    """One source, and how the looks at it went."""

    def __init__(self, observation: Observation, headers: Mapping[str, str] | None) -> None:
        self.name = observation.name
        self.metric = observation.metric
        self.is_optional = observation.is_optional
        self._observation = observation
        self._headers = headers
        self._source: Source | None = None
        # What is counted is what comes from now on. What is not there now is a look that fails.
        with suppress(UnobservedError):
            self._open()
        self.looks = self.failed = 0
        self.problem = ""
        """Of the last look; empty when it went well."""
        self.last_problem = ""

    def _open(self) -> Source:
        self._source = self._source or source_of(self._observation, self._headers)
        return self._source

    def read(self) -> float:
        """Raises UnobservedError."""
        return self._open()()

    @property
    def is_behind(self) -> bool:
        """Whether there is more to read already."""
        return self._source is not None and self._source.is_behind

    def close(self) -> None:
        """Nothing is read any more."""
        if self._source is not None:
            self._source.close()

    def note(self, problem: str) -> None:
        self.looks += 1
        self.failed += bool(problem)
        if problem and problem != self.last_problem and not self.is_optional:
            logger.warning("%s cannot be observed: %s", self.name, problem)
        self.problem = problem
        self.last_problem = problem or self.last_problem

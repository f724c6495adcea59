"""Metrics that actors declare in their class body: collected for the scenario, bound once in a process.

class Caller(HttpActor):
    meters = {"call_accept_time": trend("from the request to the acceptance"), "calls_lost": counter("no answer")}

    def act(self):
        self.meters.call_accept_time.add(duration_us)    # or add_ms(duration_ms)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from pika_locust.metrics import Kind, Metric
from pika_locust.metrics.metric import GaugeMerge


@dataclass(frozen=True, slots=True)
class Meter:
    """A metric without its name, which is the key under which an actor declares it."""

    kind: Kind
    about: str = ""
    unit: str = ""
    merge: GaugeMerge = "sum"

    def named(self, name: str) -> Metric:
        """The metric of that name. Raises ValueError for a name that no metric can have."""
        return Metric(name, self.kind, self.unit, self.about, self.merge)


def counter(about: str = "", unit: str = "") -> Meter:
    """A sum that only grows, such as messages sent."""
    return Meter(Kind.COUNTER, about, unit)


def gauge(about: str = "", unit: str = "", merge: GaugeMerge = "sum") -> Meter:
    """A level, such as open connections; `merge` says how the levels of several workers become one."""
    return Meter(Kind.GAUGE, about, unit, merge)


def rate(about: str = "") -> Meter:
    """A share of passes among attempts."""
    return Meter(Kind.RATE, about)


def trend(about: str = "", unit: str = "ms") -> Meter:
    """A distribution. With the default unit, samples are whole microseconds (`add`) or milliseconds (`add_ms`), and
    results milliseconds."""
    return Meter(Kind.TREND, about, unit)


def named(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    """Metrics as they are declared elsewhere, for an actor's `meters`."""
    return {metric.name: metric for metric in metrics}


def declared(actor: type) -> dict[str, Metric]:
    """All metrics of an actor and of its base classes, by name; the class itself has the last word."""
    found: dict[str, Metric] = {}
    for owner in reversed(actor.__mro__):
        for name, meter in vars(owner).get("meters", {}).items():
            metric = meter if isinstance(meter, Metric) else meter.named(name)
            if metric.name != name:
                raise ValueError(f"{owner.__name__}.meters: the metric {metric.name} is declared as {name}")
            found[name] = metric
    return found


class _Registry(Protocol):
    def counter(self, name: str) -> Any: ...
    def gauge(self, name: str) -> Any: ...
    def rate(self, name: str) -> Any: ...
    def trend(self, name: str) -> Any: ...


class _Worker(Protocol):
    """What binding needs of a `runtime.context.WorkerContext`."""

    @property
    def metrics(self) -> _Registry: ...


@dataclass(frozen=True, slots=True)
class BoundMeters:
    """`worker.shared(BoundMeters(actor_class))`: the metrics' handles as attributes, the same object for all actors of
    a class in a process. Raises KeyError for a metric that the scenario does not declare."""

    actor: type

    def __call__(self, worker: _Worker) -> Any:
        registry: Mapping[Kind, Any] = {
            Kind.COUNTER: worker.metrics.counter,
            Kind.GAUGE: worker.metrics.gauge,
            Kind.RATE: worker.metrics.rate,
            Kind.TREND: worker.metrics.trend,
        }
        return SimpleNamespace(**{name: registry[metric.kind](name) for name, metric in declared(self.actor).items()})

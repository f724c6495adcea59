"""Which metrics a test has, and the handles to add samples to them: one registry for each process and test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeVar

from pika_locust.measure.metric import Metric
from pika_locust.measure.series import HANDLES, Counter, Gauge, Rate, Series, SeriesLimit, Trend
from pika_locust.measure.snapshot import Snapshot, describe

_Handle = TypeVar("_Handle", bound=Series)


class Registry:
    """The only maker of handles: every metric is declared before it takes a sample, and only once.

    `max_series` limits how many tagged series there may be over all metrics; see `Series.tagged` for what happens
    past it.
    """

    def __init__(self, metrics: Iterable[Metric] = (), max_series: int = 2000) -> None:
        self._guard = SeriesLimit(max_series)
        self._roots: dict[str, Series] = {}
        for metric in metrics:
            self.declare(metric)

    def declare(self, metric: Metric) -> None:
        """Make a metric known. Saying the same twice is fine; `ValueError` when it is known as something else."""
        known = self._roots.get(metric.name)
        if known is None:
            self._roots[metric.name] = HANDLES[metric.kind](metric, self._guard)
        elif known.metric != metric:
            what = f"{describe(known.metric)}, and {describe(metric)}"
            raise ValueError(f"metric {metric.name} is declared twice, in two ways: {what} (or their texts differ)")

    @property
    def metrics(self) -> dict[str, Metric]:
        """All declarations by name, as a copy."""
        return {name: root.metric for name, root in self._roots.items()}

    @property
    def series_refused(self) -> int:
        """How often a tagged series was asked for past the limit; asking twice for the same counts twice."""
        return self._guard.refused

    def counter(self, name: str) -> Counter:
        """The handle of a declared counter. `KeyError` for an unknown name, `TypeError` for another kind."""
        return self._root(name, Counter)

    def gauge(self, name: str) -> Gauge:
        """The handle of a declared gauge. `KeyError` for an unknown name, `TypeError` for another kind."""
        return self._root(name, Gauge)

    def rate(self, name: str) -> Rate:
        """The handle of a declared rate. `KeyError` for an unknown name, `TypeError` for another kind."""
        return self._root(name, Rate)

    def trend(self, name: str) -> Trend:
        """The handle of a declared trend. `KeyError` for an unknown name, `TypeError` for another kind."""
        return self._root(name, Trend)

    def _root(self, name: str, handle: type[_Handle]) -> _Handle:
        root = self._roots.get(name)
        if root is None:
            raise KeyError(self._unknown(name, handle))
        if not isinstance(root, handle):
            kind = root.metric.kind
            raise TypeError(f"{name} is a {kind}: write registry.{kind}({name!r}). {self._known(handle)}")
        return root

    def _unknown(self, name: str, handle: type[Series]) -> str:
        close = get_close_matches(name, self._roots, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        return f"no metric {name!r} is declared.{hint} {self._known(handle)}"

    def _known(self, handle: type[Series]) -> str:
        names = sorted(name for name, root in self._roots.items() if isinstance(root, handle))
        return f"Declared as {handle.kind}: {', '.join(names) or 'none'}."

    def on_collect(self, settle: Callable[[], None]) -> None:
        """Call `settle` whenever samples are about to be read, for it to add those that wait to be counted."""
        self._guard.on_collect.append(settle)

    def snapshot(self) -> Snapshot:
        """A copy of everything measured so far: later samples do not change it."""
        return Snapshot(
            {(name, handle.tags): handle.own_value() for name, root in self._roots.items() for handle in root.family()},
            self.metrics,
            self._guard.refused,
        )

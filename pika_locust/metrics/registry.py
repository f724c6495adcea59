"""The registry of one process's metrics, and the handles that add samples: bind one once, then add on the hot path.

    latency = registry.trend("like_latency")
    premium = latency.tagged(tier="premium")
    premium.add(12_345)                        # microseconds; counts in like_latency, too
    premium.add_ms(12.345)                     # the same

Adding touches the handle's own samples and nothing else. A metric is the fold of those of its handle and of its tagged
children, and that is done when somebody reads. Handles are for one thread (or greenlets of one thread).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from math import inf, isfinite
from typing import Self, TypeVar

from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import OTHER, Kind, Metric, Tags, series_text, tags_of
from pika_locust.metrics.snapshot import Snapshot, describe
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value, empty_value


class SeriesLimit:
    """Counts the tagged series of a registry and refuses those past the limit: a tag with a user's id in it, say.

    `on_collect` is called before samples are read: by it, who counts in batches counts what is left.
    """

    __slots__ = ("admitted", "limit", "on_collect", "refused")

    def __init__(self, limit: int) -> None:
        self.on_collect: list[Callable[[], None]] = []
        self.limit = limit
        self.admitted = 0
        self.refused = 0

    def admit(self) -> bool:
        """Whether one more series may be made; either answer is counted."""
        if self.admitted < self.limit:
            self.admitted += 1
            return True
        self.refused += 1
        return False


class Series:
    """What all handles share: their metric, their tags, and their tagged children."""

    __slots__ = ("_children", "_limit", "_root", "metric", "tags")

    kind: Kind

    def __init__(self, metric: Metric, limit: SeriesLimit, tags: Tags = (), root: Self | None = None) -> None:
        if metric.kind is not self.kind:
            raise TypeError(f"{metric.name} is a {metric.kind}, not a {self.kind}")
        self.metric = metric
        self.tags = tags
        self._limit = limit
        self._root: Self = self if root is None else root
        self._children: dict[Tags, Self] = {}

    def tagged(self, /, **tags: str | int | bool) -> Self:
        """The handle for samples that carry these tags on top of this one's own; the same tags give the same object.

        Bind it once and keep it: the look-up is far dearer than `add`. Past the registry's limit of series, samples go
        to the metric's child tagged `series:other`. Raises `ValueError` for an illegal tag key, or a tag that this
        handle has with another value.
        """
        own = dict(self.tags)
        wanted = tags_of(own | tags)
        for key, value in wanted:
            if own.get(key, value) != value:
                mine = series_text(self.metric.name, self.tags)
                raise ValueError(f"{mine}: tag {key} cannot be {value!r} as well; start from the untagged handle")
        return self._root._child(wanted)

    def _child(self, tags: Tags) -> Self:
        if not tags:
            return self
        child = self._children.get(tags)
        if child is None:
            if tags != OTHER and not self._limit.admit():
                return self._child(OTHER)
            child = self._children[tags] = type(self)(self.metric, self._limit, tags, self)
        return child

    def family(self) -> Iterator[Self]:
        """Every handle of this metric: the untagged one first, then the tagged ones."""
        yield self._root
        yield from self._root._children.values()

    def own_value(self) -> Value:
        """A copy of the samples that carry exactly this handle's tags."""
        raise NotImplementedError

    def _settle(self) -> None:
        for settle in self._limit.on_collect:
            settle()

    def read(self) -> Value:
        """A copy of all samples of the metric that carry this handle's tags, children included."""
        whole = empty_value(self.metric)
        for handle in self.family():
            if set(self.tags).issubset(handle.tags):
                whole.merge(handle.own_value())
        return whole

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {series_text(self.metric.name, self.tags)}>"


class Counter(Series):
    """Handle of a sum that only grows."""

    __slots__ = ("cell",)

    kind = Kind.COUNTER

    cell: list[int | float]
    """The sum, alone in a list: what counts a million ones a minute adds them here itself, at a third of the price."""

    def __init__(self, metric: Metric, limit: SeriesLimit, tags: Tags = (), root: Self | None = None) -> None:
        super().__init__(metric, limit, tags, root)
        self.cell = [0]

    @property
    def own_count(self) -> int | float:
        """What was added to exactly this handle so far, without what is counted in batches."""
        return self.cell[0]

    def add(self, n: int | float = 1) -> None:
        """Count `n` more. Raises `ValueError` for less than nothing (what can fall is a gauge), infinity and NaN."""
        if not 0 <= n < inf:
            raise ValueError(
                f"counter {self.metric.name} only grows, by 0 or more: not by {n!r}; what falls is a gauge"
            )
        self.cell[0] += n

    def own_value(self) -> CounterValue:
        self._settle()
        return CounterValue(self.cell[0])


class Gauge(Series):
    """Handle of a level."""

    __slots__ = ("_value",)

    kind = Kind.GAUGE

    def __init__(self, metric: Metric, limit: SeriesLimit, tags: Tags = (), root: Self | None = None) -> None:
        super().__init__(metric, limit, tags, root)
        self._value = GaugeValue(mode=metric.merge)

    def set(self, value: int | float) -> None:
        """Note that the level is now `value`. Raises `ValueError` for infinity and NaN."""
        self._value.set(value)

    def add(self, delta: int | float) -> None:
        """Note that the level rose by `delta` (or fell, when negative). It starts at 0."""
        self._value.set(self._value.value + delta)

    def own_value(self) -> GaugeValue:
        self._settle()
        return self._value.copy()


class Rate(Series):
    """Handle of a share of passes among attempts: add every attempt, whichever way it went."""

    __slots__ = ("_fails", "_passes")

    kind = Kind.RATE

    def __init__(self, metric: Metric, limit: SeriesLimit, tags: Tags = (), root: Self | None = None) -> None:
        super().__init__(metric, limit, tags, root)
        self._passes = 0
        self._fails = 0

    def add(self, ok: bool, times: int = 1) -> None:
        """Count one attempt, or several that went the same way."""
        if ok:
            self._passes += times
        else:
            self._fails += times

    def own_value(self) -> RateValue:
        self._settle()
        return RateValue(self._passes, self._fails)


class Trend(Series):
    """Handle of a distribution."""

    __slots__ = ("_histogram", "add", "add_all")

    kind = Kind.TREND

    def __init__(self, metric: Metric, limit: SeriesLimit, tags: Tags = (), root: Self | None = None) -> None:
        super().__init__(metric, limit, tags, root)
        self._histogram = Histogram()
        self.add: Callable[[int], None] = self._histogram.add
        """Count one sample: whole microseconds when the unit is ms, else a whole number of the metric's unit."""
        self.add_all: Callable[[Iterable[int]], None] = self._histogram.add_all
        """Count many samples, which costs less than one by one."""

    def add_ms(self, ms: float) -> None:
        """Count one sample that is told in ms, of a trend in ms. Raises `ValueError` for one in another unit, and for
        infinity and NaN."""
        if self.metric.unit != "ms":
            unit = self.metric.unit or "no unit"
            raise ValueError(f"trend {self.metric.name} is in {unit} and not in ms: use add(sample)")
        if not isfinite(ms):
            raise ValueError(f"trend {self.metric.name} takes a time in ms, not {ms!r}")
        self.add(round(ms * 1000))

    def own_value(self) -> Histogram:
        self._settle()
        return self._histogram.copy()


HANDLES: Mapping[Kind, type[Counter] | type[Gauge] | type[Rate] | type[Trend]] = {
    handle.kind: handle for handle in (Counter, Gauge, Rate, Trend)
}


_Handle = TypeVar("_Handle", bound=Series)


class Registry:
    """The only maker of handles: every metric is declared before it takes a sample, and only once.

    `max_series` limits how many tagged series there may be over all metrics; see `Series.tagged` for what happens
    past it.
    """

    def __init__(self, metrics: Iterable[Metric] = (), max_series: int = 2000) -> None:
        self._limit = SeriesLimit(max_series)
        self._roots: dict[str, Series] = {}
        for metric in metrics:
            self.declare(metric)

    def declare(self, metric: Metric) -> None:
        """Make a metric known. Saying the same twice is fine; `ValueError` when it is known as something else."""
        known = self._roots.get(metric.name)
        if known is None:
            self._roots[metric.name] = HANDLES[metric.kind](metric, self._limit)
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
        return self._limit.refused

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
        self._limit.on_collect.append(settle)

    def snapshot(self) -> Snapshot:
        """A copy of everything measured so far: later samples do not change it."""
        return Snapshot(
            {(name, handle.tags): handle.own_value() for name, root in self._roots.items() for handle in root.family()},
            self.metrics,
            self._limit.refused,
        )

"""Records the timeline of a run, from the cumulative snapshots that thresholds are judged by.

Of each interval of a few seconds a handful of numbers is kept. A long run gets no more points, but longer intervals.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from pika_locust.judge.report import ThresholdResult
from pika_locust.judge.timeline import Column, Mark, MarkKind, Timeline
from pika_locust.metrics.histogram import Histogram, bucket_edges
from pika_locust.metrics.metric import Kind, Metric, SeriesKey, parse_series, series_text
from pika_locust.metrics.snapshot import Snapshot
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value, empty_value

MOST_POINTS = 600
"""Twenty minutes of intervals of two seconds; then each two become one."""
MOST_NAMES = 24
"""Requests of different names that a trend is told apart by."""
NAMES_EVERY = 5
"""A request's figures are recorded each so many intervals, of all of them together, where no threshold speaks of it:
no chart shows them, and with many names they are most of what a timeline costs."""
MOST_ERRORS = 8
"""Kinds of errors with a column of their own; `OTHER_ERRORS` has the rest."""
OTHER_ERRORS = "others"
REQUESTS = "http_req_duration"
"""The trend that is told apart by name whether a threshold speaks of it or not."""
PHASES = frozenset(
    f"http_req_{phase}" for phase in ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")
)
"""Parts of it, which are recorded where a threshold speaks of them."""
QUANTILES = (0.5, 0.95, 0.99)
DIGITS = 4
"""Significant digits that are kept: no chart shows more."""


Buckets = dict[int, int]
"""Samples by the index of a histogram's bucket."""


class TimelineRecorder:
    """Makes the timeline of one run. It reads no clock: whoever observes says when."""

    def __init__(self, metrics: Iterable[Metric], series: Iterable[str] = (), most_points: int = MOST_POINTS) -> None:
        """`metrics` are the declarations of the run, each of which is recorded as a whole. `series` are what thresholds
        speak of: `http_req_failed{name:join}`; such a trend is also told apart by `name`, as `REQUESTS` is."""
        self.timeline = Timeline()
        self.thinned = 0
        """How often each two points have become one: what was read of the timeline before is to be read again."""
        self._metrics = {metric.name: metric for metric in metrics}
        self._asked = [(text, *parse_series(text)) for text in series]
        self._speaks_of = {metric for _, metric, _ in self._asked}
        self._most_points = most_points
        self._known: set[SeriesKey] = set()
        self._parts: dict[str, list[SeriesKey]] = {}
        """The series of snapshots that each recorded one is made of."""
        self._names: dict[str, set[str]] = {}
        self._told_apart: set[str] = set()
        self._observed = 0
        self._before: dict[str, Value] = {}
        self._buckets_before: dict[str, Buckets] = {}
        self._errors_before: dict[str, int] = {}
        self._failing: set[str] = set()

    def observe(
        self,
        at_s: float,
        snapshot: Snapshot,
        *,
        results: Sequence[ThresholdResult] = (),
        load: Mapping[str, float | None] | None = None,
        errors: Iterable[tuple[str, int]] = (),
        folded: Mapping[str, Value | None] | None = None,
        is_last: bool = False,
    ) -> None:
        """Take in an interval that ended `at_s` seconds after the start of the load.

        Arguments:
            snapshot: cumulative, of the whole run; it is kept until the next one, and must not change.
            results: the thresholds, as they are judged so far.
            load: levels now, as `Timeline.load` names them.
            errors: kinds of errors, and how often each has come up so far, the most frequent first.
            folded: what `Snapshot.select` gives of some series, where it is known already; it must not change either.
            is_last: also take in what is not due yet: see `NAMES_EVERY`.
        """
        line = self.timeline
        seconds = at_s - (line.times_s[-1] if line.times_s else 0.0)
        if seconds <= 0:
            return
        point = len(line.times_s)
        line.times_s.append(round(at_s, 2))
        for text, value in self._measured(snapshot, folded or {}, is_last).items():
            columns = line.metrics.setdefault(text, {})
            for name, number in _figures(self._metrics[text.partition("{")[0]], value, seconds).items():
                _put(columns, name, point, number)
        for name, level in (load or {}).items():
            _put(line.load, name, point, level)
        for kind, number in self._errors_since(errors).items():
            _put(line.errors, kind, point, number / seconds)
        for result in results:
            text = f"{result.metric}:{result.expression}"
            _put(line.thresholds, text, point, result.value)
            self._note_status(at_s, text, result)
        for column in self._columns():
            column.extend([None] * (point + 1 - len(column)))
        if len(line.times_s) > self._most_points:
            self._thin()

    def start_anew(self) -> None:
        """The figures count from 0 again."""
        self._before, self._buckets_before = {}, {}
        self._observed = 0
        self._errors_before = {}

    def mark(self, at_s: float, kind: MarkKind, text: str) -> None:
        """Note that something happened."""
        self.timeline.marks.append(Mark(round(at_s, 2), kind, text))
        self.timeline.marks.sort(key=lambda mark: mark.at_s)

    def _note_status(self, at_s: float, text: str, result: ThresholdResult) -> None:
        """The first time that a threshold with samples does not hold."""
        if result.status == "fail" and result.samples and text not in self._failing:
            self._failing.add(text)
            self.mark(at_s, "threshold", f"{result.metric} {result.expression} does not hold")

    def _measured(
        self, snapshot: Snapshot, folded: Mapping[str, Value | None], is_last: bool
    ) -> dict[str, Value | Buckets]:
        """What was measured since the last time, of everything that is due and has had samples; levels as they are now,
        and of trends the buckets."""
        for key in snapshot.series:
            if key not in self._known:
                self._known.add(key)
                for text in self._places(key):
                    self._parts.setdefault(text, []).append(key)
        found: dict[str, Value | Buckets] = {}
        for text, keys in self._parts.items():
            if text in self._told_apart and self._observed % NAMES_EVERY and not is_last:
                continue
            metric, known = self._metrics[text.partition("{")[0]], folded.get(text)
            parts = [snapshot.series[key] for key in keys if key in snapshot.series] if known is None else [known]
            if metric.kind is Kind.TREND:
                buckets = _buckets(parts)
                if buckets:
                    found[text] = _buckets_since(buckets, self._buckets_before.get(text, {}))
                self._buckets_before[text] = buckets
                continue
            whole = empty_value(metric)
            for part in parts:
                whole.merge(part)
            if whole.samples:
                found[text] = whole if isinstance(whole, GaugeValue) else _since(whole, self._before.get(text))
            self._before[text] = whole
        self._observed += 1
        return found

    def _places(self, key: SeriesKey) -> Iterable[str]:
        """The recorded series that a series of a snapshot belongs to."""
        metric, tags = key[0], dict(key[1])
        speaks_of = metric in self._speaks_of
        if metric not in self._metrics or (metric in PHASES and not speaks_of):
            return ()
        asked = [text for text, of, wanted in self._asked if of == metric and wanted.items() <= tags.items()]
        places = [metric, *asked]
        is_told_apart = self._metrics[metric].kind is Kind.TREND and (speaks_of or metric == REQUESTS)
        if is_told_apart and (name := tags.get("name")) is not None:
            names = self._names.setdefault(metric, set())
            if name in names or len(names) < MOST_NAMES:
                names.add(name)
                text = series_text(metric, {"name": name})
                places.append(text)
                if text not in asked:
                    self._told_apart.add(text)
        return dict.fromkeys(places)

    def _errors_since(self, errors: Iterable[tuple[str, int]]) -> dict[str, int]:
        """How many of each kind have come up since the last time; those without a column are together."""
        new: dict[str, int] = {}
        now = dict(errors)
        for kind, count in now.items():
            columns = self.timeline.errors
            is_shown = kind in columns or len(set(columns) | set(new)) < MOST_ERRORS
            place = kind if is_shown else OTHER_ERRORS
            new[place] = new.get(place, 0) + max(0, count - self._errors_before.get(kind, 0))
        self._errors_before = now
        return new

    def _columns(self) -> list[Column]:
        line = self.timeline
        found = [*line.load.values(), *line.errors.values(), *line.thresholds.values()]
        return found + [column for columns in line.metrics.values() for column in columns.values()]

    def _thin(self) -> None:
        """Make one interval of each two."""
        line = self.timeline
        lengths = [end - begin for begin, end in zip([0.0, *line.times_s], line.times_s, strict=False)]
        for group in (line.load, line.thresholds):
            for name, column in group.items():
                group[name] = _pairs(column, _later)
        for name, column in line.errors.items():
            line.errors[name] = _pairs(column, _mean_by(lengths))
        for text, columns in line.metrics.items():
            kind = self._metrics[text.partition("{")[0]].kind
            counts = columns.get("count", [])
            for name, column in columns.items():
                columns[name] = _pairs(column, _joining(kind, name, lengths, counts))
        line.times_s[:] = [*line.times_s[1::2], *(line.times_s[-1:] if len(line.times_s) % 2 else [])]
        self.thinned += 1


_Join = Callable[[int, float, float], float]
"""One number of two neighbours that both have one: the place of the first, and both."""


def _joining(kind: Kind, statistic: str, lengths: Sequence[float], counts: Column) -> _Join:
    if statistic == "count":
        return lambda place, one, other: one + other
    if kind is Kind.COUNTER:
        return _mean_by(lengths)
    if kind is Kind.RATE:
        return _mean_by([count or 0.0 for count in counts])
    # The percentile of both together lies between the two: the higher is the one to be careful about.
    return _later if kind is Kind.GAUGE else (lambda place, one, other: max(one, other))


def _later(place: int, one: float, other: float) -> float:
    return other


def _mean_by(weights: Sequence[float]) -> _Join:
    def mean(place: int, one: float, other: float) -> float:
        first, second = weights[place], weights[place + 1]
        return (one * first + other * second) / (first + second) if first + second else other

    return mean


def _pairs(column: Column, join: _Join) -> Column:
    joined: Column = []
    for place in range(0, len(column), 2):
        one, other = column[place], column[place + 1] if place + 1 < len(column) else None
        both = one is not None and other is not None
        joined.append(_rounded(join(place, one, other)) if both else other if one is None else one)  # type: ignore[arg-type]
    return joined


def _put(columns: dict[str, Column], name: str, point: int, number: float | None) -> None:
    column = columns.setdefault(name, [])
    column.extend([None] * (point - len(column)))
    column.append(None if number is None else _rounded(number))


def _rounded(number: float) -> float | None:
    """With as many digits as a chart shows; a whole number stays one, so that it takes no more room than it must."""
    if not math.isfinite(number):
        return None
    if number == int(number):
        return int(number)
    digits = DIGITS - 1 - math.floor(math.log10(abs(number)))
    return round(number, digits) if digits > 0 else round(number)


def _since(value: Value, before: Value | None) -> Value:
    try:
        return value if before is None else value.minus(before)
    except ValueError:
        # Its figures have started anew.
        return value


def _buckets(parts: Iterable[Value]) -> Buckets:
    """Those of all parts together: `Histogram.merge` for a reader who wants nothing else, in half the time."""
    whole: Buckets = {}
    for part in parts:
        assert isinstance(part, Histogram)
        buckets, known = part.buckets, whole.get
        if not whole:
            whole = buckets
            continue
        for index, count in buckets.items():
            whole[index] = known(index, 0) + count
    return whole


def _buckets_since(buckets: Buckets, before: Buckets) -> Buckets:
    """How many samples came, by bucket: `Histogram.minus` for a reader who wants no extremes, which is most of its
    cost where there are many series."""
    if buckets == before:
        return {}
    of = before.get
    came = {index: count - was for index, count in buckets.items() if count != (was := of(index, 0))}
    has_less = len(before) > len(buckets) or min(came.values(), default=-1) < 0
    return buckets if has_less else came


def _quantiles(buckets: Buckets) -> list[float]:
    """The middles of the buckets that `QUANTILES` lie in."""
    indices = sorted(buckets)
    up_to = list(accumulate(map(buckets.__getitem__, indices)))
    places = (indices[bisect_right(up_to, share * (up_to[-1] - 1))] for share in QUANTILES)
    return [sum(bucket_edges(index)) / 2 for index in places]


def _figures(metric: Metric, value: Value | Buckets, seconds: float) -> dict[str, float]:
    match value:
        case CounterValue(count=count):
            return {"rate": count / seconds}
        case GaugeValue(value=level):
            return {"value": level}
        case RateValue():
            return {"rate": value.rate, "count": value.samples} if value.samples else {"count": 0}
        case dict():
            samples = sum(value.values())
            if not samples:
                return {"count": 0}
            p50, p95, p99 = (quantile / metric.scale for quantile in _quantiles(value))
            return {"count": samples, "p50": p50, "p95": p95, "p99": p99}
    raise TypeError(f"{metric.name} is measured by a {type(value).__name__}")

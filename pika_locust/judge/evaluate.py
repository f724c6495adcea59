"""Threshold evaluation: value, status, confidence interval and worst window.

`evaluate` judges one threshold, `ThresholdEvaluator` all of a test, while it runs and at its end. Percentiles of a
whole run hide the peak, so every threshold also shows its worst window, which a `WindowTracker` finds.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pika_locust.format import significant, with_unit
from pika_locust.judge.expressions import Expression, parse
from pika_locust.judge.grades import Band, grade_of
from pika_locust.judge.intervals import Interval, mean_interval, percentile_interval, wilson
from pika_locust.judge.report import Status, ThresholdResult, WorstWindow
from pika_locust.judge.slopes import MIN_HOLD_S, Slope, SlopeTracker
from pika_locust.judge.thresholds import Threshold
from pika_locust.load.stages import Hold
from pika_locust.metrics.histogram import Histogram
from pika_locust.metrics.metric import OTHER, Kind, Metric, parse_series, series_text
from pika_locust.metrics.snapshot import Snapshot
from pika_locust.metrics.values import CounterValue, GaugeValue, RateValue, Value

TAGS_NAMED = 6
"""Of the values that a tag has in place of the one that was asked for, so many are named."""
FAILED_DURATIONS = {"http_req_duration": "http_req_failed_duration"}
"""Latencies of successes, and the metric that has those of failures."""


def evaluate(
    threshold: Threshold,
    value: Value | None,
    duration_s: float,
    worst_window: WorstWindow | None = None,
    *,
    metric: Metric | None = None,
    bands: Iterable[Band] = (),
    overflowed: int = 0,
    failures: Mapping[str, int] | None = None,
    slope: Slope | None = None,
) -> ThresholdResult:
    """Judge one threshold.

    `value` is what `Snapshot.select` gave for the threshold's series: None when nobody declared the metric, an empty
    value when there were no samples. `duration_s` is what rates per second divide by. `metric` is the declaration,
    which knows the unit; without it a trend counts as one in milliseconds. `overflowed` is what `Snapshot.overflowed`
    gave: samples that may belong here keep the threshold from passing (`no_data`). `failures` is what
    `Snapshot.failures` gave.

    Without samples the status is `no_data`, which fails, unless the threshold is `allow_empty` (pass) or `optional`
    (not_observed). A counter is the exception: declared and never touched it *has* a value, 0, so that `count==0` on
    "errors nobody saw" holds without a sample. Only an optional counter at 0 is not_observed, because it cannot be told
    from one that the target never shows.

    A threshold with a window is judged by the worst window's value and interval; where the run was too short or too
    sparse to have one (see `WindowTracker`), by the whole run's.

    A threshold on a slope is judged by `slope`, what `SlopeTracker.fit` gave. Where the load was not held for long
    enough it is not_observed, optional or not: the run was none that could show it.

    What has no samples yet aborts nothing, as in k6: a counter that is to reach something begins at 0.
    """
    expression = threshold.expression
    kind = metric.kind if metric is not None else _kind_of(value)
    unit = metric.unit if metric is not None else "ms" if kind is Kind.TREND else ""
    scale = metric.scale if metric is not None else 1000 if kind is Kind.TREND else 1
    samples = value.samples if value is not None else 0
    speaks = value is not None and _speaks(threshold, value)
    window = worst_window if speaks and threshold.window_s is not None else None
    found: float | None = None
    interval: Interval | None = None
    conclusive = True
    if expression.is_slope:
        slope = slope if slope is not None else Slope(too_short=True)
        found, samples, interval, unit = slope.per_minute, slope.readings, slope.interval, f"{unit}/min"
        conclusive = interval is None or not interval[0] < expression.limit < interval[1]
    elif window is not None:
        found, samples, interval, conclusive = window.value, window.samples, window.interval, window.conclusive
    elif value is not None and speaks:
        found = statistic(expression, value, duration_s, scale)
        interval, conclusive = certainty(expression, value, scale)
    status = _status(threshold, found, samples, overflowed)
    if slope is not None and slope.too_short:
        status = "not_observed"
    touched = value is not None and value.samples > 0
    return ThresholdResult(
        metric=threshold.metric,
        expression=expression.text,
        value=found,
        samples=samples,
        status=status,
        interval=interval,
        conclusive=conclusive,
        worst_window=worst_window,
        grade=grade_of(bands, threshold.metric, expression.aggregation, found),
        about=threshold.about,
        kind=kind.value if kind is not None else "",
        unit=unit,
        window_s=threshold.window_s if window is not None else None,
        abort=threshold.abort_on_fail and status == "fail" and touched and duration_s >= threshold.delay_abort_eval_s,
        overflowed=overflowed,
        failures=failures or {},
        held_s=slope.held_s if slope is not None and not slope.too_short else None,
        why=slope.why if slope is not None else "",
    )


def statistic(expression: Expression, value: Value, duration_s: float, scale: int = 1) -> float | None:
    """The number an expression speaks of, in the reported unit; None without samples.

    `scale` is the metric's: what a trend's kept integers are divided by. A counter's `rate` is per second over
    `duration_s`, and None when no time has passed. A gauge's `min` and `max` are over all of its time.
    """
    if isinstance(value, CounterValue):
        if expression.aggregation == "count":
            return value.count
        return value.count / duration_s if duration_s > 0 else None
    if value.samples == 0:
        return None
    if isinstance(value, GaugeValue):
        return {"min": value.min, "max": value.max}.get(expression.aggregation, value.value)
    if isinstance(value, RateValue):
        return value.rate
    if expression.quantile is not None:
        return value.quantile(expression.quantile) / scale
    kept = {"avg": value.mean, "min": value.minimum, "max": value.maximum}
    return kept[expression.aggregation] / scale


def certainty(expression: Expression, value: Value, scale: int = 1) -> tuple[Interval | None, bool]:
    """The 95 % interval of `statistic`, in the reported unit, and whether it is conclusive: the limit not inside it.

    Wilson for rates, order statistics for percentiles and the median, Student's t for averages. None,
    and conclusive, for what is a fact about the run and not an estimate: counters, gauges, minimum and maximum.

    A limit at an end is not inside, so that `rate==1` is conclusive when nothing failed. Where too few samples leave a
    side open, that end is infinite and no limit on that side is excluded: what was seen is no bound of what is true.
    """
    if isinstance(value, RateValue):
        kept = wilson(value.passes, value.samples)
        least, most = 0.0, 1.0
    elif isinstance(value, Histogram) and value.count:
        kept = _of_trend(expression, value)
        least, most = value.minimum, value.maximum
    else:
        kept = None
    if kept is None:
        return None, True
    low, high = kept
    conclusive = not low < expression.limit * scale < high
    # A bucket's value may lie a little beyond the samples in it; an open end stays open.
    first = max(low, least) if math.isfinite(low) else low
    last = min(high, most) if math.isfinite(high) else high
    return (first / scale, last / scale), conclusive


def slow_failures(results: Iterable[ThresholdResult], snapshot: Snapshot) -> list[str]:
    """A sentence for each latency limit that holds only because failed requests are not in it, as they are in k6's and
    Locust's own figures: a gateway that gives up after a minute would otherwise pass unseen."""
    sentences = []
    for result in results:
        expression = parse(result.expression)
        name, tags = parse_series(result.metric)
        if name not in FAILED_DURATIONS or result.status != "pass" or expression.operator not in ("<", "<="):
            continue
        if expression.is_slope:
            continue
        failed = snapshot.select(series_text(FAILED_DURATIONS[name], tags))
        every = snapshot.select(result.metric)
        if not isinstance(failed, Histogram) or not isinstance(every, Histogram) or not failed.samples:
            continue
        every.merge(failed)
        value = statistic(expression, every, 0.0, 1000)
        if value is not None and not expression.holds(value):
            requests = "one that failed" if failed.samples == 1 else f"{failed.samples:,} that failed"
            shown = with_unit(significant(value, expression.limit), result.unit)
            sentences.append(
                f"{result.metric} {result.expression} holds for requests that succeeded; with the {requests} it would "
                f"be {shown}, as k6 and Locust count them in (here they are {FAILED_DURATIONS[name]})"
            )
    return sentences


def _of_trend(expression: Expression, histogram: Histogram) -> Interval | None:
    if expression.quantile is not None:
        return percentile_interval(histogram, expression.quantile)
    return mean_interval(histogram) if expression.aggregation == "avg" else None


def _speaks(threshold: Threshold, value: Value) -> bool:
    """Whether the value says anything. Counters do without samples; see `evaluate`."""
    return value.samples > 0 or (isinstance(value, CounterValue) and not threshold.optional)


def _wants_load(threshold: Threshold, value: Value) -> bool:
    """Whether a count or a level violates a threshold by being 0, as it is when there is no load."""
    return isinstance(value, (CounterValue, GaugeValue)) and not threshold.expression.holds(0.0)


def _status(threshold: Threshold, found: float | None, samples: int, overflowed: int) -> Status:
    if found is not None and not threshold.expression.holds(found):
        return "fail"
    if overflowed:
        return "no_data"
    if found is not None:
        return "pass"
    if samples == 0 and threshold.allow_empty:
        return "pass"
    return "not_observed" if samples == 0 and threshold.optional else "no_data"


def _kind_of(value: Value | None) -> Kind | None:
    kinds = {CounterValue: Kind.COUNTER, GaugeValue: Kind.GAUGE, RateValue: Kind.RATE, Histogram: Kind.TREND}
    return kinds.get(type(value))


def _other_tags(series: str, snapshot: Snapshot) -> str:
    """Which tags there are in place of those of a series without samples, or which values of them, as a clause; empty
    where nothing was measured at all: what is misspelt is told from what did not happen."""
    name, tags = parse_series(series)
    samples: Counter[str] = Counter()
    known: set[str] = set()
    measured = 0
    for found, value in snapshot.of_metric(name):
        measured += value.samples
        if found != OTHER:
            known |= dict(found).keys()
        for tag, said in found:
            if tag in tags and said != tags[tag]:
                samples[f"{tag}:{said}"] += value.samples
    if measured and (unknown := tags.keys() - known):
        there = f"but {', '.join(sorted(known))}" if known else "nor any other"
        return f"nothing was measured with these tags: {name} has no tag {', '.join(sorted(unknown))}, {there}"
    if not samples:
        return ""
    shown = [text for text, _ in samples.most_common(TAGS_NAMED)]
    more = f" and {len(samples) - len(shown)} more" if len(samples) > len(shown) else ""
    return f"nothing was measured with these tags, but with {', '.join(shown)}{more}"


DEFAULT_WINDOW_S = 30.0

MIN_SAMPLES = 20
"""A window of a trend or a rate holds so many samples: among fewer the worst one would be chance. Counters and gauges,
and the minimum and maximum of a trend, are facts; for them one sample is enough (none, for a counter)."""


class WindowTracker:
    """Finds the worst window for one expression, while the run goes on.

    Workers report cumulative values; the difference of two of them is exactly what happened in between. No sample is
    kept twice, no clock is read: whoever has the values says when they were true.

    Feed it the cumulative value of its series every few seconds, `at_s` counted from the start of the load, then read
    `worst`. A window ends at an observation and begins at the latest earlier one that is `window_s` or more away (or at
    0, where everything was empty), so it is as long as asked for plus at most one interval between observations. Where
    that holds too few samples, it begins as much earlier as it takes to have enough: a target that falls over answers
    rarely, and must not go unjudged for that. A run shorter than the window, or with too few samples, has none.

    "Worst" is the direction in which the expression would be violated: the highest value for `<`, the lowest for `>`,
    the one furthest from the limit for `==`. A gauge counts with the level it had at the window's end.
    """

    def __init__(
        self,
        expression: Expression,
        metric: Metric,
        window_s: float = DEFAULT_WINDOW_S,
        min_samples: int | None = None,
        from_s: float = 0.0,
    ) -> None:
        if not window_s > 0:
            raise ValueError(f"a window needs some length, not {window_s} s")
        self._expression = expression
        self._scale = metric.scale
        self._window_s = window_s
        self._min_samples = min_samples
        # values that later windows may begin at; None stands for the empty value at the start, at `from_s`
        self._begins: deque[tuple[float, Value | None]] = deque([(from_s, None)])
        self._worst: WorstWindow | None = None

    @property
    def worst(self) -> WorstWindow | None:
        """The worst window so far; None while there is none with enough samples."""
        return self._worst

    def observe(self, at_s: float, value: Value) -> None:
        """Take in the cumulative value at `at_s` seconds. It is kept: the caller may not change it afterwards.

        Two observations of one moment: the later call counts. Raises ValueError when time or the value goes back.
        """
        last_s, last = self._begins[-1]
        if at_s < last_s:
            raise ValueError(f"observations must come in order: {at_s} s after {last_s} s")
        if at_s == last_s and len(self._begins) > 1:
            self._begins.pop()
        # A stretch in which nothing came may be long: one copy does for all of it.
        if last == value:
            value = last
        self._begins.append((at_s, value))
        while len(self._begins) > 1 and self._begins[1][0] <= at_s - self._window_s and self._holds_enough(value):
            self._begins.popleft()
        from_s, earlier = self._begins[0]
        if at_s - from_s >= self._window_s:
            self._consider(from_s, at_s - from_s, value if earlier is None else value.minus(earlier))

    def _holds_enough(self, value: Value) -> bool:
        """Whether a window that began at the second of the possible beginnings would hold enough samples."""
        begin = self._begins[1][1]
        return begin is not None and value.samples - begin.samples >= self._needed(value)

    def _consider(self, from_s: float, seconds: float, window: Value) -> None:
        if window.samples < self._needed(window):
            return
        value = statistic(self._expression, window, seconds, self._scale)
        if value is None:
            return
        if self._worst is None or self._expression.excess(value) > self._expression.excess(self._worst.value):
            interval, conclusive = certainty(self._expression, window, self._scale)
            self._worst = WorstWindow(seconds, from_s, value, window.samples, interval, conclusive)

    def _needed(self, window: Value) -> int:
        if self._min_samples is not None:
            return self._min_samples
        if isinstance(window, CounterValue):
            return 0
        return 1 if isinstance(window, GaugeValue) or self._expression.aggregation in ("min", "max") else MIN_SAMPLES


class ThresholdEvaluator:
    """Judges every threshold of a test, each with its worst window.

    `metrics` are the declarations the thresholds speak of (`thresholds.check` tells whether all are there). Thresholds
    without a window of their own show the worst `window_s` seconds. Call `observe` every few seconds with the fold of
    the newest snapshots, and `results` with the last one; neither changes the snapshot. `holds` are when the load is
    held (None: nobody knows), `min_hold_s` how long it must be for slopes to be judged.
    """

    def __init__(
        self,
        thresholds: Iterable[Threshold],
        metrics: Iterable[Metric],
        bands: Iterable[Band] = (),
        window_s: float = DEFAULT_WINDOW_S,
        holds: Sequence[Hold] | None = None,
        min_hold_s: float = MIN_HOLD_S,
    ) -> None:
        self.holds = holds
        """May be changed while the test runs, as its load may."""
        self._min_hold_s = min_hold_s
        self._thresholds = tuple(thresholds)
        self._metrics = {metric.name: metric for metric in metrics}
        self._bands = tuple(bands)
        self._window_s = window_s
        self._folded: tuple[Snapshot, dict[str, Value | None]] | None = None
        self.start_anew(0.0)

    def start_anew(self, from_s: float) -> None:
        """Forget what was observed: the values start anew `from_s` seconds after the start of the load."""
        self._trackers = [self._tracker(threshold, from_s) for threshold in self._thresholds]

    def _tracker(self, threshold: Threshold, from_s: float) -> WindowTracker | SlopeTracker | None:
        metric = self._metrics.get(threshold.name)
        if metric is None or (metric.kind is Kind.GAUGE and threshold.expression.aggregation in ("min", "max")):
            # The lowest and the highest level have no window of their own.
            return None
        if threshold.expression.is_slope:
            return SlopeTracker(metric, self._min_hold_s)
        return WindowTracker(threshold.expression, metric, threshold.window_s or self._window_s, from_s=from_s)

    def observe(self, at_s: float, snapshot: Snapshot, ended_s: float | None = None) -> None:
        """Take in the cumulative snapshot of the whole test at `at_s` seconds after the start of the load.

        `ended_s` is when the load ended, if it has: what users do who finish after that is judged, and how little that
        is is not. No load is held then either.
        """
        values = self.values(snapshot)
        for threshold, tracker in zip(self._thresholds, self._trackers, strict=True):
            value = values[threshold.metric]
            if isinstance(tracker, SlopeTracker):
                if ended_s is None:
                    tracker.observe(at_s, value, self.holds or ())
                else:
                    tracker.end(ended_s)
            elif tracker is not None and value is not None and (ended_s is None or not _wants_load(threshold, value)):
                tracker.observe(at_s, value)

    def results(self, snapshot: Snapshot, duration_s: float) -> tuple[ThresholdResult, ...]:
        """Judge all thresholds, in their order. A result with `abort` asks for the end of the test."""
        values = self.values(snapshot)
        judged = (
            evaluate(
                threshold,
                values[threshold.metric],
                duration_s,
                tracker.worst if isinstance(tracker, WindowTracker) else None,
                metric=self._metrics.get(threshold.name),
                bands=self._bands,
                overflowed=snapshot.overflowed(threshold.metric),
                failures=snapshot.failures(threshold.metric),
                slope=tracker.fit(self.holds) if isinstance(tracker, SlopeTracker) else None,
            )
            for threshold, tracker in zip(self._thresholds, self._trackers, strict=True)
        )
        return tuple(
            replace(one, why=one.why or _other_tags(one.metric, snapshot))
            if one.status == "no_data" and one.value is None
            else one
            for one in judged
        )

    def values(self, snapshot: Snapshot) -> Mapping[str, Value | None]:
        """Of each series that a threshold speaks of, its samples in a snapshot. They must not be changed, and nor must
        the snapshot, of which they are kept until the next one comes."""
        # Thresholds share series, and folding one is the costly part. Where no sample says whether it belongs to a
        # series, that one has no value: a counter that stayed 0 because nobody looked would hold every `count==0`.
        if self._folded is None or self._folded[0] is not snapshot:
            self._folded = (
                snapshot,
                {
                    series: snapshot.select(series) if snapshot.has_tags_of(series) else None
                    for series in {threshold.metric for threshold in self._thresholds}
                },
            )
        return self._folded[1]

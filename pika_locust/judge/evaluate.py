"""From a threshold and what was measured to a judgement: the value, whether it holds, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable

from pika_locust.judge.expressions import Expression
from pika_locust.judge.grades import Band, grade_of
from pika_locust.judge.intervals import Interval, mean_interval, percentile_interval, wilson
from pika_locust.judge.report import Status, ThresholdResult, WorstWindow
from pika_locust.judge.thresholds import Threshold
from pika_locust.measure.histogram import Histogram
from pika_locust.measure.metric import Kind, Metric
from pika_locust.measure.values import CounterValue, GaugeValue, RateValue, Value


def evaluate(
    threshold: Threshold,
    value: Value | None,
    duration_s: float,
    worst_window: WorstWindow | None = None,
    *,
    metric: Metric | None = None,
    bands: Iterable[Band] = (),
    overflowed: int = 0,
) -> ThresholdResult:
    """Judge one threshold.

    `value` is what `Snapshot.select` gave for the threshold's series: None when nobody declared the metric, an empty
    value when there were no samples. `duration_s` is what rates per second divide by. `metric` is the declaration,
    which knows the unit; without it a trend counts as one in milliseconds. `overflowed` is what `Snapshot.overflowed` gave:
    samples that may belong here keep the threshold from passing (`no_data`).

    Without samples the status is `no_data`, which fails, unless the threshold is `allow_empty` (pass) or `optional`
    (not_observed). A counter is the exception: declared and never touched it *has* a value, 0, so that `count==0` on
    "errors nobody saw" holds without a sample. Only an optional counter at 0 is not_observed, because it cannot be told
    from one that the target never shows.

    A threshold with a window is judged by the worst window's value and interval; where the run was too short or too
    sparse to have one (see `windows`), by the whole run's.

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
    if window is not None:
        found, samples, interval, conclusive = window.value, window.samples, window.interval, window.conclusive
    elif value is not None and speaks:
        found = statistic(expression, value, duration_s, scale)
        interval, conclusive = certainty(expression, value, scale)
    status = _status(threshold, found, samples, overflowed)
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
    )


def statistic(expression: Expression, value: Value, duration_s: float, scale: int = 1) -> float | None:
    """The number an expression speaks of, in the reported unit; None without samples.

    `scale` is the metric's: what a trend's kept integers are divided by. A counter's `rate` is per second over
    `duration_s`, and None when no time has passed.
    """
    if isinstance(value, CounterValue):
        if expression.aggregation == "count":
            return value.count
        return value.count / duration_s if duration_s > 0 else None
    if value.samples == 0:
        return None
    if isinstance(value, GaugeValue):
        return value.value
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
    side open, no limit on that side is excluded; the interval itself then ends at the smallest or largest sample.
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
    return (max(low, least) / scale, min(high, most) / scale), conclusive


def _of_trend(expression: Expression, histogram: Histogram) -> Interval | None:
    if expression.quantile is not None:
        return percentile_interval(histogram, expression.quantile)
    return mean_interval(histogram) if expression.aggregation == "avg" else None


def _speaks(threshold: Threshold, value: Value) -> bool:
    """Whether the value says anything. Counters do without samples; see `evaluate`."""
    return value.samples > 0 or (isinstance(value, CounterValue) and not threshold.optional)


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

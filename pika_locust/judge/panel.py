"""All thresholds of a test together: fed with snapshots while it runs, asked for judgements whenever one likes."""

from __future__ import annotations

from collections.abc import Iterable

from pika_locust.judge.evaluate import evaluate
from pika_locust.judge.grades import Band
from pika_locust.judge.report import ThresholdResult
from pika_locust.judge.thresholds import Threshold
from pika_locust.judge.windows import DEFAULT_WINDOW_S, WindowTracker
from pika_locust.measure.metric import Metric
from pika_locust.measure.snapshot import Snapshot
from pika_locust.measure.values import Value


class ThresholdEvaluator:
    """Judges every threshold of a test, each with its worst window.

    `metrics` are the declarations the thresholds speak of (`thresholds.check` tells whether all are there). Thresholds
    without a window of their own show the worst `window_s` seconds. Call `observe` every few seconds with the fold of
    the newest snapshots, and `results` with the last one; neither changes the snapshot.
    """

    def __init__(
        self,
        thresholds: Iterable[Threshold],
        metrics: Iterable[Metric],
        bands: Iterable[Band] = (),
        window_s: float = DEFAULT_WINDOW_S,
    ) -> None:
        self._thresholds = tuple(thresholds)
        self._metrics = {metric.name: metric for metric in metrics}
        self._bands = tuple(bands)
        self._trackers = [
            WindowTracker(threshold.expression, metric, threshold.window_s or window_s)
            if (metric := self._metrics.get(threshold.name)) is not None
            else None
            for threshold in self._thresholds
        ]

    def observe(self, at_s: float, snapshot: Snapshot) -> None:
        """Take in the cumulative snapshot of the whole test at `at_s` seconds after the start of the load."""
        values = self._values(snapshot)
        for threshold, tracker in zip(self._thresholds, self._trackers, strict=True):
            value = values[threshold.metric]
            if tracker is not None and value is not None:
                tracker.observe(at_s, value)

    def results(self, snapshot: Snapshot, duration_s: float) -> tuple[ThresholdResult, ...]:
        """Judge all thresholds, in their order. A result with `abort` asks for the end of the test."""
        values = self._values(snapshot)
        return tuple(
            evaluate(
                threshold,
                values[threshold.metric],
                duration_s,
                None if tracker is None else tracker.worst,
                metric=self._metrics.get(threshold.name),
                bands=self._bands,
                overflowed=snapshot.overflowed(threshold.metric),
            )
            for threshold, tracker in zip(self._thresholds, self._trackers, strict=True)
        )

    def _values(self, snapshot: Snapshot) -> dict[str, Value | None]:
        # Thresholds share series, and folding one is the costly part. Where no sample says whether it belongs to a
        # series, that one has no value: a counter that stayed 0 because nobody looked would hold every `count==0`.
        return {
            series: snapshot.select(series) if snapshot.has_tags_of(series) else None
            for series in {threshold.metric for threshold in self._thresholds}
        }

"""The worst stretch of a run: whole-run percentiles hide the peak, so every threshold also shows its worst window.

Workers report cumulative values; the difference of two of them is exactly what happened in between. No sample is kept
twice, no clock is read: whoever has the values says when they were true.
"""

from __future__ import annotations

from collections import deque

from pika_locust.judge.evaluate import certainty, statistic
from pika_locust.judge.expressions import Expression
from pika_locust.judge.report import WorstWindow
from pika_locust.measure.metric import Metric
from pika_locust.measure.values import CounterValue, GaugeValue, Value

DEFAULT_WINDOW_S = 30.0

MIN_SAMPLES = 20
"""A window of a trend or a rate holds so many samples: among fewer the worst one would be chance. Counters and gauges,
and the minimum and maximum of a trend, are facts; for them one sample is enough (none, for a counter)."""


class WindowTracker:
    """Finds the worst window for one expression, while the run goes on.

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
    ) -> None:
        if not window_s > 0:
            raise ValueError(f"a window needs some length, not {window_s} s")
        self._expression = expression
        self._scale = metric.scale
        self._window_s = window_s
        self._min_samples = min_samples
        # values that later windows may begin at; None stands for the empty value at the start
        self._begins: deque[tuple[float, Value | None]] = deque([(0.0, None)])
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

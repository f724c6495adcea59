"""The timeline of the running test: what its parts know of each interval, and of what happened, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pika_locust.judge import ThresholdResult
from pika_locust.judge.timeline import MarkKind
from pika_locust.judge.timeline_recorder import TimelineRecorder
from pika_locust.load.durations import format_duration
from pika_locust.load.plan import LEAD_S, LoadPlan
from pika_locust.metrics import Metric, Snapshot
from pika_locust.metrics.values import Value
from pika_locust.outputs import redact
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.monitors import TargetMonitor
from pika_locust.runtime.options import RunOptions


class RunTimeline:
    """Records one test; times are seconds since its start."""

    def __init__(self, metrics: Iterable[Metric], options: RunOptions) -> None:
        """`metrics` are all declarations of the run."""
        self.recorder = TimelineRecorder(metrics, dict.fromkeys(threshold.metric for threshold in options.thresholds))
        self._noted: set[tuple[MarkKind, str, float]] = set()
        plan = options.plan
        at_s = 0.0
        for stage in plan.stages[:-1]:
            at_s += stage.duration_s
            if plan.arrivals is None and at_s > 0:
                self.recorder.mark(at_s, "stage", f"{stage.target:,} users after {format_duration(stage.duration_s)}")
        if plan.arrivals is not None:
            for end_s, (_, rate) in zip(plan.arrivals.curve.ends_s[:-1], plan.arrivals.curve.stage_rates, strict=False):
                self.recorder.mark(LEAD_S + end_s, "stage", f"{rate:g} arrivals a second")

    def observe(
        self,
        at_s: float,
        snapshot: Snapshot,
        results: Sequence[ThresholdResult],
        collector: Collector,
        plan: LoadPlan,
        users: tuple[int, int],
        folded: Mapping[str, Value | None] | None = None,
        is_last: bool = False,
    ) -> None:
        """Take in what is known `at_s` seconds after the start; see `TimelineRecorder.observe`. `users` are how many
        there are, and how many are planned."""
        self.recorder.observe(
            at_s,
            snapshot,
            results=results,
            load={
                "users": users[0],
                "users_planned": users[1],
                "arrivals_planned": _arrivals_at(plan, at_s),
                "cpu_percent": max((c for r in collector.records() if (c := r.cpu_percent) is not None), default=None),
            },
            errors=[(f"{name}: {error}", count) for name, error, count in collector.errors()],
            folded=folded,
            is_last=is_last,
        )
        for record in collector.lost():
            if record.lost_at_s is not None:
                self._note(record.lost_at_s, "worker", f"{record} is lost")

    def look_at_target(self, monitor: TargetMonitor, began_s: float) -> None:
        """Note what the monitor of the target has seen; the load began at `began_s` by the monotonic clock."""
        for at_s, text in monitor.fault_changes:
            self._note(max(0.0, at_s - began_s), "fault", text)
        for outage in monitor.outages.all:
            self._note(outage.from_s - began_s, "outage", f"the target is away: {redact.text(outage.problem)}")
            if outage.to_s is not None:
                self._note(outage.to_s - began_s, "outage", "the target is back")

    def _note(self, at_s: float, kind: MarkKind, text: str) -> None:
        if (kind, text, at_s) not in self._noted:
            self._noted.add((kind, text, at_s))
            self.recorder.mark(at_s, kind, text)


def _arrivals_at(plan: LoadPlan, at_s: float) -> float | None:
    """Arrivals a second that are planned at a moment; None in the closed model, and before and after them."""
    if plan.arrivals is None or plan.arrivals_s is None or not LEAD_S <= at_s <= LEAD_S + plan.arrivals_s:
        return None
    return plan.arrivals.curve.rate(at_s - LEAD_S)

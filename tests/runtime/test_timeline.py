from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pika_locust.judge.timeline import Mark
from pika_locust.load.arrivals import ConstantArrivalRate
from pika_locust.load.plan import LEAD_S, LoadPlan, LoadRequest, open_plan
from pika_locust.load.stages import Stage
from pika_locust.metrics import Snapshot
from pika_locust.observe.target import Outages
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.monitors import TargetMonitor
from pika_locust.runtime.timeline import RunTimeline

PLAN = LoadPlan("standard", (Stage(30.0, 100), Stage(60.0, 100), Stage(10.0, 0)), 0, 100.0)


def timeline_of(plan: LoadPlan) -> RunTimeline:
    return RunTimeline([], cast(Any, SimpleNamespace(plan=plan, thresholds=())))


def marks(timeline: RunTimeline) -> list[tuple[float, str, str]]:
    return [(mark.at_s, mark.kind, mark.text) for mark in timeline.recorder.timeline.marks]


def test_stages_are_marked_where_one_follows_another() -> None:
    assert marks(timeline_of(PLAN)) == [
        (30.0, "stage", "100 users after 30s"),
        (90.0, "stage", "100 users after 1m"),
    ]


def test_users_and_arrivals_are_beside_their_plan_and_the_busiest_process_stands_for_all() -> None:
    plan = open_plan(ConstantArrivalRate(rate=10, duration_s=20.0, pre_allocated_vus=5), LoadRequest())
    timeline, collector = timeline_of(plan), Collector("r1")
    for index, cpu_percent in enumerate((None, 20.0, 70.0)):
        collector.expect(f"w{index}", index).cpu_percent = cpu_percent
    for at_s in (1.0, LEAD_S + 1.0, 60.0):
        timeline.observe(at_s, Snapshot(), [], collector, plan, (4, 5))
    assert timeline.recorder.timeline.load == {
        "users": [4, 4, 4],
        "users_planned": [5, 5, 5],
        "arrivals_planned": [None, 10, None],
        "cpu_percent": [70, 70, 70],
    }


def test_a_worker_that_is_lost_is_marked_once() -> None:
    timeline, collector = timeline_of(PLAN), Collector("r1")
    record = collector.expect("w0", 0)
    timeline.observe(2.0, Snapshot(), [], collector, PLAN, (1, 1))
    record.lost_at_s = 3.5
    for at_s in (4.0, 6.0):
        timeline.observe(at_s, Snapshot(), [], collector, PLAN, (1, 1))
    assert [mark for mark in marks(timeline) if mark[1] == "worker"] == [(3.5, "worker", f"{record} is lost")]


def test_what_the_monitor_of_the_target_has_seen_is_marked_once_and_in_order() -> None:
    timeline, outages = timeline_of(PLAN), Outages()
    monitor: Any = SimpleNamespace(outages=outages, fault_changes=[(103.0, "faults: latency=900")])
    outages.note("", 101.0)
    outages.note("refused", 110.0)
    for _ in range(2):
        timeline.look_at_target(cast(TargetMonitor, monitor), 100.0)
    outages.note("", 112.0)
    timeline.look_at_target(cast(TargetMonitor, monitor), 100.0)
    assert [mark for mark in marks(timeline) if mark[1] != "stage"] == [
        (3.0, "fault", "faults: latency=900"),
        (10.0, "outage", "the target is away: refused"),
        (12.0, "outage", "the target is back"),
    ]
    assert timeline.recorder.timeline.marks == sorted(timeline.recorder.timeline.marks, key=lambda mark: mark.at_s)


@pytest.mark.parametrize("at_s", [0.0, -1.0])
def test_nothing_is_recorded_of_no_time(at_s: float) -> None:
    timeline = timeline_of(PLAN)
    timeline.observe(at_s, Snapshot(), [], Collector("r1"), PLAN, (1, 1))
    assert timeline.recorder.timeline.times_s == []
    assert Mark(30.0, "stage", "100 users after 30s") in timeline.recorder.timeline.marks

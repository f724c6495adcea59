from __future__ import annotations

import math

import pytest

from pika_locust.load.plan import LoadPlan
from pika_locust.load.stages import Hold, Stage
from tests.load.plans import OPTION, STANDARD, plan_of


def curve(plan: LoadPlan, *at_s: float) -> list[int | None]:
    return [plan.users_at(at) for at in at_s]


def test_a_profile_begins_with_one_user_as_k6_does_and_ends_at_its_end() -> None:
    # 1 → 500 in 300 s, then 600 s, then 500 → 0 in 120 s.
    assert curve(plan_of(**OPTION), 0, 150, 300, 899, 930, 960, 1019, 1020) == [1, 251, 500, 500, 375, 250, 4, None]


def test_stages_by_hand_begin_with_one_user() -> None:
    # 1 → 11 in 10 s is one user a second.
    assert curve(plan_of(stages="10s:11"), 0, 0.4, 0.5, 5, 9.9, 10) == [1, 1, 2, 6, 11, None]


def test_a_profile_may_begin_elsewhere() -> None:
    assert curve(plan_of(profile="spike"), 0, 30, 60, 90, 120) == [0, 50, 100, 50, None]


def test_constant_users_are_there_at_once_and_stay() -> None:
    assert curve(plan_of(users=100), 0, 1, 1e6) == [100, 100, 100]
    assert curve(plan_of(users=100, run_time_s=40.0), 0, 39.9, 40) == [100, 100, None]


def test_constant_users_come_at_their_rate() -> None:
    plan = plan_of(users=100, spawn_rate=50.0, run_time_s=40.0)
    assert curve(plan, 0, 0.5, 1, 2, 39.9, 40) == [0, 25, 50, 100, 100, None]
    assert plan.stages == (Stage(2.0, 100), Stage(38.0, 100))
    assert curve(plan_of(users=100, spawn_rate=50.0), 0, 1, 2, 1e6) == [0, 50, 100, 100]


def test_a_cut_plan_ends_where_its_curve_is_then() -> None:
    # Half of the ramp from 1 to 500 is 250.5.
    plan = plan_of(run_time_s=150.0, **OPTION)
    assert plan.stages == (Stage(150, 251),)
    assert curve(plan, 75, 149.9, 150) == [126, 251, None]


PEAKS = {
    "a profile": ({}, 100, 100),
    "one that goes up in steps": ({"profile": "steps"}, 30, 30),
    "up, down and up again": ({"stages": "10s:50,10s:20,10s:60,10s:0"}, 60, 50 + 40),
    "constant users": ({"users": 7}, 7, 7),
    "constant users at a rate": ({"users": 7, "spawn_rate": 1.0, "run_time_s": 60.0}, 7, 7),
    "constant users whose ramp is cut": ({"users": 100, "spawn_rate": 2.0, "run_time_s": 10.0}, 20, 20),
    "a cut ramp": ({"run_time_s": 60.0}, 51, 51),
    "only a descent, from one": ({"stages": "10s:0"}, 1, 1),
}


@pytest.mark.parametrize(("asked", "peak", "started"), PEAKS.values(), ids=PEAKS)
def test_how_many_there_are_at_most_and_how_many_are_started(asked: dict[str, object], peak: int, started: int) -> None:
    plan = plan_of(**asked)
    assert (plan.users_peak, plan.users_started) == (peak, started)


STAGES = {
    "at the start": (0.0, 1),
    "in the ramp": (119.9, 1),
    "at the seam": (120.0, 2),
    "in the descent": (650.0, 3),
    "after the end": (1000.0, 3),
}


@pytest.mark.parametrize(("at_s", "number"), STAGES.values(), ids=STAGES)
def test_which_stage_is_running(at_s: float, number: int) -> None:
    assert plan_of().stage_at(at_s) == (number, STANDARD.stages[number - 1])


def test_constant_users_are_one_stage() -> None:
    assert plan_of(users=5).stage_at(1e6) == (1, Stage(0.0, 5))
    assert plan_of(users=5, run_time_s=60.0).stage_at(1.0) == (1, Stage(60.0, 5))


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({}, [Hold(120, 600)]),
        ({"profile": "spike"}, []),
        ({"profile": "stress", "users_scale": 5}, [Hold(300, 900)]),
        ({"run_time_s": 200.0}, [Hold(120, 200)]),
        ({"stages": "0s:5,30s:5,1m:5,1m:9,1m:9,1m:0,1m:0"}, [Hold(0, 90), Hold(150, 210)]),
        ({"users": 50, "spawn_rate": 10.0, "run_time_s": 120.0}, [Hold(5, 120)]),
        ({"users": 50, "run_time_s": 120.0}, [Hold(0, 120)]),
        ({"users": 50, "spawn_rate": 10.0}, [Hold(5, math.inf)]),
        ({"users": 50}, [Hold(0, math.inf)]),
    ],
)
def test_when_the_load_is_held(asked: dict[str, object], holds: list[Hold]) -> None:
    assert plan_of(**asked).holds == tuple(holds)


def test_nobody_knows_when_the_load_of_somebody_else_s_shape_is_held() -> None:
    assert LoadPlan("the shape Wave", (), 0, None).holds is None

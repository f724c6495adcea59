from __future__ import annotations

from typing import Any

import pytest

from pika_locust.load.arrivals import ArrivalStage, ConstantArrivalRate, RampingArrivalRate
from pika_locust.load.plan import LEAD_S, OPEN, TAIL_S, LoadPlan, LoadRequest, open_plan
from pika_locust.load.stages import Hold, Stage

CONSTANT = ConstantArrivalRate(rate=10, duration_s=60, pre_allocated_vus=20, max_vus=50)
RAMP = RampingArrivalRate(
    start_rate=0, stages=(ArrivalStage(60, 20), ArrivalStage(60, 20)), pre_allocated_vus=20, max_vus=50
)


def plan_of(rate: ConstantArrivalRate | RampingArrivalRate = CONSTANT, **asked: Any) -> LoadPlan:
    return open_plan(rate, LoadRequest(**asked))


def test_users_are_there_before_the_first_arrival_and_until_the_last() -> None:
    plan = plan_of()
    assert (plan.name, plan.duration_s, plan.arrivals_s) == (OPEN, LEAD_S + 60 + TAIL_S, 60)
    assert plan.stages == (Stage(LEAD_S, 20), Stage(60 + TAIL_S, 20))
    assert [plan.users_at(at_s) for at_s in (0.0, LEAD_S, LEAD_S + 60, plan.duration_s)] == [20, 20, 20, None]
    assert plan.describe() == CONSTANT.describe() == "constant arrival rate: 10/s for 1m (20 to 50 users)"
    assert plan.overrides == ()


def test_iterations_are_the_arrivals_and_not_the_users() -> None:
    assert (plan_of().expected_iterations, plan_of().users_started) == (600, 20)
    # 0 → 20 a second in a minute are 600, and another minute at 20 a second are 1,200.
    assert plan_of(RAMP).expected_iterations == 1800
    assert plan_of(RAMP, run_time_s=60.0).expected_iterations == 600


def test_a_time_cuts_the_schedule_and_leaves_the_rate() -> None:
    plan = plan_of(RAMP, run_time_s=30.0)
    assert (plan.arrivals_s, plan.duration_s, plan.arrivals) == (30.0, LEAD_S + 30 + TAIL_S, RAMP)
    assert plan.overrides == ("-t 30s cuts the schedule (2m)",)


def test_a_time_longer_than_the_schedule_changes_nothing() -> None:
    plan = plan_of(run_time_s=600.0)
    assert plan.arrivals_s == 60
    assert plan.overrides == ("-t 10m changes nothing: it is longer than the schedule (1m)",)
    assert plan_of(run_time_s=60.0).overrides == ()


USERS = {
    "fewer than are pre-allocated": (5, 5, 50),
    "as many as may be": (50, 50, 50),
    "more than may be": (80, 80, 80),
}


@pytest.mark.parametrize(("users", "prepared", "most"), USERS.values(), ids=USERS)
def test_users_are_only_how_many_are_prepared(users: int, prepared: int, most: int) -> None:
    plan = plan_of(users=users, spawn_rate=5.0)
    assert plan.arrivals is not None
    assert (plan.users_peak, plan.arrivals.pre_allocated_vus, plan.arrivals.max_vus) == (prepared, prepared, most)
    assert plan.expected_iterations == 600
    assert plan.overrides[0].startswith(f"-u {users}: so many users are prepared; the arrival rate stays")


def test_what_forms_the_curve_of_a_profile_forms_nothing_here() -> None:
    assert plan_of(hold_s=60.0, users_scale=5).overrides == (
        "USERS changes nothing: an arrival rate has a schedule of its own, whose settings `inspect` lists; -t cuts it",
        "HOLD changes nothing: an arrival rate has a schedule of its own, whose settings `inspect` lists; -t cuts it",
    )


def test_all_mistakes_are_told_at_once() -> None:
    rate = ConstantArrivalRate(rate=0, duration_s=0.5, pre_allocated_vus=5, max_vus=2)
    with pytest.raises(ValueError) as caught:
        plan_of(rate, spawn_rate=5.0, run_time_s=0.0, stages="1m:5", profile="stress", profile_from="SCENARIO")
    assert str(caught.value).split("\n") == [
        "-r needs -u: a rate without a number of users says nothing (a profile has its own ramp)",
        "-t must be above 0, got 0 s",
        "rate must be above 0, got 0",
        "duration must be at least 1 s, got 0.5 s",
        "max VUs (2) must not be below the pre-allocated ones (5)",
        "--stage makes no sense for an arrival rate, whose schedule is the scenario's own",
        "a load profile makes no sense for an arrival rate, whose schedule is the scenario's own",
    ]


def test_nobody_is_too_few() -> None:
    with pytest.raises(ValueError, match="-u, the number of users, must be at least 1, got 0"):
        plan_of(users=0)


def test_the_settings_that_an_arrival_rate_is_made_with_are_not_said_to_change_nothing() -> None:
    assert plan_of(ramp_up_s=5.0, ramp_down_s=5.0).overrides == ()


def test_an_arrival_rate_without_a_most_may_be_prepared_for() -> None:
    rate = ConstantArrivalRate(rate=10, duration_s=60, pre_allocated_vus=20)
    plan = plan_of(rate, users=5)
    assert plan.arrivals is not None
    assert (plan.users_peak, plan.arrivals.pre_allocated_vus, plan.arrivals.max_vus) == (5, 5, 20)


def test_the_load_is_held_where_arrivals_come_at_one_rate() -> None:
    assert plan_of().holds == (Hold(LEAD_S, LEAD_S + 60),)
    assert plan_of(run_time_s=30.0).holds == (Hold(LEAD_S, LEAD_S + 30),)
    assert plan_of(RAMP).holds == (Hold(LEAD_S + 60, LEAD_S + 120),)
    assert plan_of(RAMP, run_time_s=60.0).holds == ()

from __future__ import annotations

from dataclasses import replace

import pytest

from pika_locust.load.iterations import Iterations
from pika_locust.load.plan import BY_HAND, CONSTANT, LoadPlan, LoadProfile, LoadRequest, edited, resolve
from pika_locust.load.stages import Hold, parse_stages
from tests.load.plans import OPTION, PROFILES, QUIET, SHAPE, plan_of, problems_of

PLANS: dict[str, tuple[dict[str, object], str, list[str]]] = {
    "nothing is asked: the scenario's default": ({}, "standard: 2m → 100, 8m at 100, 1m → 0 (11m)", []),
    "a profile by name": (OPTION, "stress: 5m → 500, 10m at 500, 2m → 0 (17m)", []),
    "a profile without a hold": ({"profile": "spike"}, "spike: 1m → 100, 1m → 0 (2m)", []),
    "a shape file's name means the scenario's profile": (SHAPE, "stress: 5m → 500, 10m at 500, 2m → 0 (17m)", []),
    "a shape file's own stages where the scenario has no such profile": (
        {"profile": "quiet", "profile_from": "shapes/quiet.py", "profile_fallback": QUIET},
        "quiet: 10s → 3, 10s → 0 (20s)",
        [],
    ),
    "stages by hand": ({"stages": "30s:100,1m:100,10s:0"}, "by hand: 30s → 100, 1m at 100, 10s → 0 (1m40s)", []),
    "stages by hand are stronger than a profile": (
        {"stages": "30s:100", **OPTION},
        "by hand: 30s → 100 (30s)",
        ["--stage overrides profile stress (--load-profile)"],
    ),
    "stages by hand are stronger than the constant profile": (
        {"stages": "30s:100", "profile": CONSTANT, "profile_from": "SCENARIO"},
        "by hand: 30s → 100 (30s)",
        ["--stage overrides profile constant (SCENARIO)"],
    ),
    "stages by hand are stronger than USERS and HOLD": (
        {"stages": "30s:100", "users_scale": 9, "users_scale_from": "CALLS", "hold_s": 60.0},
        "by hand: 30s → 100 (30s)",
        ["--stage overrides CALLS, HOLD"],
    ),
    "users until somebody stops them": ({"users": 100}, "constant: 100 users at once, until stopped", []),
    "users for a time": ({"users": 100, "run_time_s": 40.0}, "constant: 100 users at once, for 40s", []),
    "users at a rate": (
        {"users": 100, "spawn_rate": 50.0, "run_time_s": 40.0},
        "constant: 100 users at 50/s, for 40s",
        [],
    ),
    "users at a rate until somebody stops them": (
        {"users": 100, "spawn_rate": 0.5},
        "constant: 100 users at 0.5/s, until stopped",
        [],
    ),
    "the constant profile by name is the same": (
        {"users": 100, "profile": CONSTANT, "profile_from": "--load-profile"},
        "constant: 100 users at once, until stopped",
        [],
    ),
    "users are stronger than a profile": (
        {"users": 5, **OPTION},
        "constant: 5 users at once, until stopped",
        ["-u 5 overrides profile stress (--load-profile)"],
    ),
    "users are stronger than SCENARIO": (
        {"users": 5, "profile": "spike", "profile_from": "SCENARIO"},
        "constant: 5 users at once, until stopped",
        ["-u 5 overrides profile spike (SCENARIO)"],
    ),
    "users are stronger than everything": (
        {
            "users": 5,
            "stages": "30s:100",
            "users_scale": 9,
            "ramp_up_s": 1.0,
            "hold_s": 2.0,
            "ramp_down_s": 3.0,
            **SHAPE,
        },
        "constant: 5 users at once, until stopped",
        [
            "-u 5 overrides profile stress (shapes/stress.py)",
            "-u 5 overrides --stage",
            "-u 5 overrides USERS, RAMP_UP, HOLD, RAMP_DOWN",
        ],
    ),
    "a time that ends the ramp early": (
        {"users": 100, "spawn_rate": 2.0, "run_time_s": 10.0},
        "constant: 20 users at 2/s, for 10s",
        ["-t 10s cuts the ramp to 100 users, which takes 50s at -r 2"],
    ),
    "a time alone cuts the profile off": (
        {"run_time_s": 180.0, **OPTION},
        "stress: 3m → 300 (3m)",
        ["-t 3m cuts stress (17m)"],
    ),
    "a time that cuts stages by hand": (
        {"run_time_s": 45.0, "stages": "30s:100,1m:100,10s:0"},
        "by hand: 30s → 100, 15s at 100 (45s)",
        ["-t 45s cuts by hand (1m40s)"],
    ),
    "a time longer than the profile": (
        {"run_time_s": 3600.0, "profile": "spike"},
        "spike: 1m → 100, 1m → 0 (2m)",
        ["-t 1h changes nothing: it is longer than spike (2m)"],
    ),
    "a time just as long as the profile": (
        {"run_time_s": 120.0, "profile": "spike"},
        "spike: 1m → 100, 1m → 0 (2m)",
        [],
    ),
    "USERS scales the peak": (
        {"users_scale": 50, **OPTION},
        "stress: 5m → 50, 10m at 50, 2m → 0 (17m)",
        ["USERS=50 scales the stress profile (peak 500)"],
    ),
    "a suite's own name of USERS": (
        {"users_scale": 50, "users_scale_from": "CONCURRENT_CALLS", **OPTION},
        "stress: 5m → 50, 10m at 50, 2m → 0 (17m)",
        ["CONCURRENT_CALLS=50 scales the stress profile (peak 500)"],
    ),
    "ramp, hold and descent": (
        {"ramp_up_s": 30.0, "hold_s": 120.0, "ramp_down_s": 10.0},
        "standard: 30s → 100, 2m at 100, 10s → 0 (2m40s)",
        [],
    ),
    "a hold for a profile without one": (
        {"profile": "spike", "hold_s": 30.0},
        "spike: 1m → 100, 30s at 100, 1m → 0 (2m30s)",
        [],
    ),
    "all at once": (
        {"users_scale": 20, "ramp_up_s": 10.0, "run_time_s": 5.0},
        "standard: 5s → 11 (5s)",
        ["USERS=20 scales the standard profile (peak 100)", "-t 5s cuts standard (9m10s)"],
    ),
}


@pytest.mark.parametrize(("asked", "plan", "overrides"), PLANS.values(), ids=PLANS)
def test_everything_comes_to_one_plan_that_says_what_it_overrode(
    asked: dict[str, object], plan: str, overrides: list[str]
) -> None:
    resolved = plan_of(**asked)
    assert resolved.describe() == plan
    assert list(resolved.overrides) == overrides


MISTAKES: dict[str, tuple[dict[str, object], list[str]]] = {
    "a rate alone": (
        {"spawn_rate": 5.0},
        ["-r needs -u: a rate without a number of users says nothing (a profile has its own ramp)"],
    ),
    "a rate of nothing": (
        {"users": 5, "spawn_rate": 0.0},
        ["-r must be a number of users a second above 0, got 0"],
    ),
    "a rate without end": (
        {"users": 5, "spawn_rate": float("inf")},
        ["-r must be a number of users a second above 0, got inf"],
    ),
    "a rate that is no number": (
        {"users": 5, "spawn_rate": float("nan")},
        ["-r must be a number of users a second above 0, got nan"],
    ),
    "nobody": ({"users": 0}, ["-u, the number of users, must be at least 1, got 0"]),
    "nobody, for so many iterations": (
        {"users": 0, "iterations": Iterations(8)},
        ["-u, the number of users, must be at least 1, got 0"],
    ),
    "scaled to nobody, for so many iterations": (
        {"users_scale": 0, "iterations": Iterations(8)},
        ["USERS must be at least 1, got 0"],
    ),
    "no time": ({"users": 5, "run_time_s": 0.0}, ["-t must be above 0, got 0 s"]),
    "less than no time": ({"run_time_s": -1.0}, ["-t must be above 0, got -1 s"]),
    "scaled to nobody": ({"users_scale": 0}, ["USERS must be at least 1, got 0"]),
    "constant without users": (
        {"profile": CONSTANT, "profile_from": "SCENARIO"},
        ["the constant profile needs -u (and usually -t)"],
    ),
    "an unknown profile": (
        {"profile": "streß", "profile_from": "SCENARIO"},
        ["SCENARIO: there is no load profile 'streß'; there are standard, stress, spike, steps, constant"],
    ),
    "an unknown profile is told even where it would be overridden": (
        {"profile": "no", "profile_from": "SCENARIO", "users": 5},
        ["SCENARIO: there is no load profile 'no'; there are standard, stress, spike, steps, constant"],
    ),
    "stages that cannot be read": (
        {"stages": "30s:100,x"},
        ["--stage: 'x' is not a stage; write duration:users, as in 30s:100,1m:100,10s:0"],
    ),
    "stages without time": (
        {"stages": "0s:100"},
        ["--stage: the stages last 0 s in all; give at least one a duration"],
    ),
    "a hold for steps": (
        {"profile": "steps", "hold_s": 5.0},
        ["RAMP_UP, HOLD and RAMP_DOWN fit a curve of three stages; this one has 4: use --stage"],
    ),
    "no time left": (
        {"ramp_up_s": 0.0, "hold_s": 0.0, "ramp_down_s": 0.0},
        ["the profile standard comes to 0 s in all; give RAMP_UP, HOLD or RAMP_DOWN a duration"],
    ),
    "everything at once": (
        {"spawn_rate": -1.0, "run_time_s": 0.0, "users_scale": -3, "profile": "steps", "hold_s": 5.0},
        [
            "-r needs -u: a rate without a number of users says nothing (a profile has its own ramp)",
            "-r must be a number of users a second above 0, got -1",
            "-t must be above 0, got 0 s",
            "USERS must be at least 1, got -3",
            "RAMP_UP, HOLD and RAMP_DOWN fit a curve of three stages; this one has 4: use --stage",
        ],
    ),
    "a rate alone, and constant without users": (
        {"spawn_rate": 5.0, "profile": CONSTANT},
        [
            "-r needs -u: a rate without a number of users says nothing (a profile has its own ramp)",
            "the constant profile needs -u (and usually -t)",
        ],
    ),
}


@pytest.mark.parametrize(
    ("users", "begins"),
    [
        pytest.param(50, {"flat": 50, "burst": 5, "stress": 1, "spike": 0}, id="fewer"),
        pytest.param(4000, {"flat": 4000, "burst": 400, "stress": 1, "spike": 0}, id="more"),
    ],
)
def test_users_scales_the_level_that_a_profile_begins_with(users: int, begins: dict[str, int]) -> None:
    flat = LoadProfile("flat", parse_stages("10m:1000"), start_users=1000)
    burst = LoadProfile("burst", parse_stages("30s:100,0s:1000,1m:1000,0s:100,30s:100"), start_users=100)
    profiles = {**PROFILES, "flat": flat, "burst": burst}
    for name, begin in begins.items():
        plan = resolve(LoadRequest(profile=name, users_scale=users), profiles, name)
        assert (plan.users_at(0.0), plan.users_peak) == (begin, users)
    cut_short = resolve(LoadRequest(profile="flat", users_scale=users, run_time_s=300.0), profiles, "flat")
    assert cut_short.describe() == f"flat: 5m at {users} (5m)"
    assert cut_short.holds == (Hold(0.0, 300.0),)


@pytest.mark.parametrize(("asked", "problems"), MISTAKES.values(), ids=MISTAKES)
def test_all_mistakes_are_told_at_once(asked: dict[str, object], problems: list[str]) -> None:
    assert problems_of(**asked) == problems


@pytest.mark.parametrize("asked", [{"users": 10**8}, {"users_scale": 10**7}, {"stages": "1m:1000001,1m:0"}])
def test_more_users_than_anybody_can_mean_are_refused(asked: dict[str, object]) -> None:
    assert "users: at most 1,000,000 can be meant" in problems_of(**asked)[0]


def test_the_request_is_not_changed() -> None:
    request = LoadRequest(users=5, stages="30s:100")
    before = replace(request)
    resolve(request, PROFILES, "standard")
    assert request == before


def test_names_of_plans_are_those_of_profiles() -> None:
    assert [plan_of(**asked).name for asked in ({}, OPTION, {"stages": "1s:1"}, {"users": 1})] == [
        "standard",
        "stress",
        BY_HAND,
        CONSTANT,
    ]


FIXED: dict[str, tuple[dict[str, object], str, list[str]]] = {
    "shared by all": (
        {"users": 5, "iterations": Iterations(200)},
        "iterations: 200 shared by 5 users, in 10m at most",
        [],
    ),
    "for each user, with a time limit": (
        {"users": 5, "iterations": Iterations(3, per_user=True), "run_time_s": 90.0},
        "iterations: 3 for each of 5 users, in 1m30s at most",
        [],
    ),
    "one user, as with k6": ({"iterations": Iterations(7)}, "iterations: 7 shared by 1 users, in 10m at most", []),
    "the suite's own number of users": (
        {"users_scale": 4, "users_scale_from": "TARGET_VUS", "iterations": Iterations(8)},
        "iterations: 8 shared by 4 users, in 10m at most",
        [],
    ),
    "what has a curve gives way": (
        {"iterations": Iterations(8), "hold_s": 60.0, "stages": "30s:100", **OPTION},
        "iterations: 8 shared by 1 users, in 10m at most",
        ["ITERATIONS=8 overrides profile stress", "ITERATIONS=8 overrides --stage", "ITERATIONS=8 overrides HOLD"],
    ),
}


@pytest.mark.parametrize(("asked", "described", "overrides"), FIXED.values(), ids=FIXED)
def test_a_fixed_number_of_iterations(asked: dict[str, object], described: str, overrides: list[str]) -> None:
    plan = plan_of(**asked)
    assert plan.describe() == described
    assert list(plan.overrides) == overrides
    assert plan.name == "iterations"
    assert plan.users_at(0.0) == plan.users_peak == plan.users_started


def test_how_many_iterations_are_expected() -> None:
    assert plan_of(users=5, iterations=Iterations(200)).expected_iterations == 200
    assert plan_of(users=5, iterations=Iterations(3, per_user=True)).expected_iterations == 15


def test_fewer_iterations_than_users_make_no_plan() -> None:
    assert problems_of(users=5, iterations=Iterations(3)) == ["ITERATIONS=3 is too few for 5 users to have one each"]


# Edited while it runs


def constant(users: int, spawn_rate: float, run_time_s: float | None = None) -> LoadPlan:
    return resolve(LoadRequest(users=users, spawn_rate=spawn_rate, run_time_s=run_time_s), {}, CONSTANT)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([(30, 40, 5)], {0: 0, 5: 10, 10: 20, 29: 20, 30: 20, 32: 30, 34: 40, 59: 40, 60: None}),
        ([(30, 5, 3)], {29: 20, 32: 14, 35: 5, 59: 5, 60: None}),
        ([(5, 40, 5)], {4: 8, 5: 10, 11: 40, 59: 40, 60: None}),
        ([(5, 4, 2), (20, 24, 10)], {5: 10, 8: 4, 20: 4, 21: 14, 22: 24, 59: 24, 60: None}),
        ([(59, 40, 5)], {59: 20, 59.8: 24, 60: None}),
    ],
)
def test_constant_users_go_on_with_other_numbers(
    edits: list[tuple[float, int, float]], expected: dict[float, int | None]
) -> None:
    plan = constant(20, 2, 60)
    for at_s, users, spawn_rate in edits:
        plan = edited(plan, at_s, users, spawn_rate)
    assert {at_s: plan.users_at(at_s) for at_s in expected} == expected
    assert plan.duration_s == 60
    assert sum(stage.duration_s for stage in plan.stages) == pytest.approx(60)


def test_constant_users_until_stopped_can_be_edited_at_any_time() -> None:
    plan = edited(constant(20, 20), 3600, 10, 1)
    assert [plan.users_at(at_s) for at_s in (2, 3599, 3605, 3610, 99_999)] == [20, 20, 15, 10, 10]
    assert plan.duration_s is None


def test_what_cannot_be_edited_says_why() -> None:
    profile = resolve(LoadRequest(stages="1m:20"), {}, CONSTANT)
    with pytest.raises(ValueError, match=r"this test follows 'by hand'.*stop it first"):
        edited(profile, 5, 10, 1)
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        edited(constant(20, 2), 5, 0, 1)
    with pytest.raises(ValueError, match="above 0, got 0"):
        edited(constant(20, 2), 5, 1, 0)
    with pytest.raises(ValueError, match="the test is over"):
        edited(constant(20, 2, 60), 60, 1, 1)

"""The load plan: profile, stages, arrival rate or iterations, resolved from all settings before the run.

`resolve` makes the plan of a closed model, in which the number of users is set; `open_plan` that of an open model, in
which the times of arrivals are set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pika_locust.load.arrivals import ArrivalRate
from pika_locust.load.durations import format_duration
from pika_locust.load.iterations import MAX_DURATION_S, Iterations
from pika_locust.load.stages import (
    Hold,
    Stage,
    cut,
    holds,
    parse_stages,
    peak,
    scaled,
    total_s,
    users_at,
    with_durations,
)

CONSTANT = "constant"
BY_HAND = "by hand"
FIXED = "iterations"
MOST_USERS = 1_000_000
"""More is a typing error: a plan is worked out in steps of one user."""


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """A load that a scenario offers by name: the curve of its primary users."""

    name: str
    stages: tuple[Stage, ...]
    start_users: int = 1
    """k6's `startVUs`, 1 unless the suite says otherwise."""
    about: str = ""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the user asked for, before it is resolved. None means: not said."""

    profile: str | None = None
    profile_from: str = ""
    """Where the profile's name came from, for messages: `--load-profile`, `SCENARIO`, `shapes/stress.py`."""
    profile_fallback: LoadProfile | None = None
    """The shape file's own stages, used where the scenario has no profile of that name."""
    stages: str | None = None
    users: int | None = None
    users_scale: int | None = None
    """`USERS`: the profile's curve, scaled to this peak."""
    users_scale_from: str = "USERS"
    """The name under which it was given."""
    spawn_rate: float | None = None
    run_time_s: float | None = None
    ramp_up_s: float | None = None
    hold_s: float | None = None
    ramp_down_s: float | None = None
    iterations: Iterations | None = None
    """A fixed number of iterations, after which the test ends."""

    def problems(self) -> list[str]:
        """Numbers that make no sense, a sentence each."""
        problems = []
        rate = self.spawn_rate
        if rate is not None and self.users is None:
            problems.append("-r needs -u: a rate without a number of users says nothing (a profile has its own ramp)")
        if rate is not None and not 0 < rate < math.inf:
            problems.append(f"-r must be a number of users a second above 0, got {rate:g}")
        if self.users is not None and self.users < 1:
            problems.append(f"-u, the number of users, must be at least 1, got {self.users}")
        if self.run_time_s is not None and not 0 < self.run_time_s < math.inf:
            problems.append(f"-t must be above 0, got {self.run_time_s:g} s")
        if self.users_scale is not None and self.users_scale < 1:
            problems.append(f"{self.users_scale_from} must be at least 1, got {self.users_scale}")
        return problems

    def shaping(self) -> list[str]:
        """The settings that form the curve of a profile, by name."""
        settings = {
            self.users_scale_from: self.users_scale,
            "RAMP_UP": self.ramp_up_s,
            "HOLD": self.hold_s,
            "RAMP_DOWN": self.ramp_down_s,
        }
        return [name for name, value in settings.items() if value is not None]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How many primary users there are at each instant, and until when. `duration_s` None: until somebody stops it."""

    name: str
    stages: tuple[Stage, ...]
    start_users: int
    duration_s: float | None
    spawn_rate: float | None = None
    """Users a second when all come at once or by `-r`; None follows the curve."""
    overrides: tuple[str, ...] = field(default=())
    """What was asked for and gives way to something stronger, in words."""

    arrivals: ArrivalRate | None = None
    """The open model: when iterations begin; the users above are then those that are prepared for them."""
    iterations: Iterations | None = None
    """A fixed number of iterations: the test ends when they are done, and at the latest with the stages."""
    arrivals_s: float | None = None
    """How long arrivals come, from their own beginning."""

    def __post_init__(self) -> None:
        if self.users_peak > MOST_USERS:
            raise ValueError(
                f"{self.users_peak:,} users: at most {MOST_USERS:,} can be meant (each takes 14 kB of memory or more)"
            )

    def users_at(self, at_s: float) -> int | None:
        """Primary users wanted `at_s` seconds after the start; None when the plan is over."""
        if self.duration_s is not None and at_s >= self.duration_s:
            return None
        return users_at(self.stages, at_s, self.start_users)

    def stage_at(self, at_s: float) -> tuple[int, Stage]:
        """Number (from 1) and value of the stage that is running `at_s` seconds after the start."""
        end_s = 0.0
        for number, stage in enumerate(self.stages, 1):
            end_s += stage.duration_s
            if at_s < end_s:
                return number, stage
        return len(self.stages), self.stages[-1]

    @property
    def holds(self) -> tuple[Hold, ...] | None:
        """When the load is held, ramps left out: constant users or, in the open model, a constant rate of arrivals.

        None: nobody knows, as the load is somebody else's.
        """
        if not self.stages:
            return None
        if self.arrivals is not None and self.arrivals_s is not None:
            schedule = self.arrivals.schedule().cut(self.arrivals_s)
            rates = [(stretch.duration_s, stretch.first_rate, stretch.last_rate) for stretch in schedule.stretches()]
            return holds([(LEAD_S, 0.0, 0.0), *rates])
        before = (self.start_users, *(stage.target for stage in self.stages))
        users = [(stage.duration_s, was, stage.target) for was, stage in zip(before, self.stages, strict=False)]
        if self.duration_s is None:
            users.append((math.inf, before[-1], before[-1]))
        return holds(users)

    @property
    def users_peak(self) -> int:
        """The most primary users at any instant."""
        return max(peak(self.stages), self.start_users if self.duration_s != 0 else 0)

    @property
    def users_started(self) -> int:
        """How many primary users are started in all, when none ends by itself: the sum of all rises."""
        levels = [0, self.start_users, *(stage.target for stage in self.stages)]
        return sum(max(0, after - before) for before, after in pairwise(levels))

    @property
    def expected_iterations(self) -> int:
        """How many iterations begin: a fixed number, arrivals that are due, else one for each user that is started."""
        if self.iterations is not None:
            return self.iterations.total(self.users_peak)
        if self.arrivals is None or self.arrivals_s is None:
            return self.users_started
        return self.arrivals.schedule().count(self.arrivals_s)

    def describe(self) -> str:
        """One line: `stress: 5m → 500, 10m at 500, 2m → 0 (17m)`."""
        if self.arrivals is not None:
            return self.arrivals.describe()
        if self.iterations is not None:
            length = format_duration(self.duration_s or 0.0)
            each = (
                f"{self.iterations.number} for each of" if self.iterations.per_user else f"{self.iterations} shared by"
            )
            return f"{FIXED}: {each} {self.users_peak} users, in {length} at most"
        if self.name == CONSTANT:
            rate = f" at {self.spawn_rate:g}/s" if self.spawn_rate is not None else " at once"
            until = "until stopped" if self.duration_s is None else f"for {format_duration(self.duration_s)}"
            return f"constant: {self.users_peak} users{rate}, {until}"
        if not self.stages:
            return f"{self.name}, for as long as it lasts"
        parts = []
        before = self.start_users
        for stage in self.stages:
            verb = "at" if stage.target == before else "→"
            parts.append(f"{format_duration(stage.duration_s)} {verb} {stage.target}")
            before = stage.target
        length = "until stopped" if self.duration_s is None else format_duration(self.duration_s)
        return f"{self.name}: {', '.join(parts)} ({length})"


def resolve(request: LoadRequest, profiles: Mapping[str, LoadProfile], default: str) -> LoadPlan:
    """The closed model's plan of a request. The stronger wins, and `overrides` says over what:

    a fixed number of iterations, then constant users (`-u`), then stages by hand (`--stage`), then a profile by name,
    then the scenario's default.

    Raises ValueError with every mistake, one a line.
    """
    if request.iterations is not None:
        return _fixed(request, request.iterations)
    problems = request.problems()
    stages = _stages_by_hand(request, problems)
    profile = _profile(request, profiles, default, problems)
    overrides = _overrides(request)
    if profile is not None and request.users is None and request.stages is None:
        if profile.name == CONSTANT:
            problems.append("the constant profile needs -u (and usually -t)")
        else:
            stages = _shaped(profile, request, problems, overrides)
    if problems:
        raise ValueError("\n".join(problems))
    if request.users is not None:
        return _constant(request, request.users, overrides)
    assert profile is not None
    assert stages is not None
    by_hand = request.stages is not None
    name, start_users = (BY_HAND, 1) if by_hand else (profile.name, _start_users(profile, request.users_scale))
    if request.run_time_s is not None:
        asked, lasts = f"-t {format_duration(request.run_time_s)}", f"{name} ({format_duration(total_s(stages))})"
        if request.run_time_s < total_s(stages):
            overrides.append(f"{asked} cuts {lasts}")
        elif request.run_time_s > total_s(stages):
            overrides.append(f"{asked} changes nothing: it is longer than {lasts}")
        stages = cut(stages, request.run_time_s, start_users)
    return LoadPlan(name, stages, start_users, total_s(stages), None, tuple(overrides))


def _stages_by_hand(request: LoadRequest, problems: list[str]) -> tuple[Stage, ...] | None:
    if request.stages is None:
        return None
    try:
        stages = parse_stages(request.stages)
    except ValueError as error:
        problems.append(f"--stage: {error}")
        return None
    if total_s(stages) == 0:
        problems.append("--stage: the stages last 0 s in all; give at least one a duration")
    return stages


def _profile(
    request: LoadRequest, profiles: Mapping[str, LoadProfile], default: str, problems: list[str]
) -> LoadProfile | None:
    name = request.profile or default
    if name == CONSTANT:
        return LoadProfile(CONSTANT, ())
    if name in profiles:
        return profiles[name]
    if request.profile_fallback is not None:
        return request.profile_fallback
    legal = ", ".join([*profiles, CONSTANT])
    problems.append(f"{request.profile_from or 'profile'}: there is no load profile {name!r}; there are {legal}")
    return None


def _overrides(request: LoadRequest) -> list[str]:
    """What gives way to `-u` or `--stage`, in words."""
    asked = f"profile {request.profile} ({request.profile_from})" if request.profile is not None else ""
    formed = ", ".join(request.shaping())
    if request.users is not None:
        winner = f"-u {request.users}"
        losers = [
            asked if request.profile != CONSTANT else "",
            "--stage" if request.stages is not None else "",
            formed,
        ]
    elif request.stages is not None:
        winner, losers = "--stage", [asked, formed]
    else:
        return []
    return [f"{winner} overrides {loser}" for loser in losers if loser]


def _shaped(
    profile: LoadProfile, request: LoadRequest, problems: list[str], overrides: list[str]
) -> tuple[Stage, ...] | None:
    """The profile's curve with USERS, RAMP_UP, HOLD and RAMP_DOWN in place."""
    stages = profile.stages
    try:
        if request.users_scale is not None and request.users_scale >= 1:
            asked = f"{request.users_scale_from}={request.users_scale}"
            overrides.append(f"{asked} scales the {profile.name} profile (peak {peak(stages)})")
            stages = scaled(stages, request.users_scale)
        stages = with_durations(stages, request.ramp_up_s, request.hold_s, request.ramp_down_s)
    except ValueError as error:
        problems.append(str(error))
        return None
    if total_s(stages) == 0:
        problems.append(f"the profile {profile.name} comes to 0 s in all; give RAMP_UP, HOLD or RAMP_DOWN a duration")
    return stages


def _start_users(profile: LoadProfile, scale: int | None) -> int:
    """How many users a profile begins with: a level that it was given is scaled with its curve; k6's single one (or
    none) is where every ramp begins."""
    top = peak(profile.stages)
    if scale is None or profile.start_users <= 1 or top == 0:
        return profile.start_users
    return round(profile.start_users * scale / top)


def _fixed(request: LoadRequest, iterations: Iterations) -> LoadPlan:
    """k6's shared-iterations and per-vu-iterations: constant users until all is done, `-t` being k6's maxDuration."""
    users = request.users if request.users is not None else request.users_scale or 1
    request = replace(request, users=users, run_time_s=request.run_time_s or MAX_DURATION_S)
    problems = [*request.problems(), *iterations.problems(users)]
    if problems:
        raise ValueError("\n".join(problems))
    losers = [
        f"profile {request.profile}" if request.profile not in (None, CONSTANT) else "",
        "--stage" if request.stages is not None else "",
        ", ".join(name for name in request.shaping() if name != request.users_scale_from),
    ]
    overrides = [f"ITERATIONS={iterations} overrides {loser}" for loser in losers if loser]
    return replace(_constant(request, users, overrides), name=FIXED, iterations=iterations)


def _constant(request: LoadRequest, users: int, overrides: list[str]) -> LoadPlan:
    duration_s = request.run_time_s
    if request.spawn_rate is None:
        return LoadPlan(CONSTANT, (Stage(duration_s or 0.0, users),), users, duration_s, None, tuple(overrides))
    ramp_s = users / request.spawn_rate
    stages: tuple[Stage, ...] = (Stage(ramp_s, users),)
    if duration_s is not None:
        stages = cut((*stages, Stage(max(0.0, duration_s - ramp_s), users)), duration_s, 0)
        if duration_s < ramp_s:
            overrides.append(
                f"-t {format_duration(duration_s)} cuts the ramp to {users} users, which takes "
                f"{format_duration(ramp_s)} at -r {request.spawn_rate:g}"
            )
    return LoadPlan(CONSTANT, stages, 0, duration_s, request.spawn_rate, tuple(overrides))


def edited(plan: LoadPlan, at_s: float, users: int, spawn_rate: float) -> LoadPlan:
    """A plan of constant users that goes on with other numbers, `at_s` seconds after its start.

    Arguments:
        users: how many there are to be from now on.
        spawn_rate: how many of them to start or stop a second, until it is so.

    Raises ValueError, which says why, for every other plan, for one that is over and for numbers that make no load.
    """
    if plan.name != CONSTANT:
        follows = "arrivals" if plan.arrivals is not None else f"{plan.name!r}, whose load was settled when it began"
        raise ValueError(f"only a load of constant users can be edited, and this test follows {follows}; stop it first")
    problems = LoadRequest(users=users, spawn_rate=spawn_rate).problems()
    if problems:
        raise ValueError("\n".join(problems))
    before = plan.users_at(at_s)
    if before is None:
        raise ValueError("the test is over")
    past = cut(plan.stages, at_s, plan.start_users)
    lasted_s = total_s(past)
    if lasted_s < at_s:
        past = (*past, Stage(at_s - lasted_s, before))
    stages = (*past, Stage(abs(users - before) / spawn_rate, users))
    if plan.duration_s is not None:
        stages = (*stages, Stage(max(0.0, plan.duration_s - total_s(stages)), users))
        stages = cut(stages, plan.duration_s, plan.start_users)
    return replace(plan, stages=stages, spawn_rate=spawn_rate)


OPEN = "arrivals"
LEAD_S = 2.0
"""From the first user to the first arrival: k6, too, prepares its users before the clock starts."""
TAIL_S = 0.5
"""From the end of the schedule to that of the plan: an arrival that is due at the very end begins before users are told
to finish, however messages travel."""


def open_plan(rate: ArrivalRate, request: LoadRequest) -> LoadPlan:
    """The open model's plan: users are prepared (`-u`: how many), iterations begin when due; `-t` cuts the schedule.

    Raises ValueError with every mistake, one a line.
    """
    overrides = []
    if request.users is not None:
        most = max(request.users, rate.max_vus or rate.pre_allocated_vus)
        rate = replace(rate, pre_allocated_vus=request.users, max_vus=most)
        overrides.append(
            f"-u {request.users}: so many users are prepared; the arrival rate stays (USE_SIMPLE=1 drops it)"
        )
    overrides += [
        f"{name} changes nothing: an arrival rate has a schedule of its own, whose settings `inspect` lists; -t cuts it"
        for name in request.shaping()
        # The rate was made with these in it.
        if name not in ("RAMP_UP", "RAMP_DOWN")
    ]
    problems = [*request.problems(), *rate.problems()]
    problems += [
        f"{name} makes no sense for an arrival rate, whose schedule is the scenario's own"
        for name, value in (
            ("--stage", request.stages),
            ("a load profile", request.profile),
            ("ITERATIONS", request.iterations),
        )
        if value is not None
    ]
    if problems:
        raise ValueError("\n".join(problems))
    schedule_s = rate.curve.duration_s
    if request.run_time_s is not None and request.run_time_s < schedule_s:
        overrides.append(f"-t {format_duration(request.run_time_s)} cuts the schedule ({format_duration(schedule_s)})")
        schedule_s = request.run_time_s
    elif request.run_time_s is not None and request.run_time_s > schedule_s:
        asked, lasts = format_duration(request.run_time_s), format_duration(schedule_s)
        overrides.append(f"-t {asked} changes nothing: it is longer than the schedule ({lasts})")
    users = rate.pre_allocated_vus
    stages = (Stage(LEAD_S, users), Stage(schedule_s + TAIL_S, users))
    return LoadPlan(
        OPEN, stages, users, LEAD_S + schedule_s + TAIL_S, None, tuple(overrides), arrivals=rate, arrivals_s=schedule_s
    )

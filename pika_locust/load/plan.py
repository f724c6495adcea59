"""The load plan: what all settings about load come to, resolved once, printed, and followed by the engine.

`load.closed_plan` and `load.open_plan` make it, for users and for arrivals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from pika_locust.load.arrivals import ArrivalRate
from pika_locust.load.durations import format_duration
from pika_locust.load.iterations import Iterations
from pika_locust.load.stages import Stage, peak, users_at

CONSTANT = "constant"
BY_HAND = "by hand"
FIXED = "iterations"
MOST_USERS = 1_000_000
"""A slip of the finger beyond: a plan is worked out in steps of one user."""


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
        """Numbers that can be meant by nobody, a sentence each."""
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

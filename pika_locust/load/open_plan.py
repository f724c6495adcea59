"""The open model as a load plan: users are prepared, and iterations begin when they are due."""

from __future__ import annotations

from dataclasses import replace

from pika_locust.load.arrivals import ArrivalRate
from pika_locust.load.durations import format_duration
from pika_locust.load.plan import LoadPlan, LoadRequest
from pika_locust.load.stages import Stage

OPEN = "arrivals"
LEAD_S = 2.0
"""From the first user to the first arrival: k6, too, prepares its users before the clock starts."""
TAIL_S = 0.5
"""From the end of the schedule to that of the plan: an arrival that is due at the very end begins before users are told
to finish, however messages travel."""


def open_plan(rate: ArrivalRate, request: LoadRequest) -> LoadPlan:
    """The plan of an arrival-rate load: `-t` cuts the schedule, `-u` sets how many users are prepared.

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

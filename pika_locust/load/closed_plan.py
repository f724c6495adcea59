"""The closed model as a load plan: what `-u`, `--stage`, a profile's name and the suites' settings come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pika_locust.load.durations import format_duration
from pika_locust.load.iterations import MAX_DURATION_S, Iterations
from pika_locust.load.plan import BY_HAND, CONSTANT, FIXED, LoadPlan, LoadProfile, LoadRequest
from pika_locust.load.stages import Stage, cut, parse_stages, peak, scaled, total_s, with_durations


def resolve(request: LoadRequest, profiles: Mapping[str, LoadProfile], default: str) -> LoadPlan:
    """The plan that a request comes to. The stronger wins, and `overrides` says over what:

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
    name, start_users = (BY_HAND, 1) if by_hand else (profile.name, profile.start_users)
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


def _fixed(request: LoadRequest, iterations: Iterations) -> LoadPlan:
    """k6's shared-iterations and per-vu-iterations: constant users until all is done, `-t` being k6's maxDuration."""
    users = request.users or request.users_scale or 1
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

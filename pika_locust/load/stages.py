"""Stages (the closed model): how many users at each moment, as k6's ramping-vus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pika_locust.load.durations import format_duration, parse_duration


@dataclass(frozen=True, slots=True)
class Stage:
    """Within `duration_s` seconds the number of users goes in a straight line to `target`."""

    duration_s: float
    target: int

    def __post_init__(self) -> None:
        if self.duration_s < 0:
            raise ValueError(f"a stage cannot last {self.duration_s} s")
        if self.target < 0:
            raise ValueError(f"a stage cannot lead to {self.target} users")

    def __str__(self) -> str:
        return f"{format_duration(self.duration_s)}:{self.target}"


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch, in seconds since the start of the load, in which the load stays as it is."""

    from_s: float
    to_s: float
    """Infinite where it is held until somebody stops it."""


def holds(stretches: Iterable[tuple[float, float, float]]) -> tuple[Hold, ...]:
    """Where a load is held, from stretches of (seconds, load at the beginning, load at the end) that follow each other.

    Neighbours with the same load are one hold; no load is none.
    """
    found: list[Hold] = []
    begin_s, held = 0.0, 0.0
    for duration_s, first, last in stretches:
        end_s = begin_s + duration_s
        if duration_s > 0 and first == last > 0:
            if found and found[-1].to_s == begin_s and held == first:
                found[-1] = Hold(found[-1].from_s, end_s)
            else:
                found.append(Hold(begin_s, end_s))
            held = first
        begin_s = end_s
    return tuple(found)


_STAGE = re.compile(r"(?P<duration>[^:,\s]+):(?P<target>[0-9]{1,9})")


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Stages written by hand: `30s:100,1m:100,10s:0`. A plain number of time is seconds here, as in `-t 30`.

    Raises ValueError, which names the part that cannot be read.
    """
    stages = []
    for part in text.split(","):
        match = _STAGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a stage; write duration:users, as in 30s:100,1m:100,10s:0")
        stages.append(Stage(parse_duration(match["duration"], bare_unit="s"), int(match["target"])))
    return tuple(stages)


def users_at(stages: Sequence[Stage], at_s: float, start_users: int) -> int:
    """Users that should be there `at_s` seconds after the start.

    k6 rounds to nearest after linear interpolation between the targets (`lib/executor/ramping_vus.go`); a stage of
    no duration is a jump. After the last stage its target holds.
    """
    begin_s, begin_users = 0.0, start_users
    for stage in stages:
        end_s = begin_s + stage.duration_s
        if at_s < end_s:
            fraction = (at_s - begin_s) / stage.duration_s
            return int(begin_users + (stage.target - begin_users) * fraction + 0.5)
        begin_s, begin_users = end_s, stage.target
    return begin_users


def peak(stages: Iterable[Stage]) -> int:
    """The highest target."""
    return max((stage.target for stage in stages), default=0)


def total_s(stages: Iterable[Stage]) -> float:
    """How long all stages take."""
    return sum(stage.duration_s for stage in stages)


def scaled(stages: Sequence[Stage], users: int) -> tuple[Stage, ...]:
    """The same curve with its highest point at `users`."""
    top = peak(stages)
    if top == 0:
        return tuple(stages)
    return tuple(replace(stage, target=round(stage.target * users / top)) for stage in stages)


def cut(stages: Sequence[Stage], at_s: float, start_users: int) -> tuple[Stage, ...]:
    """The stages up to `at_s` seconds; the last one is shortened to end where the curve is then."""
    kept: list[Stage] = []
    begin_s = 0.0
    for stage in stages:
        end_s = begin_s + stage.duration_s
        if end_s >= at_s:
            if at_s > begin_s:
                target = stage.target if end_s == at_s else users_at(stages, at_s, start_users)
                kept.append(Stage(at_s - begin_s, target))
            return tuple(kept)
        kept.append(stage)
        begin_s = end_s
    return tuple(kept)


def with_durations(
    stages: Sequence[Stage], ramp_up_s: float | None, hold_s: float | None, ramp_down_s: float | None
) -> tuple[Stage, ...]:
    """A ramp-up, hold, ramp-down curve with some of its three durations replaced; None keeps one as it is.

    A curve of two stages (no hold) gains a hold when `hold_s` is given. Raises ValueError for other curves.
    """
    if ramp_up_s is hold_s is ramp_down_s is None:
        return tuple(stages)
    if len(stages) not in (2, 3):
        raise ValueError(
            f"RAMP_UP, HOLD and RAMP_DOWN fit a curve of three stages; this one has {len(stages)}: use --stage"
        )
    hold = list(stages[1:-1])
    if not hold and hold_s is not None:
        hold = [Stage(0.0, stages[0].target)]
    durations = [ramp_up_s, *[hold_s] * len(hold), ramp_down_s]
    return tuple(
        stage if duration_s is None else replace(stage, duration_s=duration_s)
        for stage, duration_s in zip((stages[0], *hold, stages[-1]), durations, strict=True)
    )

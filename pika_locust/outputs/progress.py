"""The one line that says how a running test is doing; redrawn in place, therefore always equally wide."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence

from pika_locust.outputs.humanise import clock, cut, number, width_of


def line(
    stage: str,
    elapsed_s: float,
    planned_s: float | None,
    users: int,
    target_users: int,
    rates: Mapping[str, float],
    failing: Sequence[str],
    *,
    width: int = 100,
    encoding: str | None = "utf-8",
) -> str:
    """`[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34 msg/s · 0:37 left · 0 failing`, padded to `width` columns.

    `rates` gives events per second by what they count (`{"msg": 34}`); `failing` the thresholds that do not hold at
    present. Where the line is too narrow it gives up the failing ones' names first (their number stays), then the
    rates. `encoding` is the stream's: other than UTF-8, the line is ASCII.
    """
    ascii_only = not _is_utf8(encoding)
    dot, ellipsis = (" | ", "...") if ascii_only else (" · ", "…")
    planned = clock(planned_s)
    times = f"{clock(elapsed_s).rjust(len(planned))} / {planned}" if planned_s is not None else clock(elapsed_s)
    target = number(target_users)
    start = [f"[ {times} ] {stage}".rstrip(), f"{number(users).rjust(len(target))}/{target} users"]
    speeds = [f"{number(rate)} {what}/s" for what, rate in rates.items()]
    left = [f"{clock(planned_s - elapsed_s)} left"] if planned_s is not None and elapsed_s < planned_s else []
    while True:
        known = dot.join([*start, *speeds, *left, f"{number(len(failing))} failing"])
        if width_of(known) <= width or not speeds:
            break
        speeds.pop()
    words = known + _names(failing, width - width_of(known))
    if ascii_only:
        words = words.encode("ascii", "replace").decode("ascii")
    words = cut(words, width, ellipsis)
    return words + " " * (width - width_of(words))


def _names(failing: Sequence[str], room: int) -> str:
    """`: a, b +1`: as many names as the room allows, and how many it did not."""
    for shown in range(len(failing), 0, -1):
        rest = len(failing) - shown
        names = ": " + ", ".join(failing[:shown]) + (f" +{rest}" if rest else "")
        if width_of(names) <= room:
            return names
    return ""


def _is_utf8(encoding: str | None) -> bool:
    try:
        return encoding is not None and codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False

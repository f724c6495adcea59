"""The progress line of a running test: in place on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import codecs
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pika_locust.format import clock, cut, number, width_of
from pika_locust.judge import ThresholdResult
from pika_locust.load.plan import LoadPlan
from pika_locust.metrics import CounterValue, GaugeValue, Snapshot
from pika_locust.outputs import redact


def line(
    stage: str,
    elapsed_s: float,
    planned_s: float | None,
    users: int,
    target_users: int,
    rates: Mapping[str, float],
    failing: Sequence[str],
    *,
    trouble: str = "",
    width: int = 100,
    encoding: str | None = "utf-8",
) -> str:
    """`[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34 msg/s · 0:37 left · 0 failing`, padded to `width` columns.

    `rates` gives events per second by what they count (`{"msg": 34}`); `failing` the thresholds that do not hold at
    present, in whose place `trouble` stands where there is some. Where the line is too narrow it gives up the failing
    ones' names first (their number stays), then the rates. `encoding` is the stream's: other than UTF-8, the line is
    ASCII.
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
        known = dot.join([*start, *speeds, *left, trouble or f"{number(len(failing))} failing"])
        if width_of(known) <= width or not speeds:
            break
        speeds.pop()
    words = known + ("" if trouble else _names(failing, width - width_of(known)))
    if ascii_only:
        words = words.encode("ascii", "replace").decode("ascii")
    words = cut(words, width, ellipsis)
    return words + " " * (width - width_of(words))


def _names(failing: Sequence[str], columns: int) -> str:
    """`: a, b +1`: as many names as fit into so many columns, and how many do not."""
    for shown in range(len(failing), 0, -1):
        rest = len(failing) - shown
        names = ": " + ", ".join(failing[:shown]) + (f" +{rest}" if rest else "")
        if width_of(names) <= columns:
            return names
    return ""


def _is_utf8(encoding: str | None) -> bool:
    try:
        return encoding is not None and codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


LINE_EVERY_S = 10.0
LINE_WIDTH = 120


class ProgressPrinter:
    """Prints to standard error, so that standard output holds nothing but the verdict."""

    def __init__(self, plan: LoadPlan, speeds: Mapping[str, str]) -> None:
        self.plan = plan
        """What is followed now: it may be edited."""
        self._counters = speeds
        self._counted: dict[str, float] = dict.fromkeys(speeds, 0.0)
        self._printed_s = 0.0
        self._trouble = ""

    def show(self, at_s: float, snapshot: Snapshot, results: Sequence[ThresholdResult], trouble: str = "") -> None:
        """Print the state `at_s` seconds after the start, if a line is due; `trouble` is worth one when it begins."""
        stream = sys.stderr
        in_place = stream.isatty()
        begins = trouble != self._trouble and bool(trouble)
        self._trouble = trouble
        if not in_place and not begins and at_s - self._printed_s < LINE_EVERY_S:
            return
        speeds = self._speeds(at_s - self._printed_s, snapshot)
        self._printed_s = at_s
        users = snapshot.select("vus")
        number, stage = self.plan.stage_at(at_s)
        text = line(
            f"{self.plan.name} {number}/{len(self.plan.stages)}",
            at_s,
            self.plan.duration_s,
            int(users.value) if isinstance(users, GaugeValue) else 0,
            self.plan.users_at(at_s) or stage.target,
            speeds,
            [result.metric for result in results if result.status == "fail"],
            trouble=redact.one_line(trouble),
            width=shutil.get_terminal_size().columns - 1 if in_place else LINE_WIDTH,
            encoding=stream.encoding,
        )
        # Whoever read along may have gone (`2>&1 | head`), or their terminal: the test goes on.
        with suppress(OSError):
            stream.write(f"\r{text}" if in_place else f"{text.rstrip()}\n")
            stream.flush()

    def _speeds(self, seconds: float, snapshot: Snapshot) -> dict[str, float]:
        """Events a second since the last line, by what they are called there."""
        speeds = {}
        for name, metric in self._counters.items():
            value = snapshot.select(metric)
            count = float(value.count) if isinstance(value, CounterValue) else 0.0
            speeds[name] = (count - self._counted[name]) / seconds if seconds > 0 else 0.0
            self._counted[name] = count
        return speeds

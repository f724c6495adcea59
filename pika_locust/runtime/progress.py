"""Saying how a running test is doing: in place on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pika_locust.judge import ThresholdResult
from pika_locust.load.plan import LoadPlan
from pika_locust.measure import CounterValue, GaugeValue, Snapshot
from pika_locust.outputs import progress

LINE_EVERY_S = 10.0
LINE_WIDTH = 120


class ProgressPrinter:
    """Prints to standard error, so that standard output holds nothing but the verdict."""

    def __init__(self, plan: LoadPlan, speeds: Mapping[str, str]) -> None:
        self._plan = plan
        self._counters = speeds
        self._counted: dict[str, float] = dict.fromkeys(speeds, 0.0)
        self._printed_s = 0.0

    def show(self, at_s: float, snapshot: Snapshot, results: Sequence[ThresholdResult]) -> None:
        """Tell the state `at_s` seconds after the start, if it is time to."""
        stream = sys.stderr
        in_place = stream.isatty()
        if not in_place and at_s - self._printed_s < LINE_EVERY_S:
            return
        speeds = self._speeds(at_s - self._printed_s, snapshot)
        self._printed_s = at_s
        users = snapshot.select("vus")
        number, stage = self._plan.stage_at(at_s)
        text = progress.line(
            f"{self._plan.name} {number}/{len(self._plan.stages)}",
            at_s,
            self._plan.duration_s,
            int(users.value) if isinstance(users, GaugeValue) else 0,
            self._plan.users_at(at_s) or stage.target,
            speeds,
            [result.metric for result in results if result.status == "fail"],
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

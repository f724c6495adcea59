"""Saying how a running test is doing: in place on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pika_locust.judge import ThresholdResult
from pika_locust.load.plan import LoadPlan
from pika_locust.measure import GaugeValue, Snapshot
from pika_locust.outputs import progress

LINE_EVERY_S = 10.0


class ProgressPrinter:
    """Prints to standard error, so that standard output holds nothing but the verdict."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._printed_s = 0.0

    def show(self, at_s: float, snapshot: Snapshot, results: Sequence[ThresholdResult]) -> None:
        """Tell the state `at_s` seconds after the start, if it is time to."""
        stream = sys.stderr
        in_place = stream.isatty()
        if not in_place and at_s - self._printed_s < LINE_EVERY_S:
            return
        self._printed_s = at_s
        users = snapshot.select("vus")
        number, stage = self._plan.stage_at(at_s)
        text = progress.line(
            f"{self._plan.name} {number}/{len(self._plan.stages)}",
            at_s,
            self._plan.duration_s,
            int(users.value) if isinstance(users, GaugeValue) else 0,
            self._plan.users_at(at_s) or stage.target,
            {},
            [result.metric for result in results if result.status == "fail"],
            encoding=stream.encoding,
        )
        stream.write(f"\r{text}" if in_place else f"{text.rstrip()}\n")
        stream.flush()

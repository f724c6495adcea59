"""One trial of `pika-locust capacity`: a `locust` process at one load, and what its summary says."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pika_locust.cli.child_run import ChildRun, run_locust, strongest_names
from pika_locust.errors import ExitCode
from pika_locust.load.capacity import Outcome
from pika_locust.outputs.recorded import Judged, closest, failed, judged_in
from pika_locust.scenario import Scenario

RAMP_SHARE = 0.2
"""The part of a trial in which its users come."""
OF_THE_TARGET = frozenset({"no_answer", "audit", "threshold"})
"""Reasons of a failed run that are the target's doing. A threshold without samples is none: the trial was too short for
it; nor is a part of the load that is missing."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of one trial. `why` is what failed or why it is void; of a pass, what came closest to its limit."""

    load: int
    outcome: Outcome
    exit_code: int
    why: str = ""
    judged: tuple[Judged, ...] = ()
    reasons: tuple[str, ...] = ()
    """The codes of the run's reasons, the most decisive first."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """How every trial of a search is run.

    `folder` is where the scenario's locustfile is made, and results are kept; `words` are further words of the command
    line, `environ` the processes' environment.
    """

    scenario: Scenario
    seconds: int
    folder: Path
    words: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def unit(self) -> str:
        """What a load is a number of."""
        rates = self.scenario.rate_settings
        return f"{self.scenario.rate_unit} ({', '.join(rates)})" if rates else "users"

    def load_words(self, load: int) -> list[str]:
        """The load, as words of a command line."""
        words = ["-t", f"{self.seconds}s"]
        if not self.scenario.rate_settings:
            words += ["-u", str(load), "-r", str(math.ceil(load / (RAMP_SHARE * self.seconds)))]
        return words

    def load_settings(self, load: int) -> dict[str, str]:
        """The load, as settings: by the names that win over all others."""
        given = dict.fromkeys(self.scenario.rate_settings, str(load))
        if self.scenario.length_setting:
            given[self.scenario.length_setting] = f"{self.seconds}s"
        return strongest_names(self.scenario, given)


def run_trial(plan: TrialPlan, load: int, stopped: Callable[[], bool]) -> TrialResult | None:
    """Run one trial to its end; None when `stopped` said that it was to end before."""
    words = [*plan.load_words(load), *plan.words]
    environ = {**plan.environ, **plan.load_settings(load)}
    run = run_locust(plan.folder / "locustfile.py", words, environ, plan.folder / str(load), stopped)
    return None if run.stopped else read_result(load, run)


def read_result(load: int, run: ChildRun) -> TrialResult:
    """What a run says of a load."""
    if run.problem or run.summary is None:
        return TrialResult(load, "void", run.exit_code, run.problem)
    judged = judged_in(run.summary)
    reasons = [(one["code"], one["text"]) for one in run.summary["reasons"]]
    codes = tuple(code for code, _ in reasons)
    outcome: Outcome = "void"
    if run.exit_code == ExitCode.PASS:
        outcome, why = "pass", closest(judged)
    elif not reasons:
        why = f"locust ended with {run.exit_code}"
    elif run.exit_code == ExitCode.FAILED and codes[0] in OF_THE_TARGET:
        # A threshold may hold and be no pass all the same: by its grade, or by its interval (--strict).
        outcome, why = "fail", (failed(judged) if codes[0] == "threshold" else "") or reasons[0][1]
    else:
        why = reasons[0][1]
    return TrialResult(load, outcome, run.exit_code, why, judged, codes, run.seconds)

"""One trial of `pika-locust capacity`: a `locust` process at one load, and what its summary says."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pika_locust.errors import ExitCode
from pika_locust.format import significant, with_unit
from pika_locust.judge.expressions import parse
from pika_locust.load.capacity import Outcome
from pika_locust.scenario import Scenario

LOCUST = (sys.executable, "-m", "locust")
RAMP_SHARE = 0.2
"""The part of a trial in which its users come."""
STOP_WITHIN_S = 30.0
"""How long a trial that is to end may take before it is killed."""
OUTPUT_TAIL = 400
OF_THE_TARGET = frozenset({"no_answer", "audit", "threshold"})
"""Reasons of a failed run that are the target's doing. A threshold without samples is none: the trial was too short for
it; nor is a part of the load that is missing."""
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Judged:
    """One threshold or audit in one trial. `limit` is the threshold's expression, empty for an audit."""

    subject: str
    limit: str
    status: str
    value: float | None = None
    unit: str = ""

    @property
    def name(self) -> str:
        """What it is called: `ws_connection_time p(95)<2000`."""
        return f"{self.subject} {self.limit}" if self.limit else f"data-integrity check {self.subject}"

    @property
    def shown_value(self) -> str:
        """The value as people read it; empty for audits, and without samples."""
        if self.value is None or not self.limit:
            return ""
        return with_unit(significant(self.value, parse(self.limit).limit), self.unit)

    @property
    def allowed_loss(self) -> float | None:
        """The share that may be lost, for a threshold on a rate that is to be high or low; None for all others."""
        if not self.limit or (expression := parse(self.limit)).aggregation != "rate" or self.unit:
            return None
        if not 0 <= expression.limit <= 1:
            return None
        wants_low = expression.operator in ("<", "<=") or expression.limit == 0
        return expression.limit if wants_low else 1 - expression.limit

    @property
    def used(self) -> float | None:
        """How much of what the threshold allows is used: 1 at the limit; None where that cannot be said."""
        if not self.limit or self.value is None:
            return None
        expression = parse(self.limit)
        if expression.operator in ("<", "<="):
            return self.value / expression.limit if expression.limit > 0 else None
        allowed = self.allowed_loss
        return (1 - self.value) / allowed if allowed and expression.operator in (">", ">=") else None


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
        return f"arrivals/s ({', '.join(self.scenario.rate_settings)})" if self.scenario.rate_settings else "users"

    def load_words(self, load: int) -> list[str]:
        """The load, as words of a command line."""
        words = ["-t", f"{self.seconds}s"]
        if not self.scenario.rate_settings:
            words += ["-u", str(load), "-r", str(math.ceil(load / (RAMP_SHARE * self.seconds)))]
        return words

    def load_settings(self, load: int) -> dict[str, str]:
        """The load, as settings: by the names that win over all others."""
        platform = self.scenario.platform.upper()
        given = dict.fromkeys(self.scenario.rate_settings, str(load))
        if self.scenario.length_setting:
            given[self.scenario.length_setting] = f"{self.seconds}s"
        return {f"{platform}_{name}": value for name, value in given.items()}


def run_trial(plan: TrialPlan, load: int, stopped: Callable[[], bool]) -> TrialResult | None:
    """Run one trial to its end; None when `stopped` said that it was to end before."""
    summary, log = plan.folder / f"{load}.json", plan.folder / f"{load}.txt"
    summary.unlink(missing_ok=True)
    command = [*LOCUST, "--headless", "-f", str(plan.folder / "locustfile.py"), "--summary-json", str(summary)]
    command += [*plan.load_words(load), *plan.words]
    environ = {**plan.environ, **plan.load_settings(load)}
    began = time.monotonic()
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C reaches it by us alone.
        child = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while child.poll() is None and not stopped():
                time.sleep(_POLL_S)
        finally:
            was_stopped = child.poll() is None
            if was_stopped:
                _end(child)
    if was_stopped:
        return None
    code = int(child.returncode)
    return read_result(load, code, _read(summary), log.read_text(errors="replace"), time.monotonic() - began)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGINT)
    give_up = time.monotonic() + STOP_WITHIN_S
    while child.poll() is None and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_result(
    load: int, exit_code: int, summary: Mapping[str, Any] | None, output: str, seconds: float = 0.0
) -> TrialResult:
    """What a run's exit code, summary and output say of a load."""
    if summary is None or summary.get("exit_code") != exit_code:
        said = output.strip()[-OUTPUT_TAIL:] or "it said nothing"
        return TrialResult(load, "void", exit_code, f"locust ended with {exit_code}, without a summary: {said}")
    judged = (
        *(
            Judged(one["metric"], one["expression"], one["status"], one["value"], one["unit"])
            for one in summary["thresholds"]
        ),
        *(Judged(one["name"], "", one["status"]) for one in summary["audits"]),
    )
    reasons = [(one["code"], one["text"]) for one in summary["reasons"]]
    codes = tuple(code for code, _ in reasons)
    outcome: Outcome = "void"
    if exit_code == ExitCode.PASS:
        outcome, why = "pass", _closest(judged)
    elif not reasons:
        why = f"locust ended with {exit_code}"
    elif exit_code == ExitCode.FAILED and codes[0] in OF_THE_TARGET:
        outcome, why = "fail", _failed(judged) if codes[0] == "threshold" else reasons[0][1]
    else:
        why = reasons[0][1]
    return TrialResult(load, outcome, exit_code, why, judged, codes, seconds)


def _closest(judged: Sequence[Judged]) -> str:
    """What came closest to its limit."""
    used = [(one.used, one) for one in judged if one.used is not None and one.status == "pass"]
    if not used:
        return ""
    share, one = max(used, key=lambda pair: pair[0])
    return f"closest: {one.name} is {one.shown_value}" if share > 0 else ""


def _failed(judged: Sequence[Judged]) -> str:
    """What failed, the worst first."""
    failed = sorted((one for one in judged if one.status == "fail"), key=lambda one: -(one.used or 0.0))
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"{failed[0].name} is {failed[0].shown_value}{more}" if failed else ""

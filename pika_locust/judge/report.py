"""The report of a run as frozen values; every output is rendered from it.

The field names are those of the summary JSON, whose schema is a promise to users: add fields, never rename them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pika_locust.judge.timeline import Timeline

ReasonCode = Literal[
    "threshold",
    "no_answer",
    "audit",
    "no_data",
    "incomplete",
    "generator",
    "setup",
    "config",
    "stopped",
    "internal",
    "exit_code",
    "unfinished",
    "target",
]
Status = Literal["pass", "fail", "no_data", "not_observed"]
AuditStatus = Literal["pass", "fail", "not_observed"]
Grade = Literal["healthy", "warning", "critical"]
Outcome = Literal["pass", "fail", "invalid"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is not a pass. `subject` is the metric, audit, worker or setting it is about, `text` the sentence."""

    code: ReasonCode
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class WorstWindow:
    """The stretch of `seconds` in which a threshold's value was worst; `from_s` counts from the start of the load."""

    seconds: float
    from_s: float
    value: float
    samples: int = 0
    interval: tuple[float, float] | None = None
    conclusive: bool = True
    """The value's 95 % interval (an end is infinite where the samples leave it open), and whether it excludes the
    threshold's limit."""


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """One threshold, judged. `value` and `interval` are in the metric's reported unit (ms for times); an end
    of the interval is infinite where the samples leave it open.

    `kind` and `unit` are the metric's, so that a reader needs no second table; a slope's unit is that per minute, its
    `samples` are readings in `held_s` seconds of held load (None: it was not held for long enough). `window_s` is set
    when the worst window was judged instead of the whole run; `value` is then that window's. `abort` says that the test
    should end now. `overflowed` samples of the metric may belong to this part of it: their tags were given up
    (`Snapshot.overflowed`). `failures` says how many of a rate's failed samples were what, the most frequent first
    (`Snapshot.failures`). `why` is a clause, where more than a lack of samples keeps a value from being there.
    """

    metric: str
    expression: str
    value: float | None
    samples: int
    status: Status
    interval: tuple[float, float] | None = None
    conclusive: bool = True
    worst_window: WorstWindow | None = None
    grade: Grade | None = None
    about: str = ""
    kind: str = ""
    unit: str = ""
    window_s: float | None = None
    abort: bool = False
    overflowed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    held_s: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """One reconciliation of what the target acknowledged with what it holds.

    `lower_bound`: others send to the same place, so that losses are seen, and doubled items are not.
    """

    name: str
    status: AuditStatus
    expected: float | None
    actual: float | None
    unanswered: int = 0
    detail: str = ""
    lower_bound: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    name: str
    passes: int
    fails: int


@dataclass(frozen=True, slots=True)
class ErrorCount:
    name: str
    error: str
    count: int


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One load generator process. `final` says whether its last snapshot, sent after draining, arrived.

    `problem` is what was wrong with something that it sent: its figures then are not the whole of what it did.
    """

    host: str
    index: int
    final: bool
    lag_ms: Mapping[str, float | None] = field(default_factory=dict)
    cpu_percent_max: float | None = None
    rss_mb_max: float | None = None
    lost_at_s: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """How much load really was applied."""

    users_peak: int = 0
    iterations: int | None = 0
    """None where nobody counts them: users that are not of this package."""
    dropped_iterations: int = 0
    workers: int = 1
    workers_lost: int = 0
    complete: bool = True
    profile: str = ""
    planned_s: float | None = None
    stages: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """One series that a Prometheus showed of the target before the first user and after the last.

    `labels` are all of the series, its name (`__name__`) too. A value that was not seen is None, and `note` says why;
    so it does of one that is no finite number. `difference` is `end` less `start`, where both are finite.
    """

    query: str
    labels: Mapping[str, str]
    start: float | None
    end: float | None
    difference: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """A request that carried a trace id, and is worth a look in the target's own tracing: `why` says why."""

    why: Literal["slow", "failed"]
    name: str
    duration_ms: float
    trace_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutputReport:
    """What became of an output (`--out`): how many points it was sent, how many were dropped, and why at last."""

    output: str
    points: int
    dropped: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class GeneratorReport:
    """The load generator's own health, over all its processes."""

    lag_ms: Mapping[str, float | None] = field(default_factory=dict)
    cpu_percent_max: float | None = None
    rss_mb_max: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one test found."""

    run_id: str
    scenario: str
    verdict: Outcome
    exit_code: int
    reasons: tuple[Reason, ...]
    seed: int | None
    command: str
    versions: Mapping[str, str]
    target: str
    sandbox: bool
    started_at: str
    duration_s: float
    load: LoadReport
    settings: Mapping[str, str] = field(default_factory=dict)
    """What was set otherwise than by the command line, as it was written; no secrets."""
    thresholds: tuple[ThresholdResult, ...] = ()
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    distributions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checks: tuple[CheckResult, ...] = ()
    audits: tuple[AuditResult, ...] = ()
    workers: tuple[WorkerReport, ...] = ()
    errors: tuple[ErrorCount, ...] = ()
    generator: GeneratorReport = field(default_factory=GeneratorReport)
    observed: tuple[Observed, ...] = ()
    observed_metrics: tuple[str, ...] = ()
    """The metrics that `--observe` has read of the target."""
    traces: tuple[TracedRequest, ...] = ()
    outputs: tuple[OutputReport, ...] = ()
    resolving_power: tuple[str, ...] = ()
    """On a green run: the smallest losses it would have caught, in words."""
    notes: tuple[str, ...] = ()
    """What a reader should know and that decides nothing: clocks compared across machines, series refused, …"""
    timeline: Timeline = field(default_factory=Timeline)
    """What was measured when; without intervals where nothing was."""

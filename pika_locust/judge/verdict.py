"""The verdict of a run: exit code, reasons, load generator overload and minimum detectable failure.

The first that applies decides: bad configuration (104), an internal error (107), stopped from outside (105), a
set-up step failed (100), the target never answered, an audit failed or a part is missing (99), the generator could not
keep up (110), a threshold failed or had no data (99), nothing (0). What the target lost outranks a slow generator,
since no slowness of ours makes it lose anything; a threshold does not, since a slow generator makes any of them fail.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pika_locust.errors import ExitCode
from pika_locust.format import clock, plain, significant, with_unit
from pika_locust.judge.expressions import Expression, parse
from pika_locust.judge.grades import at_least
from pika_locust.judge.report import (
    AuditResult,
    GeneratorReport,
    Grade,
    LoadReport,
    Outcome,
    Reason,
    ReasonCode,
    ThresholdResult,
    WorkerReport,
)
from pika_locust.metrics.metric import Kind

LAG_SHARE = 0.25
"""Lag p95 may be this share of the tightest latency limit, within the two bounds below."""
LAG_P95_LEAST_MS = 10.0
LAG_P95_MOST_MS = 50.0
LAG_P99_MS = 250.0
_LAG_RULE = "a quarter of the tightest latency limit, at least 10, at most 50 ms"
_LATE = "load generator overload: it ran late, "
OWN_TIMES = frozenset({"generator_lag_ms", "arrival_lateness"})
"""Times that are the generator's and not the target's: a limit on them is not one that its lag could spoil."""
UNSPOILT = OWN_TIMES | {"http_req_sending"}
"""Nor could it one on the writing of a request, which waits for nothing that would be noticed late."""
CPU_PERCENT = 95.0
"""What a process may use of one core, averaged over 10 s."""


def tightest_latency(thresholds: Iterable[ThresholdResult]) -> ThresholdResult | None:
    """The upper limit on one of the target's times that allows least; thresholds that this target cannot show set no
    standard."""
    limits = [
        (expression.limit, result)
        for result in thresholds
        if result.kind == Kind.TREND and result.unit == "ms" and result.status != "not_observed"
        if result.metric.partition("{")[0] not in UNSPOILT
        if (expression := parse(result.expression)).operator in ("<", "<=")
    ]
    return min(limits, key=lambda entry: entry[0])[1] if limits else None


def lag_limit_ms(thresholds: Iterable[ThresholdResult]) -> float:
    """The highest lag p95, in ms, beside which these thresholds can still be judged."""
    tightest = tightest_latency(thresholds)
    if tightest is None:
        return LAG_P95_MOST_MS
    return min(LAG_P95_MOST_MS, max(LAG_P95_LEAST_MS, LAG_SHARE * parse(tightest.expression).limit))


def assess(
    generator: GeneratorReport,
    workers: Sequence[WorkerReport],
    thresholds: Sequence[ThresholdResult],
    *,
    paced: bool,
) -> tuple[list[Reason], list[str]]:
    """Whether the load generator kept up, as a saturated one measures itself: reasons why not, and notes.

    `generator.lag_ms` holds the lag of all processes under "p(95)" and "p(99)"; `cpu_percent_max` (of the generator or
    of a worker) is the highest average over 10 s of one process. `paced` says that users think or that the model is
    open: then a busy processor delays what was due. A closed loop without think time takes all there is, by design.
    """
    reasons, notes = [], []
    p95, p99 = generator.lag_ms.get("p(95)"), generator.lag_ms.get("p(99)")
    limit = lag_limit_ms(thresholds)
    if p95 is not None and p95 > limit:
        tightest = tightest_latency(thresholds)
        why = f" ({_LAG_RULE}: {tightest.metric} {tightest.expression})" if tightest is not None else ""
        text = f"{_LATE}lag p(95) was {significant(p95, limit)} ms, limit {plain(limit)} ms{why}"
        reasons.append(Reason("generator", "lag p(95)", text))
    if p99 is not None and p99 > LAG_P99_MS:
        lag = f"lag p(99) was {significant(p99, LAG_P99_MS)} ms, limit {plain(LAG_P99_MS)} ms"
        text = f"{_LATE}{lag}"
        reasons.append(Reason("generator", "lag p(99)", text))
    if p95 is None and p99 is None and thresholds:
        notes.append("the load generator's lag was not measured, so nobody knows whether it kept up")
    percents = [generator.cpu_percent_max, *(worker.cpu_percent_max for worker in workers)]
    busiest = max((percent for percent in percents if percent is not None), default=0.0)
    if busiest > CPU_PERCENT:
        text = (
            f"load generator overload: its processor was busy, {significant(busiest, CPU_PERCENT)} % over 10 s, "
            f"limit {plain(CPU_PERCENT)} %; more workers would share it"
        )
        if paced:
            reasons.append(Reason("generator", "cpu", text))
        else:
            notes.append(f"{text} (users without think time take all there is, so this decides nothing)")
    return reasons, notes


def resolving_power(thresholds: Iterable[ThresholdResult], audits: Iterable[AuditResult] = ()) -> list[str]:
    """The smallest loss that would have failed it: a sentence for each passed rate threshold and each passed audit."""
    sentences = [_rate_power(result) for result in thresholds if result.status == "pass" and result.kind == Kind.RATE]
    sentences += [_audit_power(audit) for audit in audits if audit.status == "pass"]
    return [sentence for sentence in sentences if sentence]


def further_failures(expression: Expression, value: float, samples: int) -> int | None:
    """How many more of the same samples would have had to fail for a share of `value` no longer to hold.

    None when not even all of them would have done it. A failure lowers the share where the expression wants it high,
    and raises it where the expression wants it low; one that wants neither (`!=`, or `==` in the middle) gives None.
    """
    passes = round(value * samples)
    wants_high = expression.operator in (">", ">=") or (expression.operator in ("==", "===") and expression.limit == 1)
    wants_low = expression.operator in ("<", "<=") or (expression.operator in ("==", "===") and expression.limit == 0)
    if not wants_high and not wants_low:
        return None
    most, step = (passes, -1) if wants_high else (samples - passes, 1)
    # shares move one way only, so the first failure that breaks the expression can be searched for by halves
    broken = bisect_left(range(1, most + 1), True, key=lambda k: not expression.holds((passes + step * k) / samples))
    return broken + 1 if broken < most else None


def _rate_power(result: ThresholdResult) -> str:
    if result.value is None or result.samples == 0:
        return ""
    expression = parse(result.expression)
    failures = further_failures(expression, result.value, result.samples)
    subject = f"{result.metric} {result.expression}"
    noun = "sample" if result.samples == 1 else "samples"
    where = f"{result.samples:,} {noun}" + (" of its worst window" if result.window_s is not None else "")
    if failures is None:
        return f"{subject}: no number of failures among the {where} could have failed it"
    noun = "failure" if failures == 1 else "failures"
    share = significant(100 * failures / result.samples)
    return f"{subject}: {failures:,} further {noun} among the {where} ({share} %) would have failed it"


def _audit_power(audit: AuditResult) -> str:
    if audit.expected is None or audit.actual is None:
        return ""
    # what unanswered items leave open: so many losses, or so many doubles, go unnoticed
    spare_below = int(audit.actual - audit.expected)
    spare_above = int(audit.expected + audit.unanswered - audit.actual)
    unanswered = f" ({audit.unanswered:,} stayed unanswered)" if audit.unanswered else ""
    if audit.lower_bound:
        of = significant(audit.expected)
        if spare_below >= audit.expected:
            return f"{audit.name}: no loss would have failed it: others sent {spare_below:,}, this run {of}"
        lost = f"{_items(spare_below + 1)} lost of {of}"
        return f"{audit.name}: {lost} would have failed it, doubled ones would not: others send to the same place"
    if audit.expected == 0:
        return f"{audit.name}: {_items(spare_above + 1)} too many{unanswered} would have failed it"
    of = f"of {significant(audit.expected)}"
    if spare_below == spare_above == 0:
        return f"{audit.name}: one lost or doubled item {of} would have failed it"
    return (
        f"{audit.name}: {_items(spare_below + 1)} lost or {_items(spare_above + 1)} doubled {of}{unanswered} "
        "would have failed it"
    )


def _items(count: int) -> str:
    return "one item" if count == 1 else f"{count:,} items"


EXIT_CODES: dict[ReasonCode, ExitCode] = {
    "config": ExitCode.CONFIG,
    "internal": ExitCode.INTERNAL,
    "stopped": ExitCode.STOPPED,
    "setup": ExitCode.SETUP,
    # Before all that follows from it.
    "no_answer": ExitCode.FAILED,
    "audit": ExitCode.FAILED,
    "incomplete": ExitCode.FAILED,
    "generator": ExitCode.GENERATOR,
    "threshold": ExitCode.FAILED,
    "no_data": ExitCode.FAILED,
    # Somebody else's verdict: the report has their number, see `runtime.run.failed_by_others`.
    "exit_code": ExitCode.FAILED,
}
"""What each reason ends the process with, the most decisive first."""

INVALID = frozenset({ExitCode.CONFIG, ExitCode.INTERNAL, ExitCode.GENERATOR})
"""Endings that say nothing about the target: neither a pass nor a failure of it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with its exit code and all reasons, most decisive first; `notes` decide nothing."""

    verdict: Outcome
    exit_code: ExitCode
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...] = ()


def decide(
    *,
    thresholds: Sequence[ThresholdResult] = (),
    audits: Sequence[AuditResult] = (),
    load: LoadReport | None = None,
    workers: Sequence[WorkerReport] = (),
    generator: GeneratorReport | None = None,
    run_reasons: Iterable[Reason] = (),
    strict: bool = False,
    fail_on: Grade | None = None,
    paced: bool = True,
) -> Decision:
    """The verdict on everything that a run found.

    `run_reasons` are the reasons that no figure shows: configuration, set-up, a signal, an internal error. `strict`
    also fails what is not conclusive and what was not observed; `fail_on` also fails a threshold whose grade is that
    bad or worse. `paced` says that users think or that the model is open (see `assess`).
    """
    reasons = list(run_reasons)
    for audit in audits:
        reasons += _of_audit(audit, strict)
    reasons += _of_missing(load if load is not None else LoadReport(), workers)
    lagging, notes = assess(generator if generator is not None else GeneratorReport(), workers, thresholds, paced=paced)
    reasons += lagging
    for result in thresholds:
        reasons += _of_threshold(result, strict, fail_on)
    if not reasons and not thresholds and not audits:
        notes.append("nothing was judged: there were neither thresholds nor audits")
    order = list(EXIT_CODES)
    reasons.sort(key=lambda reason: order.index(reason.code))
    exit_code = EXIT_CODES[reasons[0].code] if reasons else ExitCode.PASS
    verdict: Outcome = "pass" if exit_code is ExitCode.PASS else "invalid" if exit_code in INVALID else "fail"
    return Decision(verdict, exit_code, tuple(reasons), tuple(notes))


def is_pending(result: ThresholdResult) -> bool:
    """Whether a threshold does not hold only because its counter has not come far enough yet: it began at 0."""
    expression = parse(result.expression)
    if result.status != "fail" or result.kind != "counter" or expression.aggregation != "count":
        return False
    return expression.operator in (">", ">=", "==") and (result.value or 0) <= expression.limit


def describe(result: ThresholdResult) -> str:
    """A judged threshold in one sentence: the value, the limit, and what both rest on."""
    expression = parse(result.expression)
    subject = f"{result.metric} {expression.aggregation}"
    unit = "per second" if result.kind == Kind.COUNTER and expression.aggregation == "rate" else result.unit
    limit = with_unit(f"{expression.operator}{plain(expression.limit)}", unit)
    if result.status == "not_observed":
        return f"{subject} was not observed (limit {limit}): {result.why or 'nothing in this run could show it'}"
    overflowed = f"{result.overflowed:,} {{}}may belong to it: there were too many series to keep their tags"
    if result.value is None:
        part = " with these tags" if "{" in result.metric else ""
        others = f", but {overflowed.format('samples ')}" if result.overflowed else ""
        return f"{subject} had no samples (limit {limit}): {result.why or f'nothing was measured{part}'}{others}"
    value = with_unit(significant(result.value, expression.limit), unit)
    worst = result.worst_window
    basis = [f"{result.samples:,} samples"] if result.kind not in (Kind.COUNTER, Kind.GAUGE) else []
    if result.held_s is not None:
        basis = [f"{result.samples:,} readings in {significant(round(result.held_s))} s of the same load"]
    basis += [overflowed.format("more ")] if result.overflowed else []
    if worst is not None and result.window_s is not None:
        when = f" in the worst {significant(worst.seconds)} s, from {clock(worst.from_s)},"
        return f"{subject} was {value}{when} limit {limit}" + _in_brackets(basis)
    if worst is not None:
        basis.append(
            f"worst {significant(worst.seconds)} s from {clock(worst.from_s)} was "
            f"{with_unit(significant(worst.value, expression.limit), unit)}"
        )
    return f"{subject} was {value}, limit {limit}" + _in_brackets(basis)


def _of_threshold(result: ThresholdResult, strict: bool, fail_on: Grade | None) -> list[Reason]:
    subject, text, expression = result.metric, describe(result), parse(result.expression)
    reasons = []
    if result.status == "no_data":
        reasons.append(Reason("no_data", subject, text))
    elif result.status == "not_observed":
        # That the load is not held for long is what was asked for, and no doubt about the target.
        if strict and not (expression.is_slope and result.held_s is None):
            reasons.append(Reason("no_data", subject, f"{text}; a strict run fails on it"))
    elif result.status == "fail":
        doubt = "" if result.conclusive else f"; inconclusive: {_interval(result)}"
        reasons.append(Reason("threshold", subject, text + _failures(result) + doubt))
    elif strict and not result.conclusive:
        reasons.append(Reason("threshold", subject, f"{text}: holds, but is inconclusive: {_interval(result)}"))
    if fail_on is not None and result.status == "pass" and at_least(result.grade, fail_on):
        reasons.append(Reason("threshold", subject, f"{text}: holds, but its grade is {result.grade}"))
    return reasons


FAILURES_NAMED = 3


def _failures(result: ThresholdResult) -> str:
    """What the failed samples were, where they say it."""
    named = [f"{count:,} {what}" for what, count in list(result.failures.items())[:FAILURES_NAMED]]
    rest = sum(result.failures.values()) - sum(list(result.failures.values())[:FAILURES_NAMED])
    named += [f"{rest:,} others"] if rest else []
    return f": {', '.join(named)}" if named else ""


def _of_audit(audit: AuditResult, strict: bool) -> list[Reason]:
    because = f": {audit.detail}" if audit.detail else ""
    if audit.status == "not_observed":
        text = f"data-integrity check '{audit.name}' could not be made{because}; a strict run fails on it"
        return [Reason("no_data", audit.name, text)] if strict else []
    if audit.status == "pass":
        return []
    figures = ""
    if audit.expected is not None and audit.actual is not None:
        upper = f" to {significant(audit.expected + audit.unanswered)}" if audit.unanswered else ""
        figures = f": {significant(audit.expected)}{upper} expected, {significant(audit.actual, audit.expected)} found"
    return [Reason("audit", audit.name, f"data-integrity check '{audit.name}' failed{figures}{because}")]


def _of_missing(load: LoadReport, workers: Sequence[WorkerReport]) -> list[Reason]:
    reasons = []
    for worker in workers:
        if worker.problem:
            text = f"worker {worker.index} on {worker.host} sent what cannot be read ({worker.problem})"
            reasons.append(Reason("incomplete", f"worker {worker.index}", text))
        elif not worker.final:
            lost = "" if worker.lost_at_s is None else f" (lost at {clock(worker.lost_at_s)})"
            text = f"worker {worker.index} on {worker.host} never delivered its final figures{lost}"
            reasons.append(Reason("incomplete", f"worker {worker.index}", text))
    if not reasons and load.workers_lost:
        text = f"{load.workers_lost:,} of {load.workers:,} workers were lost, with the load they should have applied"
        reasons.append(Reason("incomplete", "workers", text))
    if not reasons and not load.complete:
        reasons.append(Reason("incomplete", "load", "a part of the run's figures is missing"))
    return reasons


def _interval(result: ThresholdResult) -> str:
    if result.interval is None:
        return "the limit lies within its 95 % interval"
    ends = [end for end in result.interval if math.isfinite(end)]
    shown = [significant(end, parse(result.expression).limit) for end in ends]
    samples = f"{result.samples:,} sample{'' if result.samples == 1 else 's'}"
    if not ends:
        return f"{samples} cannot bound its value"
    extent = with_unit(" to ".join(shown), result.unit)
    if len(ends) == 2:
        return f"its 95 % interval, {extent} on {samples}, holds the limit"
    side, open_end = ("at least", "above") if math.isinf(result.interval[1]) else ("at most", "below")
    return f"its 95 % interval is {side} {extent}: {samples} are too few for a bound {open_end}"


def _in_brackets(parts: list[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""

"""Whether the load generator kept up: a saturated one measures itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pika_locust.judge.expressions import parse
from pika_locust.judge.report import GeneratorReport, Reason, ThresholdResult, WorkerReport
from pika_locust.judge.wording import number, plain
from pika_locust.measure.metric import Kind

LAG_SHARE = 0.25
"""Lag p95 may be this share of the tightest latency limit, within the two bounds below."""
LAG_P95_LEAST_MS = 10.0
LAG_P95_MOST_MS = 50.0
LAG_P99_MS = 250.0
_LAG_RULE = "a quarter of the tightest latency limit, at least 10, at most 50 ms"
OWN_TIMES = frozenset({"generator_lag_ms", "arrival_lateness"})
"""Times that are the generator's and not the target's: a limit on them is not one that its lag could spoil."""
CPU_PERCENT = 95.0
"""What a process may use of one core, averaged over 10 s."""


def tightest_latency(thresholds: Iterable[ThresholdResult]) -> ThresholdResult | None:
    """The upper limit on one of the target's times that allows least; thresholds that this target cannot show set no
    standard."""
    limits = [
        (expression.limit, result)
        for result in thresholds
        if result.kind == Kind.TREND and result.unit == "ms" and result.status != "not_observed"
        if result.metric.partition("{")[0] not in OWN_TIMES
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
    """Why the generator did not keep up, and what is only worth a note.

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
        text = f"the load generator ran late: lag p(95) was {number(p95, limit)} ms, limit {plain(limit)} ms{why}"
        reasons.append(Reason("generator", "lag p(95)", text))
    if p99 is not None and p99 > LAG_P99_MS:
        text = f"the load generator ran late: lag p(99) was {number(p99, LAG_P99_MS)} ms, limit {plain(LAG_P99_MS)} ms"
        reasons.append(Reason("generator", "lag p(99)", text))
    if p95 is None and p99 is None and thresholds:
        notes.append("the load generator's lag was not measured, so nobody knows whether it kept up")
    percents = [generator.cpu_percent_max, *(worker.cpu_percent_max for worker in workers)]
    busiest = max((percent for percent in percents if percent is not None), default=0.0)
    if busiest > CPU_PERCENT:
        text = (
            f"the load generator's processor was busy: {number(busiest, CPU_PERCENT)} % over 10 s, "
            f"limit {plain(CPU_PERCENT)} %; more workers would share it"
        )
        if paced:
            reasons.append(Reason("generator", "cpu", text))
        else:
            notes.append(f"{text} (users without think time take all there is, so this decides nothing)")
    return reasons, notes

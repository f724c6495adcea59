"""A green run's resolving power: the smallest loss that would have turned it red."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from pika_locust.judge.expressions import Expression, parse
from pika_locust.judge.report import AuditResult, ThresholdResult
from pika_locust.judge.wording import number
from pika_locust.measure.metric import Kind


def resolving_power(thresholds: Iterable[ThresholdResult], audits: Iterable[AuditResult] = ()) -> list[str]:
    """A sentence for each passed threshold on a rate, and for each passed audit."""
    sentences = [_of_rate(result) for result in thresholds if result.status == "pass" and result.kind == Kind.RATE]
    sentences += [_of_audit(audit) for audit in audits if audit.status == "pass"]
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
    room, step = (passes, -1) if wants_high else (samples - passes, 1)
    # shares move one way only, so the first failure that breaks the expression can be searched for by halves
    broken = bisect_left(range(1, room + 1), True, key=lambda k: not expression.holds((passes + step * k) / samples))
    return broken + 1 if broken < room else None


def _of_rate(result: ThresholdResult) -> str:
    if result.value is None or result.samples == 0:
        return ""
    expression = parse(result.expression)
    failures = further_failures(expression, result.value, result.samples)
    subject = f"{result.metric} {result.expression}"
    where = f"{result.samples:,} samples" + (" of its worst window" if result.window_s is not None else "")
    if failures is None:
        return f"{subject}: no number of failures among the {where} could have failed it"
    noun = "failure" if failures == 1 else "failures"
    share = number(100 * failures / result.samples)
    return f"{subject}: {failures:,} further {noun} among the {where} ({share} %) would have failed it"


def _of_audit(audit: AuditResult) -> str:
    if audit.expected is None or audit.actual is None:
        return ""
    # the room that unanswered items leave: so many losses, or so many doubles, go unnoticed
    spare_below = int(audit.actual - audit.expected)
    spare_above = int(audit.expected + audit.unanswered - audit.actual)
    unanswered = f" ({audit.unanswered:,} stayed unanswered)" if audit.unanswered else ""
    if audit.expected == 0:
        return f"{audit.name}: {_items(spare_above + 1)} too many{unanswered} would have failed it"
    of = f"of {number(audit.expected)}"
    if spare_below == spare_above == 0:
        return f"{audit.name}: one lost or doubled item {of} would have failed it"
    return (
        f"{audit.name}: {_items(spare_below + 1)} lost or {_items(spare_above + 1)} doubled {of}{unanswered} "
        "would have failed it"
    )


def _items(count: int) -> str:
    return "one item" if count == 1 else f"{count:,} items"

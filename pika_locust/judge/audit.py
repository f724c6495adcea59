"""Data-integrity audits: what the target acknowledged against what it holds after the load.

    acknowledged <= held <= acknowledged + unanswered

What was acknowledged must be there, what was refused must not, and what stayed unanswered may be there or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from pika_locust.format import significant
from pika_locust.judge.ledger import ExpectedState, checksum
from pika_locust.judge.report import AuditResult

NAMED = 5
"""How many ids a detail names; a reader needs a few to look for, not all."""


def balance(name: str, acknowledged: float, held: float | None, unanswered: int, detail: str = "") -> AuditResult:
    """Compare a number with a number. `held` is None when the target cannot show it: `not_observed`.

    The difference is said in the detail, before the caller's own. Nothing holds less than nothing: an expectation below
    zero, as when more was spent than is known to have been there, is one of zero.
    """
    unanswered = max(0, unanswered)
    if acknowledged < 0:
        acknowledged, unanswered = 0, max(0, int(acknowledged + unanswered))
    if held is None:
        return not_observed(name, detail or "the target does not show it", acknowledged, unanswered)
    # written so that a number that is none (NaN) fails
    passed = acknowledged <= held <= acknowledged + unanswered
    return _compared(name, passed, acknowledged, held, unanswered, detail)


def at_least(name: str, acknowledged: float, held: float, unanswered: int, detail: str = "") -> AuditResult:
    """Compare where others send to the same place as well: what was acknowledged is held, more may be.

    Where nothing was acknowledged there is nothing to see.
    """
    if acknowledged == 0:
        return not_observed(name, _joined("nothing was acknowledged", detail), acknowledged, unanswered)
    return _compared(name, held >= acknowledged, acknowledged, held, unanswered, detail, lower_bound=True)


def exactly_once(name: str, expected: ExpectedState, held: Iterable[str] | None, detail: str = "") -> AuditResult:
    """Compare ids with ids: what was acknowledged is held, exactly once, and nothing else is.

    `held` are the ids that the target holds of this run, as often as it holds them; None when it cannot show them.
    Where the ledger kept its ids, the detail names what is missing, doubled or unexpected. Where it did not, equal
    counts and equal checksums prove the same as long as nothing stayed unanswered; otherwise the counts must do.
    """
    if held is None:
        return not_observed(name, detail or "the target does not show it", expected.acknowledged, expected.unanswered)
    times = Counter(held)
    total = times.total()
    problems = []
    if not expected.consistent:
        problems.append("the ledger contradicts itself: ids acknowledged twice, or never sent")
    doubled = sorted(item for item, count in times.items() if count > 1)
    if doubled:
        problems.append(f"{len(doubled):,} stored more than once ({_named(doubled)})")
    if expected.acknowledged_ids is not None:
        missing = sorted(expected.acknowledged_ids - times.keys())
        if missing:
            problems.append(f"{len(missing):,} acknowledged but not stored ({_named(missing)})")
        known = expected.acknowledged_ids | (expected.unanswered_ids or frozenset())
        foreign = sorted(times.keys() - known)
        if foreign:
            problems.append(f"{len(foreign):,} stored but never acknowledged ({_named(foreign)})")
    elif not expected.acknowledged <= len(times) <= expected.acknowledged + expected.unanswered:
        problems.append(_difference(expected.acknowledged, len(times), expected.unanswered))
    elif expected.unanswered == 0 and checksum(times) != expected.acknowledged_sum:
        problems.append("as many stored as acknowledged, but not the same ones: lost items are made up for by others")
    return AuditResult(
        name,
        "fail" if problems else "pass",
        expected.acknowledged,
        total,
        expected.unanswered,
        _joined("; ".join(problems), detail),
    )


def not_observed(name: str, detail: str, expected: float | None = None, unanswered: int = 0) -> AuditResult:
    """An audit that this target gives no way to make. It is listed, and fails only a strict run."""
    return AuditResult(name, "not_observed", expected, None, unanswered, detail)


def unreadable(name: str, why: str, expected: float | None = None, unanswered: int = 0) -> AuditResult:
    """An audit whose look at the target was tried and failed: nobody knows what is held, so it has failed."""
    return AuditResult(name, "fail", expected, None, unanswered, f"what the target stores could not be read: {why}")


def allowing_for_lost_workers(result: AuditResult) -> AuditResult:
    """The audit as far as it can be judged when a worker's last report, and with it a part of the ledger, is lost.

    What is acknowledged in the ledger that is left and not held is missing all the same. What is held beyond it may be
    in the lost part: that is `not_observed`.
    """
    expected, held = result.expected or 0, result.actual
    if result.status != "fail" or held is None or held < expected:
        return result
    detail = _joined("cannot be judged: a worker's last report is lost, and may account for it", result.detail)
    return replace(result, status="not_observed", detail=detail)


def _compared(
    name: str,
    passed: bool,
    acknowledged: float,
    held: float,
    unanswered: int,
    detail: str,
    lower_bound: bool = False,
) -> AuditResult:
    words = _joined("" if passed else _difference(acknowledged, held, unanswered), detail)
    return AuditResult(
        name, "pass" if passed else "fail", acknowledged, held, unanswered, words, lower_bound=lower_bound
    )


def _difference(acknowledged: float, held: float, unanswered: int) -> str:
    if held < acknowledged:
        return f"{significant(acknowledged - held)} of {significant(acknowledged)} acknowledged are not stored"
    accounted = f"{significant(acknowledged)} acknowledged" + (f" and {unanswered:,} unanswered" if unanswered else "")
    return (
        f"{significant(held)} stored, {significant(held - acknowledged - unanswered)} more than {accounted} account for"
    )


def _named(items: list[str]) -> str:
    return ", ".join(items[:NAMED]) + (", …" if len(items) > NAMED else "")


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)

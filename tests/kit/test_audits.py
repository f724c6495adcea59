"""Audits that scenarios share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pika_locust.judge import Ledger
from pika_locust.kit.audits import answered

OUTCOMES: dict[str, tuple[Callable[[Ledger], None], int, str, str]] = {
    "yes": (lambda ledger: ledger.acked("a"), 0, "pass", ""),
    "no": (lambda ledger: ledger.refused("a", "sold out"), 0, "pass", ""),
    "nothing in time": (lambda ledger: ledger.timed_out("a"), 0, "fail", "1 had no answer"),
    "a connection that broke": (lambda ledger: ledger.uncertain("a"), 0, "pass", ""),
    "nothing yet": (lambda ledger: None, 0, "pass", ""),
    "twice": (lambda ledger: ledger.acked("a"), 1, "fail", "1 too many"),
    "nothing, and something else": (lambda ledger: ledger.timed_out("a"), 1, "fail", "1 too many"),
    "to another's place": (lambda ledger: ledger.uncertain("a"), 1, "fail", "1 too many"),
}


@pytest.mark.parametrize(("outcome", "extra", "status", "detail"), OUTCOMES.values(), ids=OUTCOMES)
def test_whatever_was_sent_was_answered(
    outcome: Callable[[Ledger], None], extra: int, status: str, detail: str
) -> None:
    ledger = Ledger("orders")
    assert answered("orders", ledger, "nothing was sent", "had no answer").status == "not_observed"
    ledger.sent("a")
    outcome(ledger)
    result = answered("orders", ledger, "nothing was sent", "had no answer", extra, "too many")
    assert result.status == status
    assert detail in result.detail

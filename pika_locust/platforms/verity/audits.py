"""What must balance afterwards: tokens, sessions, webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from pika_locust.judge import AuditResult, balance, not_observed
from pika_locust.scenario import AuditContext


def audit_tokens(context: AuditContext) -> Sequence[AuditResult]:
    """Every looked-up balance is credits less matches. One wrong balance fails, even where the sums agree."""
    facts = context.facts
    users = facts.get("users_audited", 0)
    if not users:
        return [not_observed("tokens", "no user got as far as having a balance")]
    expected, held = facts["tokens_expected"], facts["tokens_held"]
    unanswered, wrong = facts.get("tokens_unanswered", 0), facts.get("balances_wrong", 0)
    if not wrong:
        return [balance("tokens", expected, held, unanswered, f"the balances of {users:,} users")]
    detail = f"{wrong:,} of {users:,} balances are wrong: {facts['balances_wrong_first']}"
    return [AuditResult("tokens", "fail", expected, held, unanswered, detail)]

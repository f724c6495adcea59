"""What must balance afterwards: tokens, sessions, webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pika_locust.judge import AuditResult, balance, not_observed
from pika_locust.platforms.verity.account import ExpectedBalance
from pika_locust.platforms.verity.lookups import look_up
from pika_locust.platforms.verity.messages import Credentials
from pika_locust.scenario import AuditContext
from pika_locust.wire.http import HttpClient


def audit_tokens(context: AuditContext) -> Sequence[AuditResult]:
    """Every looked-up balance is credits less matches. One wrong balance fails, even where the sums agree."""
    return [_balances("tokens", context.facts, "users")]


def _balances(name: str, facts: Mapping[str, Any], who: str) -> AuditResult:
    """What was found in the balances of those who had ended; `who` says what they are."""
    users, told, untold = (facts.get(fact, 0) for fact in ("users_owed", "users_audited", "balances_untold"))
    if not users:
        return not_observed(name, f"no {who} got as far as having a balance")
    detail = f"balances looked up: {told:,} of {users:,} {who}"
    if untold:
        detail += f"; no answer for {untold:,}, such as {facts['balances_untold_first']}"
    if not told:
        return not_observed(name, detail)
    expected, held = facts["tokens_expected"], facts["tokens_held"]
    unanswered, wrong = facts["tokens_unanswered"], facts.get("balances_wrong", 0)
    if wrong:
        detail = f"{wrong:,} of {told:,} balances are wrong: {facts['balances_wrong_first']}; {detail}"
        return AuditResult(name, "fail", expected, held, unanswered, detail)
    return balance(name, expected, held, unanswered, detail)


def audit_sessions(context: AuditContext) -> Sequence[AuditResult]:
    """Tokens, and: every session has two sides that know of it, and nobody is in two at once."""
    return [*audit_tokens(context), _sessions(context)]


def _sessions(context: AuditContext) -> AuditResult:
    seen, twice = context.facts.get("matches_seen", 0), context.facts.get("in_two_sessions", 0)
    if context.settings["CONTRACT"] == "suite":
        return not_observed("sessions", "without sockets nobody sees a session")
    sides = seen + seen % 2
    if context.sandbox_state is not None:
        sides = 2 * int(context.sandbox_state["sessions"]["created"])
    if twice:
        detail = f"{twice:,} times somebody was matched while in a session"
        return AuditResult("sessions", "fail", sides, seen, 0, detail)
    return balance("sessions", sides, seen, 0, "sides of sessions, and how many were told of theirs")


def audit_webhooks(context: AuditContext) -> Sequence[AuditResult]:
    """Every acknowledged webhook was credited, once: each seeded member's balance is what was paid for it."""
    facts = context.facts
    members: Mapping[str, Credentials] = context.given.get("members", {})
    if not members:
        # The target gave none before the load. Whom it gave later is looked up by the workers that hold their passes.
        return [_balances("webhooks", facts, "members")]
    owed = []
    for number, (user_id, entry) in enumerate(members.items()):
        least = facts.get(f"credited {number}", 0)
        owed.append(ExpectedBalance(user_id, number, entry, least, least + facts.get(f"maybe {number}", 0)))
    found = look_up(owed, lambda number: HttpClient(context.target))
    return [_balances("webhooks", {**found, "users_owed": len(owed)}, "members")]

"""What must balance afterwards: tokens, sessions, webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from pika_locust.judge import AuditResult, balance, not_observed
from pika_locust.platforms.verity.account import balance_in
from pika_locust.scenario import AuditContext
from pika_locust.wire.http import HttpClient


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
    expected = held = unanswered = looked_up = 0
    wrong: list[str] = []
    members = context.given.get("tokens", {})
    with HttpClient(context.target) as http:
        for number, (user, token) in enumerate(members.items()):
            response = http.get("/tokens/balance", headers={"authorization": f"Bearer {token}"})
            balance_now = balance_in(response) if response.status == 200 else None
            if balance_now is None:
                continue
            looked_up += 1
            least, maybe = facts.get(f"credited {number}", 0), facts.get(f"maybe {number}", 0)
            expected, held, unanswered = expected + least, held + balance_now, unanswered + maybe
            if not least <= balance_now <= least + maybe:
                paid = f"{least}" if not maybe else f"{least} to {least + maybe}"
                wrong.append(f"user {user} holds {balance_now}, paid for {paid}")
    if not looked_up:
        return [not_observed("webhooks", "no balance could be looked up")]
    if wrong:
        detail = f"{len(wrong):,} of {looked_up:,} balances are wrong: {wrong[0]}"
        return [AuditResult("webhooks", "fail", expected, held, unanswered, detail)]
    whose = f"{looked_up:,} members" if looked_up == len(members) else f"{looked_up:,} of {len(members):,} members"
    return [balance("webhooks", expected, held, unanswered, f"tokens of {whose}")]

"""What must balance afterwards: tokens, sessions, webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pika_locust.errors import UnreadableError
from pika_locust.judge import AuditResult, balance, not_observed
from pika_locust.kit import sampled_audit
from pika_locust.kit.source_addresses import TargetClients
from pika_locust.observe.target import look, read_json
from pika_locust.platforms.verity.answers import Credentials, balance_in
from pika_locust.scenario import AuditContext, SetupContext, SetupResult
from pika_locust.wire.http import HttpClient, Response


@dataclass(frozen=True, slots=True)
class ExpectedBalance:
    """How a user was left: what the target must hold, and how to ask for it."""

    user_id: str
    number: int
    """The user's number in its process, from which its address follows."""
    credentials: Credentials
    least: int
    most: int


def look_up_balances(
    owed: Sequence[ExpectedBalance],
    client: Callable[[int], HttpClient],
    *,
    keep: bool = True,
    within_s: float = sampled_audit.WITHIN_S,
) -> dict[str, Any]:
    """Look all these balances up, some at a time, and compare.

    Arguments:
        owed: what the users are owed; every user once.
        client: makes a connection for a user's number.
        keep: whether a connection serves one user after another; not so where each user has an address of its own.
        within_s: seconds for all; whoever is left then counts as untold.

    Gives facts that add up over processes (`users_audited`, `tokens_expected`, `tokens_unanswered`, `tokens_held`,
    `balances_wrong`, `balances_untold`) and one example each of what is wrong and untold.
    """
    facts: dict[str, Any] = dict.fromkeys(("users_audited", "tokens_expected", "tokens_unanswered", "tokens_held"), 0)
    answers = sampled_audit.look_up(owed, lambda user: client(user.number), _ask, keep=keep, within_s=within_s)
    for user, response in zip(owed, answers, strict=True):
        held = None if response is None else balance_in(response)
        if held is not None:
            _compare(facts, user, held)
            continue
        facts["balances_untold"] = facts.get("balances_untold", 0) + 1
        why = sampled_audit.why_not(response, within_s)
        facts.setdefault("balances_untold_first", f"user {user.user_id}: {why}")
    return facts


def _ask(http: HttpClient, user: ExpectedBalance) -> Response:
    credentials = user.credentials
    if credentials.is_old:
        credentials = credentials.renewed(http, sampled_audit.TIMEOUTS) or credentials
    return sampled_audit.get(http, "/tokens/balance", credentials.headers)


def _compare(facts: dict[str, Any], user: ExpectedBalance, held: int) -> None:
    # Whoever has spent what it may never have got holds nothing, and not less.
    least, most = max(0, user.least), max(0, user.most)
    facts["users_audited"] += 1
    facts["tokens_expected"] += least
    facts["tokens_unanswered"] += most - least
    facts["tokens_held"] += held
    if not least <= held <= most:
        facts["balances_wrong"] = facts.get("balances_wrong", 0) + 1
        owed = str(least) if least == most else f"{least} to {most}"
        facts.setdefault("balances_wrong_first", f"user {user.user_id} holds {held}, owed {owed}")


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
        first = facts["balances_untold_first"]
        detail += f"; {untold:,} could not be read, such as {first}"
        if " 429" in first:
            detail += " (SOURCE_ADDRESSES gives each user an address of its own)"
    if not told:
        return AuditResult(name, "fail", None, None, 0, detail) if untold else not_observed(name, detail)
    expected, held = facts["tokens_expected"], facts["tokens_held"]
    unanswered, wrong = facts["tokens_unanswered"], facts.get("balances_wrong", 0)
    if wrong:
        detail = f"{wrong:,} of {told:,} balances are wrong: {facts['balances_wrong_first']}; {detail}"
        return AuditResult(name, "fail", expected, held, unanswered, detail)
    if untold:
        # Whoever could not be read may hold anything: a look at a part of them is no pass.
        return AuditResult(name, "fail", expected, held, unanswered, detail)
    return balance(name, expected, held, unanswered, detail)


LOOK_WITHIN_S = 5.0


def look_before(context: SetupContext) -> SetupResult:
    """How many sessions a sandbox has had before the load: those of an earlier test. Nobody asks another target, which
    does not show them."""
    if "x-pika-sandbox" not in look(f"{context.target}/health", within_s=LOOK_WITHIN_S).headers:
        return SetupResult()
    try:
        state = read_json(f"{context.target}/__sandbox/state?users=0", within_s=LOOK_WITHIN_S)
        return SetupResult(private={"sessions_before": int(state["sessions"]["created"])})
    except UnreadableError as error:
        return SetupResult(notes=(f"the sandbox's sessions could not be counted before the load: {error}",))


def audit_sessions(context: AuditContext) -> Sequence[AuditResult]:
    """Tokens, and: every session has two sides that know of it, and nobody is in two at once."""
    return [*audit_tokens(context), _sessions(context)]


def _sessions(context: AuditContext) -> AuditResult:
    seen, twice = context.facts.get("matches_seen", 0), context.facts.get("in_two_sessions", 0)
    if context.settings["CONTRACT"] == "suite":
        return not_observed("sessions", "without sockets nobody sees a session")
    sides = seen + seen % 2
    if context.sandbox_state is not None:
        created = int(context.sandbox_state["sessions"]["created"])
        sides = 2 * (created - context.given.get("sessions_before", 0))
    if twice:
        detail = f"{twice:,} times somebody was matched while in a session"
        return AuditResult("sessions", "fail", sides, seen, 0, detail)
    return balance("sessions", sides, seen, 0, "sides of sessions, and how many were told of theirs")


MEMBERS_WITHIN_S = 60.0
"""For the balances of all seeded members. The master looks them up, and no worker's last report waits for it."""


def audit_webhooks(context: AuditContext) -> Sequence[AuditResult]:
    """Every acknowledged webhook was credited, once: each seeded member's balance is what was paid for it."""
    facts = context.facts
    members: Mapping[str, Credentials] = context.given.get("members", {})
    if not members:
        # The target gave none before the load. Those it gave later are looked up by the workers, which can log them in.
        return [_balances("webhooks", facts, "members")]
    owed = []
    for number, (user_id, credentials) in enumerate(members.items()):
        least = facts.get(f"credited {number}", 0)
        owed.append(ExpectedBalance(user_id, number, credentials, least, least + facts.get(f"maybe {number}", 0)))
    clients = TargetClients(context.target, context.settings)
    found = look_up_balances(owed, clients.client, keep=clients.keep, within_s=MEMBERS_WITHIN_S)
    return [_balances("webhooks", {**found, "users_owed": len(owed)}, "members")]

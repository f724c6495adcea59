"""What must balance after the load: every acknowledged like and vote is in the recap, once."""

from __future__ import annotations

from collections.abc import Sequence

from pika_locust.errors import UnreadableError
from pika_locust.judge import AuditResult, at_least, balance, not_observed, unreadable
from pika_locust.judge.ledger import ExpectedState
from pika_locust.kit.settling import until_settled
from pika_locust.kit.targets import http_side
from pika_locust.platforms.pika.recap import Held, read_recap
from pika_locust.platforms.pika.scenarios import LEDGERS
from pika_locust.scenario import AuditContext

SETTLE_S = 10.0
"""An ACK does not wait for the database, so the recap gets some time to show what was acknowledged; and a target that
is out of breath, to show anything."""
VOTE_EXPIRES_S = 300.0
LEAVING_S = 30.0
"""The last track goes on until all dancers have left, for so long unless -s says otherwise."""


def audit(context: AuditContext) -> Sequence[AuditResult]:
    """Compare the ledgers with the session's recap, and with whatever else shows what the target holds."""
    expected = {name: context.ledgers[name].expect() for name in LEDGERS if name in context.ledgers}
    external = context.settings["PIKA_DJ"] == "external"
    if not external and "session_id" not in context.facts:
        why = "no session was ever live"
        return [not_observed(name, why, one.acknowledged, one.unanswered) for name, one in expected.items()]
    compare = _at_least if external else _balanced

    def look() -> Sequence[AuditResult]:
        try:
            held = _held(context, external)
        except UnreadableError as error:
            return [unreadable(name, str(error), one.acknowledged, one.unanswered) for name, one in expected.items()]
        return [compare(name, one, held, context) for name, one in expected.items()]

    return until_settled(look, SETTLE_S)


def _balanced(name: str, expected: ExpectedState, held: Held, context: AuditContext) -> AuditResult:
    """In a session of our own DJ everything held is ours, so it must be what was acknowledged."""
    acknowledged, unanswered = expected.acknowledged, expected.unanswered
    if name == "likes":
        return balance(name, acknowledged, held.likes, unanswered)
    if name == "tempo votes":
        every_s = context.settings["TRACK_EVERY"]
        if every_s is not None and every_s + LEAVING_S > VOTE_EXPIRES_S:
            why = f"votes expire after {VOTE_EXPIRES_S:g} s, and the last of tracks of {every_s:g} s may end later"
            return not_observed(name, why, acknowledged, unanswered)
        return balance(name, acknowledged, held.tempo_votes, unanswered)
    if held.poll_votes is not None:
        return balance(name, acknowledged, held.poll_votes, unanswered)
    if context.settings["PIKA_DJ_TOKEN"]:
        return unreadable(name, NOT_THE_OWNER, acknowledged, unanswered)
    told = int(context.facts.get("poll_votes_seen", 0))
    in_memory = balance(name, acknowledged, told, unanswered, "by what the DJ was told, from the server's memory")
    if in_memory.status == "fail" or acknowledged + unanswered == 0:
        return in_memory
    why = f"the DJ was told of {told:,}, but only the session's owner is shown what is stored: set PIKA_DJ_TOKEN"
    return not_observed(name, why, acknowledged, unanswered)


def _at_least(name: str, expected: ExpectedState, held: Held, context: AuditContext) -> AuditResult:
    """In a session of somebody else's, others like and vote as well: what was acknowledged is held, maybe with more,
    beside what was held before the load."""
    acknowledged, unanswered = expected.acknowledged, expected.unanswered
    if name == "tempo votes":
        why = "someone else is the DJ: votes are stored when the track changes, and nobody says whether it did"
        return not_observed(name, why, acknowledged, unanswered)
    before = context.given.get("before")
    if before is None:
        return unreadable(name, "its recap could not be read before the load", acknowledged, unanswered)
    there: int | None = before[name]
    found = held.likes if name == "likes" else held.poll_votes
    if found is None or there is None:
        if context.settings["PIKA_DJ_TOKEN"]:
            return unreadable(name, NOT_THE_OWNER, acknowledged, unanswered)
        return not_observed(
            name, "only the session's owner is shown polls: set PIKA_DJ_TOKEN", acknowledged, unanswered
        )
    detail = "someone else is the DJ: others may have sent some, too"
    if there:
        detail = f"{detail}; {there:,} more were there before the load"
    return at_least(name, acknowledged, found - there, unanswered, detail)


NOT_THE_OWNER = "the recap shows no polls, so PIKA_DJ_TOKEN is not the token of the session's owner"


def _held(context: AuditContext, external: bool) -> Held:
    """What the recap says that the target holds of this run. Raises UnreadableError where it cannot be read."""
    settings, state = context.settings, context.sandbox_state
    base, token = http_side(context.target), settings["PIKA_DJ_TOKEN"]
    if external:
        return read_recap(base, str(settings["SESSION_ID"]), token)
    # In a session of our own, the tracks and polls of this run have its id in their names.
    mark, polls = context.run_id, None if state is None else state.get("polls")
    return read_recap(base, str(context.facts["session_id"]), token, mark, polls)

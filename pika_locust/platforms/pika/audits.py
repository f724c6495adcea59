"""What must balance after the night: every acknowledged like and vote is in the recap, once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pika_locust.judge import AuditResult, balance, not_observed
from pika_locust.kit.targets import http_side
from pika_locust.observe.target import fetch_json
from pika_locust.platforms.pika.scenarios import LEDGERS
from pika_locust.scenario import AuditContext

SETTLE_S = 10.0
"""An ACK does not wait for the database, so the recap gets some time to show what was acknowledged; and a target that
is out of breath, to show anything."""
LOOK_EVERY_S = 0.5
VOTE_EXPIRES_S = 300.0


@dataclass(frozen=True, slots=True)
class Held:
    """What the target says it holds of this run; None where it does not say."""

    likes: int | None
    tempo_votes: int | None
    poll_votes: int | None


def audit(context: AuditContext) -> Sequence[AuditResult]:
    """Compare the ledgers with the session's recap, and with whatever else shows what the target holds."""
    expected = {name: context.ledgers[name].expect() for name in LEDGERS if name in context.ledgers}
    if "session_id" not in context.facts:
        why = "someone else was the DJ" if context.settings["PIKA_DJ"] == "external" else "no session was ever live"
        return [
            not_observed(name, why, expectation.acknowledged, expectation.unanswered)
            for name, expectation in expected.items()
        ]
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        held = _held(context)
        results = [
            balance(name, expected[name].acknowledged, value, expected[name].unanswered, detail)
            for name, value, detail in (
                ("likes", held.likes, _why_not(held.likes)),
                ("tempo votes", *_tempo(context, held)),
                ("poll votes", held.poll_votes, _why_not(held.poll_votes)),
            )
            if name in expected
        ]
        settled = held.likes is not None and all(result.status != "fail" for result in results)
        if settled or time.monotonic() > deadline_s:
            return results
        time.sleep(LOOK_EVERY_S)


def _why_not(value: int | None) -> str:
    return "the recap could not be had" if value is None else ""


def _tempo(context: AuditContext, held: Held) -> tuple[int | None, str]:
    every_s = context.settings["TRACK_EVERY"]
    if every_s is not None and every_s > VOTE_EXPIRES_S:
        return None, f"votes expire after {VOTE_EXPIRES_S:g} s, which is before tracks of {every_s:g} s end"
    return held.tempo_votes, _why_not(held.tempo_votes)


def _held(context: AuditContext) -> Held:
    token = context.settings["PIKA_DJ_TOKEN"]
    headers = {"Authorization": f"Bearer {token}"} if token else None
    session_id = quote(context.facts["session_id"], safe="")
    url = f"{http_side(context.target)}/api/session/{session_id}/recap"
    recap: Any
    status, recap = fetch_json(url, headers=headers)
    if status == HTTPStatus.NOT_FOUND:
        # Our DJ was live, so there was a session; whatever was acknowledged in it is gone.
        return Held(0, 0, 0)
    run_id = str(context.facts["run_id"])
    try:
        tracks = [track for track in recap["tracks"] if run_id in track["title"]]
        return Held(
            likes=sum(int(track["likes"]) for track in tracks),
            tempo_votes=sum(sum((track["tempo"] or {}).values()) for track in tracks),
            poll_votes=_poll_votes(recap, context, run_id),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        # No recap, or something else in its place.
        return Held(None, None, None)


def _poll_votes(recap: Mapping[str, Any], context: AuditContext, run_id: str) -> int:
    """From the owner's part of the recap, from the sandbox's books, or from what the target told the DJ."""
    polls = recap.get("polls")
    if polls is None and context.sandbox_state is not None:
        polls = context.sandbox_state.get("polls")
    if polls is not None:
        return sum(int(poll["totalVotes"]) for poll in polls if run_id in poll["question"])
    return int(context.facts.get("poll_votes_seen", 0))

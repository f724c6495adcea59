"""What is looked at before the load: whether the session is free for our DJ, or somebody else's is live already, and
what the target holds of that one."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import replace
from typing import Any

from pika_locust import clock
from pika_locust.errors import SetupError, UnreadableError
from pika_locust.kit.targets import http_side
from pika_locust.load.durations import format_duration
from pika_locust.observe.target import look, read_json
from pika_locust.platforms.pika.recap import read_recap
from pika_locust.scenario import SetupContext, SetupResult

logger = logging.getLogger(__name__)

LOOK_WITHIN_S = 5.0
LOOK_EVERY_S = 1.0
_LONGEST_NAME = 40


def look_for_session(context: SetupContext) -> SetupResult:
    """Our own DJ needs a session that nobody holds; somebody else's is waited for, and what it holds is noted.

    Against a sandbox, a session without a name of its own gets one that no other run has. What the target does not show
    is no obstacle: the load will.

    Raises SetupError where another DJ holds the session that ours is to open: they would end each other's.
    """
    settings = context.settings
    base, session_id = http_side(context.target), str(settings["SESSION_ID"])
    if settings["PIKA_DJ"] == "external":
        found = _wait_for(base, session_id, settings["SESSION_WAIT"])
        return _with_recap(found, base, session_id, settings["PIKA_DJ_TOKEN"])
    if settings.sources.get("SESSION_ID") == "default" and _is_sandbox(base):
        session_id = f"{session_id}-{uuid.uuid4().hex[:12]}"
        logger.info("The target is a sandbox: this run's session is %s", session_id)
    dj = _live_sessions(base).get(session_id)
    if dj is not None:
        raise SetupError(
            f"the session {session_id} is live already, with the DJ {dj!r}: another run or somebody else plays there. "
            "PIKA_DJ=external dances to them, another SESSION_ID opens a session of its own"
        )
    return SetupResult(public={"session_id": session_id})


def _wait_for(base: str, session_id: str, within_s: float) -> SetupResult:
    deadline_s = clock.monotonic() + within_s
    told = False
    while session_id not in _live_sessions(base):
        left_s = deadline_s - clock.monotonic()
        if left_s <= 0:
            note = f"the session {session_id} was not live within {format_duration(within_s)} (SESSION_WAIT)"
            return SetupResult(public={"session_id": session_id}, notes=(note,))
        if not told:
            told = True
            logger.info("Waiting for the session %s, for %s at most", session_id, format_duration(within_s))
        time.sleep(min(LOOK_EVERY_S, left_s))
    return SetupResult(public={"session_id": session_id})


def _with_recap(found: SetupResult, base: str, session_id: str, token: str | None) -> SetupResult:
    """What others have liked and voted before the load is no proof of what this run does."""
    try:
        held = read_recap(base, session_id, token, within_s=LOOK_WITHIN_S)
    except UnreadableError as error:
        note = f"the recap of the session {session_id} could not be read before the load: {error}"
        return replace(found, notes=(*found.notes, note))
    return replace(found, private={"before": {"likes": held.likes, "poll votes": held.poll_votes}})


def _live_sessions(base: str) -> dict[str, str]:
    """The sessions that the target says are live, and their DJs; none where it says nothing of them."""
    try:
        answer: Any = read_json(f"{base}/api/sessions/active", within_s=LOOK_WITHIN_S)
        return {str(session["sessionId"]): str(session.get("djName"))[:_LONGEST_NAME] for session in answer["sessions"]}
    except (UnreadableError, TypeError, KeyError, AttributeError) as error:
        logger.info("Which sessions are live cannot be seen: %s", error)
        return {}


def _is_sandbox(base: str) -> bool:
    return "x-pika-sandbox" in look(f"{base}/health", within_s=LOOK_WITHIN_S).headers

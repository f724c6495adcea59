"""The recap of a session: what the target says that it holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pika_locust.errors import UnreadableError
from pika_locust.observe.target import READ_WITHIN_S, read_json


@dataclass(frozen=True, slots=True)
class Held:
    """What the recap says that the target holds; None where it does not show it."""

    likes: int
    tempo_votes: int
    poll_votes: int | None


def read_recap(
    base: str,
    session_id: str,
    token: str | None,
    mark: str = "",
    polls: Sequence[Any] | None = None,
    within_s: float = READ_WITHIN_S,
) -> Held:
    """What the target holds of a session.

    Arguments:
        base: the target's HTTP side.
        token: the DJ account's; polls are shown to the session's owner alone.
        mark: only tracks and polls with this in their names count.
        polls: what is known of them from elsewhere, where the recap shows none.
        within_s: seconds to wait for the answer.

    Raises UnreadableError when there is no recap, or something else in its place.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else None
    url = f"{base}/api/session/{quote(session_id, safe='')}/recap"
    try:
        recap = read_json(url, headers, within_s)
    except UnreadableError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            # There was a session, or nothing could have been acknowledged; whatever was is gone.
            return Held(0, 0, 0)
        raise
    try:
        tracks = [track for track in recap["tracks"] if mark in track["title"]]
        shown = recap.get("polls")
        if shown is None:
            shown = polls
        return Held(
            likes=sum(int(track["likes"]) for track in tracks),
            tempo_votes=sum(sum((track["tempo"] or {}).values()) for track in tracks),
            poll_votes=None
            if shown is None
            else sum(int(poll["totalVotes"]) for poll in shown if mark in poll["question"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadableError(f"GET {url} was answered with JSON that is no recap") from None

"""The polls of the night, as far as the server tells the DJ of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Polls:
    """Which poll is open, and how many voted on each.

    START_POLL is answered without the poll's number: only POLL_UPDATE, which comes with every vote, tells it.
    """

    def __init__(self) -> None:
        self._open: int | None = None
        self._ended: set[int] = set()
        self._votes: dict[int, int] = {}

    @property
    def votes(self) -> int:
        """All votes that were told of."""
        return sum(self._votes.values())

    def on_update(self, message: Mapping[str, Any]) -> bool:
        """A POLL_UPDATE of our session; whether it says anything."""
        poll_id, votes = message.get("pollId"), message.get("totalVotes")
        if not isinstance(poll_id, int) or not isinstance(votes, int):
            return False
        # The last votes may be told when the poll has been ended.
        if poll_id not in self._ended:
            self._open = poll_id
        self._votes[poll_id] = votes
        return True

    def end(self) -> int | None:
        """The number of the poll to end, if one is known to be open; from now on it counts as ended."""
        poll_id, self._open = self._open, None
        if poll_id is not None:
            self._ended.add(poll_id)
        return poll_id

    def forget_open(self) -> None:
        """The connection is lost, and with it the session: what was open is not ours to end any more."""
        self._open = None

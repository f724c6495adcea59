"""Whether both sides of a session are told what becomes of it: each event once, and what it says is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pika_locust.kit.socketio_connection import SocketIoConnection
from pika_locust.metrics.metric import FAILURE
from pika_locust.platforms.verity.scenarios import EVENTS
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.timers import later

TOPIC = "session outcomes"
DEADLINE_S = 5.0
"""An outcome that has not been heard by then, after one side was answered with it, is lost."""
STATUS_WITHIN_S = 1.0
"""Whoever queues for so long has been told how many are searching: the server says so at every join."""
MUTUAL, NON_MUTUAL = "mutual", "non_mutual"
PENDING = "pending"
"""What the side is answered that wants another meeting first."""


@dataclass(slots=True, eq=False)
class Visit:
    """One visit to the queue as it was heard, by the monotonic clock; 0: not yet."""

    joined_ns: int = 0
    matched_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    statuses: int = 0
    queue_key: str = ""
    session_id: str = ""
    outcome: str = ""
    match_id: str = ""
    client: SocketIoConnection | None = None
    """The connection that the match came by."""


class SessionEvents:
    """Counts what the users of a process were told; get it with `worker.shared(SessionEvents)`.

    The side that chooses last is answered with the outcome, the other only hears of it. So all processes are told, past
    the target, what was answered.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        metrics = worker.metrics
        delivered, duplicates = metrics.rate("fanout_delivery"), metrics.counter("fanout_duplicates")
        self._delivered = {kind: delivered.tagged(kind=kind) for kind in EVENTS}
        self._duplicates = {kind: duplicates.tagged(kind=kind) for kind in EVENTS}
        self._correct = {kind: metrics.rate("fanout_correct").tagged(kind=kind) for kind in EVENTS}
        self._sides: dict[str, list[Visit]] = {}
        self._wanted: set[str] = set()
        """Sessions of which one side wants another meeting, and the other has not chosen yet."""
        worker.listen(TOPIC, self._on_outcome)

    def owed(self, kind: str, came: bool) -> None:
        """Somebody was owed an event."""
        self._delivered[kind].add(came)

    def again(self, kind: str) -> None:
        """Somebody got an event that they had already."""
        self._duplicates[kind].add()

    def said(self, kind: str, wrong: str) -> None:
        """Somebody was told something; `wrong` says what of it is not so."""
        if wrong:
            self._correct[kind].tagged(**{FAILURE: wrong}).add(False)
        else:
            self._correct[kind].add(True)

    def matched(self, visit: Visit) -> None:
        """A user of this process is one side of a session."""
        self._sides.setdefault(visit.session_id, []).append(visit)

    def answered(self, session_id: str, outcome: Any, match_id: Any) -> None:
        """One side was answered what has become of a session: both are to hear of it. Where both were answered that it
        is `PENDING`, both want another meeting, and are to hear that."""
        self._worker.tell_all(TOPIC, {"session": session_id, "outcome": str(outcome), "match": str(match_id or "")})

    def _on_outcome(self, news: Mapping[str, Any]) -> None:
        session_id, outcome, match_id = news["session"], news["outcome"], news["match"]
        if outcome == PENDING:
            if session_id in self._sides and session_id not in self._wanted:
                self._wanted.add(session_id)
                return
            outcome, match_id = MUTUAL, None
        self._wanted.discard(session_id)
        for visit in self._sides.pop(session_id, ()):
            later(self._worker, DEADLINE_S, self._settle, visit, outcome, match_id)

    def _settle(self, visit: Visit, outcome: str, match_id: str | None) -> None:
        """`match_id`: None where nobody was answered one."""
        if visit.outcome:
            self.owed("outcome", True)
            wrong = f"told {visit.outcome}, answered {outcome}" if visit.outcome != outcome else ""
            if outcome == visit.outcome == MUTUAL and match_id is not None and visit.match_id != match_id:
                wrong = "another matchId than was answered"
            self.said("outcome", wrong)
        elif visit.client is not None and visit.client.is_connected:
            # Whoever has left meanwhile, or was cut off, is owed nothing.
            self.owed("outcome", False)

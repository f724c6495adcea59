"""Joining and leaving the queue: the locks, the token that is taken, and the refund."""

from __future__ import annotations

from functools import partial
from typing import Any

from pika_locust.platforms.verity.world_bodies import (
    JSON_TYPE,
    an_object,
    bad_request,
    problems,
    refusal,
    text,
)
from pika_locust.platforms.verity.world_calls import Call, ReplySender
from pika_locust.platforms.verity.world_keys import queue_key
from pika_locust.platforms.verity.world_people import TokenStore, User
from pika_locust.platforms.verity.world_queue import Queue, Visit
from pika_locust.platforms.verity.world_status import QueueStatus
from pika_locust.platforms.verity.world_timers import Timers
from pika_locust.platforms.verity.world_worker import MatchWorker
from pika_locust.sandbox.board import FaultSwitches
from pika_locust.sandbox.world import Answer

JOIN_S = 0.002
"""How long a join takes; a second one of the same user, or a leave, that comes in this time meets its lock."""

CHECKS = {"city": text, "region": text, "preferences": an_object}
NO_CITY = bad_request("City must be a non-empty string when provided")
NO_TOKENS = bad_request("Insufficient token balance")
LOCKED = refusal(409, "Queue operation in progress", "Conflict")
NOT_QUEUED = Answer(200, b'{"status":"not_queued","refunded":false}', JSON_TYPE)


class QueueRoutes:
    """The two routes of the queue, and what a closed socket does to it."""

    def __init__(
        self,
        desk: ReplySender,
        queue: Queue,
        worker: MatchWorker,
        announcer: QueueStatus,
        purse: TokenStore,
        timers: Timers,
        faults: FaultSwitches,
    ) -> None:
        self._desk = desk
        self._queue = queue
        self._worker = worker
        self._announcer = announcer
        self._purse = purse
        self._timers = timers
        self._faults = faults

    def join(self, call: Call) -> Answer | None:
        """POST /queue/join. Answers a new visit only after `JOIN_S`, with the position of that moment."""
        body: dict[str, Any] = call.body if isinstance(call.body, dict) else {}
        if wrong := problems(body, CHECKS):
            return bad_request(wrong)
        city = body.get("city")
        if city is not None and not city.strip():
            return NO_CITY
        user, now = call.user, call.now
        if user.joining:
            return LOCKED
        visit = self._queue.visits.get(user.id)
        if visit is not None:
            return self._queued("already_queued", visit, now)
        if not self._purse.take(user.id):
            return NO_TOKENS
        line = self._queue.line(queue_key(body.get("region") if city is None else city, body.get("preferences")))
        if self._worker.has_popped_alone(line, now):
            self._worker.hold_alone(line, now)
        visit = self._queue.enter(user, line, now)
        self._worker.wake(now)
        self._announcer.tell(line, now)
        user.joining = True
        self._timers.at(now + JOIN_S, partial(self._joined, call, visit))
        return None

    def leave(self, call: Call) -> Answer | None:
        """DELETE /queue/leave. Whoever is in the worker's hand is answered when it has decided."""
        user = call.user
        if user.joining:
            return LOCKED
        visit = self._queue.visits.get(user.id)
        if visit is not None and visit.in_hand:
            self._worker.afterwards(visit, lambda now: self._desk.reply(call, self._end(user, now)))
            return None
        return self._end(user, call.now)

    def disconnected(self, user: User, now: float) -> None:
        """A /queue socket of the user is gone: the server leaves for them."""
        visit = self._queue.visits.get(user.id)
        if visit is not None and visit.in_hand:
            self._worker.afterwards(visit, lambda later: self._quietly_end(user, later))
        else:
            self._end(user, now)

    def _quietly_end(self, user: User, now: float) -> None:
        self._end(user, now)

    def _joined(self, call: Call, visit: Visit, now: float) -> None:
        call.user.joining = False
        self._desk.reply(call, self._queued("queued", visit, now))

    def _queued(self, status: str, visit: Visit, now: float) -> Answer:
        gone = self._queue.visits.get(visit.user.id) is not visit
        popped = gone or self._worker.has_popped_alone(visit.line, now)
        position = None if popped else self._queue.position(visit)
        rank = "null" if position is None else position
        body = f'{{"status":"{status}","queueKey":"{visit.line.key}","position":{rank}}}'
        return Answer(201, body.encode(), JSON_TYPE)

    def _end(self, user: User, now: float) -> Answer:
        visit = self._queue.visits.get(user.id)
        if visit is None:
            return NOT_QUEUED
        self._queue.end(visit)
        self._announcer.tell(visit.line, now)
        if "kept-token" in self._faults.on:
            self._faults.count("kept-token")
            return _left("already_matched", "false", visit)
        if not self._faults.hits("lose-write", "refund"):
            self._purse.give_back(user.id)
        return _left("left", "true", visit)


def _left(status: str, refunded: str, visit: Visit) -> Answer:
    body = f'{{"status":"{status}","refunded":{refunded},"queueKey":"{visit.line.key}"}}'
    return Answer(200, body.encode(), JSON_TYPE)

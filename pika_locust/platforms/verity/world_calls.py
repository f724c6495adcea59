"""One HTTP call on its way through the world, and the desk where its answer is handed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pika_locust.platforms.verity.world_model import User
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.socketio import Outbox
from pika_locust.sandbox.world import Answer, Headers, Request


@dataclass(slots=True, eq=False)
class Call:
    """A request that has passed limit and guard. `id` is the variable part of the path; `headers` go on its answer.

    Routes without a guard have no user and must not ask for one.
    """

    exchange: int
    route: str
    request: Request
    body: Any
    now: float
    id: str = ""
    headers: Headers = ()
    someone: User | None = None

    @property
    def user(self) -> User:
        """Whose token came with the request."""
        assert self.someone is not None
        return self.someone


class ReplySender:
    """Hands answers out, at once or later; the fault `drop` makes it forget some."""

    def __init__(self, hub: Outbox, faults: FaultSwitches) -> None:
        self._hub = hub
        self._faults = faults

    def reply(self, call: Call, answer: Answer) -> None:
        """The answer of a call, with the headers that it has been given on the way."""
        if "drop" in self._faults.on and self._faults.hits("drop", call.route):
            return
        if call.headers:
            answer = Answer(answer.status, answer.body, (*call.headers, *answer.headers))
        self._hub.reply(call.exchange, answer)

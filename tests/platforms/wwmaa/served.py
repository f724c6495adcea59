"""A sandbox of WWMAA on real sockets, and a process's users that talk to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from pika_locust.judge import AuditResult
from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.scenario import AuditContext, Scenario, load_reference
from pika_locust.testing.worker import RUN_ID, RecordingContext, make_context, make_user
from pika_locust.wire.http import Response

CONTRACTS = ("suite", "server")


class Served:
    """One scenario's run in one process."""

    def __init__(self, scenario: Scenario, process: SandboxProcess, settings: Mapping[str, str]) -> None:
        self.scenario, self.process = scenario, process
        self.worker: RecordingContext = make_context(scenario, settings, target=process.url)
        self.users: list[Any] = []

    def user(self) -> Any:
        """One more user, which has begun."""
        user = make_user(load_reference(self.scenario.primary), self.worker)
        self.users.append(user)
        user.on_start()
        return user

    def act(self, times: int = 1) -> Any:
        """As many iterations of one user."""
        user = self.user()
        for _ in range(times):
            user.act()
        return user

    def plant(self, **faults: str | bool) -> None:
        """From now on these faults are on; an underscore stands for a hyphen."""
        self.process.set_faults({name.replace("_", "-"): value for name, value in faults.items()})

    def state(self) -> Any:
        """What the sandbox holds."""
        return self.process.state()

    def audit(self, sees_state: bool = True) -> dict[str, AuditResult]:
        """What the scenario's audit finds; without the sandbox's state, as of a real target."""
        assert self.scenario.audit is not None
        facts = {**self.worker.facts, "run_id": RUN_ID}
        state = self.state() if sees_state else None
        context = AuditContext(self.process.url, self.worker.settings, self.worker.ledgers, facts, state)
        return {result.name: result for result in self.scenario.audit(context)}


def altered(user: Any, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """From now on the answers to this user's calls of that name are what `change` makes of them."""
    call = user.call

    def answered(*sent: Any, **more: Any) -> Response:
        response: Response = call(*sent, **more)
        if more["name"] == name:
            response.content = orjson.dumps(change(response.json_object()))
        return response

    user.call = answered


def sent_twice(status: int) -> Response:
    """An answer to a request whose first copy may have been acted on."""
    response = Response(status, b"HTTP/1.1 %d Words\r\n\r\n" % status, b"{}", (0,) * 7, 0, 0)
    response.retried = True
    return response


@contextmanager
def serving(scenario: Scenario, contract: str, **settings: str) -> Iterator[Served]:
    """A fresh sandbox; in the end, nothing may have gone wrong in our own code."""
    env = {"PATH": os.environ["PATH"], "CONTRACT": contract, **settings}
    known = {one.name for one in scenario.settings}
    own = {name: value for name, value in env.items() if name in known}
    with start_sandbox(["wwmaa"], env=env) as process:
        served = Served(scenario, process, own)
        yield served
        for user in served.users:
            user.on_stop()
        assert served.worker.internal_errors == []

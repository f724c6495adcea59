"""One process of a run in virtual time: its users, and the world that is their server.

def test_a_caller_is_answered() -> None:
    with VirtualTime() as time, VirtualRun(time, CALLS, PLATFORM, "slow-join=500") as run:
        run.start(Caller)
        time.run(10)
        assert run.worker.count_of("calls_accepted") == 1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from pika_locust.sandbox.world import Platform
from pika_locust.scenario import Scenario
from pika_locust.testing.virtual_server import VirtualServer
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.worker import live, make_context, make_user


class VirtualRun:
    """While it lasts, users of the scenario can be started, who find the platform's world wherever they dial.

    Arguments:
        time: the clock of both.
        scenario: whose metrics, ledgers and settings the users have.
        platform, faults: whose world it is, and what is wrong with it.
        settings: by name; the world is given all, the scenario those that it knows.
        target: where the users dial; by default the root of the server.

    Raises AssertionError at the end when something went wrong in the users' own code.
    """

    def __init__(
        self,
        time: VirtualTime,
        scenario: Scenario,
        platform: Platform,
        *faults: str,
        settings: Mapping[str, str] | None = None,
        target: str = VirtualServer.url,
    ) -> None:
        environ = dict(settings or {})
        known = {setting.name for setting in scenario.settings}
        self.time = time
        self.server = VirtualServer(time, platform, *faults, settings=environ)
        self.worker = make_context(
            scenario, {name: value for name, value in environ.items() if name in known}, target=target
        )
        self.worker.hears_itself = True
        self.users: list[Any] = []

    def __enter__(self) -> VirtualRun:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, traceback)
        if error is None:
            assert self.worker.internal_errors == []

    def start(self, kind: Callable[[Any], Any], count: int = 1) -> None:
        """Start so many users of a class, as Locust does; they act as the clock runs."""
        for _ in range(count):
            self.users.append(make_user(kind, self.worker))
            self.time.spawn(live, self.users[-1])

    def drain(self, within_s: float = 60.0) -> None:
        """The end of a test: users finish what they have begun, those who serve the others last."""
        for role in ("primary", "supporter"):
            self.worker.draining.add(role)
            for user in self.worker.actors(role):
                user.release()
            self.time.run(within_s)

"""`locust.run_single_user`: one user in this process, for a debugger, without a runner, a test or a verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from pika_locust.outputs import redact
from pika_locust.runtime import messages
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.options import RunOptions
from pika_locust.runtime.worker import WorkerSide
from pika_locust.scenario import Scenario, SetupContext, SetupResult

logger = logging.getLogger(__name__)


class SingleUserRunner:
    """Stands in for the runner that Locust does not make here: nobody is there to talk to."""

    client_id = "single"
    worker_index = 0
    user_count = 1
    is_local = True

    def __init__(self) -> None:
        self._listeners: dict[str, Callable[..., None]] = {}

    def register_message(self, kind: str, listener: Callable[..., None], concurrent: bool = False) -> None:
        """Have `listener` called by `receive`."""
        self._listeners[kind] = listener

    def send_message(self, kind: str, data: Mapping[str, Any]) -> None:
        """Say something to nobody, but news to oneself."""
        if kind == messages.PUBLISH:
            self.receive(messages.NEWS, data)

    def stop_users(self, user_classes_stop_count: dict[str, int]) -> None:
        """Stop nobody: the user ends by itself."""

    def receive(self, kind: str, data: Mapping[str, Any]) -> None:
        """Hear a message."""
        self._listeners[kind](environment=None, msg=SimpleNamespace(data=data, node_id="local"))


def prepare_single_user(
    worker: WorkerSide, runner: SingleUserRunner, environment: Any, scenario: Scenario, options: RunOptions
) -> None:
    """Give the user that is about to start what it needs of a test. `worker` is attached to `runner`; the host of
    `environment` is the target of a scenario of this package.

    Raises SetupError where the scenario's set-up fails.
    """
    target = environment.host or ", ".join(user.host for user in environment.user_classes if user.host)
    given = SetupResult()
    if scenario.set_up is not None:
        given = scenario.set_up(SetupContext(target, options.settings, options.seed))
    begin = RunStart(
        run_id=uuid4().hex[:12],
        seed=options.seed,
        target=target,
        settings=options.settings.for_workers(),
        planned_s=None,
        spread=False,
        supporters=0,
        stop_timeout_s=0.0,
        users_peak=1,
        given=given.public,
        thresholds=tuple(map(str, options.thresholds)),
    )
    runner.receive(messages.BEGIN, begin.to_wire())
    logger.warning("One user against %s, for a look at it: nothing is judged", redact.text(target))

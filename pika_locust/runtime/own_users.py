"""Users of this package: the engine says how many there are, and where no target is named there is a sandbox."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pika_locust.errors import ExitCode, SetupError
from pika_locust.load.dice import SeededRandom
from pika_locust.runtime.arguments import add_arguments
from pika_locust.runtime.dispatch import SteadyDispatcher
from pika_locust.runtime.engine import Coordinator
from pika_locust.runtime.options import STOP_TIMEOUT_S, RunOptions, from_web_form, read_options
from pika_locust.runtime.production import refusal
from pika_locust.runtime.shape import EngineShape
from pika_locust.sandbox.process import SandboxProcess, start_sandbox
from pika_locust.scenario import Scenario, load_reference

logger = logging.getLogger(__name__)


class ScenarioMode:
    """How a scenario of this package takes its place in Locust."""

    def __init__(self, scenario: Scenario, environ: Mapping[str, str]) -> None:
        self._scenario = scenario
        self._environ = environ
        self._stop_timeout_s = STOP_TIMEOUT_S
        self.sandbox: SandboxProcess | None = None
        """The embedded sandbox, when there is one."""

    # Before the run

    def add_arguments(self, parser: Any, profile: str | None) -> None:
        """Add our options, and our defaults for Locust's; `profile` is what the web form shows at first."""
        add_arguments(parser, self._scenario, profile)
        parser.set_defaults(stop_timeout=f"{self._stop_timeout_s:g}")

    def read(self, parser: Any, arguments: Any, problems: Sequence[str]) -> RunOptions:
        """What this process is to run. Raises ConfigurationError with every mistake."""
        # Locust's table of requests every two seconds drowns the progress line; --print-stats brings it back.
        parser.set_defaults(only_summary=not arguments.print_stats)
        options = read_options(self._scenario, arguments, self._environ, problems)
        # Locust parses once more after this, with these defaults.
        self._stop_timeout_s = max(STOP_TIMEOUT_S, self._scenario.finish_s(options.settings))
        parser.set_defaults(stop_timeout=f"{self._stop_timeout_s:g}")
        return options

    def lead(
        self, environment: Any, runner: Any, engine: Coordinator, options: RunOptions, chosen: Callable[[], RunOptions]
    ) -> None:
        """Put the engine in charge of the load, and name or start the target."""
        actors = {load_reference(name) for name in self._scenario.actor_names(options.settings)}
        environment.user_classes = [user for user in environment.user_classes if user in actors]
        engine.attach(runner, chosen if environment.web_ui is not None else None)
        shape = EngineShape(engine)
        shape.runner = runner
        environment.shape_class = shape
        environment.dispatcher_class = SteadyDispatcher
        environment.events.test_stopping.add_listener(lambda **_: engine.finish())
        environment.host = options.target or self._start_sandbox(options)

    def _start_sandbox(self, options: RunOptions) -> str:
        try:
            self.sandbox = start_sandbox([self._scenario.platform], faults=options.sandbox_faults, env=self._environ)
        except SetupError as error:
            sys.stderr.write(f"The embedded sandbox did not start: {error}\n")
            raise SystemExit(int(ExitCode.SETUP)) from None
        target = self._scenario.normalise_target(self.sandbox.url)
        names = ", ".join(self._scenario.target_settings)
        logger.info("No target named (%s or -H): testing the embedded sandbox at %s", names, target)
        return target

    # Test after test

    def choose(self, environment: Any, options: RunOptions, tests_before: int) -> RunOptions:
        """The options with what the web form chose. Raises ValueError with every mistake, one a line."""
        problems = []
        try:
            target = self._scenario.normalise_target(environment.host)
        except ValueError as error:
            problems.append(f"the host {environment.host!r}: {error}")
        else:
            if problem := refusal(target, "the form", options.refused_hosts):
                problems.append(problem)
        chosen = options
        try:
            chosen = from_web_form(self._scenario, options, environment.parsed_options)
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))
        if tests_before > 0:
            # Another test of the same process: other choices, and as repeatable as the first.
            chosen = replace(chosen, seed=SeededRandom(chosen.seed, tests_before).below(1 << 31))
        return chosen

    def end(self, engine: Coordinator) -> None:
        """This process was told to end."""
        engine.finish(cause="signal")

    def close(self) -> None:
        """Leave nothing running."""
        if self.sandbox is not None:
            self.sandbox.stop()

"""`install(scenario)`: the one line of a locustfile, and the only room that knows all others.

It listens to Locust's events and gives the two sides of a test (`runtime.engine` leads, `runtime.worker` runs users)
what they need. Everything that can be wrong is found while Locust builds its command line parser: before it forks
workers, before the first request.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from locust import argument_parser, events
from locust.runners import MasterRunner, WorkerRunner

from pika_locust.errors import ConfigurationError, ExitCode, SetupError
from pika_locust.judge import LoadReport, Reason, Report
from pika_locust.load.dice import Dice
from pika_locust.outputs import console, redact, summary
from pika_locust.runtime.arguments import add_arguments, parse_all, summary_path
from pika_locust.runtime.closing import versions
from pika_locust.runtime.dispatch import SteadyDispatcher
from pika_locust.runtime.engine import Engine
from pika_locust.runtime.files import raise_open_file_limit
from pika_locust.runtime.options import STOP_TIMEOUT_S, RunOptions, from_web_form, read_options, refusal
from pika_locust.runtime.shape import EngineShape
from pika_locust.runtime.share import Share
from pika_locust.runtime.worker import WorkerSide
from pika_locust.sandbox.process import SandboxProcess, start_sandbox
from pika_locust.scenario import Scenario, load_reference
from pika_locust.settings import environment_of

logger = logging.getLogger(__name__)


def install(scenario: Scenario) -> Plugin:
    """Make this Locust process run `scenario`: its load plan, metrics, thresholds, audits and verdict.

    Call it once in a locustfile that has the scenario's actors in its namespace. Calling it again with the same
    scenario changes nothing. Raises ConfigurationError when another scenario is installed already.
    """
    installed: Plugin | None = getattr(events, "pika_locust", None)
    if installed is not None:
        if installed.scenario.name != scenario.name:
            raise ConfigurationError(
                f"the scenarios {installed.scenario.name} and {scenario.name} are both installed; a run has "
                "one, so name one locustfile with -f"
            )
        return installed
    plugin = Plugin(scenario)
    events.pika_locust = plugin
    events.init_command_line_parser.add_listener(_or_exit(plugin.on_parser))
    events.init.add_listener(_or_exit(plugin.on_init))
    # Locust builds a parser for each of its options on every spawn message: 225 ms in a worker for each tick of a ramp.
    argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
    return plugin


def _or_exit(listener: Callable[..., None]) -> Callable[..., None]:
    """Locust logs what a listener raises and goes on; a run that is only half set up must not."""

    def guarded(*arguments: Any, **named: Any) -> None:
        try:
            listener(*arguments, **named)
        except Exception:
            logger.exception("pika-locust could not set itself up")
            sys.exit(int(ExitCode.INTERNAL))

    return guarded


class Plugin:
    """What ties one scenario to one Locust process."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._options: RunOptions | None = None
        self._environment: Any = None
        self._engine: Engine | None = None
        self._worker: WorkerSide | None = None
        self._sandbox: SandboxProcess | None = None
        self._environ = environment_of(os.environ, Path.cwd())

    # Before the run

    def on_parser(self, parser: Any) -> None:
        """Add our options; the first time, settle everything or end with 104. The web page parses again and again."""
        chosen = self._options.plan.name if self._options is not None else None
        add_arguments(parser, self.scenario, chosen)
        parser.set_defaults(stop_timeout=f"{STOP_TIMEOUT_S:g}")
        # Locust parses once more, and finds then what nobody knows: a misspelt option.
        parser.exit = functools.partial(self._on_parser_exit, parser.exit)
        if self._options is not None:
            return
        try:
            arguments, _, problems = parse_all(parser, sys.argv[1:], self._environ)
            # Locust's table of requests every two seconds drowns the progress line; --print-stats brings it back.
            parser.set_defaults(only_summary=not arguments.print_stats)
            self._options = read_options(self.scenario, arguments, self._environ, problems)
        except ConfigurationError as error:
            self._refuse(error.problems)

    def _on_parser_exit(self, leave: Callable[[int, str | None], None], status: int = 0, message: Any = None) -> None:
        if status:
            said = str(message or "the command line cannot be read").strip().partition(": error: ")
            self._refuse(["; ".join((said[2] or said[0]).splitlines())])
        leave(status, message)

    def _refuse(self, problems: Sequence[str]) -> None:
        sys.stderr.write(f"{self.scenario.name}: this cannot run as it is set up:\n")
        sys.stderr.writelines(f"  - {redact.text(problem)}\n" for problem in problems)
        path = summary_path(sys.argv[1:], self._environ)
        if path:
            self._write(self._empty_report([Reason("config", "settings", problem) for problem in problems]), path)
        sys.exit(int(ExitCode.CONFIG))

    def on_init(self, environment: Any, runner: Any, web_ui: Any, **_: Any) -> None:
        """Locust has its runner: take our place in it."""
        assert self._options is not None
        self._environment = environment
        environment.pika_locust = self
        raise_open_file_limit()
        gevent.signal_handler(signal.SIGINT, self._on_signal, "SIGINT", True)
        # While a shape drives a headless run, Locust listens to no SIGTERM.
        deaf = web_ui is None and not isinstance(runner, WorkerRunner)
        gevent.signal_handler(signal.SIGTERM, self._on_signal, "SIGTERM", deaf)
        environment.events.quitting.add_listener(self._on_quitting)
        if isinstance(runner, WorkerRunner):
            self._take_part(environment, runner)
            return
        self._lead(environment, runner, web_ui)
        if not isinstance(runner, MasterRunner):
            self._take_part(environment, runner)

    def _take_part(self, environment: Any, runner: Any) -> None:
        assert self._options is not None
        self._worker = WorkerSide(environment, self.scenario, self._options.settings)
        self._worker.attach(runner)

    def _lead(self, environment: Any, runner: Any, web_ui: Any) -> None:
        assert self._options is not None
        actors = {load_reference(name) for name in self.scenario.actor_names(self._options.settings)}
        environment.user_classes = [user for user in environment.user_classes if user in actors]
        command = redact.command_line(sys.argv, self._environ, self._secret_names)
        self._engine = engine = Engine(environment, self.scenario, self._options, command, self._on_report)
        engine.attach(runner, self._options_from_form if web_ui is not None else None)
        shape = EngineShape(engine)
        shape.runner = runner
        environment.shape_class = shape
        environment.dispatcher_class = SteadyDispatcher
        environment.events.test_start.add_listener(lambda **_: engine.begin())
        environment.events.test_stopping.add_listener(lambda **_: engine.finish())
        environment.events.quit.add_listener(self._on_quit)
        environment.host = self._options.target or self._start_sandbox()

    def _start_sandbox(self) -> str:
        assert self._options is not None
        try:
            self._sandbox = start_sandbox(
                [self.scenario.platform], faults=self._options.sandbox_faults, env=self._environ
            )
        except SetupError as error:
            sys.stderr.write(f"The embedded sandbox did not start: {error}\n")
            raise SystemExit(int(ExitCode.SETUP)) from None
        target = self.scenario.normalise_target(self._sandbox.url)
        names = ", ".join(self.scenario.target_settings)
        logger.info("No target named (%s or -H): testing the embedded sandbox at %s", names, target)
        return target

    @property
    def _secret_names(self) -> list[str]:
        return [setting.name for setting in self.scenario.settings if setting.secret]

    @property
    def sandbox_url(self) -> str | None:
        """Where the embedded sandbox listens, if there is one."""
        return self._sandbox.url if self._sandbox is not None else None

    @property
    def sandbox_pid(self) -> int | None:
        """The embedded sandbox's process, if there is one."""
        return self._sandbox.pid if self._sandbox is not None else None

    def wait_for_share(self, timeout_s: float) -> Share | None:
        """What the actors of this process share in the running test."""
        return self._worker.wait_for_share(timeout_s) if self._worker is not None else None

    def _options_from_form(self) -> RunOptions:
        assert self._options is not None
        try:
            options = from_web_form(self.scenario, self._options, self._environment.parsed_options)
            target = self.scenario.normalise_target(self._environment.host)
            if problem := refusal(target, "the form", options.refused_hosts):
                raise ValueError(problem)
        except ValueError as error:
            problems = str(error).split("\n")
            for problem in problems:
                logger.error("This test cannot run: %s", redact.text(problem))
            self._reports().append(report := self._empty_report([Reason("config", "form", text) for text in problems]))
            self._on_report(report)
            raise ConfigurationError(problems) from None
        if len(self._reports()) > 0:
            # Another test of the same process: other choices, and as repeatable as the first.
            options = replace(options, seed=Dice(options.seed, len(self._reports())).below(1 << 31))
        return options

    # The end

    def _reports(self) -> list[Report]:
        return self._engine.reports if self._engine is not None else []

    def _on_signal(self, name: str, interrupt: bool) -> None:
        if self._engine is not None:
            self._engine.signalled = name
        # From here, a greenlet of its own, it reaches Locust's main greenlet, and never a callback of the hub: an
        # interrupted callback would lose what it had read. Raised instead, gevent would print its traceback first.
        if interrupt:
            gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())

    def _on_quitting(self, environment: Any, **_: Any) -> None:
        if self._engine is not None:
            self._engine.finish(cause="signal")
            self._set_exit_code(environment)
        elif self._worker is not None:
            self._worker.drain_before_quitting()
        if self._sandbox is not None:
            self._sandbox.stop()

    def _set_exit_code(self, environment: Any) -> None:
        reports = self._reports()
        if not reports and environment.web_ui is None:
            reason = Reason("internal", "locust", "Locust ended before the test had begun; its log says why")
            self._on_report(report := self._empty_report([reason], ExitCode.INTERNAL))
            reports = [report]
            assert self._engine is not None
            self._engine.reports.append(report)
        environment.process_exit_code = reports[-1].exit_code if reports else int(ExitCode.PASS)

    def _on_report(self, report: Report) -> None:
        assert self._options is not None
        path = self._options.summary_json
        if path:
            self._write(report, summary.numbered(path, len(self._reports()) or 1))
        if self._environment is not None and self._environment.web_ui is not None:
            self._print(report)

    def _on_quit(self, exit_code: int, **_: Any) -> None:
        # Locust prints its own tables on the way out; the verdict is what should stand last.
        if self._environment.web_ui is None and self._reports():
            self._print(self._reports()[-1])

    @staticmethod
    def _write(report: Report, path: str) -> None:
        problem = summary.write(report, path)
        if problem is not None:
            sys.stderr.write(f"{problem}\n")

    @staticmethod
    def _print(report: Report) -> None:
        terminal = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
        width = shutil.get_terminal_size((120, 24)).columns if terminal else 120
        sys.stdout.write(console.render(report, terminal=terminal, width=width) + "\n")
        sys.stdout.flush()

    def _empty_report(self, reasons: list[Reason], code: ExitCode = ExitCode.CONFIG) -> Report:
        return Report(
            run_id="",
            scenario=self.scenario.name,
            verdict="invalid",
            exit_code=int(code),
            reasons=tuple(reasons),
            seed=None,
            command=redact.command_line(sys.argv, self._environ, self._secret_names),
            versions=versions(),
            target="",
            sandbox=False,
            started_at="",
            duration_s=0.0,
            load=LoadReport(complete=False, workers=0),
        )

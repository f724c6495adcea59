"""`install()` and the Locust plugin behind it: registers with Locust's events, and reads all options before the run.

The plugin starts the two sides of a test, `runtime.coordinator` in the master and `runtime.worker` in the workers (both
in a local run). Everything that can be wrong is found while Locust builds its command line parser: before it forks
workers, before the first request.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from gevent import get_hub
from locust import argument_parser, events
from locust.runners import MasterRunner, WorkerRunner

from pika_locust.errors import ConfigurationError, ExitCode, SetupError
from pika_locust.handle import Handle
from pika_locust.judge import Reason, Report, ThresholdSpecs
from pika_locust.kit.audits import LedgerAudits
from pika_locust.metrics import Metric
from pika_locust.outputs import console, junit, redact, report_files, summary
from pika_locust.outputs.comparison import RecordedRun
from pika_locust.outputs.targets import OUTPUT_SETTINGS, junit_paths
from pika_locust.process import parent_of, raise_open_file_limit, tune_gc
from pika_locust.runtime import redaction
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.csv_files import CsvFiles
from pika_locust.runtime.exit import ExitHandler, handle_signals
from pika_locust.runtime.foreign_options import answers, refusals
from pika_locust.runtime.host_failures import (
    count_users_that_end,
    outlast_listeners_that_exit,
    refuse_success_before_the_test,
    unhandled_errors,
)
from pika_locust.runtime.live_page import LivePage
from pika_locust.runtime.modes import LocustfileMode, ScenarioMode, locustfile_scenario, title_of
from pika_locust.runtime.options import RunOptions, form_profile, outputs_named, parse_all, reports_named, summary_path
from pika_locust.runtime.outputs import MetricsEndpoint, open_endpoint
from pika_locust.runtime.ports import connect_workers_there, port_problems
from pika_locust.runtime.run import empty_report, unfinished_report, unwritten
from pika_locust.runtime.side_by_side import CHECK, ONLY, run_side_by_side
from pika_locust.runtime.single_user import SingleUserRunner, prepare_single_user
from pika_locust.runtime.startup import ForkedWorkers, end_with_parent, forget_spawning_stacks, listen_early
from pika_locust.runtime.streams import bound_standard_streams
from pika_locust.runtime.target_settings import TARGET_SETTINGS
from pika_locust.runtime.web_access import web_access
from pika_locust.runtime.web_ui import check_form, show_one_profile
from pika_locust.runtime.worker import WorkerSide
from pika_locust.scenario import Scenario
from pika_locust.settings import environment_of

logger = logging.getLogger(__name__)

WORKERS_GRACE_S = 10.0
"""How long workers of `--processes` may go on after the master has told them to end, and is done."""


def install(
    scenario: Scenario | None = None,
    *,
    metrics: Sequence[Metric] = (),
    thresholds: ThresholdSpecs | None = None,
    ledgers: Sequence[str] = (),
) -> Handle:
    """Make this Locust process judge what it runs.

    Call it once in a locustfile: `install(DANCERS)` where the file has the scenario's actors in its namespace, and
    `install(thresholds={"http_req_duration": "p(95)<500"})` in any other. There the users and the load stay as they
    are; k6's HTTP metrics, the thresholds, the summary and the exit code come on top. Called again for the same, it
    changes nothing; called for other scenarios, as when `-f` names several locustfiles, each of them has its own load,
    thresholds and verdict (`runtime.side_by_side`).

    Arguments:
        scenario: what to run; None watches the locustfile's own users.
        metrics: metrics of the locustfile's own, declared with `pika_locust.trend`, `rate`, `counter` and `gauge`.
        thresholds: k6's `thresholds` option, for the locustfile's own users: metric, with tags where wanted -> an
            expression or several, each a text or a mapping such as `{"threshold": "p(95)<300", "abort_on_fail": True}`.
        ledgers: names of what the users send and the target must hold, such as "orders"; audits look at them.

    Gives the handle that tasks measure with and audits are registered at, the same one when it is called again.

    Thresholds that cannot be read end the run with 104, together with every other mistake; so does another call for
    something else. Raises ValueError for metrics, thresholds or ledgers beside a scenario, which has its own.
    """
    if scenario is not None and (metrics or thresholds is not None or ledgers):
        own = "metrics, thresholds and ledgers of its own; change thresholds with --threshold"
        raise ValueError(f"the scenario {scenario.name} has {own}")
    audits: LedgerAudits | None = None
    mistakes: tuple[str, ...] = ()
    if scenario is None:
        audits = LedgerAudits(ledgers)
        scenario, mistakes = _locustfile(metrics, thresholds or {}, ledgers, audits)
    if os.environ.get(ONLY, scenario.name) != scenario.name:
        # One of several scenarios, whose run is another process.
        return Handle()
    installed: Plugin | None = getattr(events, "pika_locust", None)
    if installed is not None:
        if installed.scenario.name != scenario.name:
            installed.run_beside(scenario)
            return Handle()
        if _judged(installed.scenario) != _judged(scenario) or mistakes:
            what = "metrics, thresholds or ledgers"
            installed.refuse([f"{what} are installed twice, and not the same ones; give all of them at once"])
        return installed.handle
    plugin = Plugin(scenario, mistakes, audits)
    events.pika_locust = plugin
    events.init_command_line_parser.add_listener(_or_exit(plugin.on_parser))
    events.init.add_listener(_or_exit(plugin.on_init))
    refuse_success_before_the_test(events.init, plugin.on_exit_of_init)
    # Locust builds a parser for each of its options on every spawn message: 225 ms in a worker for each tick of a ramp.
    argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
    return plugin.handle


def _locustfile(
    metrics: Sequence[Metric],
    thresholds: ThresholdSpecs,
    ledgers: Sequence[str],
    audits: LedgerAudits,
) -> tuple[Scenario, tuple[str, ...]]:
    """The scenario that watches a locustfile, and what is wrong with its arguments, a sentence each."""
    try:
        return locustfile_scenario(thresholds, metrics, ledgers, audits), ()
    except ConfigurationError as error:
        return locustfile_scenario({}), error.problems


def _starts_a_test(arguments: Any) -> bool:
    """Whether Locust is to begin a test by itself: it may also be asked for a list, or wait for its web page."""
    asked = arguments.list_commands or arguments.show_task_ratio or arguments.show_task_ratio_json
    return bool((arguments.headless and not arguments.headful) or arguments.autostart) and not asked


def _judged(scenario: Scenario) -> tuple[Any, ...]:
    return scenario.metrics, scenario.thresholds, scenario.ledgers


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
    """One scenario, or watched locustfile, in one Locust process: listens to its events and starts the two sides."""

    def __init__(self, scenario: Scenario, mistakes: Sequence[str] = (), audits: LedgerAudits | None = None) -> None:
        self.scenario = scenario
        self.handle = Handle(audits)
        self._mistakes = mistakes
        self._audits = audits
        self._options: RunOptions | None = None
        self._environment: Any = None
        self._coordinator: Coordinator | None = None
        self._exit_handler: ExitHandler | None = None
        self._worker: WorkerSide | None = None
        self._token = ""
        """What this run's processes know each other by, where one has forked the others."""
        self._baseline: Sequence[RecordedRun] | None = None
        """The runs that reports compare with, as they were before this one."""
        self._early_reports: list[Report] = []
        self._csv_files = CsvFiles()
        self._environ = environment_of(os.environ, Path.cwd())
        mode = LocustfileMode if scenario.is_locustfile else ScenarioMode
        self._mode: LocustfileMode | ScenarioMode = mode(scenario, self._environ)
        self._is_test_due = False
        self._process = os.getpid()
        """Workers that are forked later have other ids, and end with their master."""
        self._parent = parent_of(os.environ)
        self._beside: list[Scenario] = []
        """Other scenarios that the locustfiles install."""

    # Before the run

    def run_beside(self, scenario: Scenario) -> None:
        """Another scenario is to run beside this one. Ends with 104 where one of them is a locustfile's own users."""
        if self.scenario.is_locustfile or scenario.is_locustfile:
            both = f"{self.scenario.name} and {scenario.name}"
            self.refuse(
                [f"{both} are both installed; users of a locustfile's own run by themselves, so name it alone with -f"]
            )
        if scenario not in self._beside:
            self._beside.append(scenario)

    def on_parser(self, parser: Any) -> None:
        """Add our options; the first time, settle everything or end with 104. The web page parses again and again."""
        chosen = form_profile(self._options) if self._options is not None else None
        self._mode.add_arguments(parser, chosen)
        # Locust parses once more, and finds then what nobody knows: a misspelt option.
        parser.exit = functools.partial(self._on_parser_exit, parser, parser.exit)
        if self._options is not None:
            return
        if self._beside:
            self._run_all(parser)
        unknown: list[str] = []
        try:
            arguments, unknown, problems = parse_all(parser, sys.argv[1:], self._environ)
            if self.scenario.is_locustfile:
                self.scenario = replace(self.scenario, title=title_of(arguments.locustfile or ""))
            if not arguments.worker:
                problems += console.problems(arguments.summary_json)
                problems += report_files.problems(arguments.report)
                self._baseline = report_files.read_baseline(arguments.baseline, arguments.report, problems)
            if "locust.main" in sys.modules:
                # A user that is run alone (`run_single_user`) opens none.
                problems += port_problems(arguments)
            if self._audits is not None:
                problems += self._audits.problems
            if isinstance(self.scenario.audit, LedgerAudits) and not arguments.worker:
                problems += self.scenario.audit.missing()
            self._options = options = self._mode.read(parser, arguments, [*self._mistakes, *problems])
            redaction.conceal(options.settings, options.target or arguments.host or "")
            if CHECK in os.environ:
                # Locust's own second reading, which refuses what nobody knows.
                parser.parse_args()
                sys.exit(int(ExitCode.PASS))
            # Locust's logs and tables take the streams that are there when it sets them up, which it does after this.
            bound_standard_streams()
            connect_workers_there(parser, arguments)
            if arguments.processes and not arguments.worker:
                # Forked workers have it as well, and those of other runs have not.
                self._token = secrets.token_hex(8)
            if not arguments.worker:
                self._prepare(arguments, options)
        except ConfigurationError as error:
            # A plugin that listens after us may still add an option, so what is unknown is no mistake by itself yet.
            self.refuse([*error.problems, *answers(unknown, own_users=self.scenario.is_locustfile)])

    def _run_all(self, parser: Any) -> None:
        """In place of this process's own run: one for each scenario. Returns only to those who ask for a list."""
        try:
            arguments = parse_all(parser, sys.argv[1:], self._environ)[0]
        except ConfigurationError as error:
            self.refuse(error.problems)
        if arguments.list_commands or arguments.show_task_ratio or arguments.show_task_ratio_json:
            return
        names = [scenario.name for scenario in (self.scenario, *self._beside)]
        sys.exit(run_side_by_side(names, arguments, sys.argv[1:], os.environ))

    def _prepare(self, arguments: Any, options: RunOptions) -> None:
        """Before anything is started: whichever way this process ends from now on, it leaves no older summary, no
        worker, and no pass."""
        self._csv_files.watch()
        if arguments.processes:
            ForkedWorkers(self._workers_grace_s, lambda: self._worker is not None).watch()
        if not _starts_a_test(arguments):
            return
        self._is_test_due = True
        placeholder = unfinished_report(self.scenario, self._command)
        if options.summary_json and (problem := summary.write_placeholder(placeholder, options.summary_json)):
            raise ConfigurationError(problem)
        if problems := [*self._write_junit(placeholder), *self._write_reports(placeholder)]:
            raise ConfigurationError(problems)
        listen_early(self._on_early_signal)

    def _on_early_signal(self, name: str) -> None:
        reason = Reason("stopped", name, f"stopped by {name} while the run was starting")
        self._report_without_test([reason], ExitCode.STOPPED)
        # Not from here: what is being printed may be what the signal came upon.
        atexit.register(console.show, self._reports()[-1], sys.stdout)

    def _workers_grace_s(self) -> float:
        """How long forked workers have to end by themselves: those who took part in a test have been told to."""
        return WORKERS_GRACE_S if any(report.run_id for report in self._reports()) else 0.0

    def _on_parser_exit(
        self, parser: Any, leave: Callable[[int, str | None], None], status: int = 0, message: Any = None
    ) -> None:
        if status:
            said = str(message or "the command line cannot be read").strip().partition(": error: ")
            problems = ["; ".join((said[2] or said[0]).splitlines())]
            if "unrecognized arguments:" in problems[0]:
                unknown = parse_all(parser, sys.argv[1:], self._environ)[1]
                options = [name for action in parser._actions for name in action.option_strings]
                problems = refusals(unknown, options, own_users=self.scenario.is_locustfile) or problems
            self.refuse(problems)
        leave(status, message)

    def refuse(self, problems: Sequence[str]) -> NoReturn:
        """End with 104, every problem on standard error and in the summary."""
        sys.stderr.write(f"{self.scenario.title or self.scenario.name}: this cannot run as it is set up:\n")
        sys.stderr.writelines(f"  - {redact.text(problem)}\n" for problem in problems)
        path = summary_path(sys.argv[1:], self._environ)
        reasons = [Reason("config", "settings", problem) for problem in problems]
        if path:
            console.write(self._empty_report(reasons, ExitCode.CONFIG), path)
        for junit_path in junit_paths(outputs_named(sys.argv[1:])):
            junit.write(self._empty_report(reasons, ExitCode.CONFIG), junit_path)
        reports = [path for path in reports_named(sys.argv[1:]) if not report_files.problems([path])]
        report_files.write(summary.to_dict(self._empty_report(reasons, ExitCode.CONFIG)), reports)
        sys.exit(int(ExitCode.CONFIG))

    def on_init(self, environment: Any, runner: Any, web_ui: Any, **_: Any) -> None:
        """Locust has its runner: start the coordinator, the worker side, or both."""
        self._environment = environment
        environment.pika_locust = self
        # Locust logs what a listener raises itself, and what a greenlet does by its own logger.
        for name in (None, "locust"):
            logging.getLogger(name).addHandler(unhandled_errors)
        redaction.attach(environment)
        raise_open_file_limit()
        forget_spawning_stacks()
        # The event loop still reckons from before all imports, and Locust's timer for -t would ring early by as much.
        get_hub().loop.update_now()
        if runner is None:
            self._start_single_user(environment)
            return
        count_users_that_end(environment)
        outlast_listeners_that_exit(environment)
        if self._parent is not None and os.getpid() == self._process:
            end_with_parent(self._parent, self._on_parent_gone)
        if not isinstance(runner, WorkerRunner):
            self._start_coordinator(environment, runner)
        if not isinstance(runner, MasterRunner):
            self._start_worker(environment, runner)
        # Locust goes through these from the last to the first: users drain before a worker signs off.
        environment.events.quitting.add_listener(self._on_quitting)
        if self._exit_handler is not None:
            self._exit_handler.attach()
        else:
            handle_signals(lambda name: True)

    def on_exit_of_init(self) -> int:
        """A listener of `init` ends this process with 0; what it is to end with, where it was to run a test."""
        if not self._is_test_due or os.getpid() != self._process or self._reports():
            return 0
        why = "a listener of init has called sys.exit() before the test began: nothing was measured"
        reason = Reason("internal", "listener", why)
        logger.error("%s", why)
        if self._exit_handler is not None:
            self._exit_handler.leave(reason, ExitCode.INTERNAL)
        self._report_without_test([reason], ExitCode.INTERNAL)
        return int(ExitCode.INTERNAL)

    def _start_worker(self, environment: Any, runner: Any) -> None:
        assert self._options is not None
        self._worker = WorkerSide(environment, self.scenario, self._options.settings, self.handle.bind, self._token)
        self._worker.attach(runner)
        if not self.scenario.is_locustfile:
            tune_gc()

    def _start_single_user(self, environment: Any) -> None:
        assert self._options is not None
        options, runner = self._options, SingleUserRunner()
        self._start_worker(environment, runner)
        assert self._worker is not None
        worker = self._worker
        atexit.register(self._mode.close)

        def begin(**_: Any) -> None:
            try:
                self._mode.attach_single(environment, options)
                prepare_single_user(worker, runner, environment, self.scenario, options)
            except ConfigurationError as error:
                self.refuse(error.problems)
            except SetupError as error:
                sys.stderr.write(f"{self.scenario.name}: the set-up failed: {error}\n")
                sys.exit(int(ExitCode.SETUP))

        environment.events.test_start._handlers.insert(0, _or_exit(begin))

    def _start_coordinator(self, environment: Any, runner: Any) -> None:
        assert self._options is not None
        self._coordinator = coordinator = Coordinator(
            environment,
            self.scenario,
            self._options,
            self._command,
            self._on_begin,
            self._on_report,
            self._token,
            self._endpoint(),
            self._on_progress if self._options.summary_json or self._options.reports else None,
        )
        self._exit_handler = ExitHandler(environment, coordinator, self._report_without_test, self._csv_files)
        self._exit_handler.keep_listening()
        self._exit_handler.let_tasks_quit()
        # First of all: what the locustfile's own listeners do when the test begins is part of it.
        environment.events.test_start._handlers.insert(0, lambda **_: coordinator.begin())
        try:
            self._mode.attach(environment, runner, coordinator, self._options, self._choose)
        except ConfigurationError as error:
            self.refuse(error.problems)
        except SetupError as error:
            self._report_without_test([Reason("setup", "sandbox", str(error))], ExitCode.SETUP)
            sys.stderr.write(f"{self.scenario.name}: {error}\n")
            sys.exit(int(ExitCode.SETUP))
        if environment.web_ui is not None:
            check_form(environment, functools.partial(self._check_form, coordinator, self._options), coordinator.edit)
            redaction.attach_to_page(environment)
            LivePage(self.scenario, coordinator).attach(environment)
            if not self.scenario.is_locustfile:
                show_one_profile(environment)
            web_access(environment.parsed_options, self._options.settings["WEB_ALLOWED_HOSTS"]).guard(
                environment.web_ui.app
            )

    def _check_form(self, coordinator: Coordinator, options: RunOptions, wanted: Any) -> None:
        if coordinator.running is not None and coordinator.running.finishing:
            # Locust's page offers a new one as soon as the users are gone; it would be judged by nobody.
            raise ValueError("the test before is still being judged: start this one when its verdict is there")
        self._mode.choose(wanted, options, 0)

    def _endpoint(self) -> MetricsEndpoint | None:
        assert self._options is not None
        try:
            return open_endpoint(self._options)
        except ConfigurationError as error:
            self.refuse(error.problems)

    @property
    def _command(self) -> str:
        secrets = [
            setting.name for setting in (*self.scenario.settings, *TARGET_SETTINGS, *OUTPUT_SETTINGS) if setting.secret
        ]
        return redact.command_line(sys.argv, self._environ, secrets)

    # What the rest of the process asks for

    @property
    def sandbox_url(self) -> str | None:
        """Where the embedded sandbox listens, if there is one."""
        return self._mode.sandbox.url if self._mode.sandbox is not None else None

    @property
    def sandbox_pid(self) -> int | None:
        """The embedded sandbox's process, if there is one."""
        return self._mode.sandbox.pid if self._mode.sandbox is not None else None

    def wait_for_context(self, timeout_s: float) -> WorkerContext | None:
        """The context that the actors of this process share in the running test; None when there is none in time."""
        return self._worker.wait_for_context(timeout_s) if self._worker is not None else None

    def _choose(self) -> RunOptions:
        assert self._options is not None
        try:
            return self._mode.choose(self._environment, self._options, len(self._reports()))
        except ValueError as error:
            problems = str(error).split("\n")
            for problem in problems:
                logger.error("This test cannot run: %s", redact.text(problem))
            self._report_without_test([Reason("config", "form", text) for text in problems], ExitCode.CONFIG)
            raise ConfigurationError(problems) from None

    # The end

    def _on_parent_gone(self) -> None:
        if self._coordinator is not None and (run := self._coordinator.running) is not None:
            run.notes.append("the process that has started this run was gone before its end")

    def _reports(self) -> list[Report]:
        return self._coordinator.reports if self._coordinator is not None else self._early_reports

    def _on_quitting(self, environment: Any, **_: Any) -> None:
        if self._coordinator is not None:
            self._mode.end(self._coordinator)
        elif self._worker is not None:
            self._worker.drain_before_quitting()
        self._mode.close()

    def _report_without_test(self, reasons: Sequence[Reason], code: ExitCode) -> None:
        self._reports().append(report := self._empty_report(reasons, code))
        self._reports()[-1] = self._on_report(report)

    def _on_begin(self, placeholder: Report) -> None:
        assert self._options is not None
        if path := self._options.summary_json:
            # Should this fail, so does the writing at the end, and the run with it.
            summary.write_placeholder(placeholder, summary.numbered(path, len(self._reports()) + 1))
        self._write_junit(placeholder, len(self._reports()) + 1)
        self._write_reports(placeholder, len(self._reports()) + 1)

    def _on_progress(self, report: Report) -> None:
        """Write what is known of the test that runs. It is no matter if that fails: so will the end, and say so."""
        assert self._options is not None
        number = len(self._reports()) + 1
        if path := self._options.summary_json:
            summary.write_placeholder(report, summary.numbered(path, number))
        self._write_reports(report, number)

    def _write_reports(self, report: Report, number: int = 1) -> list[str]:
        """Write the reports for people of test `number` of this process; what went wrong, a sentence each."""
        assert self._options is not None
        if not self._options.reports:
            return []
        return report_files.write(summary.to_dict(report), self._options.reports, self._baseline, number)

    def _write_junit(self, report: Report, number: int = 1) -> list[str]:
        """Write the JUnit files of test `number` of this process; what went wrong, a sentence each."""
        assert self._options is not None
        targets = [target.numbered(number) for target in self._options.outputs if target.kind == "junit"]
        return [problem for target in targets if (problem := junit.write(report, target.where)) is not None]

    def _on_report(self, report: Report) -> Report:
        assert self._options is not None
        path = self._options.summary_json
        if path and (problem := console.write(report, path, len(self._reports()) or 1)):
            report = unwritten(report, "summary", problem)
        for problem in self._write_junit(report, len(self._reports()) or 1):
            sys.stderr.write(f"{problem}\n")
            report = unwritten(report, "--out junit", problem)
        for problem in self._write_reports(report, len(self._reports()) or 1):
            sys.stderr.write(f"{problem}\n")
            report = unwritten(report, "--report", problem)
        if self._environment is not None and self._environment.web_ui is not None:
            console.log(report)
            console.show(report, sys.stdout, self._options.summary_mode)
        return report

    def _empty_report(self, reasons: Sequence[Reason], code: ExitCode) -> Report:
        return empty_report(self.scenario, self._command, reasons, code)

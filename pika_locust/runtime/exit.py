"""Signals and the exit of the master (or local) process: a report and an exit code of ours, whichever way Locust ends.

`handle_signals` passes SIGINT, SIGTERM and SIGHUP on to Locust's main greenlet; `ExitHandler` sets the exit code.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from locust.runners import STATE_INIT
from locust.stats import CSV_STATS_INTERVAL_SEC

from pika_locust.errors import ExitCode
from pika_locust.judge import Reason
from pika_locust.outputs import console
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.csv_files import CsvFiles
from pika_locust.runtime.host_failures import host_failure
from pika_locust.runtime.run import failed_by_others, unwritten
from pika_locust.runtime.streams import LAST_PATIENCE_S, be_patient, dropped_bytes

logger = logging.getLogger(__name__)

UNCAUGHT = 1
"""What Python ends with after an exception that nobody caught."""

TABLES_LOGGER = "locust.stats_logger"
"""What Locust prints its tables with."""


def handle_signals(heard: Callable[[str], bool]) -> None:
    """Have `heard` called with the name of a signal that asks this process to end; it says whether Locust is to know.

    SIGINT then goes on to Locust as the KeyboardInterrupt it waits for. So does SIGHUP, which would end the process on
    the spot, and SIGTERM until Locust listens to it: not while it starts, and not while a shape drives a headless run.
    """
    handled = [signal.SIGINT, signal.SIGTERM]
    # `nohup` has it ignored, and means it.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    of_locust: set[int] = set()
    for number in handled:
        gevent.signal_handler(number, _on_signal, heard, number, of_locust)
    listen = gevent.signal_handler

    def noting(number: int, handler: Any, *arguments: Any, **named: Any) -> Any:
        if getattr(handler, "__module__", "") == "locust.main":
            of_locust.add(number)
        return listen(number, handler, *arguments, **named)

    gevent.signal_handler = noting


def _on_signal(heard: Callable[[str], bool], number: signal.Signals, of_locust: set[int]) -> None:
    # From here, a greenlet of its own, it reaches Locust's main greenlet, and never a callback of the hub: an
    # interrupted callback would lose what it had read. Raised instead, gevent would print its traceback first.
    if heard(number.name) and number not in of_locust:
        gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())


class ExitHandler:
    """Ends one process, the master or that of a local run, with a report, its exit code and the printed verdict."""

    def __init__(
        self,
        environment: Any,
        coordinator: Coordinator,
        report_without_test: Callable[[Sequence[Reason], ExitCode], None],
        csv_files: CsvFiles,
    ) -> None:
        """`report_without_test` makes the report of a run whose test never began; `csv_files` are looked at last."""
        self._environment = environment
        self._runner = environment.runner
        self._coordinator = coordinator
        self._report_without_test = report_without_test
        self._csv_files = csv_files
        self._judged = False
        self._gone = False
        self._settled_code: int | None = None
        """What this has set the exit code to: any other is somebody else's."""

    def keep_listening(self) -> None:
        """Keep the master receiving messages as long as it needs them. While it waits for workers: when its last worker
        leaves before the test, Locust's master stops to receive, and yet goes on to wait for others. And at its end:
        until the workers have told what their last listeners did."""
        if not self._is_master:
            return
        quit_for_good = self._runner.quit

        def quit_in_time() -> None:
            if self._environment.web_ui is None and self._waits_for_workers():
                return
            if self._coordinator.dismiss_workers():
                quit_for_good()

        self._runner.quit = quit_in_time

    def let_tasks_quit(self) -> None:
        """Have the runner stopped and quit in a greenlet of its own when a user's task asks for it.

        Locust would do it in the user's own greenlet, which it ends at its next wait: in the middle of the ending, so
        that nobody would ever judge the test.
        """
        runner = self._runner
        users = runner.user_greenlets

        def apart(ask: Callable[[], None]) -> Callable[[], None]:
            def from_anywhere() -> None:
                if gevent.getcurrent() not in users:
                    ask()
                    return
                # While it waits, this user is stopped like all others.
                gevent.spawn(ask).join()

            return from_anywhere

        if not self._is_master:
            runner.stop, runner.quit = apart(runner.stop), apart(runner.quit)

    def attach(self) -> None:
        """Listen to signals and to Locust. Called last: the exit code is settled after all others have said theirs."""
        environment, options = self._environment, self._environment.parsed_options
        handle_signals(self.on_signal)
        # Locust goes through these from the last to the first.
        environment.events.quitting._handlers.insert(0, self._set_exit_code)
        environment.events.quit.add_listener(self._on_quit)
        atexit.register(self.at_exit)
        if self._is_master and (options.headless or options.autostart) and options.expect_workers_max_wait:
            # Locust would give up by ending the process, with nothing said: we do it in its place.
            gevent.spawn(self._wait_for_workers, options.expect_workers_max_wait)
            options.expect_workers_max_wait = 0

    @property
    def _is_master(self) -> bool:
        return hasattr(self._runner, "clients")

    @property
    def _expected(self) -> int:
        return int(self._environment.parsed_options.expect_workers)

    def on_signal(self, name: str) -> bool:
        """Whether Locust is to be interrupted: not while it has nothing but its own things to put away."""
        if self._has_reported:
            return False
        if not self._coordinator.on_signal(name):
            return False
        if self._environment.web_ui is None and not self._began:
            # Interrupted here, Locust would leave without a word, and its workers would stay.
            there = f": {self._workers_there()}" if self._is_master else ""
            text = f"stopped by {name} before the test began{there}"
            self.leave(Reason("stopped", name, text), ExitCode.STOPPED)
        return True

    @property
    def _has_reported(self) -> bool:
        judged = self._judged or (self._environment.web_ui is None and bool(self._coordinator.reports))
        return judged and not self._gone

    @property
    def _began(self) -> bool:
        runner, coordinator = self._runner, self._coordinator
        # Locust's master changes its state when all listeners of `test_start` have returned, which may take long.
        is_on = runner.state != STATE_INIT or runner.shape_greenlet is not None or coordinator.running is not None
        return is_on or bool(coordinator.reports)

    def _waits_for_workers(self) -> bool:
        return self._is_master and not self._began

    def _workers_there(self) -> str:
        return f"{len(self._runner.clients.ready)} of {self._expected} workers were there"

    def _wait_for_workers(self, most_s: float) -> None:
        gevent.sleep(most_s)
        if self._waits_for_workers() and len(self._runner.clients.ready) < self._expected:
            text = f"{self._workers_there()} after {most_s:g} s (--expect-workers, --expect-workers-max-wait)"
            self.leave(Reason("setup", "workers", text), ExitCode.SETUP)

    def leave(self, reason: Reason, code: ExitCode) -> None:
        """End this process before a test, as Locust does it where it gets that far."""
        self._report_without_test([reason], code)
        events = self._environment.events
        events.quitting.fire(environment=self._environment, reverse=True)
        events.quit.fire(exit_code=self._environment.process_exit_code)
        sys.exit(self._environment.process_exit_code)

    def _set_exit_code(self, environment: Any, **_: Any) -> None:
        reports = self._coordinator.reports
        if not reports and environment.web_ui is None:
            why = "Locust ended before the test had begun; its log says why"
            self._report_without_test([Reason("internal", "locust", why)], ExitCode.INTERNAL)
        self._judged = True
        for stream in (sys.stdout, sys.stderr):
            be_patient(stream, LAST_PATIENCE_S)
        if environment.parsed_options.csv_prefix:
            # Locust writes its files every second, and closes them without the last one.
            gevent.sleep(CSV_STATS_INTERVAL_SEC + 0.1)
            self._check_csv_files()
        if environment.process_exit_code == self._settled_code:
            # A second signal has Locust end once more.
            environment.process_exit_code = None
        failure = host_failure(environment)
        if failure is not None and reports:
            code, why = failure.code, failure.why
            self._coordinator.amend(lambda report: failed_by_others(report, code, why))
        ours = reports[-1].exit_code if reports else int(ExitCode.PASS)
        environment.process_exit_code = self._settled_code = ours or (failure.code if failure is not None else 0)
        if not self._prints_tables:
            logging.getLogger(TABLES_LOGGER).disabled = True

    def at_exit(self) -> None:
        """Where Locust ended by an exception of its own (`--html` or `--json-file` on a full disk), it told nobody: a
        summary must not say that such a run passed."""
        if not self._gone and self._coordinator.reports:
            why = "Locust ended by an exception after the test, before all results were written; its traceback says why"
            self._coordinator.amend(lambda report: failed_by_others(report, UNCAUGHT, why))

    def _check_csv_files(self) -> None:
        problem = self._csv_files.flush()
        if problem is None:
            return
        logger.error("%s", problem)
        if self._coordinator.reports:
            self._coordinator.amend(lambda report: unwritten(report, "--csv", problem))
        elif not self._environment.process_exit_code:
            self._environment.process_exit_code = int(ExitCode.INTERNAL)

    @property
    def _prints_tables(self) -> bool:
        """Whether Locust prints its own tables on its way out: always where the users are a locustfile's own, which has
        no such option; and whoever wants them while the test runs wants them at its end."""
        options = self._environment.parsed_options
        return getattr(options, "locust_tables", True) or bool(options.print_stats)

    def _on_quit(self, exit_code: int, **_: Any) -> None:
        self._gone = True
        # The verdict is what should stand last. With the web page it has been shown when its test ended.
        shown = self._environment.web_ui is not None and not self._prints_tables
        if shown or not self._coordinator.reports:
            return
        # With --json, standard output is Locust's JSON and nothing else.
        options = self._environment.parsed_options
        stream = sys.stderr if options.json else sys.stdout
        dropped = dropped_bytes(stream)
        try:
            console.show(self._coordinator.reports[-1], stream, options.summary_mode)
        except OSError as problem:
            # Python would try once more at its end, and make its own exit code of the failure.
            logger.error("The verdict could not be printed: %s", problem.strerror)
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if dropped_bytes(stream) > dropped:
            logger.error("The verdict could not be printed in full: nobody reads it")

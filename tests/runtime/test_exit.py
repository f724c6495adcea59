from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gevent
import locust.stats
import pytest
from locust.event import EventHook

from pika_locust.clock import monotonic
from pika_locust.errors import ExitCode
from pika_locust.judge import Reason, Report
from pika_locust.runtime import exit as module
from pika_locust.runtime.exit import ExitHandler
from pika_locust.runtime.run import empty_report
from tests.runtime.sample_scenario import SAMPLE_SCENARIO

FULL_DISK = """
import logging, sys
from types import SimpleNamespace
from pika_locust.runtime import exit as exit_module
logging.basicConfig()
def show(report, stream, mode):
    sys.stdout.write("FAIL" * 1000)
    sys.stdout.flush()
exit_module.console.show = show
options = SimpleNamespace(json=False, summary_mode="compact", print_stats=False)
environment = SimpleNamespace(runner=None, web_ui=None, parsed_options=options)
coordinator = SimpleNamespace(reports=[None])
exit_module.ExitHandler(environment, coordinator, None, None)._on_quit(99)
sys.exit(99)
"""


class MasterProcess:
    """A process that leads tests, a master unless it is said otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, web: bool = False, master: bool = True) -> None:
        monkeypatch.setattr(module, "handle_signals", lambda heard: None)
        monkeypatch.setattr(module.console, "show", self._show)
        self.shown: list[tuple[int, Any]] = []
        self.told: list[Reason] = []
        self.heard: list[str] = []
        self.coordinator: Any = SimpleNamespace(
            reports=[], running=None, on_signal=self._hear, amend=self._amend, dismiss_workers=lambda: True
        )
        self.signals: list[str] = []
        self.csv_files: Any = SimpleNamespace(flush=lambda: self.csv_problem)
        self.csv_problem: str | None = None
        self.locust_is_to_know = True
        self.written: list[Any] = []
        self.runner: Any = SimpleNamespace(
            state="ready", shape_greenlet=None, quit=lambda: self.heard.append("the runner quits")
        )
        if master:
            self.runner.clients = SimpleNamespace(ready=["w0"])
        self.environment: Any = SimpleNamespace(
            runner=self.runner,
            web_ui=object() if web else None,
            shape_class=object(),
            process_exit_code=None,
            events=SimpleNamespace(quitting=EventHook(), quit=EventHook()),
            parsed_options=SimpleNamespace(
                headless=not web,
                autostart=False,
                expect_workers=2,
                expect_workers_max_wait=0,
                json=False,
                summary_mode="compact",
                print_stats=False,
                locust_tables=False,
                csv_prefix=None,
            ),
        )
        self.environment.events.quitting.add_listener(lambda **_: self.heard.append("quitting"))

    def attach(self) -> ExitHandler:
        handler = ExitHandler(self.environment, self.coordinator, self._tell, self.csv_files)
        handler.attach()
        return handler

    def _hear(self, name: str) -> bool:
        self.signals.append(name)
        return self.locust_is_to_know

    def _show(self, report: Any, stream: Any, mode: str) -> None:
        self.shown.append((report.exit_code, stream))

    def _tell(self, reasons: Sequence[Reason], code: ExitCode) -> None:
        self.told += reasons
        self.judge(int(code))

    def judge(self, exit_code: int) -> None:
        code = ExitCode(exit_code)
        self.coordinator.reports.append(replace(empty_report(SAMPLE_SCENARIO, "", (), code), verdict="pass"))

    def _amend(self, change: Callable[[Report], Report]) -> None:
        self.coordinator.reports[-1] = report = change(self.coordinator.reports[-1])
        self.written.append(report)

    def begin(self) -> None:
        self.runner.shape_greenlet = object()

    def quitting(self) -> int | None:
        self.environment.events.quitting.fire(environment=self.environment, reverse=True)
        return self.environment.process_exit_code  # type: ignore[no-any-return]


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> MasterProcess:
    return MasterProcess(monkeypatch)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_who_stops_a_master_that_waits_for_workers_gets_a_report_and_the_workers_hear_of_it(
    name: str, process: MasterProcess
) -> None:
    handler = process.attach()
    with pytest.raises(SystemExit) as left:
        handler.on_signal(name)
    assert left.value.code == 105
    assert process.told == [
        Reason("stopped", name, f"stopped by {name} before the test began: 1 of 2 workers were there")
    ]
    assert process.heard == ["quitting"]
    assert process.shown == [(105, sys.stdout)]


def test_workers_that_never_come_end_the_run_with_a_report(process: MasterProcess) -> None:
    options = process.environment.parsed_options
    options.expect_workers_max_wait = 0.02
    process.attach()
    # Locust itself would end the process without one.
    assert options.expect_workers_max_wait == 0
    with pytest.raises(SystemExit) as left:
        gevent.sleep(1)
    assert left.value.code == 100
    assert [(reason.code, reason.subject) for reason in process.told] == [("setup", "workers")]
    assert "1 of 2 workers were there after 0.02 s" in process.told[0].text


@pytest.mark.parametrize("began", [True, False], ids=["the test has begun", "the last one has just come"])
def test_workers_that_came_in_time_end_nothing(began: bool, process: MasterProcess) -> None:
    process.environment.parsed_options.expect_workers_max_wait = 0.02
    process.attach()
    if began:
        process.begin()
    else:
        process.runner.clients.ready.append("w1")
    gevent.sleep(0.1)
    assert process.told == []


def test_a_master_that_loses_its_last_worker_before_the_test_goes_on_to_listen(
    process: MasterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.attach().keep_listening()
    process.runner.quit()
    assert process.heard == []
    process.begin()
    process.runner.quit()
    assert process.heard == ["the runner quits"]
    web = MasterProcess(monkeypatch, web=True)
    web.attach().keep_listening()
    web.runner.quit()
    assert web.heard == ["the runner quits"]


def test_the_end_of_the_run_time_is_heard_while_listeners_still_prepare_the_test(process: MasterProcess) -> None:
    """Locust's master is not running before they have returned, and its timer rings once."""
    process.attach().keep_listening()
    process.coordinator.running = object()
    process.runner.quit()
    assert process.heard == ["the runner quits"]


def test_a_master_lets_its_workers_go_first_and_once(process: MasterProcess) -> None:
    answers = [True, False]
    process.coordinator.dismiss_workers = lambda: process.heard.append("workers leave") or answers.pop(0)
    process.begin()
    process.attach().keep_listening()
    process.runner.quit()
    process.runner.quit()
    assert process.heard == ["workers leave", "the runner quits", "workers leave"]


def test_a_signal_during_a_test_goes_on_to_locust(process: MasterProcess) -> None:
    handler = process.attach()
    process.begin()
    assert handler.on_signal("SIGTERM") is True
    assert process.signals == ["SIGTERM"]
    assert process.told == []


def test_a_signal_that_ends_the_audits_goes_no_further(process: MasterProcess) -> None:
    handler = process.attach()
    process.begin()
    process.locust_is_to_know = False
    assert handler.on_signal("SIGINT") is False
    assert process.signals == ["SIGINT"]


def test_who_stops_a_local_run_before_the_test_gets_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    process = MasterProcess(monkeypatch, master=False)
    with pytest.raises(SystemExit) as left:
        process.attach().on_signal("SIGTERM")
    assert left.value.code == 105
    assert process.told == [Reason("stopped", "SIGTERM", "stopped by SIGTERM before the test began")]


def test_a_signal_before_the_test_goes_on_to_locust_where_a_web_page_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MasterProcess(monkeypatch, web=True).attach().on_signal("SIGINT") is True


def test_between_the_verdict_and_the_end_signals_change_nothing(process: MasterProcess) -> None:
    handler = process.attach()
    process.begin()
    process.judge(99)
    assert handler.on_signal("SIGINT") is False
    assert process.quitting() == 99
    assert handler.on_signal("SIGINT") is False
    process.environment.events.quit.fire(exit_code=99)
    # Should workers that do not end hold it up, the process can be interrupted.
    assert handler.on_signal("SIGINT") is True


def test_after_a_test_the_web_page_is_ended_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    process = MasterProcess(monkeypatch, web=True)
    handler = process.attach()
    process.judge(0)
    assert handler.on_signal("SIGINT") is True
    process.quitting()
    assert handler.on_signal("SIGINT") is False


@pytest.mark.parametrize(
    ("ours", "theirs", "code", "reasons"),
    [(0, 3, 3, 1), (99, 3, 99, 1), (0, None, 0, 0), (0, 0, 0, 0)],
    ids=["others' counts, too", "ours first", "neither fails", "others pass"],
)
def test_the_exit_code_is_that_of_the_last_test_and_of_who_else_judges(
    ours: int, theirs: int | None, code: int, reasons: int, process: MasterProcess
) -> None:
    process.attach()
    process.judge(107)
    process.judge(ours)
    process.environment.process_exit_code = theirs
    assert process.quitting() == code
    report = process.coordinator.reports[-1]
    assert report.exit_code == code
    assert [reason.code for reason in report.reasons] == ["exit_code"] * reasons
    assert len(process.written) == reasons


@pytest.mark.parametrize("code", [0, 99, 105])
def test_an_end_that_comes_twice_blames_nobody_for_our_own_exit_code(code: int, process: MasterProcess) -> None:
    """As Locust's does, where SIGTERM comes after SIGINT."""
    process.attach()
    process.judge(code)
    assert (process.quitting(), process.quitting()) == (code, code)
    assert process.written == []


def test_an_exception_that_nobody_handled_is_no_pass(process: MasterProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locust.log.unhandled_greenlet_exception", True)
    process.attach()
    process.judge(0)
    assert process.quitting() == 2
    (report,) = process.written
    assert (report.verdict, report.exit_code) == ("fail", 2)
    assert "handled by nobody" in report.reasons[0].text


def test_an_end_without_any_test_is_an_internal_error(process: MasterProcess) -> None:
    process.attach()
    assert process.quitting() == 107
    assert [(reason.code, reason.subject) for reason in process.told] == [("internal", "locust")]


def test_a_web_page_that_nobody_used_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    process = MasterProcess(monkeypatch, web=True)
    process.attach()
    assert process.quitting() == 0
    assert process.told == []
    process.environment.events.quit.fire(exit_code=0)
    assert process.shown == []


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ({"locust_tables": False}, False),
        ({"locust_tables": True}, True),
        ({"locust_tables": False, "print_stats": True}, True),
        ({}, True),
    ],
    ids=["a scenario", "--locust-tables", "--print-stats", "a locustfile's own users"],
)
@pytest.mark.parametrize("web", [False, True], ids=["headless", "web page"])
def test_the_verdict_stands_after_locust_s_tables_and_those_are_printed_for_who_wants_them(
    web: bool, options: dict[str, bool], printed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = logging.getLogger(module.TABLES_LOGGER)
    monkeypatch.setattr(tables, "disabled", False)
    process = MasterProcess(monkeypatch, web=web)
    del process.environment.parsed_options.locust_tables
    vars(process.environment.parsed_options).update(options)
    process.attach()
    process.judge(0)
    process.quitting()
    assert tables.disabled is not printed
    process.environment.events.quit.fire(exit_code=0)
    # With the web page it was shown when the test ended, and is again if tables came after it.
    assert len(process.shown) == (1 if printed or not web else 0)


def test_locust_prints_its_tables_with_the_logger_that_is_silenced() -> None:
    assert locust.stats.console_logger.name == module.TABLES_LOGGER


def test_with_json_the_verdict_keeps_out_of_standard_output(process: MasterProcess) -> None:
    process.environment.parsed_options.json = True
    process.attach()
    process.judge(99)
    process.environment.events.quit.fire(exit_code=99)
    assert process.shown == [(99, sys.stderr)]


@pytest.mark.parametrize(("prefix", "wait_s"), [("results", 1.1), (None, 0.0)], ids=["with --csv", "without"])
@pytest.mark.usefixtures("virtual_time")
def test_locusts_csv_files_get_their_last_second(prefix: str | None, wait_s: float, process: MasterProcess) -> None:
    process.environment.parsed_options.csv_prefix = prefix
    process.attach()
    process.judge(0)
    began_s = monotonic()
    process.quitting()
    assert monotonic() - began_s == pytest.approx(wait_s)


@pytest.mark.usefixtures("virtual_time")
def test_csv_files_that_could_not_be_written_are_no_pass(process: MasterProcess) -> None:
    process.environment.parsed_options.csv_prefix = "results"
    process.csv_problem = "Locust's file 'results_stats.csv' (--csv) could not be written: No space left on device."
    process.attach()
    process.judge(0)
    assert process.quitting() == 107
    (report,) = process.written
    assert (report.verdict, report.exit_code) == ("invalid", 107)
    assert report.reasons == (Reason("internal", "--csv", process.csv_problem),)


@pytest.mark.parametrize("judged", [True, False], ids=["in its usual way", "by an exception of its own"])
def test_a_run_that_locust_ended_by_an_exception_is_no_pass(judged: bool, process: MasterProcess) -> None:
    handler = process.attach()
    process.judge(0)
    process.quitting()
    if judged:
        process.environment.events.quit.fire(exit_code=0)
    handler.at_exit()
    (report,) = process.coordinator.reports
    assert (report.verdict, report.exit_code) == (("pass", 0) if judged else ("fail", 1))
    assert [reason.code for reason in report.reasons] == ([] if judged else ["exit_code"])


def test_a_verdict_that_cannot_be_printed_leaves_the_exit_code_alone() -> None:
    # With a disk that is full behind standard output, Python's own end would fail, too, and make 120 of it.
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-c", FULL_DISK], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 99, ended.stderr
    assert "could not be printed: No space left on device" in ended.stderr

"""`pika-locust suite`: all scenarios of a platform, one Locust run after the other, and what they came to."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pika_locust.catalogue import platforms_with_scenarios, scenarios_of
from pika_locust.cli.arguments import locusts_own, seconds, split_words
from pika_locust.cli.child_run import ChildRun, new_folder, overwritten, run_locust, strongest_names, told_to_stop
from pika_locust.cli.inspect import locustfile, options_parser
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.format import clock
from pika_locust.load.durations import format_duration
from pika_locust.observe.target import look, problem_of
from pika_locust.outputs import redact, report_files
from pika_locust.outputs.recorded import closest, failed, judged_in
from pika_locust.outputs.suite_findings import readiness
from pika_locust.outputs.suite_report import REPORT, suite_document
from pika_locust.outputs.suite_results import MANIFEST, Ending, Kind, SuiteEntry, SuiteResults, state_of, to_json
from pika_locust.outputs.summary import unwritable, write_bytes
from pika_locust.outputs.table import Column, Medium, Span, Tone, heading, paint, table
from pika_locust.runtime.options import LOAD_SETTINGS, RunOptions, parse_all, read_options
from pika_locust.runtime.target_settings import reach
from pika_locust.scenario import Scenario
from pika_locust.settings import environment_of, read_settings

_EPILOG = """\
examples:
  pika-locust suite --platform verity --quick                 minutes, against the built-in sandbox
  API_URL=https://staging.example/api pika-locust suite       what is not named is tested on the sandbox
  pika-locust suite --platform greeter --only connections,calls --skip-baseline --fail-fast
  pika-locust suite --platform verity --quick --sandbox-fault lose-write=0.05       and see it fail
  pika-locust suite --platform pixelated -- --processes 2 --seed 7                  after -- Locust's own options

First the health page of every target that is named. Then a baseline of each scenario, a minute with as few users as it
can have, which is for comparison and decides nothing. Then all scenarios in order, each a run of its own, with pauses.
.env.load-tests of this folder is read, as in any run. --quick: each scenario's own short load, baselines of 10 s.

results/run_<time>/ gets of each run the summary (.json), its output (.log) and Locust's report (.html), and of them all
suite.json, LOAD_TEST_REPORT.html and LOAD_TEST_REPORT.md; --report writes the same elsewhere. They are written after
each run, so that a suite that is stopped or killed leaves what is known.

exit codes: 0 every scenario passed; 99 one did not: it failed, crashed, was not judged or did not run (the table says
with what it ended); 100 a target is not there; 104 bad settings, before the first run; 105 stopped; 107 every scenario
passed, and the report cannot be written
"""
DEFAULT_PLATFORM = "wwmaa"
HEALTH_WITHIN_S = 10.0
logger = logging.getLogger(__name__)
_POLL_S = 0.1
_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "crash": "bad", "invalid": "doubt", "stopped": "doubt"}


@dataclass(frozen=True, slots=True)
class Step:
    """One run that is due. `settings` go to its environment by the names that win over all others."""

    scenario: Scenario
    kind: Kind
    words: Sequence[str]
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its files, without the ending, below the suite's folder."""
        return f"baseline/{self.scenario.name}" if self.kind == "baseline" else self.scenario.name

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, **strongest_names(self.scenario, self.settings)}


def run(argv: Sequence[str]) -> int:
    """Run the suite; returns the exit code.

    Arguments:
        argv: what follows `pika-locust suite` on the command line; what follows `--` is Locust's, in every run.

    Raises ConfigurationError with every mistake, before the first run.
    """
    own, locusts = split_words(argv)
    given = _parser().parse_args(own)
    if files := overwritten(locusts):
        raise ConfigurationError(f"{one} behind --: each run would overwrite it; see --output-dir" for one in files)
    scenarios, left_out = _chosen(given)
    steps = [*_baselines(given, scenarios, locusts), *(_load_step(given, one, locusts) for one in scenarios)]
    options = _read_all(steps)
    folder = new_folder(Path(given.output_dir))
    medium = Medium(sys.stdout.isatty(), shutil.get_terminal_size().columns)
    _say(f"suite of {given.platform}: {', '.join(one.name for one in scenarios)}{' (quick)' if given.quick else ''}")
    _say(f"  results  {folder}")
    problems = tuple(_health_problems(zip(steps, options, strict=True)))
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    results = SuiteResults(folder.name, given.platform, given.quick, began, "unfinished", left_out=tuple(left_out))
    reports = [*(str(folder / f"{REPORT}{kind}") for kind in (".html", ".md")), *given.report]
    if problems:
        sys.stderr.writelines(f"pika-locust suite: {redact.text(problem)}\n" for problem in problems)
        _write(replace(results, ending="setup", entries=_not_run(steps), problems=problems), folder, reports)
        return int(ExitCode.SETUP)
    with told_to_stop() as stopped, tempfile.TemporaryDirectory(prefix="pika-locust-suite-") as made:
        results, written = _run_all(results, steps, folder, Path(made), given, reports, stopped)
    _say()
    print(paint(_table(results), medium), end="")
    if written:
        _say(f"\n{readiness(results).word}; the report is in {' and '.join(reports)}")
    if results.ending == "stopped":
        return int(ExitCode.STOPPED)
    if not results.passed:
        return int(ExitCode.FAILED)
    return int(ExitCode.PASS if written else ExitCode.INTERNAL)


def _run_all(
    results: SuiteResults,
    steps: Sequence[Step],
    folder: Path,
    made: Path,
    given: argparse.Namespace,
    reports: Sequence[str],
    stopped: Callable[[], bool],
) -> tuple[SuiteResults, bool]:
    """Run what is due; what is known is written after each run, so that a killed suite leaves it. Returns the results,
    and whether all of them could be written at last."""
    done: list[SuiteEntry] = []

    def so_far(ending: Ending) -> tuple[SuiteResults, bool]:
        found = replace(results, ending=ending, entries=(*done, *_not_run(steps[len(done) :])))
        return found, _write(found, folder, reports)

    so_far("unfinished")
    for step in steps:
        if done and step.kind == "load":
            _pause(given.pause, stopped)
        if stopped():
            return so_far("stopped")
        _say(f"  {step.name:<24} ", end="")
        entry = _run_step(step, folder, made, stopped)
        _say(f"{_word(entry):<8} {clock(entry.seconds):>6}  {_why(entry)}")
        done.append(entry)
        if given.fail_fast and step.kind == "load" and not entry.passed and not stopped():
            return so_far("fail_fast")
        so_far("unfinished")
    return so_far("stopped" if stopped() else "complete")


def _not_run(steps: Sequence[Step]) -> tuple[SuiteEntry, ...]:
    return tuple(SuiteEntry(step.scenario.name, step.kind, "not_run") for step in steps)


def _write(results: SuiteResults, folder: Path, reports: Sequence[str]) -> bool:
    """Write the manifest and the reports; whether all of them could be."""
    manifest = f"{json.dumps(to_json(results), indent=2)}\n".encode()
    problems = [write_bytes(manifest, str(folder / MANIFEST), "The suite's results")]
    try:
        document = suite_document(results)
        problems += [report_files.write_document(document, path) for path in reports]
    except Exception as error:
        # An error of ours must not end the runs that are still to come.
        logger.exception("The report failed")
        problems.append(f"The report could not be made: {type(error).__name__}: {error}.")
    found = [problem for problem in problems if problem is not None]
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    return not found


def _run_step(step: Step, folder: Path, made: Path, stopped: Callable[[], bool]) -> SuiteEntry:
    results = folder / step.name
    results.parent.mkdir(parents=True, exist_ok=True)
    source = made / f"{step.scenario.name}_locustfile.py"
    source.write_text(locustfile(step.scenario))
    words = [*step.words, "--html", str(results.with_suffix(".html"))]
    run = run_locust(source, words, step.environ, results, stopped)
    return _entry(step, run)


def _entry(step: Step, run: ChildRun) -> SuiteEntry:
    """What a run came to. Without a summary that agrees with its exit code, it has crashed."""
    state = "stopped" if run.stopped else state_of(run.exit_code, run.summary)
    summary = None if run.problem else run.summary
    why = run.problem
    if summary is not None:
        judged = judged_in(summary)
        reasons = [(reason["code"], reason["text"]) for reason in summary["reasons"]]
        why = reasons[0][1] if reasons else closest(judged) if state == "pass" else f"it ended with {run.exit_code}"
        if reasons and reasons[0][0] == "threshold":
            why = failed(judged) or why
    # As the manifest has it, so that a report that is made again says the same.
    seconds = round(run.seconds, 1)
    return SuiteEntry(step.scenario.name, step.kind, state, run.exit_code, why, seconds, f"{step.name}.json", summary)


def _pause(seconds: float, stopped: Callable[[], bool]) -> None:
    """Let the target settle."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopped():
        time.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))


def _chosen(given: argparse.Namespace) -> tuple[list[Scenario], list[str]]:
    """The scenarios that are to run, in the platform's order, and the names of the others."""
    known = {one.name: one for one in scenarios_of(given.platform)}
    only = [name.strip() for part in given.only for name in part.split(",") if name.strip()]
    problems = []
    for name in only:
        if name not in known:
            others = [
                platform
                for platform in platforms_with_scenarios()
                if name in (one.name for one in scenarios_of(platform))
            ]
            hint = f"it belongs to {others[0]} (--platform)" if others else f"there are {', '.join(known)}"
            problems.append(f"--only: {given.platform} has no scenario {name!r}; {hint}")
    if given.only and not only:
        problems.append("--only names no scenario")
    if (why := unwritable(str(Path(given.output_dir) / MANIFEST))) is not None:
        problems.append(f"--output-dir {given.output_dir}: {why}")
    problems += report_files.problems(given.report)
    if problems:
        raise ConfigurationError(problems)
    given.baseline = given.baseline if given.baseline is not None else 10.0 if given.quick else 60.0
    given.pause = given.pause if given.pause is not None else 2.0 if given.quick else 30.0
    wanted = [one for one in known.values() if not only or one.name in only]
    return wanted, [name for name in known if name not in (one.name for one in wanted)]


def _load_step(given: argparse.Namespace, scenario: Scenario, locusts: Sequence[str]) -> Step:
    words, settings = [], {}
    if given.quick and scenario.quick is not None:
        has_stages = scenario.quick.stages and not _is_open(scenario)
        words = ["--stage", scenario.quick.stages] if has_stages else []
        settings = dict(scenario.quick.settings)
    elif given.quick:
        words = ["-t", "60s"]
    return Step(scenario, "load", [*words, *_faults(given), *locusts], settings)


def _baselines(given: argparse.Namespace, scenarios: Iterable[Scenario], locusts: Sequence[str]) -> Iterator[Step]:
    if given.skip_baseline or given.baseline == 0:
        return
    for scenario in scenarios:
        users = str(scenario.baseline_users)
        # In the open model, USE_SIMPLE takes the arrival rate away, and leaves the users.
        settings = {"USE_SIMPLE": "1"} if scenario.arrivals is not None else {}
        if given.quick and scenario.quick is not None:
            settings = {**scenario.quick.settings, **settings}
        words = ["-u", users, "-r", users, "-t", format_duration(given.baseline)]
        yield Step(scenario, "baseline", [*words, *_faults(given), *locusts], settings)


def _is_open(scenario: Scenario) -> bool:
    """Whether users' settings make the load a rate of arrivals. Mistakes in them are told when all runs are read."""
    if scenario.arrivals is None:
        return False
    environ = environment_of(os.environ, Path.cwd())
    settings, _ = read_settings((*LOAD_SETTINGS, *scenario.settings), environ, scenario.platform, scenario.name)
    return scenario.arrivals(settings) is not None


def _faults(given: argparse.Namespace) -> list[str]:
    return [word for fault in given.sandbox_fault for word in ("--sandbox-fault", fault)]


def _read_all(steps: Sequence[Step]) -> list[RunOptions]:
    """What each run would read of its words and the environment. Raises ConfigurationError with every mistake."""
    found, problems = [], []
    for step in steps:
        environ = environment_of(step.environ, Path.cwd())
        try:
            parser = options_parser(step.scenario, "suite")
            arguments, unknown, mistakes = parse_all(parser, [step.scenario.name, *step.words], environ)
            mistakes += locusts_own([word for word in unknown if word in step.words], parser)[1]
            found.append(read_options(step.scenario, arguments, environ, mistakes))
        except ConfigurationError as error:
            problems += [f"{step.name}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigurationError(problems)
    return found


def _health_problems(steps: Iterable[tuple[Step, RunOptions]]) -> Iterator[str]:
    """Asks the health page of every target that is named; yields what is wrong, a sentence for each that is not there.

    A page that is not there (4xx) is said and no obstacle: something answers, and not all servers have one.
    """
    asked = set()
    for step, options in steps:
        if options.target is None:
            continue
        for target in options.target.split(", "):
            url = f"{step.scenario.http_base(target)}/health"
            if url in asked:
                continue
            asked.add(url)
            reach([target], options.settings)
            answer = look(url, within_s=HEALTH_WITHIN_S)
            problem = problem_of(answer, HEALTH_WITHIN_S)
            if problem is not None or answer.status >= 500:
                yield f"{url} is not healthy: {problem or f'it answers {answer.status}'}"
            elif answer.status >= 300:
                _say(f"  health   {redact.text(url)} answers {answer.status}: there is a server, and no such page")
            else:
                _say(f"  health   {redact.text(url)} answers {answer.status}")


def _table(results: SuiteResults) -> Iterator[tuple[Span, ...]]:
    passed = sum(entry.passed for entry in results.loads)
    yield heading("Suite", f"{passed} of {len(results.loads)} scenarios passed")
    rows = [
        [
            Span(entry.scenario),
            Span(_word(entry), _TONES.get(entry.state, "dim")),
            Span("" if entry.exit_code is None else str(entry.exit_code)),
            Span(clock(entry.seconds) if entry.seconds else ""),
            Span(_why(entry)),
        ]
        for entry in results.loads
    ]
    columns = [Column("scenario"), Column("result"), Column("exit", right=True), Column("time", right=True), Column("")]
    yield from table(columns, rows, Medium(False, 200))


def _word(entry: SuiteEntry) -> str:
    codes = {reason["code"] for reason in entry.summary["reasons"]} if entry.summary is not None else set()
    if entry.kind == "baseline" and entry.state == "fail" and codes == {"no_data"}:
        # One user does not come to everything there is.
        return "no data"
    return "pass" if entry.passed else entry.state.replace("_", " ").upper()


def _why(entry: SuiteEntry) -> str:
    return redact.one_line(entry.why)


def _say(words: str = "", end: str = "\n") -> None:
    print(words, end=end, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust suite",
        usage="%(prog)s [options] [-- LOCUST OPTIONS]",
        description="Run all scenarios of a platform, one after the other, and fail if one of them does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(platforms_with_scenarios())
    parser.add_argument(
        "--platform", default=DEFAULT_PLATFORM, metavar="NAME", help=f"one of {names}; default {DEFAULT_PLATFORM}"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="A,B", help="these scenarios alone, in the platform's order"
    )
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour: short loads and pauses")
    parser.add_argument("--fail-fast", action="store_true", help="end with the first scenario that does not pass")
    parser.add_argument("--skip-baseline", action="store_true", help="no baselines")
    parser.add_argument("--baseline", type=seconds, metavar="60s", help="length of each baseline (60s; quick: 10s)")
    parser.add_argument("--pause", type=seconds, metavar="30s", help="pause before each scenario (30s; quick: 2s)")
    parser.add_argument("--output-dir", default="results", metavar="DIR", help="where run_<time> is made (results)")
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FILE",
        help="the report of all runs once more, as an .html or .md file, as often as wanted",
    )
    parser.add_argument(
        "--sandbox-fault", action="append", default=[], metavar="NAME=VALUE", help="plant a fault in each sandbox"
    )
    return parser

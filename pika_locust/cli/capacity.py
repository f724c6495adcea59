"""`pika-locust capacity`: the largest load that passes, searched by one Locust run after the other."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

from pika_locust.catalogue import find_scenario
from pika_locust.cli import capacity_report as report
from pika_locust.cli.arguments import locusts_own, seconds, share, split_words
from pika_locust.cli.capacity_report import Found
from pika_locust.cli.capacity_trial import TrialPlan, TrialResult, run_trial
from pika_locust.cli.child_run import overwritten, told_to_stop
from pika_locust.cli.inspect import locustfile, options_parser
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.format import plain
from pika_locust.load.capacity import Ending, Goal, Search, Trial
from pika_locust.outputs import redact
from pika_locust.outputs.recorded import Judged
from pika_locust.outputs.summary import unwritable, write_bytes
from pika_locust.outputs.table import Line, Medium, paint
from pika_locust.runtime.options import RunOptions, parse_all, read_options
from pika_locust.sandbox.process import SandboxProcess, start_sandbox
from pika_locust.scenario import Scenario
from pika_locust.settings import environ_of_world, environment_of

_EPILOG = """\
examples:
  pika-locust capacity connections --from 100             against the built-in sandbox, and so against this machine
  SERVER_URL=wss://staging.example pika-locust capacity connections --trial 2m --json capacity.json
  pika-locust capacity calls --from 1 --to 50             in calls a second: the open model's load is its rate
  pika-locust capacity connections --sandbox-fault max-sockets=137        whose answer is known
  pika-locust capacity connections -- --threshold 'ws_connection_time:p(95)<300' --seed 7

Each trial is a run of its own, `locust --headless -u N -r … -t …`: it passes when its verdict does, so that the
latencies that are allowed are those of its thresholds. Its users come in the first fifth. Loads double until one
fails; then the distance is halved until the bounds are close enough, and each bound is tried once more, with a third
trial where the two disagree. The capacity is then at least the lower bound, and below the upper one, which is the
smallest load that failed (as in the IETF's MLRsearch). A trial whose load generator could not keep up (110) counts
for nothing, and ends the search: with --processes it may come further.

exit codes: 0 the goal is met, or the largest load passes; 99 no load passes, or there were too few trials; 105 stopped;
else that of a trial which says nothing of the target, such as 110, load generator overload
"""
LOSS_RATIO = 0.005
"""A partial drop rate that is usual in benchmarks of networks."""
_ENDINGS: dict[Ending | None, ExitCode] = {
    "goal": ExitCode.PASS,
    "most": ExitCode.PASS,
    "least": ExitCode.FAILED,
    "trials": ExitCode.FAILED,
    None: ExitCode.STOPPED,
}


def run(argv: Sequence[str]) -> int:
    """Search, and print what comes of it; returns the exit code.

    Arguments:
        argv: what follows `pika-locust capacity` on the command line; what follows `--` is Locust's.

    Raises ConfigurationError with every mistake, before the first trial, and SetupError where the sandbox does not
    start.
    """
    own, locusts = split_words(argv)
    given = _parser().parse_args(own)
    scenario = find_scenario(given.scenario)
    goal = _goal(given)
    if given.processes is not None:
        locusts = ["--processes", str(given.processes), *locusts]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pika-locust-capacity-")))
        (folder / "locustfile.py").write_text(locustfile(scenario))
        plan = TrialPlan(scenario, round(given.trial), folder, locusts)
        options = _read_options(plan, goal, given.sandbox_fault)
        if strict := _loss_words(scenario, options, given.loss_ratio):
            plan = replace(plan, words=[*plan.words, *strict])
            options = _read_options(plan, goal, given.sandbox_fault)
        stopped = stack.enter_context(told_to_stop())
        target, sandbox = options.target, None
        if target is None:
            plan = replace(plan, environ=_with_secrets(plan, options))
            sandbox = _start_sandbox(plan, goal, given.sandbox_fault)
            stack.callback(sandbox.stop)
            target = scenario.normalise_target(sandbox.url)
            plan = replace(plan, words=["-H", target, *plan.words])
        return _search(plan, goal, options, target, sandbox, given, stopped)


def _search(
    plan: TrialPlan,
    goal: Goal,
    options: RunOptions,
    target: str,
    sandbox: SandboxProcess | None,
    given: argparse.Namespace,
    stopped: Callable[[], bool],
) -> int:
    medium = Medium(sys.stdout.isatty(), shutil.get_terminal_size().columns)
    search = Search(goal)
    results: list[TrialResult] = []

    def found(ending: Ending | None) -> Found:
        shown = redact.text(target) + (_of_sandbox(given.sandbox_fault) if sandbox is not None else "")
        return Found(
            plan.scenario.name,
            shown,
            plan.unit,
            plan.seconds,
            goal,
            search.bounds(),
            ending,
            tuple(results),
            plan.scenario.sizing,
        )

    rates = [one for one in options.thresholds if one.metric == plan.scenario.loss]
    losses = [Judged(one.metric, one.expression.text, "") for one in rates]
    _print(report.begin(found(None), losses, medium), medium)
    while not stopped() and (load := search.next_load()) is not None:
        result = None
        if sandbox is not None and results:
            result = _renew(sandbox, load)
        if result is None:
            result = run_trial(plan, load, stopped)
        if result is None:
            break
        if result.reasons[:1] == ("no_answer",) and not any(one.outcome == "pass" for one in results):
            # There is no load so small that a target which is not there would answer.
            result = replace(result, outcome="void")
        results.append(result)
        search.add(Trial(load, result.outcome, result.why))
        _print([report.trial_row(result)], medium)
    ending = search.ending if results and (search.ending is not None or not stopped()) else None
    last = found(ending)
    _print(report.end(last, medium), medium)
    if given.json is not None:
        text = json.dumps(report.to_json(last), indent=2) + "\n"
        if (problem := write_bytes(text.encode(), given.json, "The result")) is not None:
            print(problem, file=sys.stderr)
            return int(ExitCode.INTERNAL)
    return int(_ENDINGS[ending]) if ending != "void" else results[-1].exit_code or int(ExitCode.INTERNAL)


def _renew(sandbox: SandboxProcess, load: int) -> TrialResult | None:
    """An empty world for the next trial; what came of that trial when the sandbox is gone or does not answer."""
    if sandbox.exit_code is not None:
        why = f"the sandbox ended by itself, with code {sandbox.exit_code}: {sandbox.said()}"
        return TrialResult(load, "void", int(ExitCode.SETUP), why)
    try:
        sandbox.reset()
    except (OSError, HTTPException) as error:
        why = f"the sandbox could not be emptied: {redact.one_line(str(error)) or type(error).__name__}"
        return TrialResult(load, "void", int(ExitCode.SETUP), why)
    return None


def _of_sandbox(faults: Sequence[str]) -> str:
    return f" (sandbox{''.join(f', {fault}' for fault in faults)})"


def _print(lines: Iterable[Line], medium: Medium) -> None:
    print(paint(lines, medium), end="", flush=True)


def _read_options(plan: TrialPlan, goal: Goal, faults: Sequence[str]) -> RunOptions:
    """What a run would read of these words and this environment, at the first load.

    Raises ConfigurationError with every mistake.
    """
    words = [plan.scenario.name, *plan.load_words(goal.first)]
    words += [word for fault in faults for word in ("--sandbox-fault", fault)]
    environ = environment_of({**plan.environ, **plan.load_settings(goal.first)}, Path.cwd())
    if any(word.partition("=")[0] == "--sandbox-fault" for word in plan.words):
        raise ConfigurationError("--sandbox-fault belongs before --: there is one sandbox for all trials")
    if files := overwritten(plan.words):
        raise ConfigurationError(
            f"{one}: each trial would overwrite it; --json has what all of them came to" for one in files
        )
    parser = options_parser(plan.scenario, "capacity")
    given, unknown, problems = parse_all(parser, [*words, *plan.words], environ)
    problems += locusts_own([word for word in unknown if word in plan.words], parser)[1]
    return read_options(plan.scenario, given, environ, problems)


def _loss_words(scenario: Scenario, options: RunOptions, ratio: float) -> list[str]:
    """The threshold that allows no greater loss, as words of a command line; none where one on that metric is as strict
    already, or was asked for by name."""
    rates = [one for one in options.thresholds if one.metric == scenario.loss and one.expression.aggregation == "rate"]
    losses = [Judged(one.metric, one.expression.text, "").allowed_loss for one in rates]
    by_name = any(one.metric == scenario.loss for one in options.overrides)
    if not scenario.loss or by_name or any(loss is not None and loss <= ratio for loss in losses):
        return []
    wants_low = any(one.expression.operator in ("<", "<=") for one in rates)
    return ["--threshold", f"{scenario.loss}:rate" + (f"<={plain(ratio)}" if wants_low else f">={plain(1 - ratio)}")]


def _with_secrets(plan: TrialPlan, options: RunOptions) -> Mapping[str, str]:
    """The environment of the sandbox and of all trials: they need the same secrets, as a named target and its test."""
    missing = [name for name in plan.scenario.secrets_needed(options.settings) if not options.settings[name]]
    return {**plan.environ, **{name: secrets.token_hex(16) for name in missing}}


def _start_sandbox(plan: TrialPlan, goal: Goal, faults: Sequence[str]) -> SandboxProcess:
    """One that is made for the largest load: it has places for as many people as a trial may have, say."""
    scenario = plan.scenario
    environ = environment_of({**plan.environ, **plan.load_settings(goal.most)}, Path.cwd())
    env = environ_of_world(scenario.settings, environ, scenario.platform, scenario.name)
    return start_sandbox([scenario.world or scenario.platform], faults, env=env, path=[str(Path.cwd())])


def _goal(given: argparse.Namespace) -> Goal:
    goal = Goal(given.first, given.most, given.goal_width, given.max_trials)
    problems = list(goal.problems())
    if given.processes is not None and given.processes < 1:
        problems.append(f"--processes must be at least 1, got {given.processes}")
    if given.json is not None and (why := unwritable(given.json)) is not None:
        problems.append(f"--json {given.json}: {why}")
    if not 0 <= given.loss_ratio < 1:
        problems.append(f"--loss-ratio must be at least 0 and below 1, got {given.loss_ratio:g}")
    if given.trial < 1 or given.trial != round(given.trial):
        problems.append(f"--trial must be a whole number of seconds, got {given.trial:g}")
    if problems:
        raise ConfigurationError(problems)
    return goal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust capacity",
        usage="%(prog)s SCENARIO [options] [-- LOCUST OPTIONS]",
        description="Search for the largest load that passes: a lower and an upper bound, the load at which each\n"
        "threshold was first crossed, and the suite's advice on servers beside what was measured.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    goal = Goal()
    parser.add_argument("scenario", help="as `pika-locust list` names it")
    for name, dest, default, about in (
        ("--from", "first", goal.first, "the load to start with: users, or arrivals a second"),
        ("--to", "most", goal.most, "the largest load to try"),
        ("--max-trials", "max_trials", goal.max_trials, "as many runs at most"),
        ("--processes", "processes", None, "load generator processes of each trial"),
    ):
        shown = "" if default is None else f" (default {default:,})"
        parser.add_argument(name, dest=dest, type=int, default=default, metavar="N", help=about + shown)
    parser.add_argument("--trial", type=seconds, default=30.0, metavar="30s", help="length of a trial (default 30s)")
    parser.add_argument(
        "--goal-width",
        type=share,
        default=goal.width,
        metavar="10%",
        help="the upper bound is to be so much above the lower one at most (default 10%%)",
    )
    parser.add_argument(
        "--loss-ratio",
        type=share,
        default=LOSS_RATIO,
        metavar="0.5%",
        help="more lost attempts fail a trial, where the scenario's own thresholds allow more (default 0.5%%)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON, also after Ctrl-C")
    parser.add_argument(
        "--sandbox-fault",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="plant a fault in the sandbox, which is one for all trials and starts where no target is named",
    )
    return parser

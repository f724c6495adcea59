"""The `pika-locust` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pika_locust
from pika_locust.errors import ConfigurationError, ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="pika-locust",
        description="Load tests for realtime platforms, whose green runs are the truth.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        "  list                 every scenario, by platform\n"
        "  inspect SCENARIO     what would run: stages, thresholds, settings, metrics\n"
        "  sandbox              serve a platform's sandbox, with faults if you like\n\n"
        "A test itself is a Locust run:\n"
        "  locust -f locustfiles/dancers.py                                 with the web page\n"
        "  locust --headless -f locustfiles/dancers.py -u 100 -r 50 -t 40s  without it\n",
    )
    parser.add_argument("--version", action="version", version=f"pika-locust {pika_locust.__version__}")
    parser.add_argument("command", choices=["list", "inspect", "sandbox"], metavar="command")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    given = parser.parse_args(words)
    command = {"list": list_scenarios, "inspect": inspect_scenario, "sandbox": run_sandbox}[given.command]
    try:
        return command(given.arguments)
    except ConfigurationError as error:
        sys.stderr.writelines(f"pika-locust {given.command}: {problem}\n" for problem in error.problems)
        return int(ExitCode.CONFIG)


def list_scenarios(argv: list[str]) -> int:
    """Print every scenario."""
    argparse.ArgumentParser(prog="pika-locust list", description="Every scenario, by platform.").parse_args(argv)
    from pika_locust.catalogue import scenarios

    for name, scenario in scenarios().items():
        print(f"{name:<14} {scenario.platform:<10} {scenario.about}")
    return 0


def inspect_scenario(argv: list[str]) -> int:
    """Print what a run of a scenario would be, under the same options and environment as the run itself."""
    parser = argparse.ArgumentParser(
        prog="pika-locust inspect",
        description="What would run: stages, thresholds, settings, metrics. Takes the load and threshold options of "
        "a run, and reads the same environment; sends nothing.",
    )
    parser.add_argument("scenario", help="as `pika-locust list` names it")
    parser.add_argument("-u", "--users", dest="num_users", type=int, help="constant users")
    parser.add_argument("-r", "--spawn-rate", dest="spawn_rate", type=float, help="users a second, with -u")
    parser.add_argument("-t", "--run-time", dest="run_time", type=_seconds, help="30s, 10m, 1h30m")
    parser.add_argument("-H", "--host", help="the target")
    # The run's own options, so that both take the same ones; Locust is loaded for its parser's sake only.
    from pika_locust.catalogue import find_scenario
    from pika_locust.inspection import inspect
    from pika_locust.runtime.options import add_arguments, read_options
    from pika_locust.settings import environment_of

    name = next((word for word in argv if not word.startswith("-")), None)
    if name is not None:
        add_arguments(parser, find_scenario(name), None)
    given = parser.parse_args(argv)
    scenario = find_scenario(given.scenario)
    print(inspect(scenario, read_options(scenario, given, environment_of(os.environ, Path.cwd()))))
    return 0


def run_sandbox(argv: list[str]) -> int:
    """Serve a sandbox until Ctrl-C."""
    from pika_locust.sandbox.command import run

    return run(argv)


def _seconds(text: str) -> float:
    from pika_locust.load.durations import parse_duration

    try:
        return parse_duration(text, bare_unit="s")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())

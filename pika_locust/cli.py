"""The `pika-locust` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika_locust
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.outputs import redact

if TYPE_CHECKING:
    from pika_locust.scenario import Scenario


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="pika-locust",
        description="Load tests for realtime platforms, whose green runs are the truth.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        "  list                 every scenario, by platform\n"
        "  inspect SCENARIO     what would run: stages, thresholds, settings, metrics; with --help, the\n"
        "                       options of a run (Locust's own --help ends before it has seen the locustfile)\n"
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
        sys.stderr.writelines(f"pika-locust {given.command}: {redact.text(problem)}\n" for problem in error.problems)
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
    # Locust is loaded for its parser's sake only: a run and its inspection must read the same options.
    from pika_locust.catalogue import find_scenario, scenarios
    from pika_locust.inspection import inspect
    from pika_locust.runtime.arguments import parse_all
    from pika_locust.runtime.options import read_options
    from pika_locust.settings import environment_of

    environ = environment_of(os.environ, Path.cwd())
    # Which profiles there are to choose from is only known when the scenario is: so, twice.
    any_scenario = next(iter(scenarios().values()))
    if {"-h", "--help"} & set(argv):
        named = [scenario for name, scenario in scenarios().items() if name in argv]
        print(_inspect_parser(next(iter(named), any_scenario)).format_help(), end="")
        return 0
    scenario = find_scenario(parse_all(_inspect_parser(any_scenario), argv, environ)[0].scenario)
    given, unknown, problems = parse_all(_inspect_parser(scenario), argv, environ)
    # What else a configuration file holds is for Locust.
    problems += [f"there is no option {word} here" for word in unknown if word in argv]
    print(inspect(scenario, read_options(scenario, given, environ, problems)))
    return 0


def _inspect_parser(scenario: Scenario) -> Any:
    from locust.argument_parser import (
        DEFAULT_CONFIG_FILES,
        LocustArgumentParser,
        LocustConfigParser,
        gt_zero,
        timespan,
    )

    from pika_locust.runtime.arguments import add_arguments

    parser = LocustArgumentParser(
        prog="pika-locust inspect",
        description="What would run: stages, thresholds, settings, metrics. Takes the load and threshold options of "
        "a run, and reads the same environment and configuration files; sends nothing.",
        default_config_files=DEFAULT_CONFIG_FILES,
        config_file_parser_class=LocustConfigParser,
        add_env_var_help=False,
        add_config_file_help=False,
    )
    parser.add_argument("scenario", help="as `pika-locust list` names it")
    parser.add_argument("--config", is_config_file_arg=True, metavar="<filename>", help="another configuration file")
    for short, name, about, read, variable in (
        ("-u", "--users", "constant users", int, "LOCUST_USERS"),
        ("-r", "--spawn-rate", "users a second, with -u", gt_zero(float), "LOCUST_SPAWN_RATE"),
        ("-t", "--run-time", "30s, 10m, 1h30m", timespan, "LOCUST_RUN_TIME"),
        ("-H", "--host", "the target", str, "LOCUST_HOST"),
    ):
        dest = "num_users" if short == "-u" else None
        parser.add_argument(short, name, dest=dest, metavar="<value>", type=read, env_var=variable, help=about)
    parser.set_defaults(locustfile=None)
    add_arguments(parser, scenario, None)
    return parser


def run_sandbox(argv: list[str]) -> int:
    """Serve a sandbox until Ctrl-C."""
    from pika_locust.sandbox.command import run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())

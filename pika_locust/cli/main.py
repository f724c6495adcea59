"""The `pika-locust` command: which subcommands there are, and how their mistakes are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from pika_locust.cli.pipes import readers_may_go
from pika_locust.errors import ConfigurationError, SetupError
from pika_locust.outputs import redact
from pika_locust.version import __version__

_EPILOG = """\
commands:
  list                  every scenario, by platform, and how to run one
  run SCENARIO          run it, with Locust's options: pika-locust run dancers --headless -u 100 -r 50 -t 40s
  inspect SCENARIO      what would run: stages, thresholds, audits, settings, metrics; with --help, the
                        options of a run (Locust's own --help ends before it has seen the locustfile)
  locustfile SCENARIO   print a locustfile of the scenario, to be changed
  suite                 run all scenarios of a platform, and fail if one of them does
  report RUN...         write what a suite or single runs have found, as HTML and Markdown
  compare BEFORE AFTER  what differs by more than noise, as a gate for a pipeline; k6's summaries, too
  capacity SCENARIO     search for the largest load that passes, by one run after the other
  seed                  write the data that a platform's scenarios need, and load it where that can be done
  sandbox               serve a platform's sandbox, with faults if you like
  doctor [SCENARIO]     whether this machine, the settings and the target are fit for a run, and what to change
  new NAME              write a platform of your own: a locustfile, a stand-in for its server, a test of both

A test itself is a Locust run, here in a clone of the repository:
  locust -f locustfiles/dancers.py                                 with the web page
  locust --headless -f locustfiles/dancers.py -u 100 -r 50 -t 40s  without it

exit codes: 104 for bad settings, as in a run; 2 for a command or an option that there is not
"""
_NO_COMMAND = 2
"""argparse's own code for a command line that it cannot read."""


_MODULES = ("run", "suite", "report", "compare", "capacity", "seed", "sandbox", "doctor", "new")
"""Commands with a module of their own, which is loaded for them alone."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="pika-locust",
        usage="%(prog)s [-h] [--version] COMMAND ...",
        description="Load tests for realtime platforms on Locust.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"pika-locust {__version__}")
    parser.add_argument("command", choices=[*_HERE, *_MODULES], metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    if not words:
        parser.print_help(sys.stderr)
        return _NO_COMMAND
    with readers_may_go():
        given = parser.parse_args(words)
        try:
            command = _HERE.get(given.command) or import_module(f"pika_locust.cli.{given.command}").run
            return int(command(given.arguments))
        except (ConfigurationError, SetupError) as error:
            problems = error.problems if isinstance(error, ConfigurationError) else (str(error),)
            sys.stderr.writelines(f"pika-locust {given.command}: {redact.text(problem)}\n" for problem in problems)
            return int(error.exit_code)


def list_scenarios(argv: list[str]) -> int:
    """Print every scenario."""
    argparse.ArgumentParser(prog="pika-locust list", description="Every scenario, by platform.").parse_args(argv)
    from pika_locust.catalogue import scenarios

    known = scenarios()
    name_width, platform_width = max(map(len, known)), max(len(scenario.platform) for scenario in known.values())
    for name, scenario in known.items():
        print(f"{name:<{name_width}}  {scenario.platform:<{platform_width}}  {scenario.about}")
    print("\npika-locust inspect NAME shows what would run. To run it:")
    if Path("locustfiles").is_dir():
        print("  locust -f locustfiles/NAME.py")
    else:
        print("  pika-locust run NAME")
    return 0


def print_locustfile(argv: list[str]) -> int:
    """Print a locustfile of a scenario, for those who want to change it."""
    from pika_locust.catalogue import find_scenario
    from pika_locust.cli.inspect import locustfile

    parser = argparse.ArgumentParser(
        prog="pika-locust locustfile",
        description="Print a locustfile of a scenario. Locust takes locustfile.py by itself:",
        epilog="  pika-locust locustfile dancers > locustfile.py\n  locust --headless -u 60 -r 30 -t 40s\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", help="as `pika-locust list` names it")
    print(locustfile(find_scenario(parser.parse_args(argv).scenario)), end="")
    return 0


def inspect_scenario(argv: list[str]) -> int:
    """Print what a run of a scenario would be, under the same options and environment as the run itself."""
    # Locust is loaded for its parser's sake only: a run and its inspection must read the same options.
    from pika_locust.catalogue import find_scenario, scenarios
    from pika_locust.cli.inspect import inspect, options_parser
    from pika_locust.runtime.foreign_options import refusals
    from pika_locust.runtime.options import parse_all, read_options
    from pika_locust.settings import environment_of

    environ = environment_of(os.environ, Path.cwd())
    # Which profiles there are to choose from is only known when the scenario is: so, twice.
    any_scenario = next(iter(scenarios().values()))
    if {"-h", "--help"} & set(argv):
        named = [scenario for name, scenario in scenarios().items() if name in argv]
        print(options_parser(next(iter(named), any_scenario)).format_help(), end="")
        return 0
    scenario = find_scenario(parse_all(options_parser(any_scenario), argv, environ)[0].scenario)
    parser = options_parser(scenario)
    given, unknown, problems = parse_all(parser, argv, environ)
    # What else a configuration file holds is for Locust.
    known = [name for action in parser._actions for name in action.option_strings]
    problems += refusals([word for word in unknown if word in argv], known)
    print(inspect(scenario, read_options(scenario, given, environ, problems)))
    return 0


_HERE: Mapping[str, Callable[[list[str]], int]] = {
    "list": list_scenarios,
    "inspect": inspect_scenario,
    "locustfile": print_locustfile,
}
"""Commands of this module."""


if __name__ == "__main__":
    sys.exit(main())

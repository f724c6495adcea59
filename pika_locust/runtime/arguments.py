"""The options that this package adds to Locust's command line, and reading all of them with every mistake at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from pika_locust.errors import ConfigurationError
from pika_locust.load.open_plan import OPEN
from pika_locust.load.plan import CONSTANT
from pika_locust.scenario import Scenario

_KINDS = {int: "a whole number", float: "a number"}


def add_arguments(parser: Any, scenario: Scenario, profile: str | None) -> None:
    """Add this package's options to Locust's parser; `profile` is what the web form's select shows at first."""
    group = parser.add_argument_group("pika-locust")
    # Locust takes only arguments outside groups into its web form, as a select when they have choices.
    parser.add_argument(
        "--load-profile",
        choices=[*scenario.profiles, CONSTANT]
        + ([profile] if profile not in (None, CONSTANT, *scenario.profiles) else []),
        default=profile,
        help=f"{CONSTANT}: users and ramp up as given (-u, -r); others: their own. "
        f"Headless default: {scenario.default_profile if scenario.arrivals is None else OPEN}",
        env_var="PIKA_LOAD_PROFILE",
    )
    for name, metavar, kind, help_text in (
        ("--stage", "<30s:100,…>", str, "Stages by hand: duration:users, comma-separated"),
        ("--seed", "<int>", int, "Makes every random choice repeatable; printed, and in the summary"),
    ):
        group.add_argument(name, metavar=metavar, type=kind, help=help_text, env_var=f"PIKA_{name[2:].upper()}")
    add_judging_arguments(group)
    group.add_argument(
        "--sandbox-fault",
        metavar="<name=value>",
        action="append",
        default=[],
        help="Plant a fault in the embedded sandbox, e.g. lose-write=0.05",
    )
    group.add_argument("--fail-on", choices=["warning", "critical"], help="Let grades decide, too")


def add_judging_arguments(group: Any) -> None:
    """Add what has to do with the verdict, whoever the users are."""
    group.add_argument(
        "--summary-json",
        metavar="<file>",
        help="Write the results as one JSON object, whichever way the run ends",
        env_var="PIKA_SUMMARY_JSON",
    )
    group.add_argument(
        "--threshold",
        metavar="<metric:expr>",
        action="append",
        default=[],
        help="Add a threshold, or replace one that is there: 'http_req_duration:p(95)<300'",
    )
    for name, help_text in (
        ("--strict", "Fail also what is not conclusive, and what the target cannot show"),
        ("--allow-production", "Allow a target whose host looks like production"),
    ):
        group.add_argument(name, action="store_true", help=help_text)


def parse_all(
    parser: Any, argv: Sequence[str], environ: Mapping[str, str]
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Every known option, the words that the parser does not know, and a sentence for each value that cannot be read.

    argparse ends the process at the first value that it cannot read; here such a value is left out, so that the others
    are read and their mistakes are told as well. `environ` stands in for the process's environment.

    Raises ConfigurationError where the words themselves cannot be taken apart, such as an option without its value.
    """
    problems: list[str] = []
    with _lenient(parser, problems):
        known, unknown = parser.parse_known_args(list(argv), env_vars=dict(environ))
    return known, unknown, problems


def summary_path(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Where the results are to be written, read from a command line that may be wrong in everything else."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--summary-json", default=environ.get("PIKA_SUMMARY_JSON"))
    try:
        path: str | None = parser.parse_known_args(list(argv))[0].summary_json
    except argparse.ArgumentError:
        return None
    return path


@contextmanager
def _lenient(parser: Any, problems: list[str]) -> Iterator[None]:
    def refuse(message: str) -> NoReturn:
        raise ConfigurationError([*problems, message])

    before = [(action, action.type, action.choices) for action in parser._actions]
    for action, read, choices in before:
        action.type, action.choices = _reader(action, read, choices, problems), None
    parser.error = refuse
    try:
        yield
    finally:
        del parser.error
        for action, read, choices in before:
            action.type, action.choices = read, choices


def _reader(action: Any, read: Any, choices: Sequence[str] | None, problems: list[str]) -> Callable[[str], Any]:
    name = "/".join(action.option_strings) or action.dest

    def lenient(text: str) -> Any:
        try:
            value = text if read is None else read(text)
        except argparse.ArgumentTypeError as error:
            why = str(error)
        except (TypeError, ValueError):
            why = f"it is not {_KINDS[read]}" if read in _KINDS else "it cannot be read"
        else:
            if choices is None or value in choices:
                return value
            why = f"it must be one of {', '.join(map(str, choices))}"
        problems.append(f"{name}: {why}" if getattr(action, "is_secret", False) else f"{name} {text}: {why}")
        return None

    return lenient

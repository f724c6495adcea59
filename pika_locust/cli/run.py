"""`pika-locust run`: Locust with the locustfiles and shapes that the package brings along."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from pika_locust import catalogue
from pika_locust.cli.repeat import repeats, run_repeatedly
from pika_locust.errors import ConfigurationError, ExitCode

NAMES = "PIKA_LOCUST_RUN"
"""The environment variable that tells `named_scenarios` what to install: names by commas."""

FILES_AT = 4
"""Where the locustfiles are in the command of Locust."""
_PACKAGE = Path(__file__).resolve().parents[1]

USAGE = """\
usage: pika-locust run NAME[,NAME...] [OPTIONS OF LOCUST]

Run scenarios, as `pika-locust list` names them, with Locust's options; a shape's name beside them is their load.
A `--` before the options may be left out.

  pika-locust run dancers                                         with the web page
  pika-locust run dancers --headless -u 100 -r 50 -t 40s          without it
  pika-locust run dancers,stress --headless --processes 4         the load of shapes/stress.py
  pika-locust run queue --repeat 5 -u 100 -t 60s                  five times without it, into results/run_<time>/
  pika-locust run queue --repeat 5 -u 100 -t 60s --baseline results/run_20260501_200000
                                                                  and fail if something is worse than it was then

With --repeat: --output-dir DIR (default results), --baseline RUNS (what `pika-locust compare` takes).
"""


def run(argv: Sequence[str]) -> int:
    """Replace this process by Locust's, which runs the named scenarios.

    Arguments:
        argv: what follows `pika-locust run`: names by commas, then Locust's options, behind a `--` if you like.

    Returns only for a request for help, and after `--repeat`. Raises ConfigurationError for names that nobody knows.
    """
    if argv and argv[0] not in ("-h", "--help"):
        given, words = repeats(argv)
        command, environ = locust_command(words)
        if given.repeat is not None:
            return run_repeatedly(command[FILES_AT], command[FILES_AT + 1 :], environ, given)
        _become(command, environ)
    print(USAGE, end="", file=sys.stdout if argv else sys.stderr)
    return int(ExitCode.PASS if argv else ExitCode.CONFIG)


def _become(command: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Go on as another program: its signals, standard streams and exit code are then this process's own."""
    sys.stdout.flush()
    os.execve(command[0], command, environ)


def locust_command(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command of Locust, and its environment, for what follows `pika-locust run`.

    Raises ConfigurationError for names that nobody knows.
    """
    names = list(dict.fromkeys(name.strip() for name in argv[0].split(",") if name.strip()))
    options = argv[2:] if argv[1:2] == ["--"] else argv[1:]
    files, others = locustfiles(names)
    environ = {**os.environ, NAMES: ",".join(others)} if others else dict(os.environ)
    return [sys.executable, "-m", "locust", "-f", ",".join(map(str, files)), *options], environ


def locustfiles(names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The files that `-f` has to name, and those of the scenarios that one file for all of them runs.

    Raises ConfigurationError for a name that is neither a scenario's nor a shape's, and when no scenario is named.
    """
    scenarios, shapes = shipped("locustfiles"), shipped("shapes")
    files: list[Path] = []
    others: list[str] = []
    for name in names:
        if name in scenarios or name in shapes:
            files.append(scenarios.get(name) or shapes[name])
        elif name in (known := catalogue.scenarios()):
            others.append(name)
        else:
            close = get_close_matches(name, [*known, *shapes], n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise ConfigurationError(f"there is no scenario and no shape {name!r}; {hint}")
    if not others and not any(name in scenarios for name in names):
        raise ConfigurationError(f"{', '.join(names) or 'nothing'}: name a scenario; `pika-locust list` shows them")
    if others:
        files.append(_PACKAGE / "cli" / "named_scenarios.py")
    return files, others


def shipped(folder: str) -> dict[str, Path]:
    """Name -> file of the locustfiles or shapes: inside of the installed package, in a clone beside it."""
    inside = _PACKAGE / folder
    found = inside if inside.is_dir() else _PACKAGE.parent / folder
    return {path.stem: path for path in sorted(found.glob("*.py")) if path.stem != "__init__"}

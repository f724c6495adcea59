"""Several scenarios in one run: each in a Locust of its own, side by side, with its own load, thresholds and verdict.

`-f locustfiles/queue.py,locustfiles/tokens.py` installs two scenarios in one process. That process then runs no load
itself: it starts one Locust for each scenario with the same command line, passes on what they log and what ends them,
and prints their verdicts one below the other at the end. Ports and files that only one process can have are made
different; a setting for one of them is written with its name in front (`QUEUE_USERS=200`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import IO, Any, Self

import gevent

from pika_locust.errors import ExitCode
from pika_locust.outputs import summary
from pika_locust.outputs.targets import FILES, listening_address
from pika_locust.process import PARENT

ONLY = "PIKA_LOCUST_ONLY"
"""The environment variable that names the one scenario of a process, of those that its locustfiles install."""
CHECK = "PIKA_LOCUST_CHECK"
"""The environment variable by which a process only reads its options: nothing is started, and it ends with 0 or 104."""

_MASTER_PORT = 5557
"""Locust's default for the port that workers look for their master at."""
_FILES = ("--summary-json", "--csv", "--html", "--json-file", "--logfile")
_REPEATED = ("--out", "--report")
"""Options that are given once for each of their values."""
_ORDER = (
    ExitCode.CONFIG,
    ExitCode.INTERNAL,
    ExitCode.STOPPED,
    ExitCode.SETUP,
    ExitCode.FAILED,
    ExitCode.GENERATOR,
    ExitCode.PASS,
)
"""Which exit code stands for all, the strongest first, as in the verdict of one run."""
_COLUMNS = 120
_LOCUST = (sys.executable, "-m", "locust")


def run_side_by_side(names: Sequence[str], arguments: Any, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run all scenarios to their ends; returns the exit code, the strongest of theirs.

    First all of them read their options; when one cannot run as it is set up, none is started.

    Arguments:
        names: of the scenarios, in the order of their verdicts.
        arguments: the command line as Locust reads it, with whatever the environment and its files add.
        argv: its words, behind the name of the program.
        environ: the environment.
    """
    # Workers have no results: those of their masters may be meant for the same file.
    path = None if arguments.worker else arguments.summary_json
    with TemporaryDirectory(prefix="pika-locust-") as folder:
        words = [words_for(name, index, arguments, argv) for index, name in enumerate(names)]
        if path:
            if kept := keep_baseline(arguments.baseline, folder):
                words = [[*one, "--baseline", kept] for one in words]
            forget_older_summaries(path, names)
        children = [_Child(name, [*_LOCUST, *own], environ) for name, own in zip(names, words, strict=True)]
        with _Signals(children) as signals:
            codes = _run(children, {CHECK: "1"})
            if not any(codes) and not signals.told:
                codes = _run(children, {})
    if signals.told:
        # Before a run listens to signals itself, it ends by them, or was not started at all.
        codes = [
            int(ExitCode.STOPPED) if code in (0, -signals.told) and not child.said else code
            for child, code in zip(children, codes, strict=True)
        ]
    code = exit_code_of(codes)
    by_name = dict(zip(names, codes, strict=True))
    # Before anything is printed, which may fail.
    problem = write_summary(path, by_name) if path else None
    for child in children:
        sys.stdout.write(child.said)
    print(f"Exit codes: {', '.join(f'{name} {one}' for name, one in by_name.items())}; of the run: {code}", flush=True)
    if problem is not None:
        print(problem, file=sys.stderr)
        return int(ExitCode.INTERNAL)
    return code


def keep_baseline(baseline: str | None, folder: str) -> str | None:
    """Copy the runs to compare with into a folder, as the summaries of new ones may take their place before each
    scenario has read them; where the copy is, or None where there is nothing that can be copied."""
    if baseline is None:
        return None
    copy = Path(folder, Path(baseline).resolve().name)
    try:
        if Path(baseline).is_dir():
            # As deep as `read_runs` looks.
            for found in [*Path(baseline).glob("*.json"), *Path(baseline).glob("*/*.json")]:
                own = copy / found.relative_to(baseline)
                own.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, own)
        else:
            shutil.copyfile(baseline, copy)
    except OSError:
        # Whoever reads it says so.
        return None
    return str(copy) if copy.exists() else None


def words_for(name: str, index: int, arguments: Any, argv: Sequence[str]) -> list[str]:
    """The command line of one scenario: the common one, with ports and files of its own.

    The n-th scenario has ports that are higher by n, and its name before the ending of its files: `run.queue.json`.
    """
    words = _without_outputs(argv)
    for output in arguments.out:
        words += ["--out", _own_output(output, name, index)]
    for path in arguments.report:
        words += ["--report", own_path(path, name)]
    for option in _FILES:
        path = getattr(arguments, _dest(option), None)
        if path:
            words += [option, own_path(path, name)]
    ports = {"--web-port": arguments.web_port, "--master-bind-port": arguments.master_bind_port}
    if arguments.worker or arguments.master_port != _MASTER_PORT:
        # Forked workers are told otherwise: they go where their master is.
        ports["--master-port"] = arguments.master_port
    for option, port in ports.items():
        if index and port:
            words += [option, str(port + index)]
    return words


def _dest(option: str) -> str:
    return {"--csv": "csv_prefix", "--html": "html_file"}.get(option, option.lstrip("-").replace("-", "_"))


def _without_outputs(argv: Sequence[str]) -> list[str]:
    kept: list[str] = []
    is_value = False
    for word in argv:
        if not is_value and word.partition("=")[0] not in _REPEATED:
            kept.append(word)
        is_value = not is_value and word in _REPEATED
    return kept


def _own_output(output: str, name: str, index: int) -> str:
    kind, _, where = output.partition("=")
    if kind in FILES:
        return f"{kind}={own_path(where, name)}"
    if kind == "prometheus":
        try:
            host, port = listening_address(where)
        except ValueError:
            # Whoever reads the options says so.
            return output
        return f"{kind}={f'[{host}]' if ':' in host else host}:{port + index}"
    return output


def own_path(path: str, name: str) -> str:
    """The file of one scenario: `run.json` -> `run.queue.json`. What is no file, such as /dev/stdout, stays."""
    if path.startswith(("/dev/", "/proc/")):
        return path
    stem, suffix = re.fullmatch(r"(.*?)((?:\.[A-Za-z]\w*)?(?:\.gz)?)", path, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{stem}.{name}{suffix}"


def exit_code_of(codes: Sequence[int]) -> int:
    """The strongest of several exit codes. One that none of our runs ends with, such as a killed one's, is an internal
    error."""
    known = [code if code in _ORDER else ExitCode.INTERNAL for code in codes]
    return int(min(known, key=lambda code: _ORDER.index(ExitCode(code))))


def forget_older_summaries(path: str, names: Sequence[str]) -> None:
    """Put what says that this run has not ended in the place of an older common summary, and take away those of the
    scenarios, which write their own when they begin: whoever kills the run leaves no older pass.

    Nothing is done to what is no file. Should this fail, so does the writing at the end, and the run with it.
    """
    if own_path(path, "") == path:
        return
    for name in names:
        with suppress(OSError):
            Path(own_path(path, name)).unlink(missing_ok=True)
    why = "the run has begun, and this was written then: if no process works on it any more, it was killed"
    data = {
        "schema": summary.SCHEMA,
        "scenario": ", ".join(names),
        "verdict": "invalid",
        "exit_code": int(ExitCode.INTERNAL),
        "exit_codes": {},
        "reasons": [{"scenario": ", ".join(names), "code": "unfinished", "subject": "run", "text": why}],
        "scenarios": {},
    }
    _write(data, path)


def write_summary(path: str, codes: Mapping[str, int]) -> str | None:
    """Write the results of all scenarios as one JSON object, each as its own file has them; what went wrong, or None.

    Nothing is written to what is no file: there, each scenario has written its own.
    """
    if own_path(path, "") == path:
        return None
    found = {name: _read(own_path(path, name)) for name in codes}
    strongest = exit_code_of(list(codes.values()))
    decided = next(found[name] for name, code in codes.items() if exit_code_of([code]) == strongest)
    data = {
        "schema": summary.SCHEMA,
        "scenario": ", ".join(codes),
        "verdict": decided.get("verdict", "invalid"),
        "exit_code": strongest,
        "exit_codes": codes,
        "reasons": [{"scenario": name, **reason} for name, one in found.items() for reason in one.get("reasons", ())],
        "scenarios": found,
    }
    return _write(data, path)


def _write(data: Mapping[str, Any], path: str) -> str | None:
    return summary.write_bytes(json.dumps(data, indent=2).encode("ascii") + b"\n", path, "The summary")


def _read(path: str) -> dict[str, Any]:
    """The summary in a file; an empty one where there is none that can be read."""
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass
class _Child:
    """One scenario's Locust."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    process: subprocess.Popen[str] | None = None
    said: str = ""
    """What it has printed: its results."""

    def start(self, environ: Mapping[str, str]) -> None:
        columns = str(shutil.get_terminal_size((_COLUMNS, 0)).columns)
        # In a session of its own: Ctrl-C reaches it by us alone, and once. Where we are killed, it ends by itself.
        self.process = subprocess.Popen(
            self.command,
            env={
                **self.environ,
                "COLUMNS": columns,
                "PYTHONUNBUFFERED": "1",
                ONLY: self.name,
                PARENT: str(os.getpid()),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def finish(self) -> int:
        """Pass its log on, line by line, until it has ended; returns its exit code."""
        assert self.process is not None
        said = gevent.spawn(_read_all, self.process.stdout)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            # Whoever read along may have gone (`2>&1 | head`): the runs go on.
            with suppress(OSError):
                sys.stderr.write(f"{self.name} | {line.rstrip()}\n")
                sys.stderr.flush()
        self.said = said.get()
        return self.process.wait()


def _read_all(stream: IO[str]) -> str:
    return stream.read()


def _run(children: Sequence[_Child], environ: Mapping[str, str]) -> list[int]:
    for child in children:
        child.start(environ)
    readers = [gevent.spawn(child.finish) for child in children]
    return [reader.get() for reader in readers]


class _Signals:
    """SIGINT, SIGTERM and SIGHUP go to all scenarios that still run: each ends with its own verdict."""

    def __init__(self, children: Sequence[_Child]) -> None:
        self._children = children
        self._before: dict[int, Any] = {}
        self.told = 0
        """The number of the signal that came, or 0."""

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What a shell starts in the background ignores SIGINT, but whoever sends it means it.
            if number is not None and (name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._pass_on)
        return self

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.told = number
        for child in self._children:
            if child.process is not None and child.process.returncode is None:
                os.kill(child.process.pid, number)

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

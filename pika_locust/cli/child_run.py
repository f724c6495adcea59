"""One headless `locust` run of a scenario as a child process: started, stopped with this process, its summary read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.outputs.recorded import read_summary
from pika_locust.outputs.targets import FILES
from pika_locust.process import PARENT
from pika_locust.scenario import Scenario
from pika_locust.settings import names_of

LOCUST = (sys.executable, "-m", "locust")
STOP_WITHIN_S = 30.0
"""How long a run that is to end may take before it is killed."""
OUTPUT_TAIL = 400
_FILES = ("--summary-json", "--report", "--html", "--csv", "--json-file")
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ChildRun:
    """A run that is over. `stopped`: we ended it, as this process was told to stop."""

    exit_code: int
    summary: Mapping[str, Any] | None
    output: str
    seconds: float
    stopped: bool = False

    @property
    def scenarios(self) -> list[Mapping[str, Any]]:
        """The summaries of scenarios: the one that there is, or those of several side by side, without lost ones."""
        if self.summary is None:
            return []
        return [one for one in self.summary.get("scenarios", {"": self.summary}).values() if one]

    @property
    def problem(self) -> str:
        """Why what came of it cannot be believed, as a sentence: no summary, or one of another run or ending.

        Of scenarios side by side, a pass is none when one of them has no summary of its own.
        """
        if self.summary is not None and self.summary.get("exit_code") == self.exit_code:
            several = self.summary.get("scenarios", {}).values() if self.exit_code == ExitCode.PASS else ()
            if all(one.get("exit_code") == ExitCode.PASS for one in several):
                return ""
        said = self.output.strip()[-OUTPUT_TAIL:] or "it said nothing"
        return f"locust ended with {self.exit_code}, without a summary: {said}"


def run_locust(
    locustfile: Path,
    words: Sequence[str],
    environ: Mapping[str, str],
    results: Path,
    stopped: Callable[[], bool],
) -> ChildRun:
    """Run a locustfile headless, to its end or until `stopped` says that it is to end before.

    Arguments:
        locustfile: as `-f` takes it.
        words: further words of the command line.
        environ: the process's environment.
        results: where the summary (`.json`) and what the run says (`.log`) are kept, without the ending.
    """
    summary, log = results.with_name(f"{results.name}.json"), results.with_name(f"{results.name}.log")
    summary.unlink(missing_ok=True)
    command = [*LOCUST, "--headless", "-f", str(locustfile), "--summary-json", str(summary), *words]
    began = time.monotonic()
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C reaches it by us alone. Where we are killed, it ends by itself.
        child = subprocess.Popen(
            command,
            env={**environ, PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while child.poll() is None and not stopped():
                time.sleep(_POLL_S)
        finally:
            was_stopped = child.poll() is None
            if was_stopped:
                _end(child)
    seconds = time.monotonic() - began
    said = log.read_text(errors="replace")
    return ChildRun(int(child.returncode), read_summary(summary), said, seconds, was_stopped)


def overwritten(words: Sequence[str]) -> list[str]:
    """Options among the words that name a file, which each of several runs would overwrite."""
    found = [option for option in _FILES if any(word.partition("=")[0] == option for word in words)]
    outputs = [word.removeprefix("--out=") for word in words if word.startswith("--out=")]
    outputs += [value for word, value in pairwise(words) if word == "--out"]
    kinds = dict.fromkeys(output.partition("=")[0] for output in outputs)
    return [*found, *(f"--out {kind}" for kind in kinds if kind in FILES)]


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGINT)
    give_up = time.monotonic() + STOP_WITHIN_S
    while child.poll() is None and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def strongest_names(scenario: Scenario, settings: Mapping[str, str]) -> dict[str, str]:
    """Settings by the names that win over all others in the environment, mostly those of the scenario alone."""
    return {names_of(name, scenario.name, scenario.platform)[0]: value for name, value in settings.items()}


def new_folder(parent: Path) -> Path:
    """A folder of its own for these runs, named by the time."""
    stem = f"run_{datetime.now():%Y%m%d_%H%M%S}"
    for name in (stem, *(f"{stem}_{n}" for n in range(2, 100))):
        folder = parent / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise ConfigurationError(f"--output-dir {parent}: {stem} is there a hundred times")


@contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """Says whether this process has been told to stop, by SIGINT or SIGTERM."""
    told = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield lambda: told
    finally:
        for number, handler in before:
            signal.signal(number, handler)

"""A script in the place of `locust`, for tests of the commands that start it, and what it was called with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pika_locust.cli import child_run

Command = Callable[..., tuple[int, str, list[Any]]]


def install(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a script of that text in locust's place, and goes into the folder; gives the script.

    Each call adds a line of JSON to the file that FAKE_LOG names.
    """
    script = folder / "fake_locust.py"
    script.write_text(source)
    monkeypatch.setattr(child_run, "LOCUST", (sys.executable, str(script)))
    monkeypatch.setenv("FAKE_LOG", str(_log(script)))
    monkeypatch.chdir(folder)
    return script


def calls(script: Path) -> list[Any]:
    """What each call has noted."""
    return [json.loads(line) for line in _log(script).read_text().splitlines()] if _log(script).exists() else []


def command(run: Callable[[Sequence[str]], int], script: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command; gives its exit code, what it printed, and how locust was called."""

    def call(*words: str) -> tuple[int, str, list[Any]]:
        code = run(words)
        return code, capsys.readouterr().out, calls(script)

    return call


def _log(script: Path) -> Path:
    return script.with_name("log.jsonl")

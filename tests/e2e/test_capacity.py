"""`pika-locust capacity` with real runs, against a sandbox whose capacity is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pika_locust.errors import ExitCode
from tests.e2e.support import ROOT, Finished, MachineTooSlow

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SOCKETS = 137


def test_the_bounds_hold_a_known_capacity_and_are_close_enough(tmp_path: Path) -> None:
    """Four runs of five seconds, half a minute in all. The way there from far below is the search's own tests'."""
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "pika_locust.cli.main", "capacity", "connections", "--json", str(found)]
    command += ["--from", "132", "--to", "145", "--trial", "5s", "--sandbox-fault", f"max-sockets={SOCKETS}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
    finished = subprocess.run(command, capture_output=True, text=True, timeout=150, cwd=ROOT, env=environ)
    if finished.returncode == ExitCode.GENERATOR:
        raise MachineTooSlow(Finished(finished.returncode, None, finished.stdout))
    assert finished.returncode == ExitCode.PASS, finished.stdout + finished.stderr
    result = json.loads(found.read_text())
    assert result["ending"] == "goal", finished.stdout
    assert result["lower"] <= SOCKETS < result["upper"], finished.stdout
    assert result["upper"] / result["lower"] <= 1.1
    (crossed,) = (one for one in result["crossings"] if one["name"].startswith("ws_connection_success_rate"))
    assert (crossed["held_at"], crossed["crossed_at"]) == (result["lower"], result["upper"])

"""`pika-locust suite` and `report` with real runs: one scenario passes, and the planted fault fails the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pika_locust.errors import ExitCode
from tests.e2e.support import ROOT, Finished, MachineTooSlow

pytestmark = pytest.mark.e2e


def command(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
    said = [sys.executable, "-m", "pika_locust.cli.main", *words]
    return subprocess.run(said, capture_output=True, text=True, timeout=150, cwd=ROOT, env=environ)


def test_a_fault_fails_the_suite_and_is_named_in_the_report(tmp_path: Path) -> None:
    """Two runs of twelve seconds. The fault is in results of audio, of which the one scenario has none."""
    words = ["--platform", "pixelated", "--quick", "--skip-baseline", "--pause", "0"]
    words += ["--sandbox-fault", "two-results=0.2", "--output-dir", str(tmp_path)]
    finished = command("suite", *words, "--", "--seed", "11", "-t", "10s")
    (folder,) = tmp_path.glob("run_*")
    runs = {one["scenario"]: one for one in json.loads((folder / "suite.json").read_text())["runs"]}
    if any(one["exit_code"] == ExitCode.GENERATOR for one in runs.values()):
        raise MachineTooSlow(Finished(finished.returncode, None, finished.stdout))
    assert finished.returncode == ExitCode.FAILED, finished.stdout + finished.stderr
    assert {name: one["state"] for name, one in runs.items()} == {"inference": "pass", "streaming": "fail"}
    assert "data-integrity check 'results' failed" in runs["streaming"]["why"]
    assert {path.name for path in folder.iterdir()} >= {
        f"{name}.{kind}" for name in ("inference", "streaming") for kind in ("json", "log", "html")
    }
    assert command("report", str(folder)).stdout.startswith("NOT READY; ")
    head, _, _ = (folder / "LOAD_TEST_REPORT.md").read_text().partition("<details>")
    assert "**NOT READY**" in head
    assert "- streaming: data-integrity check 'results' failed" in head
    assert "- inference: " not in head

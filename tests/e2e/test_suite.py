"""`pika-locust suite` and `report` with real runs: one scenario passes, and the planted fault fails the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pika_locust.errors import ExitCode
from pika_locust.outputs.suite_results import read_suite
from tests.e2e.report_page import legend_differences, show
from tests.e2e.support import ROOT, Finished, MachineTooSlow
from tests.outputs.report_figures import check_suite

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
    said = [sys.executable, "-m", "pika_locust.cli.main", *words]
    return subprocess.run(said, capture_output=True, text=True, timeout=150, cwd=ROOT, env=environ)


def test_a_fault_fails_the_suite_and_is_named_in_the_report(tmp_path: Path) -> None:
    """Two runs of twelve seconds. The fault is in results of audio, of which the one scenario has none."""
    words = ["--platform", "pixelated", "--quick", "--skip-baseline", "--pause", "0"]
    elsewhere = tmp_path / "out" / "suite.html"
    words += ["--sandbox-fault", "two-results=0.2", "--output-dir", str(tmp_path), "--report", str(elsewhere)]
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
    written = [folder / f"LOAD_TEST_REPORT.{kind}" for kind in ("html", "md")]
    assert finished.stdout.endswith(f"NOT READY; the report is in {written[0]} and {written[1]} and {elsewhere}\n")
    assert elsewhere.read_bytes() == written[0].read_bytes()
    shown, results = show(elsewhere), read_suite(folder)
    assert shown.said == shown.asked == []
    page = check_suite(results, elsewhere.read_text(), written[1].read_text())
    assert [section.blocks for section in shown.report.sections] == [section.blocks for section in page.sections]
    assert len(shown.legends) >= 8
    assert legend_differences(shown.legends) == []
    before = [path.read_bytes() for path in written]
    assert command("report", str(folder)).stdout.startswith("NOT READY; ")
    assert [path.read_bytes() for path in written] == before
    head, _, _ = written[1].read_text().partition("<details>")
    assert "**NOT READY**" in head
    assert "- streaming: data-integrity check 'results' failed" in head
    assert "- inference: " not in head

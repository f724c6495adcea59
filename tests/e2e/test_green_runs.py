"""Runs against a sandbox without faults are green, unless a threshold of the command line says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.support import DANCERS, run

pytestmark = pytest.mark.e2e

OPTIONS = ["--headless", "-f", DANCERS, "-u", "40", "-r", "40", "-t", "18s", "--seed", "11"]


def test_without_a_fault_the_same_run_is_green(tmp_path: Path) -> None:
    finished = run(OPTIONS, tmp_path)
    assert finished.exit_code == 0, finished.output
    assert finished.reasons == []
    assert finished.summary is not None
    assert finished.summary["resolving_power"]


def test_a_threshold_of_the_command_line_decides_too(tmp_path: Path) -> None:
    finished = run([*OPTIONS, "--threshold", "ws_message_latency:p(95)<0.001"], tmp_path)
    assert finished.exit_code == 99, finished.output
    assert finished.reasons == [("threshold", "ws_message_latency")]


def test_a_threshold_that_aborts_ends_the_run_early_with_its_results(tmp_path: Path) -> None:
    finished = run(
        [
            *("--headless", "-f", DANCERS, "-u", "10", "-r", "10", "-t", "120s"),
            *("--threshold", "ws_message_latency:p(95)<0.001; abort_on_fail; delay_abort_eval=4s"),
        ],
        tmp_path,
    )
    assert finished.exit_code == 99, finished.output
    assert finished.summary is not None
    assert 4 <= finished.summary["duration_s"] < 30
    assert finished.reasons == [("threshold", "ws_message_latency")]
    assert any("abort_on_fail" in note for note in finished.summary["notes"])

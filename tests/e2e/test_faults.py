"""Every fault of the sandbox turns the run red, for the right reason; without one it is green."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.support import DANCERS, run

pytestmark = pytest.mark.e2e

OPTIONS = ["--headless", "-f", DANCERS, "-u", "40", "-r", "40", "-t", "18s", "--seed", "11"]

AUDITS = {"likes", "tempo votes", "poll votes"}
FAULTS = {
    "latency=900": {"ws_message_latency", "fanout_latency"},
    "drop=0.05": {"ack_success"},
    "lose-write=0.05": AUDITS,
    "double=0.05": AUDITS,
    "lose-fanout=0.05": {"fanout_delivery"},
    "refuse=0.2": {"ws_connection_success", "ws_connection_errors"},
    "throttle=10/60s": {"ws_connection_success", "ws_connection_errors"},
    "crash-after=8": {"ws_connection_success", "ws_connection_errors"},
    "close-after=8": {"ws_connection_kept"},
    "dead-session": {"ws_session_live"},
}


@pytest.mark.parametrize(("fault", "seen_by"), FAULTS.items(), ids=FAULTS.keys())
def test_a_fault_is_seen_by_what_it_breaks(fault: str, seen_by: set[str], tmp_path: Path) -> None:
    finished = run([*OPTIONS, "--sandbox-fault", fault], tmp_path)
    assert finished.exit_code == 99, finished.output
    assert finished.subjects & seen_by, finished.reasons


def test_a_leak_is_seen_in_the_memory_of_the_target(tmp_path: Path) -> None:
    finished = run([*OPTIONS, "--sandbox-fault", "leak=3000"], tmp_path)
    assert finished.exit_code == 99, finished.output
    assert "target_memory_mb" in finished.subjects


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

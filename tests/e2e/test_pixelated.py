"""Pixelated Empathy's scenarios as its teams run them: green in both dialects, and red where there is no server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.support import Finished, run

pytestmark = pytest.mark.e2e

STREAMING = {
    "TURNS": "3",
    "CHUNKS": "4",
    "CHUNK_PAUSE": "0.2",
    "THINK_TIME_MIN": "0.2",
    "THINK_TIME_MAX": "0.5",
    "MALFORMED": "0.2",
}
SHORT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "inference": ("API_URL", {"THINK_TIME_MIN": "0.1", "THINK_TIME_MAX": "0.3"}),
    "streaming": ("WS_URL", STREAMING),
}
TARGETS = {"API_URL": "http://127.0.0.1:9", "WS_URL": "ws://127.0.0.1:9/ws/pixel-multimodal"}
EACH = pytest.mark.parametrize("scenario", SHORT)
UNSEEN = {"target_memory_mb", "malformed_refused", "large_audio_refused"}
"""Metrics with thresholds that a short run may have no samples of."""


def short(scenario: str, folder: Path, *options: str, **settings: str) -> Finished:
    arguments = ["--headless", "-f", f"locustfiles/{scenario}.py", "-u", "20", "-r", "20", "-t", "4s", "--seed", "11"]
    return run([*arguments, *options], folder, {**SHORT[scenario][1], **settings})


@EACH
@pytest.mark.parametrize("contract", ["server", "suite"])
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["local", "two processes"])
def test_a_short_run_is_green(scenario: str, processes: tuple[str, ...], contract: str, tmp_path: Path) -> None:
    finished = short(scenario, tmp_path, *processes, CONTRACT=contract)
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    of_server = {"chunk_acknowledged", "chunk_totals_correct", "buffer_reset", "text_ack_time"}
    only_server = of_server if contract == "suite" else set()
    judged = [one for one in finished.summary["thresholds"] if one["metric"] not in UNSEEN | only_server]
    empty = [one["metric"] for one in judged if not one["samples"] and "count" not in one["expression"]]
    assert empty == []
    if scenario == "streaming":
        observed = {"chunks": "not_observed" if contract == "suite" else "pass", "results": "pass"}
        assert {audit["name"]: audit["status"] for audit in finished.summary["audits"]} == observed
    else:
        # Of 18 texts the real service notices a crisis in one; the suite's dialect does in two, and bias in a third.
        crises = finished.metric("crisis_detections")["count"]
        assert 0 < crises < finished.metric("successful_inferences")["count"] / 4
        assert (finished.metric("bias_detections")["count"] > 0) == (contract == "suite")


def test_arrivals_hold_the_throughput_that_was_asked_for(tmp_path: Path) -> None:
    arguments = ["--headless", "-f", "locustfiles/inference.py", "--seed", "11"]
    finished = run(arguments, tmp_path, {"INFERENCE_RATE": "60", "TEST_DURATION": "5s"})
    assert finished.exit_code == 0, finished.output
    assert finished.metric("successful_inferences")["count"] == 300
    assert finished.summary is not None
    assert "rate" in {one["expression"].partition(">")[0] for one in finished.summary["thresholds"]}


@EACH
def test_a_port_on_which_nobody_listens_is_red(scenario: str, tmp_path: Path) -> None:
    setting = SHORT[scenario][0]
    finished = short(scenario, tmp_path, "-t", "2s", **{setting: TARGETS[setting]})
    assert finished.exit_code == 99, finished.output
    assert "connection refused" in finished.output.lower()

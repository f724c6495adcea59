"""Workers on two machines, whose monotonic clocks are a day apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import DANCERS, Finished, Run, free_port, sandbox, socket_url

pytestmark = pytest.mark.e2e

ELSEWHERE = {"PYTHONPATH": str(Path(__file__).parent / "elsewhere")}


def run_on_two_machines(file: str, options: list[str], directory: Path, env: Mapping[str, str]) -> Finished:
    """A master with a worker beside it, and a worker on another machine."""
    port = str(free_port())
    with ExitStack() as started:
        for name, place in {"here": {}, "elsewhere": ELSEWHERE}.items():
            (directory / name).mkdir()
            worker = Run(["-f", file, "--worker", "--master-port", port], directory / name, {**env, **place})
            started.enter_context(worker)
        leading = ["--headless", "--master", "--master-bind-port", port, "--expect-workers", "2", "--seed", "7"]
        return Run(["-f", file, *leading, *options], directory, env).finish()


def test_broadcasts_are_timed_across_machines(tmp_path: Path) -> None:
    with sandbox() as target:
        env = {"WS_URL": socket_url(target)}
        finished = run_on_two_machines(DANCERS, ["-u", "20", "-r", "20", "-t", "6s"], tmp_path, env)
        state = target.state()
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert finished.summary["verdict"] == "pass"
    # To the server, the DJ's second connection is a dancer's: it hears the end of the session, and of an open poll.
    assert state["frames_to_dancers"] - finished.metric("ws_messages_received")["count"] in (1, 2)
    assert finished.metric("fanout_delivery")["rate"] == 1.0
    one_clock, two_clocks = (finished.metric(f"latencies_{kind}")["count"] for kind in ("one_clock", "two_clocks"))
    fanout = finished.metric("fanout_latency")
    assert one_clock + two_clocks == fanout["count"]
    # A track at least reached most of the ten dancers on the DJ's machine, and of the ten on the other.
    assert one_clock > 5
    assert two_clocks > 5
    assert 0 < fanout["min"] <= fanout["med"] <= fanout["p(95)"] < 250
    assert finished.metric("latencies_left_out")["count"] == 0
    assert 0 < finished.metric("clock_error")["max"] < 20
    (note,) = [note for note in finished.summary["notes"] if note.startswith("fanout_latency")]
    said = f"fanout_latency: {one_clock} samples by one clock, {two_clocks} across machines after an estimated offset"
    assert re.fullmatch(re.escape(said) + r" \(error at most [0-9.]+ ms\)", note)


def test_arrivals_begin_at_the_same_moment_on_all_machines(tmp_path: Path) -> None:
    rush = {"BASE_RATE": "5", "SPIKE_RATE": "40", "RAMP_UP": "2s", "SPIKE_HOLD": "2s", "RAMP_DOWN": "1s"}
    with start_sandbox(["verity"]) as target:
        env = {**rush, "BASE_URL": target.url, "STRIPE_WEBHOOK_SECRET": "whsec_test_secret"}
        run = run_on_two_machines("locustfiles/tokens.py", ["-t", "5s"], tmp_path, env)
    assert run.exit_code == 0, run.output
    # 2 s from 5 to 40 a second, 2 s at 40, 1 s back to 5: 45 + 80 + 22.5.
    assert run.metric("iterations_started")["count"] + run.metric("dropped_iterations")["count"] == 147
    lateness = run.metric("arrival_lateness")
    assert lateness["count"] == run.metric("iterations_started")["count"]
    assert lateness["max"] < 500, lateness

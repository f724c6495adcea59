"""The examples as their readers run them: healthy, and with every fault that their world offers."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import requests

from pika_locust.catalogue import find_platform
from pika_locust.sandbox.faults import Cover
from tests.e2e.support import LOCAL_AND_WORKERS, ROOT, Finished, Run, free_port, is_listening, run

pytestmark = pytest.mark.e2e

EXAMPLES = ROOT / "examples"


def covers(name: str) -> list[tuple[str, Cover]]:
    """Every fault of an example's world, and who must notice it."""
    return [(name, cover) for cover in find_platform(f"{name}_world:PLATFORM", [str(EXAMPLES)]).covers]


def example(name: str, directory: Path, *more: str) -> Finished:
    load = ["-u", "20", "-r", "20", "-t", "4s"]
    env = {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.5"}
    return run(["--headless", "-f", f"examples/{name}.py", *load, *more], directory, env)


@LOCAL_AND_WORKERS
@pytest.mark.parametrize(
    ("name", "kept", "measured"),
    [("orders", "orders", "order_latency"), ("chat", "messages", "ack_latency{kind:SAY}")],
    ids=["orders", "chat"],
)
def test_it_passes_and_all_that_was_acknowledged_is_held(
    name: str, kept: str, measured: str, extra: list[str], tmp_path: Path
) -> None:
    finished = example(name, tmp_path, *extra)
    assert finished.exit_code == 0, finished.output
    audit = finished.audit(kept)
    assert audit["status"] == "pass"
    assert audit["expected"] == audit["actual"] > 100
    assert finished.metric(measured)["count"] == audit["expected"]


def test_the_second_test_of_a_web_page_is_judged_by_what_it_has_sent_itself(tmp_path: Path) -> None:
    """Both are on the one embedded sandbox of the process, which keeps what the first has sent."""
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    arguments = ["-f", "examples/orders.py", "--web-host", "127.0.0.1", "--web-port", str(port)]
    with Run(arguments, tmp_path, {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.5"}) as started:
        started.wait_for(lambda _: is_listening(port), "a web page")
        form = {"user_count": "10", "spawn_rate": "10", "load_profile": "constant"}
        for _ in range(2):
            assert requests.post(f"{page}/swarm", data=form, timeout=10).json()["success"]
            time.sleep(2.0)
            assert requests.post(f"{page}/stop", timeout=60).json()["success"]
        started.process.send_signal(signal.SIGINT)
        finished = started.finish()
    audits = [json.loads((tmp_path / name).read_text())["audits"] for name in ("summary.json", "summary-2.json")]
    for (orders,) in audits:
        assert orders["status"] == "pass", audits
        assert orders["expected"] == orders["actual"] > 10
    assert finished.exit_code == 0, finished.output


@pytest.mark.parametrize(
    ("name", "cover"),
    [*covers("orders"), *covers("chat")],
    ids=lambda value: value.fault if isinstance(value, Cover) else value,
)
def test_each_fault_fails_the_measurement_that_covers_it(name: str, cover: Cover, tmp_path: Path) -> None:
    finished = example(name, tmp_path, "--sandbox-fault", cover.planted)
    assert finished.exit_code == 99, finished.output
    assert cover.subject in {subject.partition("{")[0] for subject in finished.subjects} | finished.subjects


def test_a_fault_that_the_world_does_not_have_is_a_mistake_before_the_run(tmp_path: Path) -> None:
    finished = example("orders", tmp_path, "--sandbox-fault", "oversell=0.1")
    assert finished.exit_code == 104
    assert "fault 'oversell' is not known here" in finished.output

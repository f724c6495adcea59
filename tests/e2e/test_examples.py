"""The examples as their readers run them: healthy, and with every fault that their world offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pika_locust.catalogue import find_platform
from pika_locust.sandbox.faults import Cover
from tests.e2e.support import ROOT, Finished, run

pytestmark = pytest.mark.e2e

EXAMPLES = ROOT / "examples"
COVERS = find_platform("orders_world:PLATFORM", [str(EXAMPLES)]).covers


def orders(directory: Path, *more: str) -> Finished:
    load = ["-u", "20", "-r", "20", "-t", "8s"]
    env = {"THINK_TIME_MIN": "0.2", "THINK_TIME_MAX": "0.5"}
    return run(["--headless", "-f", "examples/orders.py", *load, *more], directory, env)


@pytest.mark.parametrize("extra", [[], ["--processes", "2"]], ids=["in one process", "with two worker processes"])
def test_orders_pass_and_every_one_is_held(extra: list[str], tmp_path: Path) -> None:
    finished = orders(tmp_path, *extra)
    assert finished.exit_code == 0, finished.output
    audit = finished.audit("orders")
    assert audit["status"] == "pass"
    assert audit["expected"] == audit["actual"] > 100
    assert finished.metric("order_latency")["count"] == audit["expected"]


@pytest.mark.parametrize("cover", COVERS, ids=lambda cover: cover.fault)
def test_each_fault_fails_the_measurement_that_covers_it(cover: Cover, tmp_path: Path) -> None:
    finished = orders(tmp_path, "--sandbox-fault", cover.planted)
    assert finished.exit_code == 99, finished.output
    assert cover.subject in finished.subjects


def test_a_fault_that_the_world_does_not_have_is_a_mistake_before_the_run(tmp_path: Path) -> None:
    finished = orders(tmp_path, "--sandbox-fault", "oversell=0.1")
    assert finished.exit_code == 104
    assert "fault 'oversell' is not known here" in finished.output

"""Watching the target: what went wrong in a sandbox itself is found out, as far as it happened during the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pika_locust.clock import monotonic
from pika_locust.errors import UnreadableError
from pika_locust.metrics.values import GaugeValue
from pika_locust.observe.target import read_json
from pika_locust.runtime import monitors as module
from pika_locust.runtime.monitors import TargetMonitor
from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.testing.worker import wait_until

WORLD = """
from pika_locust.sandbox.app import App, Call, route

class Faulty(App):
    name = "faulty"

    @route("GET", "/fail/{what}")
    def fail(self, call: Call) -> None:
        raise LookupError(call.params["what"])

PLATFORM = Faulty.platform()
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    (tmp_path / "faulty_world.py").write_text(WORLD)
    with start_sandbox(["faulty_world:PLATFORM"], path=[str(tmp_path)]) as process:
        yield process


def fail(sandbox: SandboxProcess, what: str) -> None:
    with pytest.raises(UnreadableError):
        read_json(f"{sandbox.url}/fail/{what}")


def watching(url: str, pid: int | None, monkeypatch: pytest.MonkeyPatch) -> TargetMonitor:
    """A monitor that has probed at least once."""
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.05)
    monitor = TargetMonitor(url, pid)
    monitor.start()
    wait_until(lambda: monitor._sandbox_before is not None)
    return monitor


@pytest.mark.parametrize("is_own", [True, False])
def test_errors_of_a_sandbox_are_those_since_the_monitor_began(
    sandbox: SandboxProcess, is_own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(sandbox, "before")
    monitor = watching(sandbox.url, sandbox.pid if is_own else None, monkeypatch)
    assert monitor.sandbox_errors() == []
    fail(sandbox, "after")
    fail(sandbox, "after")
    monitor.stop()
    assert monitor.sandbox_errors() == ["the sandbox failed 2 times: LookupError: after"]
    fail(sandbox, "before")
    assert monitor.sandbox_errors() == ["the sandbox failed 3 times: LookupError: after"]


def test_a_sandbox_that_has_gone_has_no_errors(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = watching(sandbox.url, sandbox.pid, monkeypatch)
    monitor.stop()
    sandbox.stop()
    assert monitor.sandbox_errors() == []
    assert TargetMonitor("", None).sandbox_errors() == []


def test_a_target_that_goes_away_and_comes_back_is_told(
    sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE_EVERY_AWAY_S", 0.02)
    monitor = watching(sandbox.url, None, monkeypatch)
    began_s = monotonic()
    sandbox.stop()
    wait_until(lambda: monitor.outages.is_away)
    with start_sandbox(["pika"], port=sandbox.port):
        wait_until(lambda: not monitor.outages.is_away)
        monitor.stop()
    (outage,) = monitor.outages.all
    assert outage.to_s is not None
    assert began_s <= outage.from_s < outage.to_s
    assert "refused the connection" in outage.problem


def test_the_memory_is_looked_at_when_asked_for_between_two_probes(sandbox: SandboxProcess) -> None:
    monitor = TargetMonitor(sandbox.url, sandbox.pid)
    monitor.look_at_memory()
    level = monitor.snapshot().select("target_memory_mb")
    assert isinstance(level, GaugeValue)
    assert level.samples == 1
    assert level.value > 5


@pytest.fixture
def breakable() -> Iterator[SandboxProcess]:
    """A sandbox that has faults to switch on."""
    with start_sandbox(["pika"]) as process:
        yield process


def test_faults_that_are_switched_on_and_off_while_it_watches_are_noted(
    breakable: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = watching(breakable.url, breakable.pid, monkeypatch)
    assert monitor.fault_changes == []
    breakable.set_faults({"latency": 5, "leak": 1})
    wait_until(lambda: len(monitor.fault_changes) == 1)
    breakable.clear_faults()
    wait_until(lambda: len(monitor.fault_changes) == 2)
    monitor.stop()
    assert [text for _, text in monitor.fault_changes] == ["faults: latency=5, leak=1", "faults: none any more"]


def test_faults_that_were_on_from_the_start_are_noted_once(
    breakable: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakable.set_faults({"latency": 5})
    monitor = watching(breakable.url, None, monkeypatch)
    wait_until(lambda: bool(monitor.fault_changes))
    wait_until(lambda: monitor.snapshot().series["health_latency", ()].samples > 3)
    monitor.stop()
    assert [text for _, text in monitor.fault_changes] == ["faults: latency=5"]

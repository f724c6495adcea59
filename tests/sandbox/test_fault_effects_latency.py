"""The fault latency: effects leave later, in unchanged order."""

from __future__ import annotations

import asyncio
import time

import pytest

from pika_locust.sandbox.fault_effects import Latency
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.world import Effects, Ping


@pytest.mark.alone
def test_effects_wait_and_never_overtake_each_other() -> None:
    async def run() -> list[tuple[int, float]]:
        passed: list[tuple[int, float]] = []
        started = time.monotonic()

        def perform(effects: Effects) -> None:
            passed.extend((effect.socket, time.monotonic() - started) for effect in effects if isinstance(effect, Ping))

        switches = FaultSwitches()
        line = Latency(asyncio.get_running_loop(), switches, perform)
        line.put([Ping(1)])
        switches.replace(parse_faults(["latency=80"]))
        line.put([Ping(2), Ping(3)])
        switches.replace(parse_faults(["latency=10"]))
        line.put([Ping(4)])
        switches.replace(())
        line.put([Ping(5)])
        await asyncio.sleep(0.15)
        line.put([Ping(6)])
        return passed

    passed = asyncio.run(run())
    assert [number for number, _ in passed] == [1, 2, 3, 4, 5, 6]
    assert passed[0][1] < 0.05
    assert all(0.08 <= at < 0.14 for _, at in passed[1:5])


def test_what_waits_can_be_forgotten() -> None:
    async def run() -> list[Effects]:
        passed: list[Effects] = []
        line = Latency(asyncio.get_running_loop(), FaultSwitches(faults=parse_faults(["latency=10"])), passed.append)
        line.put([Ping(1)])
        line.clear()
        await asyncio.sleep(0.03)
        return passed

    assert asyncio.run(run()) == []

"""The fault close-after: sockets are cut some time after they opened."""

from __future__ import annotations

import asyncio

from pika_locust.sandbox.fault_effects import CloseAfter
from pika_locust.sandbox.faults import FaultSwitches, parse_faults


class Socket:
    def __init__(self, number: int, close_after: CloseAfter) -> None:
        self.id = number
        self.cuts = 0
        self._close_after = close_after

    def cut(self) -> None:
        self.cuts += 1
        self._close_after.gone(self)


def test_sockets_are_cut_when_their_time_comes_unless_they_are_gone_or_the_fault_is_off() -> None:
    async def run() -> list[int]:
        switches = FaultSwitches(faults=parse_faults(["close-after=0.05"]))
        close_after = CloseAfter(asyncio.get_running_loop(), switches)
        stays, leaves = Socket(1, close_after), Socket(2, close_after)
        close_after.opened(stays)
        close_after.opened(leaves)
        close_after.gone(leaves)
        await asyncio.sleep(0.08)
        switches.replace(())
        later = Socket(3, close_after)
        close_after.opened(later)
        await asyncio.sleep(0.08)
        before = later.cuts
        switches.replace(parse_faults(["close-after=0.01"]))
        await asyncio.sleep(0.03)
        return [stays.cuts, leaves.cuts, before, later.cuts, switches.counts()["close-after"]["hit"]]

    assert asyncio.run(run()) == [1, 0, 0, 1, 1]

from __future__ import annotations

import asyncio

from pika_locust.sandbox.fault_effects import CloseAfter
from pika_locust.sandbox.faults import FaultSwitches, parse_faults


class Socket:
    def __init__(self, number: int, room: CloseAfter) -> None:
        self.id = number
        self.cuts = 0
        self._room = room

    def cut(self) -> None:
        self.cuts += 1
        self._room.gone(self)


def test_sockets_are_cut_when_their_time_comes_unless_they_are_gone_or_the_fault_is_off() -> None:
    async def run() -> list[int]:
        board = FaultSwitches(faults=parse_faults(["close-after=0.05"]))
        cuts = CloseAfter(asyncio.get_running_loop(), board)
        stays, leaves = Socket(1, cuts), Socket(2, cuts)
        cuts.opened(stays)
        cuts.opened(leaves)
        cuts.gone(leaves)
        await asyncio.sleep(0.08)
        board.replace(())
        later = Socket(3, cuts)
        cuts.opened(later)
        await asyncio.sleep(0.08)
        before = later.cuts
        board.replace(parse_faults(["close-after=0.01"]))
        await asyncio.sleep(0.03)
        return [stays.cuts, leaves.cuts, before, later.cuts, board.counts()["close-after"]["hit"]]

    assert asyncio.run(run()) == [1, 0, 0, 1, 1]

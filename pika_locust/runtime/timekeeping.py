"""How processes learn what their clocks have to do with each other: workers ask, the master answers.

A question takes what its worker has found so far along, and the answer what all have found, so no other message is
needed. Locust's master takes one message after another, and a worker is busy with its users; what either costs is in
the samples' bounds (`runtime.clocks`), and one of several gets through quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Any

import gevent

from pika_locust.runtime import messages
from pika_locust.runtime.clocks import Clocks, Offset, OffsetTable
from pika_locust.runtime.machine import boot_id

BURST = 8
BURST_EVERY_S = 0.1
"""At first in quick succession, so that a worker that joins late knows the clocks before its users need them."""
EVERY_S = 1.0
"""Later: an offset that is a second old is uncertain by 0.1 ms more. The master answers a hundred workers at 1 % of a
processor."""


class ClockClient:
    """A worker's part: asks for as long as the process lives, since the next test may begin at any time."""

    def __init__(self, send: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.clocks = Clocks(boot_id())
        self._send = send
        self._waiting: Callable[[], None] | None = None
        self._asking: Any = None

    def start(self) -> None:
        """Ask at once, before anything else is sent: then the answer, too, comes before other answers."""
        self._ask()
        self._asking = gevent.spawn(self._ask_forever)

    def when_answered(self, act: Callable[[], None]) -> None:
        """Call `act` after the next answer, in place of what was to be called before."""
        self._waiting = act

    def _ask_forever(self) -> None:
        for _ in range(1, BURST):
            gevent.sleep(BURST_EVERY_S)
            self._ask()
        while True:
            gevent.sleep(EVERY_S)
            self._ask()

    def _ask(self) -> None:
        found = self.clocks.to_report()
        offset = found.to_wire() if found is not None else None
        self._send(
            messages.CLOCK_REQUEST, {"machine": self.clocks.machine, "offset": offset, "sent_ns": monotonic_ns()}
        )

    def on_answer(self, environment: Any, msg: Any) -> None:
        """The master's answer."""
        back_ns = monotonic_ns()
        said = msg.data
        sample = Offset.between(said["sent_ns"], said["heard_ns"], said["answered_ns"], back_ns)
        self.clocks.learn(said["machine"], sample, said["offsets"])
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()


class ClockServer:
    """The master's part."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._directory = OffsetTable()
        runner.register_message(messages.CLOCK_REQUEST, self._on_question)

    def _on_question(self, environment: Any, msg: Any) -> None:
        heard_ns = monotonic_ns()
        asked = msg.data
        if asked["offset"] is not None:
            self._directory.note(asked["machine"], Offset(*asked["offset"]))
        answer = {
            "machine": boot_id(),
            "offsets": self._directory.to_wire(heard_ns),
            "sent_ns": asked["sent_ns"],
            "heard_ns": heard_ns,
        }
        self._runner.send_message(
            messages.CLOCK_REPLY, {**answer, "answered_ns": monotonic_ns()}, client_id=msg.node_id
        )

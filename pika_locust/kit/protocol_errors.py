"""How many of the messages that users receive are none that the protocol has: not JSON, of an unknown type, incomplete.

What is right costs nothing: it is all that was received less what was wrong, worked out when the figures are read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from pika_locust.metrics.builtin import PROTOCOL_METRICS
from pika_locust.runtime.context import WorkerContext

(_ERRORS,) = PROTOCOL_METRICS


class ProtocolErrors:
    """What all users of a process were sent; get it with `worker.shared(ProtocolErrors)`.

    It counts `metrics.builtin.PROTOCOL_METRICS`, where the scenario declares them.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._received: dict[Hashable, Callable[[], int]] = {}
        self._wrong = self._wrong_told = self._right_told = 0
        declared = any(metric.name == _ERRORS.name for metric in worker.scenario.metrics)
        self._rate = worker.metrics.rate(_ERRORS.name) if declared else None
        if declared:
            worker.metrics.on_collect(self._settle)

    def follow(self, source: Hashable, received: Callable[[], int]) -> None:
        """Messages are counted here, too: `received` gives how many there were so far, wrong ones included.

        `source` is what counts them. However many classes of users share it, its messages are so many and no more.
        """
        self._received[source] = received

    def add(self, words: str) -> None:
        """A message was wrong; `words` say what was."""
        self._wrong += 1
        self._worker.error("receive", words)

    def _settle(self) -> None:
        assert self._rate is not None
        right = max(self._right_told, sum(received() for received in self._received.values()) - self._wrong)
        self._rate.add(False, right - self._right_told)
        self._rate.add(True, self._wrong - self._wrong_told)
        self._right_told, self._wrong_told = right, self._wrong

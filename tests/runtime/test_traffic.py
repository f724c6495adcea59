from __future__ import annotations

from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.traffic import TRAFFIC
from tests.runtime.sample_scenario import make_context
from tests.wire.websocket_servers import echoing, talking, until


def counted(worker: WorkerContext) -> tuple[int, int]:
    snapshot = worker.metrics.snapshot()
    return snapshot.counted("data_sent"), snapshot.counted("data_received")


def test_frames_of_websockets_are_counted_with_their_heads_for_the_run_that_they_belong_to() -> None:
    with talking(echoing) as (opened, seen):
        TRAFFIC.sent += 1_000
        worker = make_context()
        opened.send(b"hello")
        until(lambda: len(seen.texts) == 1)
        # A head of two bytes, and of what a client sends a mask of four.
        assert counted(worker) == (2 + 4 + 5, 2 + 5)
        assert counted(worker) == (2 + 4 + 5, 2 + 5)

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from pika_locust.runtime import master_watch as module
from pika_locust.runtime.master_watch import MasterWatch


class Worker:
    """A worker that looks at its master many times a second."""

    def __init__(self, *, forked: bool = False) -> None:
        self.runner: Any = SimpleNamespace(last_heartbeat_timestamp=None, handle_message=lambda handler: handler())
        self.gone = 0
        self.watch = MasterWatch(self.runner, self._on_gone, forked=forked)

    def _on_gone(self) -> None:
        self.gone += 1

    def live(self, looks: int, *, answered: bool) -> None:
        for look in range(looks):
            if answered:
                self.runner.last_heartbeat_timestamp = (self.runner.last_heartbeat_timestamp or 0) + look + 1
            gevent.sleep(module.EVERY_S)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    worker = Worker()
    worker.watch.start()
    yield worker
    worker.watch.stop()


def test_within_ten_seconds_it_is_known_that_a_master_is_gone() -> None:
    # One more, as the master may end just after it has answered.
    assert (module.SILENT + 1) * module.EVERY_S < 10


def test_a_master_that_answers_no_heartbeat_any_more_is_gone_once(worker: Worker) -> None:
    worker.live(20, answered=True)
    assert worker.gone == 0
    worker.live(3 * module.SILENT, answered=False)
    assert worker.gone == 1


def test_a_master_that_is_slow_at_times_is_there(worker: Worker) -> None:
    for _ in range(5):
        worker.live(2, answered=True)
        worker.live(module.SILENT // 2, answered=False)
    assert worker.gone == 0


def test_a_master_that_has_not_answered_yet_is_waited_for(worker: Worker) -> None:
    worker.live(3 * module.SILENT, answered=False)
    assert worker.gone == 0


def test_a_halted_worker_does_not_take_its_own_silence_for_its_master_s(worker: Worker) -> None:
    worker.live(3, answered=True)
    time.sleep(3 * module.SILENT * module.EVERY_S)
    worker.live(3, answered=True)
    assert worker.gone == 0


def test_a_worker_whose_listener_waits_does_not_take_its_own_silence_for_its_master_s(worker: Worker) -> None:
    worker.live(3, answered=True)
    worker.runner.handle_message(lambda: gevent.sleep(3 * module.SILENT * module.EVERY_S))
    worker.live(3, answered=True)
    assert worker.gone == 0
    # What a listener raises changes nothing in that.
    with pytest.raises(ZeroDivisionError):
        worker.runner.handle_message(lambda: 1 // 0)
    worker.live(3 * module.SILENT, answered=False)
    assert worker.gone == 1


@pytest.mark.parametrize(("forked", "gone"), [(True, 1), (False, 0)])
def test_a_forked_worker_sees_at_once_that_another_process_is_its_parent(
    forked: bool, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    worker = Worker(forked=forked)
    worker.watch.start()
    worker.live(3, answered=True)
    assert worker.gone == 0
    monkeypatch.setattr(os, "getppid", lambda: 1)
    worker.live(3, answered=True)
    assert worker.gone == gone
    worker.watch.stop()

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.pool import Group

from pika_locust.runtime.actor import Actor
from tests.runtime.house import make_context


class Guest(Actor):
    def act(self) -> None:
        self.release()


def live(worker: Any) -> Guest:
    """A user's whole life, as Locust has it."""
    failed: list[Any] = []
    events = SimpleNamespace(user_error=SimpleNamespace(fire=lambda **error: failed.append(error)))
    plugin = SimpleNamespace(wait_for_context=lambda timeout_s: worker)
    guest = Guest(SimpleNamespace(pika_locust=plugin, events=events, host=None))
    guest.start(Group())
    guest.greenlet.join(5)
    assert guest.greenlet.successful()
    assert failed == []
    return guest


def test_a_user_acts_until_it_is_released() -> None:
    worker = make_context(spread=False)
    live(worker)
    assert worker.metrics.snapshot().counted("iterations") == 1
    assert worker.actors("primary") == []


@pytest.mark.parametrize("told", [True, False], ids=["the test is draining", "nobody has told of a test"])
def test_a_user_that_comes_too_late_ends_without_a_word(told: bool, caplog: pytest.LogCaptureFixture) -> None:
    worker = make_context()
    worker.draining.add("primary")
    with caplog.at_level(logging.WARNING):
        live(worker if told else None)
    assert caplog.text == ""
    assert worker.metrics.snapshot().counted("iterations") == 0

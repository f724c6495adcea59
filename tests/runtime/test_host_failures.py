from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import locust.log
import pytest
from locust.event import EventHook
from locust.log import greenlet_exception_logger

from pika_locust.runtime import host_failures as module
from pika_locust.runtime.host_failures import HostFailure, UnhandledErrors, host_failure

NOTHING: Any = SimpleNamespace(process_exit_code=None)


@pytest.fixture(autouse=True)
def errors(monkeypatch: pytest.MonkeyPatch) -> Iterator[UnhandledErrors]:
    """A process in which nothing has failed yet."""
    errors = UnhandledErrors()
    monkeypatch.setattr(locust.log, "unhandled_greenlet_exception", False)
    monkeypatch.setattr(module, "unhandled_errors", errors)
    logging.getLogger().addHandler(errors)
    yield errors
    logging.getLogger().removeHandler(errors)


def raise_in_listener(**_: Any) -> None:
    raise ConnectionError("the test data could not be made")


def test_nothing_has_failed() -> None:
    logging.getLogger().error("Uncaught exception in handler for %s", "something else")
    assert host_failure(NOTHING) is None


def test_an_exception_in_a_listener_is_told_with_what_it_says() -> None:
    event = EventHook()
    event.add_listener(raise_in_listener)
    event.fire()
    failure = host_failure(NOTHING)
    assert failure is not None
    assert failure.code == 2
    assert "(ConnectionError: the test data could not be made)" in failure.why


def test_an_exception_in_a_greenlet_is_told_with_what_it_says(errors: UnhandledErrors) -> None:
    greenlet = gevent.spawn(raise_in_listener)
    greenlet.link_exception(greenlet_exception_logger(logging.getLogger("locust")))
    greenlet.join()
    gevent.sleep(0.01)
    assert errors.first == "ConnectionError: the test data could not be made"


def test_the_first_of_several_is_told(errors: UnhandledErrors) -> None:
    event = EventHook()
    event.add_listener(raise_in_listener)
    event.add_listener(lambda: 1 // 0)
    event.fire()
    assert errors.first.startswith("ConnectionError")


def test_an_exit_code_of_somebody_else_comes_first() -> None:
    locust.log.unhandled_greenlet_exception = True
    failure = host_failure(SimpleNamespace(process_exit_code=3))
    assert failure is not None
    assert (failure.code, "set to 3" in failure.why) == (3, True)
    assert HostFailure.from_wire(failure.to_wire()) == failure


@pytest.mark.parametrize("wire", [None, {}, {"code": 0, "why": "x"}, {"code": "2", "why": "x"}, {"code": 2}])
def test_what_is_no_failure_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="not"):
        HostFailure.from_wire(wire)

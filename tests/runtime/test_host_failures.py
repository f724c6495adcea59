from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import gevent
import locust.log
import pytest
from gevent.pool import Group
from locust import User, constant, task
from locust.event import EventHook, Events
from locust.exception import StopUser
from locust.log import greenlet_exception_logger
from locust.runners import STATE_INIT, STATE_RUNNING, LocalRunner, WorkerRunner

from pika_locust.runtime import host_failures as module
from pika_locust.runtime.host_failures import (
    HostFailure,
    UnhandledErrors,
    count_users_that_end,
    host_failure,
    outlast_listeners_that_exit,
    refuse_success_before_the_test,
    take_host_failure,
)

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


def test_what_is_taken_is_told_of_one_test_and_not_of_the_next() -> None:
    environment: Any = SimpleNamespace(process_exit_code=3)
    locust.log.unhandled_greenlet_exception = True
    taken = take_host_failure(environment)
    assert taken is not None
    assert taken.code == 3
    assert take_host_failure(environment) is None


def exits(code: Any) -> Any:
    def listener(**_: Any) -> None:
        sys.exit(code)

    return listener


@pytest.mark.parametrize(
    ("code", "asked_for"), [(0, None), (None, None), (3, 3), ("no data", 1)], ids=["0", "nothing", "3", "a text"]
)
def test_a_listener_that_exits_asks_for_an_exit_code_and_keeps_nobody_from_judging(code: Any, asked_for: Any) -> None:
    environment: Any = SimpleNamespace(events=Events(), process_exit_code=None, runner=None)
    known: list[Any] = []

    def judge(environment: Any) -> None:
        known.append(environment.process_exit_code)
        environment.process_exit_code = environment.process_exit_code or 0

    environment.events.quitting.add_listener(judge)
    outlast_listeners_that_exit(environment)
    # Whoever listens later counts, too.
    environment.events.quitting.add_listener(exits(code))
    environment.events.quitting.add_listener(exits(0))
    environment.events.quitting.fire(environment=environment, reverse=True)
    assert (known, environment.process_exit_code) == ([asked_for], asked_for or 0)


@pytest.mark.parametrize(("settled", "code", "raises"), [(99, 0, False), (99, 3, False), (0, 3, True), (0, 0, False)])
def test_what_exits_when_the_exit_code_is_settled_makes_no_success_of_it(settled: int, code: int, raises: bool) -> None:
    environment: Any = SimpleNamespace(events=Events(), process_exit_code=settled, runner=None)
    shown: list[int] = []
    environment.events.quit.add_listener(exits(code))
    environment.events.quit.add_listener(lambda exit_code: shown.append(exit_code))
    outlast_listeners_that_exit(environment)
    with pytest.raises(SystemExit, match="3") if raises else contextlib.nullcontext():
        environment.events.quit.fire(exit_code=settled)
    assert shown == [settled]


@pytest.mark.parametrize(
    ("code", "instead", "ends_with"), [(0, 107, 107), (None, 107, 107), (0, 0, 0), (3, 107, 3), ("no data", 107, 1)]
)
def test_a_listener_of_init_that_exits_makes_no_success_of_a_test_that_never_began(
    code: Any, instead: int, ends_with: int
) -> None:
    init = EventHook()
    init.add_listener(exits(code))
    refuse_success_before_the_test(init, lambda: instead)
    with pytest.raises(SystemExit) as left:
        init.fire()
    assert (left.value.code if isinstance(left.value.code, int) else int(left.value.code is not None)) == ends_with


@pytest.mark.parametrize("name", ["test_start", "spawning_complete", "worker_connect", "worker_report"])
@pytest.mark.parametrize("is_web", [False, True], ids=["headless", "in the web page"])
@pytest.mark.parametrize(("code", "asked_for"), [(0, 2), (None, 2), (3, 3), ("no data", 1)])
def test_a_listener_that_exits_before_the_end_ends_the_test_without_success(
    code: Any, asked_for: int, is_web: bool, name: str
) -> None:
    called: list[str] = []
    runner = SimpleNamespace(quit=lambda: called.append("quit"), stop=lambda: called.append("stop"))
    web_ui = object() if is_web else None
    environment: Any = SimpleNamespace(events=Events(), process_exit_code=None, runner=runner, web_ui=web_ui)
    outlast_listeners_that_exit(environment)
    event = getattr(environment.events, name)
    event.add_listener(exits(code))
    event.add_listener(lambda: called.append("the next listener"))
    event.fire()
    gevent.sleep(0)
    assert called == ["the next listener", "stop" if is_web else "quit"]
    assert environment.process_exit_code == asked_for


def test_a_worker_may_end_by_a_listener_that_exits() -> None:
    environment: Any = SimpleNamespace(events=Events(), process_exit_code=None, runner=Mock(spec=WorkerRunner))
    outlast_listeners_that_exit(environment)
    environment.events.test_start.add_listener(exits(3))
    with pytest.raises(SystemExit, match="3"):
        environment.events.test_start.fire(environment=environment)


def test_what_a_listener_raises_at_the_end_is_still_told() -> None:
    environment: Any = SimpleNamespace(events=Events(), process_exit_code=None, runner=None)
    outlast_listeners_that_exit(environment)
    environment.events.test_stop.add_listener(raise_in_listener)
    environment.events.test_stop.fire(environment=environment)
    failure = host_failure(environment)
    assert failure is not None
    assert "(ConnectionError: the test data could not be made)" in failure.why


class Impatient(User):
    wait_time = constant(0)

    @task
    def visit(self) -> None:
        with gevent.Timeout(0.01):
            gevent.sleep(1)


class BadStart(User):
    def on_start(self) -> None:
        raise ValueError("no shoe")


class BadEnd(User):
    wait_time = constant(0)

    @task
    def visit(self) -> None:
        raise StopUser

    def on_stop(self) -> None:
        raise ValueError("no shoe")


class Exiting(User):
    wait_time = constant(0)

    @task
    def visit(self) -> None:
        sys.exit(0)


@pytest.mark.parametrize(
    ("kind", "error", "ended"),
    [
        (Impatient, "Timeout: 0.01 seconds", []),
        (Exiting, "SystemExit: 0", ["quit"]),
        (BadEnd, "ValueError: no shoe", []),
        # This one Locust has counted.
        (BadStart, "ValueError: no shoe", []),
    ],
)
def test_whatever_ends_a_user_counts_once_as_what_a_task_has_raised(
    kind: type[User], error: str, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locust goes on without it and counts nothing, or ends with 0 and nothing judged."""
    hub, users, events, told = gevent.get_hub(), Group(), Events(), []
    monkeypatch.setattr(hub, "print_exception", lambda *_: None)
    # What is set here is taken away again.
    monkeypatch.setattr(hub, "handle_error", hub.handle_error)
    events.user_error.add_listener(lambda **error: told.append(error))
    stopped: list[str] = []
    runner = Mock(spec=LocalRunner, user_greenlets=users, quit=lambda: stopped.append("quit"), state=STATE_RUNNING)
    environment: Any = SimpleNamespace(events=events, runner=runner, host="", web_ui=None)
    count_users_that_end(environment)
    user = kind(environment)
    user.start(users)
    gevent.spawn(raise_in_listener)
    users.join(5)
    gevent.sleep(0)
    (one,) = told
    assert one["user_instance"] is user
    assert f"{type(one['exception']).__name__}: {one['exception']}" == error
    assert stopped == ended


@pytest.mark.parametrize(
    ("state", "is_over", "code", "settled", "leaves"),
    [
        (STATE_RUNNING, False, 0, 2, False),
        (STATE_RUNNING, False, 3, 3, False),
        (STATE_INIT, False, 3, None, True),
        (STATE_RUNNING, True, 0, None, True),
    ],
    ids=["0 in the test", "3 in the test", "before it", "when all is over"],
)
def test_a_greenlet_that_exits_ends_the_test_that_is_on(
    state: str, is_over: bool, code: int, settled: int | None, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, events, ended = gevent.get_hub(), Events(), []
    left: list[Any] = []
    monkeypatch.setattr(hub, "handle_error", lambda *error: left.append(error[2]))
    runner = Mock(spec=LocalRunner, user_greenlets=Group(), quit=lambda: ended.append("quit"), state=state)
    environment: Any = SimpleNamespace(events=events, runner=runner, web_ui=None, process_exit_code=None)
    count_users_that_end(environment)
    if is_over:
        events.quit.fire(exit_code=99)
    gevent.spawn(sys.exit, code).join(5)
    gevent.sleep(0)
    assert environment.process_exit_code == settled
    assert [type(error) for error in left] == [SystemExit] * leaves
    assert ended == ["quit"] * (not leaves)


@pytest.mark.parametrize("wire", [None, {}, {"code": 0, "why": "x"}, {"code": "2", "why": "x"}, {"code": 2}])
def test_what_is_no_failure_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="not"):
        HostFailure.from_wire(wire)

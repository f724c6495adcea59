from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import greenlet
import pytest
from gevent import get_hub
from gevent.pool import Group

import pika_locust
from pika_locust.clock import monotonic
from pika_locust.runtime.actor import Actor
from tests.runtime.sample_scenario import make_context

pytestmark = pytest.mark.usefixtures("virtual_time")


class SampleUser(Actor):
    def act(self) -> None:
        self.release()


def live(worker: Any) -> SampleUser:
    """A user's whole life, as Locust has it."""
    failed: list[Any] = []
    events = SimpleNamespace(user_error=SimpleNamespace(fire=lambda **error: failed.append(error)))
    plugin = SimpleNamespace(wait_for_context=lambda timeout_s: worker)
    user = SampleUser(SimpleNamespace(pika_locust=plugin, events=events, host=None))
    user.start(Group())
    user.greenlet.join(5)
    assert user.greenlet.successful()
    assert failed == []
    return user


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


def test_no_user_acts_when_the_set_up_has_failed() -> None:
    worker = make_context(spread=False, is_called_off=True)
    live(worker)
    assert worker.metrics.snapshot().counted("iterations") == 0
    assert worker.actors("primary") == []


class Impatient(SampleUser):
    """Does not catch the time-out that it has set."""

    def act(self) -> None:
        self.release()
        with gevent.Timeout(0.1):
            gevent.sleep(1)


def test_a_time_out_that_nobody_catches_is_an_internal_error_and_ends_no_user() -> None:
    worker = make_context(spread=False)
    plugin = SimpleNamespace(wait_for_context=lambda timeout_s: worker)
    user = Impatient(SimpleNamespace(pika_locust=plugin, events=None, host=None))
    user.start(Group())
    user.greenlet.join(5)
    assert user.greenlet.successful()
    assert worker.internal_errors == ["Timeout: 0.1 seconds"]
    assert worker.actors("primary") == []


class Hanging(SampleUser):
    """Never ends what it has begun."""

    def act(self) -> None:
        gevent.sleep(1e6)


@pytest.mark.parametrize("by_the_drain", [True, False], ids=["by the drain", "by Locust's ramp-down"])
def test_a_user_that_is_killed_in_an_iteration_is_counted_once(by_the_drain: bool) -> None:
    worker = make_context(spread=False)
    plugin = SimpleNamespace(wait_for_context=lambda timeout_s: worker)
    user = Hanging(SimpleNamespace(pika_locust=plugin, events=None, host=None))
    user.start(Group())
    gevent.sleep(0.1)
    if by_the_drain:
        worker.drain("primary", 0.1)
    else:
        user.group.killone(user.greenlet)
    user.greenlet.join(5)
    assert user.greenlet.dead
    snapshot = worker.metrics.snapshot()
    assert (snapshot.counted("iterations_cut"), snapshot.counted("iterations")) == (1, 0)


class Thinker(Actor):
    """Pauses once, then waits for something that a late wake-up of the pause must not bring."""

    def __init__(self, seconds: float, then: Any = None) -> None:
        super().__init__(SimpleNamespace(pika_locust=None, events=None, host=None))
        self.seconds = seconds
        self.then = then
        self.told: bool | None = None
        self.paused_s = 0.0
        self.afterwards: Any = None

    def think(self) -> None:
        began_s = monotonic()
        self.told = self.pause(self.seconds)
        self.paused_s = monotonic() - began_s
        if self.then is not None:
            self.afterwards = get_hub().switch()

    def act(self) -> None:
        """Never begins one."""


def test_a_pause_lasts_its_time() -> None:
    thinker = Thinker(0.05)
    gevent.spawn(thinker.think).get(timeout=5)
    assert thinker.told is False
    assert thinker.paused_s == pytest.approx(0.05)


def test_release_ends_a_pause() -> None:
    thinker = Thinker(30)
    user = gevent.spawn(thinker.think)
    gevent.sleep(0.01)
    thinker.release()
    user.get(timeout=5)
    assert thinker.told is True
    assert thinker.paused_s == pytest.approx(0.01)


@pytest.mark.parametrize("seconds", [0, -1.0])
@pytest.mark.parametrize("released", [True, False])
def test_no_time_is_no_pause(seconds: float, released: bool) -> None:
    thinker = Thinker(seconds)
    if released:
        thinker.release()
    others: list[str] = []
    gevent.spawn(others.append, "ran")
    thinker.think()
    assert thinker.told is released
    assert others == []


def test_a_released_user_does_not_pause() -> None:
    thinker = Thinker(30)
    thinker.release()
    gevent.spawn(thinker.think).get(timeout=5)
    assert thinker.told is True


def test_a_killed_user_closes_its_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    thinker = Thinker(30)
    user = gevent.spawn(thinker.think)
    gevent.sleep(0.01)
    timer = thinker._pause
    assert timer.active
    user.kill(timeout=5)
    assert user.dead
    assert not timer.active
    assert timer.callback is None
    # Nor does a release that comes later find anybody to wake.
    thinker.release()
    gevent.sleep(0.01)


def test_a_late_wake_up_does_not_disturb_what_the_user_waits_for_next() -> None:
    """The timer and `release` end the same pause in one round of the loop: only one of them switches."""
    thinker = Thinker(0.01, then="a wait of another kind")
    user = gevent.spawn(thinker.think)
    gevent.sleep(0)
    timer = thinker._pause
    get_hub().loop.run_callback(thinker._end_pause, timer)
    thinker.release()
    gevent.sleep(0.05)
    assert thinker.told is True
    assert thinker.afterwards is None
    get_hub().loop.run_callback(user.switch, "what it waits for")
    user.get(timeout=5)
    assert thinker.afterwards == "what it waits for"


def test_a_pause_is_not_ended_by_a_switch_that_was_meant_for_something_else() -> None:
    thinker = Thinker(0.1)
    user = gevent.spawn(thinker.think)
    gevent.sleep(0.01)
    get_hub().loop.run_callback(user.switch)
    user.get(timeout=5)
    assert thinker.paused_s == pytest.approx(0.1)


def test_a_late_wake_up_does_not_end_the_next_pause() -> None:
    thinker = Thinker(0.01)

    def think_twice() -> None:
        thinker.think()
        thinker.seconds = 0.1
        thinker.think()

    user = gevent.spawn(think_twice)
    gevent.sleep(0)
    first = thinker._pause
    gevent.sleep(0.03)
    get_hub().loop.run_callback(thinker._end_pause, first)
    user.get(timeout=5)
    assert thinker.paused_s == pytest.approx(0.1)


def test_a_user_pauses_in_one_greenlet_at_a_time() -> None:
    thinker = Thinker(0.05)
    first, second = gevent.spawn(thinker.think), gevent.spawn(thinker.think)
    gevent.joinall([first, second], timeout=5)
    assert first.successful()
    assert isinstance(second.exception, RuntimeError)


def test_a_pause_throws_nothing() -> None:
    """`Event.wait(timeout)` throws a `Timeout` into the greenlet, which is most of what such a pause costs."""
    thinker = Thinker(0.01)
    switches: list[str] = []
    before = greenlet.settrace(lambda event, greenlets: switches.append(event))
    try:
        gevent.spawn(thinker.think).get(timeout=5)
    finally:
        greenlet.settrace(before)
    assert thinker.told is False
    assert set(switches) == {"switch"}


def test_no_user_waits_by_event_wait_with_a_timeout() -> None:
    package = Path(pika_locust.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"self\.released\.wait\([^)]", line) and "`" not in line
    ]
    assert found == []

"""Virtual time for whatever waits on gevent: the clock jumps from one timer to the next, and nothing ever sleeps.

    class Heartbeat:
        def __init__(self) -> None:
            self.beats_s: list[float] = []

        def run(self) -> None:
            for _ in range(3):
                gevent.sleep(20)
                self.beats_s.append(monotonic())

    def test_a_heartbeat_is_sent_every_twenty_seconds() -> None:
        with VirtualTime() as time:
            heart, began_s = Heartbeat(), monotonic()
            time.spawn(heart.run)
            time.run(50)
            assert [at_s - began_s for at_s in heart.beats_s] == [20, 40]

While it lasts, the timers of the event loop and the clocks of `pika_locust.clock` are virtual, and with them all that
is made of them: `gevent.sleep`, `Timeout`, events with a timeout, pools, users, worker contexts. So a minute takes
milliseconds and comes out the same every time. Sockets have no part in it: what waits for one fails at once; a world
is spoken to by a `WorldDriver`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Any, TypeVar

import gevent
from gevent import get_hub

from pika_locust import clock

BEGAN_NS = 1_000_000_000_000
"""The monotonic clock at the beginning."""
BEGAN_S = 1_795_230_000.0
"""Seconds since the epoch at the beginning."""
MAX_TURNS = 100_000
"""How often greenlets may give way to each other at one and the same time before they are taken to be stuck."""

T = TypeVar("T")


class VirtualTime:
    """A context in which time goes by only when its methods are told so.

    Errors of timers' callbacks, and of greenlets begun by `spawn`, are raised by the method that let the time go by.
    """

    def __init__(self) -> None:
        self.now_ns = BEGAN_NS
        """The monotonic clock."""
        self._timers: list[tuple[int, int, VirtualTimer]] = []
        self._order = count()
        self._loop: Any = None
        self._greenlets: list[gevent.Greenlet] = []
        self._errors: list[BaseException] = []
        self._stack = ExitStack()

    @property
    def elapsed_s(self) -> float:
        """How many seconds went by since the beginning."""
        return (self.now_ns - BEGAN_NS) / 1e9

    def __enter__(self) -> VirtualTime:
        # The hub must be running, by its real loop, before it is given another.
        gevent.sleep(0)
        hub = get_hub()
        real = hub.loop
        self._loop = hub.loop = VirtualLoop(real, self)
        self._stack.callback(setattr, hub, "loop", real)
        self._stack.enter_context(clock.replaced(lambda: self.now_ns, lambda: BEGAN_S + self.elapsed_s))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the greenlets begun by `spawn`; the hub has its real timers again, and the clocks are the kernel's."""
        try:
            gevent.killall(self._greenlets, block=False)
            self._settle()
        finally:
            self._stack.close()

    # Letting time go by

    def run(self, seconds: float) -> None:
        """Let so much time go by, each timer at its moment."""
        until_ns = self.now_ns + round(seconds * 1e9)
        self._settle()
        while self._fire_next(until_ns):
            self._settle()
        self.now_ns = until_ns

    def run_until(self, condition: Callable[[], object], within_s: float = 60.0) -> None:
        """Let time go by until something is so; TimeoutError when it is not within so many seconds."""
        until_ns = self.now_ns + round(within_s * 1e9)
        self._settle()
        while not condition():
            if not self._fire_next(until_ns):
                self.now_ns = until_ns
                raise TimeoutError(f"not so within {within_s:g} s")
            self._settle()

    def call(self, function: Callable[..., T], *arguments: Any, within_s: float = 60.0) -> T:
        """Call something that waits, and let time go by until it returns; raises what it raises.

        TimeoutError when it does not return within so many seconds; it is given up then.
        """
        outcome: list[T] = []
        greenlet = self.spawn(lambda: outcome.append(function(*arguments)))
        try:
            self.run_until(greenlet.ready, within_s)
        except TimeoutError:
            greenlet.kill(block=False)
            self._settle()
            raise
        return outcome[0]

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> gevent.Greenlet:
        """Call something in a greenlet of its own, which begins as soon as time goes by."""
        greenlet = gevent.spawn(self._guard, function, arguments)
        self._greenlets.append(greenlet)
        return greenlet

    def stand_still(self, seconds: float) -> None:
        """Time goes by and nothing is done, as when the process is held up: what is due is done late."""
        self.now_ns += round(seconds * 1e9)

    # What loops need

    def _push(self, after_s: float, timer: VirtualTimer) -> int:
        # Whoever waits for less than a nanosecond waits for one: else time would stand still for it.
        due_ns = self.now_ns + (max(1, round(after_s * 1e9)) if after_s > 0 else 0)
        number = next(self._order)
        heapq.heappush(self._timers, (due_ns, number, timer))
        return number

    def _fire_next(self, until_ns: int) -> bool:
        """Fire the first timer that is due by then; False when there is none."""
        while self._timers and self._timers[0][0] <= until_ns:
            due_ns, number, timer = heapq.heappop(self._timers)
            if timer.number == number:
                self.now_ns = max(self.now_ns, due_ns)
                self._loop.run_callback(self._guard, timer.fire)
                return True
        return False

    def _guard(self, function: Callable[..., object], arguments: tuple[Any, ...] = ()) -> None:
        try:
            function(*arguments)
        except gevent.GreenletExit:
            raise
        except BaseException as error:
            # Test frameworks end a test by exceptions of their own.
            self._errors.append(error)

    def _settle(self) -> None:
        """Have everything done that can be done now."""
        for _ in range(MAX_TURNS):
            gevent.sleep(0)
            if self._errors:
                raise self._errors.pop(0)
            if not self._loop.has_callbacks():
                return
        raise AssertionError(f"greenlets gave way to each other {MAX_TURNS} times without waiting for any time")


class VirtualTimer:
    """What gevent's `loop.timer` gives, in virtual time."""

    def __init__(self, time: VirtualTime, after_s: float, repeat_s: float) -> None:
        self._time = time
        self._after_s = after_s
        self._repeat_s = repeat_s
        self.number: int | None = None
        """Which entry among the timers that are due is this one's; None while it is stopped."""
        self.callback: Callable[..., object] | None = None
        self.args: tuple[Any, ...] | None = None

    @property
    def active(self) -> bool:
        """Whether it will fire."""
        return self.number is not None

    pending = active

    def start(self, callback: Callable[..., object], *arguments: Any, update: bool | None = None) -> None:
        """Call back after the time it was made for."""
        self.callback, self.args = callback, arguments
        self.number = self._time._push(self._after_s, self)

    def again(self, callback: Callable[..., object], *arguments: Any, update: bool | None = None) -> None:
        """Call back after its period, whatever it was started for."""
        self.callback, self.args = callback, arguments
        self.number = self._time._push(self._repeat_s, self)

    def stop(self) -> None:
        """Do not call back."""
        self.number = self.callback = self.args = None

    close = stop

    def fire(self) -> None:
        """Call back, unless it was stopped after it had come due."""
        callback, arguments = self.callback, self.args
        if callback is None or arguments is None:
            return
        if self._repeat_s:
            self.number = self._time._push(self._repeat_s, self)
        else:
            self.stop()
        callback(*arguments)

    def __enter__(self) -> VirtualTimer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class VirtualLoop:
    """An event loop whose timers are virtual; all else is the real one's, but for sockets, which there are none of."""

    def __init__(self, real: Any, time: VirtualTime) -> None:
        self._real = real
        self._time = time
        self._callbacks: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def error_handler(self) -> Any:
        """Who is told of errors in callbacks: the hub."""
        return self._real.error_handler

    @error_handler.setter
    def error_handler(self, handler: Any) -> None:
        self._real.error_handler = handler

    def timer(self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None) -> VirtualTimer:
        """A timer that fires after so many seconds of virtual time, and then with a period if there is one."""
        return VirtualTimer(self._time, after, repeat)

    def io(self, *_: Any, **__: Any) -> Any:
        """RuntimeError: bytes come when they come."""
        raise RuntimeError("in virtual time nothing can wait for a socket")

    def now(self) -> float:
        """Virtual seconds."""
        return self._time.now_ns / 1e9

    def update_now(self) -> None:
        """Nothing to do: `now` is never old."""

    update = update_now

    def run_callback(self, callback: Callable[..., object], *arguments: Any) -> Any:
        """Call back in the hub before any time goes by."""
        made = self._real.run_callback(callback, *arguments)
        self._callbacks.append(made)
        return made

    def has_callbacks(self) -> bool:
        """Whether something is still to be called back."""
        self._callbacks = [made for made in self._callbacks if made.pending]
        return bool(self._callbacks)

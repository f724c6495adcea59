"""What Locust, its listeners and its plugins say of a failure in their own ways, in whichever process of a run.

Locust logs what a listener or a greenlet raises, remembers that it happened, and ends that process with 2. A listener
or a plugin may ask for an exit code. In a worker, neither would reach the master.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent
import locust.log
from gevent import get_hub
from locust.event import EventHook
from locust.runners import STATE_INIT, WorkerRunner

from pika_locust.metrics import plain

logger = logging.getLogger(__name__)

UNHANDLED = 2
"""What Locust ends with after an exception that nobody handled."""


class UnhandledErrors(logging.Handler):
    """Remembers the first exception that Locust logs because nobody has handled it: of a listener or of a greenlet."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line of the log, if it is about one."""
        about = str(record.msg)
        if about.startswith("Unhandled exception in greenlet") and record.exc_info and record.exc_info[1] is not None:
            self._note(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
        elif about.startswith("Uncaught exception in event handler") and isinstance(record.args, tuple):
            # All that Locust gives is a traceback, whose last line is the exception.
            self._note(str(record.args[-1]).strip().rpartition("\n")[2])

    def _note(self, error: str) -> None:
        self.first = self.first or error


unhandled_errors = UnhandledErrors()
"""Those of this process; a handler of the root's and Locust's logger from Locust's `init` on."""


def outlast_listeners_that_exit(environment: Any) -> None:
    """Have `sys.exit(…)` in a listener ask for that exit code, as `environment.process_exit_code` does.

    It would end this process there: whoever listens later, as this package does, would not be called. A test would not
    be judged, and `sys.exit(0)`, of a listener that knows nothing of thresholds, would make a success of any verdict.
    Before the end it ends the test, too, which then is no success whatever it was. A worker may end by it, as its
    master notices; a listener of `request` is called in a user's greenlet (`count_users_that_end`).
    """
    events = environment.events
    for event in (events.test_stopping, events.test_stop, events.quitting, events.quit):
        event.fire = partial(_fire_at_the_end, environment, event)
    if not isinstance(environment.runner, WorkerRunner):
        for event in (events.test_start, events.spawning_complete, events.worker_connect, events.worker_report):
            event.fire = partial(_fire_before_the_end, environment, event)


def refuse_success_before_the_test(init: Any, instead: Callable[[], int]) -> None:
    """Have the exit code of `instead` in place of a success's where a listener of Locust's `init` calls `sys.exit()`.

    The process ends there, before any test; what asked for it may have been made of an answer that never came.
    """
    fire = init.fire

    def fire_init(**named: Any) -> None:
        try:
            fire(**named)
        except SystemExit as exits:
            if _exit_code(exits) or not (code := instead()):
                raise
            raise SystemExit(code) from exits

    init.fire = fire_init


def _fire_at_the_end(environment: Any, event: Any, /, *, reverse: bool = False, **named: Any) -> None:
    settled, asked_for = environment.process_exit_code, 0
    for code in _exits(event, reverse, named):
        asked_for = asked_for or code
        if code and not environment.process_exit_code:
            environment.process_exit_code = code
    if asked_for and event is environment.events.quit and not settled:
        # The process is on its way out with a success: there is no other way any more.
        raise SystemExit(asked_for)


def _fire_before_the_end(environment: Any, event: Any, /, *, reverse: bool = False, **named: Any) -> None:
    for code in _exits(event, reverse, named):
        environment.process_exit_code = environment.process_exit_code or code or UNHANDLED
        _end_test(environment, "listener")


def _exits(event: Any, reverse: bool, named: Any) -> Iterator[int]:
    """Call all listeners; the exit codes that some of them ask for by `sys.exit`."""
    for listener in event._handlers[::-1] if reverse else event._handlers.copy():
        alone = EventHook()
        alone.add_listener(listener)
        try:
            alone.fire(**named)
        except SystemExit as exits:
            logger.warning("A listener has called sys.exit(%s)", exits.code)
            yield _exit_code(exits)


def _exit_code(exits: SystemExit) -> int:
    """None is a success, and a text a failure that says why."""
    return exits.code if isinstance(exits.code, int) else int(exits.code is not None)


def _end_test(environment: Any, who: str) -> None:
    """Apart from this greenlet, which may be one of those that then end."""
    logger.error("A %s has called sys.exit(): the test ends", who)
    gevent.spawn(environment.runner.quit if environment.web_ui is None else environment.runner.stop)


def count_users_that_end(environment: Any) -> None:
    """Have a user counted as one whose task has raised when something ends it that Locust does not count.

    That is what `on_stop` raises, and `gevent.Timeout`, which is no `Exception`: Locust would go on with one user less.
    Nor is what `sys.exit()` raises, which would end a local run on the spot, unjudged and with any exit code:
    here it ends the test. So it does in any other greenlet, of a locustfile that watches something beside its users. A
    worker may end by it, as its master notices.
    """
    hub, runner = get_hub(), environment.runner
    handle_error = hub.handle_error
    gone: list[int] = []
    environment.events.quit.add_listener(lambda exit_code, **_: gone.append(exit_code))

    def note(exception: Any, **_: Any) -> None:
        # Somebody else's code may tell a text.
        with suppress(AttributeError):
            exception.pika_locust_counted = True

    def counting(context: Any, kind: Any, error: Any, trace: Any) -> None:
        is_user = context in runner.user_greenlets
        # Before and after the test, it is how this process ends.
        is_on = runner.state != STATE_INIT and not gone
        exits = isinstance(error, SystemExit) and not isinstance(runner, WorkerRunner) and is_on
        if exits:
            if not is_user:
                environment.process_exit_code = environment.process_exit_code or _exit_code(error) or UNHANDLED
            _end_test(environment, "task" if is_user else "greenlet")
        else:
            handle_error(context, kind, error, trace)
        is_counted = getattr(error, "pika_locust_counted", False)
        if is_user and (exits or (not is_counted and not isinstance(error, hub.SYSTEM_ERROR))):
            environment.events.user_error.fire(user_instance=context.args[0], exception=error, tb=trace)

    environment.events.user_error.add_listener(note)
    hub.handle_error = counting


@dataclass(frozen=True, slots=True)
class HostFailure:
    """An exit code that somebody else asks for, and why."""

    code: int
    why: str

    def to_wire(self) -> dict[str, Any]:
        """As plain values."""
        return {"code": self.code, "why": self.why}

    @classmethod
    def from_wire(cls, wire: Any) -> HostFailure:
        """What `to_wire` made. Raises ValueError for anything else, and for the code of a success."""
        known = plain.mapping(wire)
        if code := plain.whole(known.get("code")):
            return cls(code, plain.text(known.get("why")))
        raise ValueError("a failure's exit code is not 0")


def host_failure(environment: Any) -> HostFailure | None:
    """What listeners, plugins and Locust itself say by now of a failure in this process; None: nothing."""
    code = environment.process_exit_code
    if code:
        set_to = f"Locust's exit code was set to {code} by a listener or a plugin (environment.process_exit_code)"
        return HostFailure(int(code), set_to)
    if locust.log.unhandled_greenlet_exception:
        which = f" ({unhandled_errors.first})" if unhandled_errors.first else ""
        text = f"an exception in a listener or a greenlet was handled by nobody{which}; the log has its traceback"
        return HostFailure(UNHANDLED, text)
    return None


def take_host_failure(environment: Any) -> HostFailure | None:
    """The same, of the test that has just ended: the next one begins with none."""
    failure = host_failure(environment)
    environment.process_exit_code = None
    locust.log.unhandled_greenlet_exception = False
    unhandled_errors.first = ""
    return failure

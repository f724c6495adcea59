"""The handle that `install` returns: timers, checks, metrics, ledgers and audits for the tasks of any locustfile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from pika_locust.errors import UnreadableError
from pika_locust.judge import Ledger, balance, exactly_once, not_observed, unreadable
from pika_locust.judge.report import AuditResult
from pika_locust.metrics import Counter, Gauge, Rate, Trend
from pika_locust.observe.target import read_json
from pika_locust.runtime.context import WorkerContext
from pika_locust.scenario import AuditContext

GET_WITHIN_S = 30.0
"""How long an audit's request may take in all."""

Held = float | Sequence[str] | None
"""What an audit finds: how many items the target holds, or their ids, or None when it cannot be seen."""
AuditFunction = Callable[["AuditedRun"], Held]


class AuditedRun:
    """What an audit function gets: the run whose load has drained."""

    def __init__(self, context: AuditContext) -> None:
        self.hosts = tuple(host.rstrip("/") for host in context.target.split(", "))
        """Where the users went, without a slash at the end: one host, unless user classes name several."""
        self.host = self.hosts[0]
        """The first of these."""
        self.run_id: str = context.facts["run_id"]
        """What every `new_id` of this run begins with."""
        self.ledgers = context.ledgers
        """The ledgers of all processes, by name, each one taken together."""

    def get_json(self, url: str, within_s: float = GET_WITHIN_S) -> Any:
        """The answer to a GET, read as JSON; on the way that this package's clients take: no proxy, the same trust.

        Raises UnreadableError when there is none within so many seconds, its status is no success, or it is no JSON; an
        audit that lets it pass has failed, with that reason.
        """
        return read_json(url, within_s=within_s)


class LedgerAudits:
    """The audit functions of one locustfile, called as its scenario's audit."""

    def __init__(self, ledgers: Sequence[str]) -> None:
        self._ledgers = tuple(ledgers)
        self._functions: dict[str, AuditFunction] = {}
        self.problems: list[str] = []
        """What is wrong with the registered functions, a sentence each."""

    def add(self, ledger: str, function: AuditFunction) -> None:
        """Make this the audit of a ledger; a mistake is noted in `problems`."""
        known = self._functions.get(ledger)
        if ledger not in self._ledgers:
            names = ", ".join(self._ledgers) or "none"
            self.problems.append(f"an audit of {ledger!r}, but that is no ledger; install(ledgers=...) has: {names}")
        elif known is not None and _origin(known) != _origin(function):
            self.problems.append(f"the ledger {ledger!r} has two audits; return what both look at from one")
        else:
            self._functions[ledger] = function

    def __call__(self, context: AuditContext) -> list[AuditResult]:
        """Run all of them: a result for each ledger."""
        run = AuditedRun(context)
        return [self._audit(name, context.ledgers.get(name) or Ledger(name), run) for name in self._ledgers]

    def _audit(self, name: str, ledger: Ledger, run: AuditedRun) -> AuditResult:
        expected = ledger.expect()
        function = self._functions.get(name)
        if function is None:
            why = "no audit looks at it; write one with @audit"
            return not_observed(name, why, expected.acknowledged, expected.unanswered)
        try:
            held = function(run)
        except UnreadableError as error:
            return unreadable(name, str(error), expected.acknowledged, expected.unanswered)
        except Exception as error:
            raise RuntimeError(f"audit {name}: {type(error).__name__}: {error}") from error
        # What is true or false is a number to Python, and no count.
        if held is None or (isinstance(held, int | float) and not isinstance(held, bool)):
            return balance(name, expected.acknowledged, held, expected.unanswered)
        if isinstance(held, list | tuple | set | frozenset):
            return exactly_once(name, expected, map(str, held))
        raise RuntimeError(f"audit {name}: it returned {held!r}, which is no number, no list of ids and not None")


def _origin(function: AuditFunction) -> tuple[str, str]:
    return function.__module__, function.__qualname__


class Timer:
    """One measurement of `Handle.timer` that is under way."""

    def __init__(self) -> None:
        self._counts = True

    @property
    def counts(self) -> bool:
        """Whether it will count."""
        return self._counts

    def failed(self) -> None:
        """What is timed did not succeed: it must not count, as failures are often faster than an answer."""
        self._counts = False


class Sending:
    """One item that is on its way to the target: say inside of the `with` block what became of it.

    Left without a word, or by an exception, it is uncertain whether the target holds it. Retries belong inside of the
    one block, as they send the same item.
    """

    def __init__(self, ledger: Ledger, item: str) -> None:
        self._ledger = ledger
        self._item = item
        self._answer = ""

    def __enter__(self) -> Self:
        self._ledger.sent(self._item)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._answer:
            self._ledger.uncertain(self._item)

    def acked(self) -> None:
        """The target said yes: it must hold the item, once. Raises RuntimeError after another answer."""
        self._once("acked")
        self._ledger.acked(self._item)

    def refused(self, why: str) -> None:
        """The target said no, and must not hold the item; `why` is one of a few short reasons, such as "409".

        A server error says neither: leave the block without a word. Raises RuntimeError after another answer.
        """
        self._once("refused")
        self._ledger.refused(self._item, why)

    def _once(self, answer: str) -> None:
        if self._answer:
            raise RuntimeError(
                f"{self._ledger.name} {self._item}: {answer} after {self._answer}; an item has one answer"
            )
        self._answer = answer


class Handle:
    """What a locustfile measures with: `judge = pika_locust.install(...)`, and `judge.check(...)` in its tasks.

    It is the same object in every test of a process, and counts for the one that runs. Its methods may be called while
    users do: in tasks, `on_start` and `on_stop`, and in listeners of `test_start`. At any other time, and in the master
    of a distributed run, which has no users, they raise RuntimeError.
    """

    def __init__(self, audits: LedgerAudits | None = None) -> None:
        """`audits` takes the functions of `@audit`; None where a scenario has audits of its own."""
        self._audits = audits
        self._context: WorkerContext | None = None
        self._had_one = False
        self._id_prefix = ""
        self._ids = 0

    def bind(self, context: WorkerContext | None) -> None:
        """Count for this test of this process from now on; None: it has ended, and its figures are sent."""
        self._context = context
        if context is not None:
            self._had_one = True
            self._id_prefix = f"{context.begin.run_id}-{uuid4().hex[:8]}"
            self._ids = 0

    # Metrics

    @contextmanager
    def timer(self, name: str) -> Iterator[Timer]:
        """Time what happens inside of the `with` block, as one sample of the trend `name`.

        Only what succeeds counts: nothing does when an exception leaves the block, or after `failed()`. Raises KeyError
        for a trend that is not declared, and ValueError for one that is not in ms, before anything is done.
        """
        trend = self.trend(name)
        if trend.metric.unit != "ms":
            raise ValueError(f"{name} is in {trend.metric.unit or 'no unit'}, but a timer measures ms")
        timer = Timer()
        began_ns = time.perf_counter_ns()
        yield timer
        if timer.counts:
            trend.add((time.perf_counter_ns() - began_ns) // 1000)

    def check(self, name: str, ok: bool) -> bool:
        """Count whether something held, under `checks{check:name}`, and give it back.

        k6's check: it fails the run only through a threshold, such as `"checks{check:receipt}": "rate==1"`.
        """
        self._running("check").check(name, ok)
        return ok

    def rate(self, name: str) -> Rate:
        """The rate `name`: `add(ok)` counts an attempt. Raises KeyError for one that is not declared."""
        return self._running("rate").metrics.rate(name)

    def counter(self, name: str) -> Counter:
        """The counter `name`: `add(n)` counts `n` more. Raises KeyError for one that is not declared."""
        return self._running("counter").metrics.counter(name)

    def trend(self, name: str) -> Trend:
        """The trend `name`: `add(sample)` takes whole microseconds where the unit is ms (the default), else a whole
        number of its unit. Raises KeyError for one that is not declared."""
        return self._running("trend").metrics.trend(name)

    def gauge(self, name: str) -> Gauge:
        """The gauge `name`: `set(value)` and `add(delta)`. Raises KeyError for one that is not declared."""
        return self._running("gauge").metrics.gauge(name)

    # Ledgers

    def new_id(self) -> str:
        """An id that no other item of this run has, in any process; it begins with the run's id."""
        self._running("new_id")
        self._ids += 1
        return f"{self._id_prefix}-{self._ids}"

    def sending(self, ledger: str, item: str) -> Sending:
        """The item goes out inside of this `with` block; its `acked()` and `refused(why)` say what the target said.

        Raises KeyError for a ledger that is not declared.
        """
        ledgers = self._running("sending").ledgers
        if ledger not in ledgers:
            raise KeyError(f"no ledger {ledger!r} is declared; there is: {', '.join(ledgers) or 'none'}")
        return Sending(ledgers[ledger], item)

    def audit(self, ledger: str) -> Callable[[AuditFunction], AuditFunction]:
        """Decorate a function that looks up what the target holds of a ledger's items.

        It is called once after each test, when all users have stopped, on the master or in the one process of a local
        run, with an `AuditedRun`. It returns how many items of this run the target holds, or the list of their ids as
        often as it holds them, or None when that cannot be seen. What was acknowledged must be there; what stayed
        uncertain may be. A failed audit ends the run with 99.

        Raises ValueError where a scenario of this package is installed, which has audits of its own.
        """
        if self._audits is None:
            raise ValueError("a scenario has audits of its own: give it the function as `audit`")
        audits = self._audits

        def decorate(function: AuditFunction) -> AuditFunction:
            audits.add(ledger, function)
            return function

        return decorate

    def _running(self, method: str) -> WorkerContext:
        if self._context is None:
            when = "the test has ended and its figures are sent" if self._had_one else "no test runs in this process"
            raise RuntimeError(
                f"{method}: {when}; call it in tasks, in on_start or on_stop of a user, or in a listener of "
                "test_start where users run: in workers and local runs, not in a master"
            )
        return self._context

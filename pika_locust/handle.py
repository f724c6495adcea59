"""The handle that `install` returns: timers, checks, metrics, ledgers and audits for the tasks of any locustfile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from uuid import uuid4

from pika_locust.judge import Ledger
from pika_locust.kit.audits import AuditFunction, LedgerAudits
from pika_locust.metrics import Counter, Gauge, Rate, Trend
from pika_locust.runtime.context import WorkerContext


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
        """The trend `name`. Where its unit is ms (the default), `add_ms(850.5)` takes ms and `add(850_500)` whole
        microseconds; else `add(sample)` takes a whole number of its unit. Raises KeyError for one that is not
        declared."""
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

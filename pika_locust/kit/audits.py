"""Audits as functions: each finds what the target holds of one ledger, as a number or as ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pika_locust.errors import UnreadableError
from pika_locust.judge import Ledger, balance, exactly_once, not_observed, unreadable
from pika_locust.judge.report import AuditResult
from pika_locust.observe.target import read_json
from pika_locust.scenario import AuditContext, PartlyAuditedError

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
        self.run_id = context.run_id
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

    def missing(self) -> list[str]:
        """What the functions need where they are called, on the master, and is not there, a sentence each."""
        looked = {name: getattr(function, "missing", None) for name, function in self._functions.items()}
        return [f"the audit of {name}: {why}" for name, look in looked.items() if look is not None and (why := look())]

    def __call__(self, context: AuditContext) -> list[AuditResult]:
        """Run all of them: a result for each ledger.

        Raises PartlyAuditedError, with all results, when functions raised something else than UnreadableError, or
        returned what is nothing that is held.
        """
        run = AuditedRun(context)
        results: list[AuditResult] = []
        errors: list[Exception] = []
        for name in self._ledgers:
            ledger = context.ledgers.get(name) or Ledger(name)
            try:
                results.append(self._audit(name, ledger, run))
            except Exception as error:
                errors.append(error)
                expected = ledger.expect()
                results.append(not_observed(name, str(error), expected.acknowledged, expected.unanswered))
        if errors:
            problem = "; ".join(map(str, errors))
            raise PartlyAuditedError(problem, results) from ExceptionGroup("audits", errors)
        return results

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
            raise RuntimeError(f"the audit of {name} raised {type(error).__name__}: {error}") from error
        # What is true or false is a number to Python, and no count.
        if held is None or (isinstance(held, int | float) and not isinstance(held, bool)):
            return balance(name, expected.acknowledged, held, expected.unanswered)
        if isinstance(held, list | tuple | set | frozenset):
            return exactly_once(name, expected, map(str, held))
        raise RuntimeError(
            f"the audit of {name} returned {held!r}, where a number, a list of ids or None is what is held"
        )


def answered(name: str, ledger: Ledger, nothing: str, late: str, extra: int = 0, beyond: str = "") -> AuditResult:
    """The audit that whatever was sent was answered, one way or the other; what a broken connection has taken with it
    may have been or not.

    Arguments:
        nothing: why there is nothing to see, where nothing was sent.
        late: what is said of those that had no answer in time, after their number.
        extra: answers to what was never sent; one too many does not make up for one that is missing.
        beyond: what is said of those, after their number.
    """
    if not ledger.count("sent"):
        return not_observed(name, nothing)
    answers, lost = ledger.count("acked") + ledger.count("refused"), ledger.count("timed_out")
    words = [f"{number:,} {what}" for number, what in ((lost, late), (extra, beyond)) if number]
    held, unknown = (answers + lost + extra, 0) if extra else (answers, ledger.count("uncertain") + ledger.open)
    return balance(name, answers + lost, held, unknown, "; ".join(words))


def _origin(function: AuditFunction) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def ledger_audits(functions: Mapping[str, AuditFunction]) -> LedgerAudits:
    """The `audit` of a scenario, of a function for each ledger:

        scenario("orders", Customer, audit=ledger_audits({"orders": sql_ids("SELECT id FROM orders ...", connect)}))

    Each function gets an `AuditedRun`, and returns a number, a list of ids, or None for what cannot be seen.
    """
    found = LedgerAudits(tuple(functions))
    for ledger, function in functions.items():
        found.add(ledger, function)
    return found

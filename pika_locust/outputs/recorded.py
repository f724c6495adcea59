"""What the summary JSON of a finished run says, read back: its thresholds and audits, and what decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pika_locust.format import number, significant, with_unit
from pika_locust.judge.expressions import parse


@dataclass(frozen=True, slots=True)
class Judged:
    """One threshold or audit in one trial. `limit` is the threshold's expression, empty for an audit."""

    subject: str
    limit: str
    status: str
    value: float | None = None
    unit: str = ""

    @property
    def name(self) -> str:
        """What it is called: `ws_connection_time p(95)<2000`."""
        return f"{self.subject} {self.limit}" if self.limit else f"data-integrity check {self.subject}"

    @property
    def shown_value(self) -> str:
        """The value as people read it; empty for audits, and without samples."""
        if self.value is None or not self.limit:
            return ""
        return with_unit(significant(self.value, parse(self.limit).limit), self.unit)

    @property
    def allowed_loss(self) -> float | None:
        """The share that may be lost, for a threshold on a rate that is to be high or low; None for all others."""
        if not self.limit or (expression := parse(self.limit)).aggregation != "rate" or self.unit:
            return None
        if not 0 <= expression.limit <= 1:
            return None
        wants_low = expression.operator in ("<", "<=") or expression.limit == 0
        return expression.limit if wants_low else 1 - expression.limit

    @property
    def used(self) -> float | None:
        """How much of what the threshold allows is used: 1 at the limit; None where that cannot be said."""
        if not self.limit or self.value is None:
            return None
        expression = parse(self.limit)
        if expression.operator in ("<", "<="):
            return self.value / expression.limit if expression.limit > 0 else None
        allowed = self.allowed_loss
        return (1 - self.value) / allowed if allowed and expression.operator in (">", ">=") else None


def read_summary(path: Path) -> Mapping[str, Any] | None:
    """The summary in a file; None where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def judged_in(summary: Mapping[str, Any]) -> tuple[Judged, ...]:
    """All thresholds and audits of a run."""
    return (
        *(
            Judged(one["metric"], one["expression"], one["status"], one["value"], one["unit"])
            for one in summary["thresholds"]
        ),
        *(Judged(one["name"], "", one["status"]) for one in summary["audits"]),
    )


def tally(statuses: Iterable[str], what: str = "") -> str:
    """How many of all hold, and what became of the others: `8 of 9 thresholds hold, 1 not observed`."""
    found = list(statuses)
    words = {"fail": "failed", "no_data": "without data", "not_observed": "not observed"}
    others = [f"{number(found.count(status))} {word}" for status, word in words.items() if status in found]
    return ", ".join([f"{number(found.count('pass'))} of {number(len(found))} {what}hold", *others])


def closest(judged: Sequence[Judged]) -> str:
    """What came closest to its limit."""
    used = [(one.used, one) for one in judged if one.used is not None and one.status == "pass"]
    if not used:
        return ""
    share, one = max(used, key=lambda pair: pair[0])
    return f"closest: {one.name} is {one.shown_value}" if share > 0 else ""


def failed(judged: Sequence[Judged]) -> str:
    """What failed, the worst first."""
    worst = sorted((one for one in judged if one.status == "fail"), key=lambda one: -(one.used or 0.0))
    more = f", and {len(worst) - 1} more" if len(worst) > 1 else ""
    return f"{worst[0].name} is {worst[0].shown_value}{more}" if worst else ""

"""The threshold grammar, `aggregation operator number`, as k6 documents it.

```
expression  -> aggregation blank* operator blank* number
aggregation -> "count" | "rate" | "value" | "avg" | "min" | "max" | "med" | "p(" number ")" | "slope"
operator    -> ">" | ">=" | "<" | "<=" | "==" | "===" | "!="
number      -> digit+ ( "." digit+ )?     (30 digits at most on either side)
```

k6 documents this grammar but reads numbers with its language's float parser, so that `rate<NaN` (never true) and
`count>-Inf` (always true) get through there. Here a number is what the grammar says.

`slope` is not k6's: how fast a gauge, or the median of a trend, grows per minute while the load is held (`slopes`).
"""

from __future__ import annotations

import operator as comparison
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache

from pika_locust.metrics.metric import Kind

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": comparison.gt,
    ">=": comparison.ge,
    "<": comparison.lt,
    "<=": comparison.le,
    "==": comparison.eq,
    "===": comparison.eq,
    "!=": comparison.ne,
}
AGGREGATIONS = ("count", "rate", "value", "avg", "min", "max", "med", "p(N)", "slope")

_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_PERCENTILE = re.compile(rf"p\(({_NUMBER.pattern})\)")
_EXPRESSION = re.compile(r"([^<>=!]*?)[ \t]*([<>=!]+)[ \t]*(.*)", re.DOTALL)


class ExpressionError(ValueError):
    """An expression that the grammar does not know; the message says which part, and what would be right."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What must hold of one statistic of a metric.

    `aggregation` is canonical (`p(95.0)` becomes `p(95)`); `quantile` (0 to 1) is set for percentiles and for `med`.
    `limit` is in the metric's reported unit: milliseconds for times, a share from 0 to 1 for rates; for a slope it is
    that unit per minute. `text` is what was written; two expressions that mean the same are equal however they were
    written.
    """

    aggregation: str
    quantile: float | None
    operator: str
    limit: float
    text: str = field(compare=False)

    def holds(self, value: float) -> bool:
        """Whether the statistic's value satisfies the expression. What is not a number satisfies none."""
        return value == value and OPERATORS[self.operator](value, self.limit)

    def excess(self, value: float) -> float:
        """How bad a value is, in the metric's unit: the greater, the worse; only the order of two values matters."""
        if self.operator in ("<", "<="):
            return value - self.limit
        if self.operator in (">", ">="):
            return self.limit - value
        distance = abs(value - self.limit)
        return -distance if self.operator == "!=" else distance

    @property
    def is_slope(self) -> bool:
        """Whether it speaks of growth over time, which no value of one moment shows."""
        return self.aggregation == "slope"

    @property
    def family(self) -> str:
        """The aggregation as the lists of legal ones name it: `p(N)` for every percentile."""
        return "p(N)" if self.aggregation.startswith("p(") else self.aggregation

    def legal_for(self, kind: Kind) -> bool:
        """Whether metrics of this kind have the aggregation."""
        return self.family in kind.aggregations


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Read an expression such as `p(95)<500`, `rate > 0.99` or `count==0`.

    Raises ExpressionError, which names the part that is wrong and the legal alternatives.
    """
    stripped = text.strip(" \t")
    if not stripped:
        raise ExpressionError("an empty threshold; write `aggregation operator number`, such as p(95)<500")
    match = _EXPRESSION.fullmatch(stripped)
    if match is None:
        raise ExpressionError(
            f"{text!r} has no operator; write `aggregation operator number` with one of {' '.join(OPERATORS)}, "
            "such as p(95)<500"
        )
    aggregation_text, operator, number = match.groups()
    if operator not in OPERATORS:
        raise ExpressionError(f"{operator!r} in {text!r} is not an operator; legal are {' '.join(OPERATORS)}")
    aggregation, quantile = _aggregation(aggregation_text, text)
    if not _NUMBER.fullmatch(number):
        raise ExpressionError(
            f"{number!r} in {text!r} is not a number: digits and at most one point, such as 500 or 0.95 "
            "(no sign, no unit, no exponent, no more than 30 digits)"
        )
    return Expression(aggregation, quantile, operator, float(number), stripped)


def _aggregation(text: str, whole: str) -> tuple[str, float | None]:
    """The canonical name and the quantile of an aggregation."""
    if text == "med":
        return text, 0.5
    if text in AGGREGATIONS and text != "p(N)":
        return text, None
    match = _PERCENTILE.fullmatch(text)
    if match is not None:
        # Fractions keep 99.9 / 100 from becoming 0.9990000000000001
        percent = Fraction(match[1])
        if percent > 100:
            raise ExpressionError(f"{text} in {whole!r}: a percentile goes from p(0) to p(100)")
        return f"p({_plain(match[1])})", float(percent / 100)
    if not text:
        raise ExpressionError(f"{whole!r} lacks an aggregation before the operator; legal are {_legal()}")
    if re.fullmatch(r"p\(?[0-9.]*\)?", text):
        raise ExpressionError(f"{text!r} in {whole!r} is not a percentile; write it like p(95) or p(99.9)")
    close = get_close_matches(text, AGGREGATIONS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ExpressionError(f"{text!r} in {whole!r} is not an aggregation{hint}; legal are {_legal()}")


def _plain(number: str) -> str:
    """A number of the grammar without zeros that mean nothing: `095.50` is `95.5`."""
    whole, _, decimals = number.partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _legal() -> str:
    return ", ".join(AGGREGATIONS)

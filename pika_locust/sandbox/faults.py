"""The faults a sandbox can be given: their vocabulary and how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from pika_locust.errors import ConfigurationError


class Form(StrEnum):
    """How the value of a fault is written; the text is what help and errors show."""

    RATE = "RATE"
    MILLISECONDS = "MS"
    SECONDS = "S"
    WINDOW = "N/60s"
    MEGABYTES_PER_MINUTE = "MB/min"
    FLAG = ""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One word of the vocabulary."""

    name: str
    form: Form
    about: str

    @property
    def usage(self) -> str:
        """As it is written on a command line: `NAME` or `NAME=VALUE`."""
        return f"{self.name}={self.form}" if self.form else self.name


COMMON: tuple[FaultKind, ...] = (
    FaultKind("latency", Form.MILLISECONDS, "every answer and broadcast leaves MS later, in unchanged order"),
    FaultKind("error", Form.RATE, "HTTP requests are answered 500 and not processed"),
    FaultKind("drop", Form.RATE, "messages are accepted and processed, but never answered"),
    FaultKind("lose-write", Form.RATE, "writes are acknowledged, but not kept"),
    FaultKind("lose-fanout", Form.RATE, "a broadcast frame does not reach one of its recipients"),
    FaultKind("double", Form.RATE, "writes are acknowledged once, but kept twice"),
    FaultKind("oversell", Form.RATE, "a limited place is given away although none is left"),
    FaultKind("throttle", Form.WINDOW, "more than N attempts per window and client address get 429"),
    FaultKind("refuse", Form.RATE, "WebSocket upgrades are answered 503"),
    FaultKind("close-after", Form.SECONDS, "each socket is cut S seconds after it opened"),
    FaultKind("dead-session", Form.FLAG, "what was opened successfully does not exist for those who join"),
    FaultKind("forget-signature", Form.FLAG, "signatures are not verified"),
    FaultKind("leak", Form.MEGABYTES_PER_MINUTE, "the process really grows by MB each minute"),
    FaultKind("crash-after", Form.SECONDS, "the process dies without a goodbye S seconds after the first client"),
)
"""The words all platforms share; a platform supports some of them and may add its own."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Which measurement must notice a fault: the promise that tests of the fault hold a scenario to.

    `fault` is the name, `planted` a value strong enough for a short run (as on the command line), `scenario` the
    scenario that must not pass, `subject` the metric or audit whose threshold or balance says so. A fault that several
    must see has several covers.
    """

    fault: str
    planted: str
    scenario: str
    subject: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is switched on. `value` is a `Fraction` for rates, else a number in the unit of the form.

    For `N/60s` the value is N and `window_s` the seconds of the window.
    """

    kind: FaultKind
    text: str
    value: Fraction
    window_s: Fraction = Fraction(0)

    @property
    def name(self) -> str:
        return self.kind.name


_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_PATTERNS: Mapping[Form, re.Pattern[str]] = {
    Form.RATE: re.compile(_NUMBER + r"(%?)"),
    Form.MILLISECONDS: re.compile(_NUMBER + r"(?:ms)?"),
    Form.SECONDS: re.compile(_NUMBER + r"s?"),
    Form.WINDOW: re.compile(r"(\d+)/" + _NUMBER + r"s"),
    Form.MEGABYTES_PER_MINUTE: re.compile(_NUMBER + r"(?:MB/min)?"),
}
_LEGAL: Mapping[Form, str] = {
    Form.RATE: "a rate above 0 and up to 1, such as 0.02 or 2%",
    Form.MILLISECONDS: "milliseconds above 0, such as 250",
    Form.SECONDS: "seconds above 0, such as 30",
    Form.WINDOW: "attempts per window, such as 120/60s",
    Form.MEGABYTES_PER_MINUTE: "megabytes per minute above 0, such as 60",
    Form.FLAG: "no value",
}


def parse_faults(texts: Iterable[str], legal: Iterable[FaultKind] = COMMON) -> tuple[Fault, ...]:
    """Faults from their written form `NAME[=VALUE]`.

    Raises `ConfigurationError` with a sentence for each text that is wrong, naming the legal ones.
    """
    kinds = {kind.name: kind for kind in legal}
    faults: dict[str, Fault] = {}
    problems: list[str] = []
    for text in texts:
        name, _, value = text.strip().partition("=")
        if name not in kinds:
            problems.append(f"fault {name!r} is not known here; legal are {', '.join(_usages(kinds.values()))}")
        elif (fault := _parse(kinds[name], value.strip())) is None:
            wanted = _LEGAL[kinds[name].form]
            problems.append(f"fault {name} cannot have the value {value!r}: it takes {wanted}")
        elif name in faults:
            problems.append(f"fault {name} is given twice")
        else:
            faults[name] = fault
    if problems:
        raise ConfigurationError(problems)
    return tuple(faults.values())


def faults_from_json(value: Any, legal: Iterable[FaultKind] = COMMON) -> tuple[Fault, ...]:
    """Faults from a JSON object `{name: value}`; true switches a flag on, false and null mean off.

    Raises `ConfigurationError` as `parse_faults` does.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError('faults are one JSON object, such as {"lose-write": 0.02, "dead-session": true}')
    texts = []
    for name, setting in value.items():
        if setting is None or setting is False:
            continue
        texts.append(str(name) if setting is True or setting == "" else f"{name}={setting}")
    return parse_faults(texts, legal)


def _usages(kinds: Iterable[FaultKind]) -> list[str]:
    return sorted(kind.usage for kind in kinds)


def _parse(kind: FaultKind, text: str) -> Fault | None:
    if kind.form is Form.FLAG:
        return Fault(kind, text, Fraction(1)) if not text else None
    match = _PATTERNS[kind.form].fullmatch(text)
    if match is None:
        return None
    value, window_s = Fraction(match[1]), Fraction(0)
    if kind.form is Form.RATE:
        value = value / 100 if match[2] else value
        if value > 1:
            return None
    elif kind.form is Form.WINDOW:
        window_s = Fraction(match[2])
        return Fault(kind, text, value, window_s) if window_s > 0 else None
    return Fault(kind, text, value, window_s) if value > 0 else None

"""Fault names, their notation, and the switches that decide which event a fault hits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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
    COUNT = "N"
    FLAG = ""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault that can be planted: its name, how its value is written, what it does."""

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
    FaultKind("max-sockets", Form.COUNT, "WebSocket upgrades are answered 503 while N sockets are open"),
    FaultKind("close-after", Form.SECONDS, "each socket is cut S seconds after it opened"),
    FaultKind("dead-session", Form.FLAG, "what was opened successfully does not exist for those who join"),
    FaultKind("forget-signature", Form.FLAG, "signatures are not verified"),
    FaultKind("leak", Form.MEGABYTES_PER_MINUTE, "the process really grows by MB each minute"),
    FaultKind("crash-after", Form.SECONDS, "the process is killed S seconds after the first client"),
)
"""The faults that all platforms share; a platform supports some of them and may add its own."""


@dataclass(frozen=True, slots=True)
class Cover:
    """Which measurement must notice a fault: the promise that tests of the fault hold a scenario to.

    `fault` is the name, `planted` a value strong enough for a short run (as on the command line), `scenario` the
    scenario that must not pass, `subject` the metric or audit whose threshold or balance says so. A fault that several
    must see has several covers. `settings` are what the scenario needs to see it, as (name, value). Covers of a
    scenario with the same `together` hide nothing from each other, and no fault of theirs fails the `subject` of
    another one: one run with all of them shows them all, each for its own reason.
    """

    fault: str
    planted: str
    scenario: str
    subject: str
    settings: tuple[tuple[str, str], ...] = ()
    together: str = ""


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


_NUMBER = r"(\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})"
_PATTERNS: Mapping[Form, re.Pattern[str]] = {
    Form.RATE: re.compile(_NUMBER + r"(%?)"),
    Form.MILLISECONDS: re.compile(_NUMBER + r"(?:ms)?"),
    Form.SECONDS: re.compile(_NUMBER + r"s?"),
    Form.WINDOW: re.compile(r"(\d{1,30})/" + _NUMBER + r"s"),
    Form.MEGABYTES_PER_MINUTE: re.compile(_NUMBER + r"(?:MB/min)?"),
    Form.COUNT: re.compile(r"(\d{1,30})"),
}
_LEGAL: Mapping[Form, str] = {
    Form.RATE: "a rate above 0 and up to 1, such as 0.02 or 2%",
    Form.MILLISECONDS: "milliseconds above 0, such as 250",
    Form.SECONDS: "seconds above 0, such as 30",
    Form.WINDOW: "attempts per window, such as 120/60s",
    Form.MEGABYTES_PER_MINUTE: "megabytes per minute above 0, such as 60",
    Form.COUNT: "a whole number above 0, such as 500",
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


class _Tally:
    """Counts the eligible events of one kind and picks the systematic share of them."""

    __slots__ = ("eligible", "hit", "rate")

    def __init__(self, rate: Fraction) -> None:
        self.rate = rate
        self.eligible = 0
        self.hit = 0

    def take(self, events: int) -> list[int]:
        """Positions (from 0) of those among the next `events` that are hit."""
        # hits(n) = floor(rate * n + 1/2); the j-th hit is event number ceil((2j - 1) * q / 2p) for rate = p/q
        p, q = self.rate.numerator, self.rate.denominator
        before = self.eligible
        self.eligible += events
        goal = (2 * p * self.eligible + q) // (2 * q)
        picked = [-(-(2 * j - 1) * q // (2 * p)) - 1 - before for j in range(self.hit + 1, goal + 1)]
        self.hit = goal
        return picked


class FaultSwitches:
    """Which faults are on, which events they hit, and how often each was eligible and hit.

    A fault with a rate is systematic and not left to chance: of `n` eligible events of one kind, `rate * n` are hit,
    exact to one half, and each kind of event (likes, votes, frames of one type) is counted by itself, so that a kind
    with many events leaves one with few its share. A test that plants `lose-write=0.02` knows what must be missing.

    `on` is the dictionary to ask on hot paths (`"drop" in switches.on`). Replacing the faults keeps the counts of those
    that stay as they were.
    """

    def __init__(self, legal: Iterable[FaultKind] = COMMON, faults: Iterable[Fault] = ()) -> None:
        self.legal: tuple[FaultKind, ...] = tuple(legal)
        self.on: dict[str, Fault] = {}
        self._tallies: dict[str, dict[str, _Tally]] = {}
        self._watchers: list[Callable[[], None]] = []
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Switches exactly these on and all others off, then calls the watchers."""
        wanted = {fault.name: fault for fault in faults}
        kept = {name: self._tallies[name] for name, fault in wanted.items() if self.on.get(name) == fault}
        self._tallies = {name: kept.get(name, {}) for name in wanted}
        self.on.clear()
        self.on.update(wanted)
        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Calls `watcher` after every change of the switches."""
        self._watchers.append(watcher)

    def hits(self, name: str, kind: str = "") -> bool:
        """Whether the next eligible event of `kind` is hit; False when the fault is off."""
        return name in self.on and bool(self.positions(name, kind, 1))

    def positions(self, name: str, kind: str, events: int) -> list[int]:
        """Positions (from 0) of the next `events` eligible events of `kind` that are hit, in rising order."""
        if name not in self.on:
            return []
        return self._tally(name, kind).take(events)

    def count(self, name: str, events: int = 1) -> None:
        """Counts events hit by a fault that has no rate (a delay, a cut, a refusal)."""
        if name in self.on:
            tally = self._tally(name, "")
            tally.eligible += events
            tally.hit += events

    def amount(self, name: str) -> float:
        """The value of a fault as a number; 0 when it is off."""
        fault = self.on.get(name)
        return float(fault.value) if fault is not None else 0.0

    def forget_counts(self) -> None:
        """Sets all tallies to zero; the switches stay."""
        self._tallies = {name: {} for name in self.on}

    def to_json(self) -> dict[str, Any]:
        """The switches as `faults_from_json` reads them."""
        return {name: True if fault.kind.form is Form.FLAG else fault.text for name, fault in self.on.items()}

    def counts(self) -> dict[str, dict[str, Any]]:
        """For each fault that is on: events eligible and hit, in all and by kind."""
        return {
            name: {
                "eligible": sum(tally.eligible for tally in tallies.values()),
                "hit": sum(tally.hit for tally in tallies.values()),
                "by_kind": {kind: {"eligible": t.eligible, "hit": t.hit} for kind, t in tallies.items()},
            }
            for name, tallies in self._tallies.items()
        }

    def _tally(self, name: str, kind: str) -> _Tally:
        tallies = self._tallies[name]
        tally = tallies.get(kind)
        if tally is None:
            tally = tallies[kind] = _Tally(self.on[name].value)
        return tally


_CHANGING = re.compile(r"/[^/]*\d[^/]*")
MOST_KINDS = 200


class RequestKinds:
    """Kinds of HTTP requests, each of which a fault with a rate hits by itself.

    Requests of one kind share the parts of the path without digits; past `MOST_KINDS`, all the rest are one kind.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, path: str) -> str:
        kind = _CHANGING.sub("/*", path)
        if kind not in self._known and len(self._known) >= MOST_KINDS:
            return "other"
        self._known.add(kind)
        return kind


class FanoutLoss:
    """The fault `lose-fanout`: which recipients a broadcast frame does not reach.

    The rate says how many; who they are goes round, so that everybody loses alike.
    """

    def __init__(self, faults: FaultSwitches) -> None:
        self._faults = faults
        self._next: Counter[str] = Counter()

    def of(self, kind: str, recipients: Iterable[int]) -> list[int]:
        """Those of the recipients of one broadcast of this kind who do not get it."""
        numbers = list(recipients)
        lost = len(self._faults.positions("lose-fanout", kind, len(numbers)))
        first = self._next[kind]
        self._next[kind] += lost
        return [numbers[(first + n) % len(numbers)] for n in range(lost)]

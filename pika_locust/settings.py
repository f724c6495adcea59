"""Environment and `.env.load-tests` -> one frozen Settings; every mistake is reported at once.

A platform declares the names it reads as `Setting` values. The real environment wins over the file; within each, a name
that is given for one platform only (`PIKA_WS_URL`) wins over the shared one (`WS_URL`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from pika_locust.environment import Environment, misspelt
from pika_locust.load.durations import parse_duration

Parser = Callable[[str], Any]

_WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One name that a scenario reads.

    `parse` turns the text into a value and raises ValueError saying what would be right. An empty text counts as not
    set. A secret's value never leaves the process that read it.
    """

    name: str
    parse: Parser
    default: Any
    about: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Settings(Mapping[str, Any]):
    """What was read, by name; frozen. `sources` says where each value came from, `given` as what text, but for
    secrets."""

    values_by_name: Mapping[str, Any]
    sources: Mapping[str, str]
    secret_names: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def public(self) -> dict[str, Any]:
        """All values but the secrets: what may be shown, and sent to workers."""
        return {name: value for name, value in self.values_by_name.items() if name not in self.secret_names}

    def with_public(self, values: Mapping[str, Any]) -> Settings:
        """These settings with another process's public values in place; its own secrets stay."""
        return replace(self, values_by_name={**self.values_by_name, **values})


def read_settings(declared: Iterable[Setting], environ: Mapping[str, str], platform: str) -> tuple[Settings, list[str]]:
    """All declared settings, and one sentence for each value that cannot be read and each name that seems misspelt.

    A setting with a mistake has its default in the result, so that further checks can go on and report theirs as well.
    What a secret was set to is in no sentence.
    """
    layers = environ if isinstance(environ, Environment) else Environment(environ)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    given: dict[str, str] = {}
    secrets = set()
    problems = list(layers.problems)
    unset: list[str] = []
    known: set[str] = set()
    for setting in declared:
        own_name = f"{platform.upper()}_{setting.name}"
        candidates = (setting.name,) if setting.name.startswith(f"{platform.upper()}_") else (own_name, setting.name)
        known.update(candidates)
        values[setting.name], sources[setting.name] = setting.default, "default"
        if setting.secret:
            secrets.add(setting.name)
        found = layers.find(candidates)
        if found is None:
            unset += candidates
            continue
        name, said, place = found
        if not setting.secret:
            given[setting.name] = said
        try:
            values[setting.name], sources[setting.name] = setting.parse(said), name + place
        except ValueError as error:
            if setting.secret:
                problems.append(f"{name}{place}: {str(error).replace(said, 'its value')}")
            else:
                problems.append(f"{name}={said}{place}: {error}")
    problems += misspelt(layers, known, unset)
    return Settings(values, sources, frozenset(secrets), given), problems


# Parsers


def text(value: str) -> str:
    """Any text."""
    return value


def duration(value: str) -> float:
    """A duration in k6's spelling, as seconds; a plain number is seconds, as the suites' own settings have it."""
    return parse_duration(value, bare_unit="s")


def whole(minimum: int = 0, maximum: int | None = None) -> Parser:
    """A parser of whole numbers within bounds."""

    def parse(value: str) -> int:
        limit = f"at least {minimum}" + (f" and at most {maximum}" if maximum is not None else "")
        if _WHOLE.fullmatch(value) is None:
            raise ValueError(f"not a whole number; it must be {limit}")
        number = int(value)
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"it must be {limit}")
        return number

    return parse


def number(minimum: float = 0.0) -> Parser:
    """A parser of decimal numbers, at least `minimum`."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            raise ValueError(f"not a number; it must be at least {minimum:g}") from None
        # written so that a number that is none (NaN) is refused
        if not minimum <= parsed < float("inf"):
            raise ValueError(f"it must be at least {minimum:g}")
        return parsed

    return parse


def share(value: str) -> float:
    """A share from 0 to 1."""
    parsed = number(0.0)(value)
    if parsed > 1.0:
        raise ValueError("a share is at most 1; 5 % is 0.05")
    return float(parsed)


def on_unless_0(value: str) -> bool:
    """The suites' switches: everything but the text `0` is on."""
    return value != "0"


def one_of(*choices: str) -> Parser:
    """A parser of one of the given words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return value

    return parse


def url(*schemes: str) -> Parser:
    """A parser of URLs with one of the given schemes and a host."""

    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        # Reading the port raises ValueError for one that is not a number from 0 to 65535.
        _ = parts.port
        return value.rstrip("/") if parts.path in ("", "/") else value

    return parse


def sized(minimum: int, maximum: int) -> Parser:
    """A parser of texts of so many characters."""

    def parse(value: str) -> str:
        if not minimum <= len(value) <= maximum:
            raise ValueError(f"it must have {minimum} to {maximum} characters, it has {len(value)}")
        return value

    return parse

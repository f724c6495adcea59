"""Checks of the JSON a world is sent: what each field must be, and a sentence for each that is not.

A schema is a mapping of field names to checks: `{"id": text(1), "count": whole(1, 99), "note": optional(text())}`.
A field that is absent is given to its check as None. Fields that the schema does not name are left out. Texts are
measured and numbers written as JavaScript does, in which most of the servers are written that a world stands for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

Check = Callable[[Any], Any]
"""Gives the accepted value back; raises ValueError that says what is wrong with it, as in "must be a string"."""

Schema = Mapping[str, Check]


class Refused(ValueError):
    """What was sent is not what a schema asks for; `problems` says why, a sentence for each field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parse_json(data: str | bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError when it is none; NaN and Infinity are none."""
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def read_json(data: str | bytes, schema: Schema) -> dict[str, Any]:
    """The fields of a JSON object in text form; nothing at all counts as an empty object. Raises `Refused`."""
    try:
        value = parse_json(data or "{}")
    except ValueError:
        raise Refused(["the body is not JSON"]) from None
    return read_fields(value, schema)


def read_fields(value: Any, schema: Schema) -> dict[str, Any]:
    """The fields that `schema` names, accepted by their checks. Raises `Refused` with every problem there is."""
    if not isinstance(value, dict):
        raise Refused(["the body must be a JSON object"])
    accepted: dict[str, Any] = {}
    problems: list[str] = []
    for name, check in schema.items():
        if name not in value and isinstance(check, _AbsentOr):
            continue
        try:
            accepted[name] = check(value.get(name))
        except Refused as refused:
            problems += [f"{name}.{problem}" for problem in refused.problems]
        except ValueError as error:
            problems.append(f"{name} {error}")
    if problems:
        raise Refused(problems)
    return accepted


def text(shortest: int = 0, longest: int = 10_000, pattern: str = "") -> Check:
    """A string of so many characters (see `utf16_units`); with `pattern`, all of it must match that."""
    wanted = re.compile(pattern) if pattern else None

    def check(value: Any) -> str:
        if not isinstance(value, str) or not shortest <= utf16_units(value) <= longest:
            raise ValueError(f"must be a string of {shortest} to {longest} characters")
        if wanted is not None and wanted.fullmatch(value) is None:
            raise ValueError(f"must match {pattern}")
        return value

    return check


def utf16_units(value: str) -> int:
    """The length of a text as JavaScript counts it: characters beyond U+FFFF are two."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2


def whole(least: int | None = None, most: int | None = None) -> Check:
    """A whole number within these limits, both included. True and 1.5 are none; 2.0 is, as JavaScript writes no 2.0."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            raise ValueError("must be a whole number")
        _within(value, least, most)
        return int(value)

    return check


def number(least: float | None = None, most: float | None = None) -> Check:
    """A finite number within these limits, both included. 2.0 comes back as 2, as JavaScript writes it."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be a finite number")
        _within(value, least, most)
        return int(value) if value == value // 1 else value

    return check


def _within(value: float, least: float | None, most: float | None) -> None:
    if least is not None and not value >= least:
        raise ValueError(f"must be at least {least}")
    if most is not None and not value <= most:
        raise ValueError(f"must be at most {most}")


def flag(value: Any) -> bool:
    """True or false, and nothing that merely passes for it."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def one_of(*values: str | int) -> Check:
    """One of these values, of the same type."""

    def check(value: Any) -> str | int:
        for allowed in values:
            if type(value) is type(allowed) and value == allowed:
                return allowed
        raise ValueError(f"must be one of {', '.join(map(str, values))}")

    return check


def list_of(check: Check, shortest: int = 0, longest: int = 1_000) -> Check:
    """A list of so many entries, each accepted by `check`."""

    def check_list(value: Any) -> list[Any]:
        if not isinstance(value, list) or not shortest <= len(value) <= longest:
            raise ValueError(f"must be a list of {shortest} to {longest} entries")
        accepted = []
        for position, entry in enumerate(value):
            try:
                accepted.append(check(entry))
            except ValueError as error:
                raise ValueError(f"entry {position}: {error}") from None
        return accepted

    return check_list


def fields(schema: Schema) -> Check:
    """An object within the object; its problems are named `outer.inner must be ...`."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        return read_fields(value, schema)

    return check


def optional(check: Check, default: Any = None) -> Check:
    """What `check` accepts, or nothing: absent and null give `default`."""
    return lambda value: default if value is None else check(value)


@dataclass(frozen=True, slots=True)
class _AbsentOr:
    check: Check

    def __call__(self, value: Any) -> Any:
        return self.check(value)


def absent_or(check: Check) -> Check:
    """What `check` accepts, null included only if it does; a field that is absent stays absent."""
    return _AbsentOr(check)

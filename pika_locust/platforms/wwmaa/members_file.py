"""Members of the target from a CSV file, such as `pika-locust seed` writes: whom users log in as."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody logs in with. `password` is empty where the file says none: then it is TEST_USER_PASSWORD."""

    email: str
    password: str = ""


def read_members(path: str) -> list[Credentials]:
    """All rows of a file whose first line names the columns `email` and, if there is one, `password`.

    Raises ValueError, which says in a clause why nobody can be taken from there.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            found = list(_rows(csv.DictReader(file, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"it cannot be read: {error}") from None
    if not found:
        raise ValueError("nobody is in it")
    return found


def _rows(reader: csv.DictReader[str]) -> Iterator[Credentials]:
    if "email" not in (reader.fieldnames or ()):
        raise ValueError("its first line must name the columns, and one of them be `email`")
    lines: dict[str, int] = {}
    for row in reader:
        email = (row["email"] or "").strip()
        if not email:
            raise ValueError(f"line {reader.line_num} is without an email")
        if email in lines:
            raise ValueError(f"{email} is in it twice, in lines {lines[email]} and {reader.line_num}")
        lines[email] = reader.line_num
        yield Credentials(email, row.get("password") or "")


def members_file(value: str) -> str:
    """Parse the setting MEMBERS_FILE: the path itself, once there are members in it. Raises ValueError."""
    read_members(value)
    return value

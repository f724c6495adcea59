"""Audits by SQL: what the target's database holds, over any connection of Python's DB-API or over SQLAlchemy.

    judge.audit("orders")(sql_ids("SELECT id FROM orders WHERE id LIKE :run_ids", lambda: psycopg.connect(DATABASE)))

Only the master asks, after the load has drained, so that workers need no driver and no way to the database.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import Any, Literal

import gevent

from pika_locust.errors import UnreadableError
from pika_locust.kit.audits import AuditedRun, AuditFunction, Held
from pika_locust.outputs import redact

Connect = Callable[[], Any] | str
"""What opens a DB-API connection, or the URL of a database as SQLAlchemy writes it."""

_PARAMETER = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|::)|:([A-Za-z_]\w*)")
"""A text, a quoted name, a comment or a cast, which all stay; or a parameter."""


def sql_count(query: str, connect: Connect, **parameters: Any) -> AuditFunction:
    """An audit that counts: the query gives one number, such as `SELECT COUNT(*) ...`.

    Parameters of the query are written `:name`, whatever the driver has for them. There are `:run_id`, the run's id,
    and `:run_ids`, a pattern for LIKE that all ids of this run fit (those of `new_id`).

    Arguments:
        query: what to ask.
        connect: opens a connection of any DB-API driver; or a URL for SQLAlchemy (`pip install 'pika-locust[sql]'`).
        parameters: further values, by name.
    """
    return SqlAudit(query, connect, parameters, "count")


def sql_ids(query: str, connect: Connect, **parameters: Any) -> AuditFunction:
    """An audit that names: the first column of the query is the id of each item that is held, as often as it is held.

    What is missing or doubled can then be told by its id. Arguments as for `sql_count`.
    """
    return SqlAudit(query, connect, parameters, "ids")


class SqlAudit:
    """One query that is an audit function. Whatever the driver raises, the audit has failed with that reason."""

    def __init__(
        self, query: str, connect: Connect, parameters: Mapping[str, Any], gives: Literal["count", "ids"]
    ) -> None:
        self._query = query
        self._connect = connect
        self._parameters = parameters
        self._gives = gives
        # Two audits of one ledger are told apart by where they come from.
        self.__qualname__ = f"sql_{gives}({query!r})"

    def missing(self) -> str | None:
        """What must be installed where this is called, and is not, as a clause."""
        if isinstance(self._connect, str) and find_spec("sqlalchemy") is None:
            return "a database's URL needs SQLAlchemy: pip install 'pika-locust[sql]', or give what opens a connection"
        return None

    def __call__(self, run: AuditedRun) -> Held:
        """Ask the database. Raises UnreadableError for whatever goes wrong."""
        parameters = {"run_id": run.run_id, "run_ids": f"{run.run_id}-%", **self._parameters}
        # In a thread: drivers in C would hold up everything else on the master, the limit on the audits' time included.
        rows = gevent.get_hub().threadpool.apply(self._guarded, (parameters,))
        if isinstance(rows, str):
            raise UnreadableError(rows)
        if self._gives == "ids":
            return [str(row[0]) for row in rows]
        if len(rows) != 1 or isinstance(rows[0][0], bool | str) or rows[0][0] is None:
            raise UnreadableError(f"the query gave {len(rows)} rows, where one number was to come: {self._query}")
        return float(rows[0][0])

    def _guarded(self, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]] | str:
        """The rows, or what went wrong, as a sentence without secrets."""
        try:
            if isinstance(self._connect, str):
                return self._by_sqlalchemy(self._connect, parameters)
            with closing(self._connect()) as connection, closing(connection.cursor()) as cursor:
                query, values = spelled(self._query, parameters, paramstyle_of(connection))
                cursor.execute(query, values)
                return list(cursor.fetchall())
        except Exception as error:
            # A driver's errors have no common base, and what opens the connection may raise anything.
            text = f"the database did not answer: {type(error).__name__}: {error}"
            if isinstance(self._connect, str):
                redact.conceal(redact.secrets_in_urls(self._connect))
            return redact.text(text)

    def _by_sqlalchemy(self, url: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        # Loaded where it is used, on the master: it takes 200 ms and 17 MB.
        import sqlalchemy

        statement = sqlalchemy.text(self._query)
        used = {match[2] for match in _PARAMETER.finditer(self._query) if match[2]}
        engine = sqlalchemy.create_engine(url)
        try:
            with engine.connect() as connection:
                found = connection.execute(statement, {name: parameters[name] for name in used})
                return [tuple(row) for row in found]
        finally:
            engine.dispose()


def paramstyle_of(connection: Any) -> str:
    """How the driver of a connection writes parameters: as its module says, which is the class's or one above it."""
    name = type(connection).__module__
    while name:
        style = getattr(sys.modules.get(name), "paramstyle", None)
        if isinstance(style, str):
            return style
        name = name.rpartition(".")[0]
    return "qmark"


def spelled(query: str, parameters: Mapping[str, Any], style: str) -> tuple[str, Any]:
    """A query with `:name` parameters and its values, as a driver of that paramstyle takes them.

    Raises KeyError for a parameter that has no value.
    """
    used: list[str] = []
    marks: Mapping[str, Callable[[str], str]] = {
        "qmark": lambda name: "?",
        "format": lambda name: "%s",
        "numeric": lambda name: f":{len(used)}",
        "pyformat": lambda name: f"%({name})s",
        "named": lambda name: f":{name}",
    }
    mark = marks[style]

    def replaced(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        used.append(match[2])
        return mark(match[2])

    # To these drivers a percent sign is a parameter, wherever it stands.
    plain = query.replace("%", "%%") if style in ("format", "pyformat") else query
    text = _PARAMETER.sub(replaced, plain)
    values = [parameters[name] for name in used]
    return text, dict(zip(used, values, strict=True)) if style in ("named", "pyformat") else values

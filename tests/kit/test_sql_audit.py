"""Audits by SQL: over a DB-API connection and over SQLAlchemy, in the driver's own spelling of parameters."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import pytest

from pika_locust.errors import UnreadableError
from pika_locust.judge import Ledger
from pika_locust.kit import ledger_audits, sql_count, sql_ids
from pika_locust.kit import sql_audit as module
from pika_locust.kit.audits import AuditedRun, AuditFunction
from pika_locust.kit.sql_audit import SqlAudit, paramstyle_of, spelled
from pika_locust.scenario import AuditContext
from pika_locust.settings import Settings

OF_RUN = "FROM orders WHERE id LIKE :run_ids"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two orders of this run, one of them held twice, and one of another run."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id TEXT, customer TEXT)")
        held = [("run1-a-1", "ada"), ("run1-a-2", "bob"), ("run1-a-2", "bob"), ("run2-a-1", "ada")]
        connection.executemany("INSERT INTO orders VALUES (?, ?)", held)
    return path


def context(*ledgers: Ledger) -> AuditContext:
    by_name = {ledger.name: ledger for ledger in ledgers}
    return AuditContext("http://shop", Settings({}, {}), by_name, {"run_id": "run1"}, None)


def asked(audit: AuditFunction) -> object:
    return audit(AuditedRun(context()))


@pytest.mark.parametrize("way", ["a connection", "a URL"])
def test_what_the_database_holds_of_this_run_is_counted_or_named(database: Path, way: str) -> None:
    connect = (lambda: sqlite3.connect(database)) if way == "a connection" else f"sqlite:///{database}"
    assert asked(sql_count(f"SELECT COUNT(*) {OF_RUN}", connect)) == 3
    assert asked(sql_ids(f"SELECT id {OF_RUN} ORDER BY id", connect)) == ["run1-a-1", "run1-a-2", "run1-a-2"]
    assert asked(sql_ids("SELECT id FROM orders WHERE customer = :name AND id LIKE :run_ids", connect, name="ada")) == [
        "run1-a-1"
    ]
    assert asked(sql_ids(f"SELECT id {OF_RUN} AND 1 = 0", connect)) == []


def test_a_scenario_s_audit_finds_what_is_missing_and_what_is_doubled(database: Path) -> None:
    orders = Ledger("orders")
    for item in ("run1-a-1", "run1-a-2", "run1-a-3"):
        orders.sent(item)
        orders.acked(item)
    audit = ledger_audits({"orders": sql_ids(f"SELECT id {OF_RUN}", lambda: sqlite3.connect(database))})
    (result,) = audit(context(orders))
    assert result.status == "fail"
    assert result.detail == "1 stored more than once (run1-a-2); 1 of 3 acknowledged are not stored"


@pytest.mark.parametrize(
    ("audit", "why"),
    [
        (sql_count("SELECT COUNT(*) FROM nowhere", "sqlite://"), "OperationalError"),
        (sql_count("SELECT 1 UNION SELECT 2", "sqlite://"), "the query gave 2 rows, where one number was to come"),
        (sql_count("SELECT 'a'", "sqlite://"), "one number was to come"),
        (sql_count("SELECT :unheard", "sqlite://"), "KeyError: 'unheard'"),
        (sql_count("SELECT 1", lambda: 1 / 0), "the database did not answer: ZeroDivisionError"),
        (sql_count("SELECT 1", "nonsense"), "the database did not answer: ArgumentError"),
    ],
)
def test_a_database_that_cannot_be_asked_is_a_failed_audit_with_the_reason(audit: AuditFunction, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        asked(audit)
    (result,) = ledger_audits({"orders": audit})(context(Ledger("orders")))
    assert result.status == "fail"


def test_the_password_of_a_url_is_in_no_reason() -> None:
    with pytest.raises(UnreadableError) as caught:
        asked(sql_count("SELECT 1", "nonsense://ada:s3cret-word@db/shop"))
    assert "s3cret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("style", "text", "values"),
    [
        ("qmark", "SELECT ':a', x::int FROM t -- :b\nWHERE i = ? AND j % 2 = ? AND k = ?", [1, 2, 1]),
        ("format", "SELECT ':a', x::int FROM t -- :b\nWHERE i = %s AND j %% 2 = %s AND k = %s", [1, 2, 1]),
        ("numeric", "SELECT ':a', x::int FROM t -- :b\nWHERE i = :1 AND j % 2 = :2 AND k = :3", [1, 2, 1]),
        ("named", "SELECT ':a', x::int FROM t -- :b\nWHERE i = :a AND j % 2 = :b AND k = :a", {"a": 1, "b": 2}),
        (
            "pyformat",
            "SELECT ':a', x::int FROM t -- :b\nWHERE i = %(a)s AND j %% 2 = %(b)s AND k = %(a)s",
            {"a": 1, "b": 2},
        ),
    ],
)
def test_parameters_are_written_as_the_driver_has_them(style: str, text: str, values: object) -> None:
    query = "SELECT ':a', x::int FROM t -- :b\nWHERE i = :a AND j % 2 = :b AND k = :a"
    assert spelled(query, {"a": 1, "b": 2, "c": 3}, style) == (text, values)


def test_the_style_is_said_by_the_driver_s_module_or_one_above() -> None:
    driver, inner = ModuleType("some_driver"), type("Connection", (), {"__module__": "some_driver.core.connection"})
    driver.paramstyle = "pyformat"  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"some_driver": driver}):
        assert paramstyle_of(inner()) == "pyformat"
    assert paramstyle_of(sqlite3.connect(":memory:")) == "qmark"
    assert paramstyle_of(SimpleNamespace()) == "qmark"


def test_a_url_without_sqlalchemy_is_told_before_the_run() -> None:
    audit = ledger_audits({"orders": sql_count("SELECT 1", "sqlite://"), "likes": lambda run: None})
    assert audit.missing() == []
    with patch.object(module, "find_spec", lambda name: None):
        (missing,) = audit.missing()
        assert missing.startswith("the audit of orders: a database's URL needs SQLAlchemy: pip install ")
        own_driver = SqlAudit("SELECT 1", lambda: None, {}, "count")
        assert own_driver.missing() is None

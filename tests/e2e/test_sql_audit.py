"""An audit by SQL in a locustfile: users write to a database, and the master asks it, locally and with workers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.e2e.support import LOCAL_AND_WORKERS, run

pytestmark = pytest.mark.e2e

LOCUSTFILE = """
import os
import sqlite3

from locust import User, constant, task

import pika_locust
from pika_locust.kit import sql_ids

DATABASE = os.environ["ORDERS_DATABASE"]
LOST = os.environ.get("ORDERS_LOST")
judge = pika_locust.install(ledgers=["orders"])
judge.audit("orders")(sql_ids("SELECT id FROM orders WHERE id LIKE :run_ids", f"sqlite:///{DATABASE}"))


class Writer(User):
    wait_time = constant(0.4)

    @task
    def write(self):
        item = judge.new_id()
        with judge.sending("orders", item) as order:
            if not (LOST and item.endswith(("3", "7"))):
                with sqlite3.connect(DATABASE, timeout=30) as connection:
                    # Whatever blocks here holds up all users of the process.
                    connection.execute("PRAGMA synchronous = OFF")
                    connection.execute("INSERT INTO orders VALUES (?)", [item])
            order.acked()
"""


@LOCAL_AND_WORKERS
@pytest.mark.parametrize("lost", ["", "1"], ids=["all kept", "some lost"])
def test_the_database_is_asked_once_the_users_have_stopped(tmp_path: Path, extra: list[str], lost: str) -> None:
    database = tmp_path / "orders.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
    (tmp_path / "writers.py").write_text(LOCUSTFILE)
    environ = {"ORDERS_DATABASE": str(database), "ORDERS_LOST": lost}
    words = ["--headless", "-f", str(tmp_path / "writers.py"), "-u", "4", "-r", "4", "-t", "5s", *extra]
    # They are users of no HTTP.
    words += ["--threshold", "http_req_failed:rate==0; allow_empty"]
    finished = run(words, tmp_path, environ)
    orders = finished.audit("orders")
    assert orders["expected"] > 10
    assert (finished.exit_code, orders["status"]) == ((99, "fail") if lost else (0, "pass")), finished.output

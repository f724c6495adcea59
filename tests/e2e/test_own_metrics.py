"""Metrics, checks, ledgers and audits of a locustfile's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.shop_server.server import Target, target
from tests.e2e.support import Finished, run

pytestmark = pytest.mark.e2e

METRICS = "tests/e2e/shop_server/own_metrics.py"
LEDGER = "tests/e2e/shop_server/own_ledger.py"

LOCAL_AND_WORKERS = pytest.mark.parametrize(
    "extra", [[], ["--processes", "2"]], ids=["in one process", "with two worker processes"]
)


@pytest.fixture
def server() -> Iterator[Target]:
    with target() as started:
        yield started


def buy(locustfile: str, server: Target, directory: Path, *extra: str, audit: str = "") -> Finished:
    arguments = ["--headless", "--only-summary", "-f", locustfile, "-H", server.url, "-u", "4", "-r", "4", "-t", "3s"]
    return run([*arguments, "-s", "5", *extra], directory, {"SHOP_AUDIT": audit})


@LOCAL_AND_WORKERS
def test_own_metrics_and_checks_are_measured_in_all_processes(extra: list[str], server: Target, tmp_path: Path) -> None:
    finished = buy(METRICS, server, tmp_path, *extra)
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    orders = server.answered[201]
    assert orders > 20
    # Users that are stopped in the middle of an order do not come to the next line.
    assert orders - 4 <= finished.metric("in_stock")["passes"] <= orders
    assert orders - 4 <= finished.metric("checkout_time")["count"] <= orders
    assert 0.1 < finished.metric("checkout_time")["med"] < 1000
    (check,) = finished.summary["checks"]
    assert check["name"] == "receipt"
    assert (check["fails"], check["passes"]) == (0, finished.metric("in_stock")["passes"])
    assert len(set(server.orders)) == len(server.orders)


@LOCAL_AND_WORKERS
def test_a_threshold_on_a_check_turns_the_run_red(extra: list[str], server: Target, tmp_path: Path) -> None:
    server.broken = True
    finished = buy(METRICS, server, tmp_path, *extra)
    assert finished.exit_code == 99, finished.output
    assert ("threshold", "checks{check:receipt}") in finished.reasons
    assert finished.metric("checks{check:receipt}")["rate"] == 0


@LOCAL_AND_WORKERS
@pytest.mark.parametrize("audit", ["count", "ids"])
def test_what_was_acknowledged_is_held(audit: str, extra: list[str], server: Target, tmp_path: Path) -> None:
    finished = buy(LEDGER, server, tmp_path, *extra, audit=audit)
    assert finished.exit_code == 0, finished.output
    orders = finished.audit("orders")
    assert orders["status"] == "pass"
    assert orders["actual"] == len(server.orders) == server.answered[201] > 20
    assert len(server.orders) - 4 <= orders["expected"] <= len(server.orders)


@LOCAL_AND_WORKERS
@pytest.mark.parametrize("audit", ["count", "ids"])
def test_lost_orders_turn_the_run_red(audit: str, extra: list[str], server: Target, tmp_path: Path) -> None:
    server.loses = 3
    finished = buy(LEDGER, server, tmp_path, *extra, audit=audit)
    assert finished.exit_code == 99, finished.output
    assert finished.reasons == [("audit", "orders")]
    assert finished.audit("orders")["status"] == "fail"
    assert "acknowledged are not held" in finished.audit("orders")["detail"]


def test_what_cannot_be_observed_fails_a_strict_run_only(server: Target, tmp_path: Path) -> None:
    finished = buy(LEDGER, server, tmp_path, audit="none")
    assert finished.exit_code == 0, finished.output
    assert finished.audit("orders")["status"] == "not_observed"
    strict = buy(LEDGER, server, tmp_path, "--strict", audit="none")
    assert strict.exit_code == 99
    assert strict.reasons == [("no_data", "orders")]

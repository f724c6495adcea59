"""Metrics, checks, ledgers and audits of a locustfile's own."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import requests

from tests.e2e.shop_server.server import Target
from tests.e2e.support import LOCAL_AND_WORKERS, Finished, Run, free_port, run

pytestmark = pytest.mark.e2e

METRICS = "tests/e2e/shop_server/own_metrics.py"
LEDGER = "tests/e2e/shop_server/own_ledger.py"
SCENARIO = "tests/e2e/shop_server/own_scenario.py"


def buy(locustfile: str, server: Target, directory: Path, *extra: str, audit: str = "") -> Finished:
    arguments = ["--headless", "--only-summary", "-f", locustfile, "-H", server.url, "-u", "4", "-r", "4", "-t", "2s"]
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
def test_what_was_acknowledged_is_held(extra: list[str], server: Target, tmp_path: Path) -> None:
    finished = buy(LEDGER, server, tmp_path, *extra, audit="count")
    assert finished.exit_code == 0, finished.output
    orders = finished.audit("orders")
    assert orders["status"] == "pass"
    assert orders["actual"] == len(server.orders) == server.answered[201] > 20
    assert len(server.orders) - 4 <= orders["expected"] <= len(server.orders)


@LOCAL_AND_WORKERS
def test_lost_orders_turn_the_run_red(extra: list[str], server: Target, tmp_path: Path) -> None:
    server.loses = 3
    finished = buy(LEDGER, server, tmp_path, *extra, audit="count")
    assert finished.exit_code == 99, finished.output
    assert finished.reasons == [("audit", "orders")]
    assert finished.audit("orders")["status"] == "fail"
    assert "acknowledged are not stored" in finished.audit("orders")["detail"]


def test_an_order_whose_answer_never_came_may_be_held(server: Target, tmp_path: Path) -> None:
    server.hangs_up = True
    finished = buy(LEDGER, server, tmp_path, audit="count")
    assert finished.exit_code == 99, "no request was answered"
    orders = finished.audit("orders")
    assert (orders["status"], orders["expected"]) == ("pass", 0)
    assert orders["actual"] == len(server.orders) > 20


def test_what_cannot_be_observed_fails_a_strict_run_only(server: Target, tmp_path: Path) -> None:
    finished = buy(LEDGER, server, tmp_path, audit="none")
    assert finished.exit_code == 0, finished.output
    assert finished.audit("orders")["status"] == "not_observed"
    strict = buy(LEDGER, server, tmp_path, "--strict", audit="none")
    assert strict.exit_code == 99
    # A limit of time may be undecided as well, on a busy machine.
    assert ("no_data", "orders") in strict.reasons


def test_an_audit_of_no_ledger_is_refused_before_the_first_request(server: Target, tmp_path: Path) -> None:
    finished = run(["--headless", "-f", LEDGER, "-H", server.url, "-t", "2s"], tmp_path, {"SHOP_MISTAKES": "order"})
    assert finished.exit_code == 104
    assert finished.summary is not None
    assert "an audit of 'order', but that is no ledger" in finished.summary["reasons"][0]["text"]
    assert not server.answered


def test_an_audit_that_finds_nobody_is_named_and_no_pass(server: Target, tmp_path: Path) -> None:
    arguments = ["--headless", "--only-summary", "-f", LEDGER, "-H", server.url, "-u", "2", "-t", "20s"]
    with Run(arguments, tmp_path, {"SHOP_AUDIT": "count"}) as started:
        deadline = time.monotonic() + 30
        while server.answered[201] < 10:
            assert time.monotonic() < deadline, started.output
            time.sleep(0.1)
        server.broken = True
        started.process.send_signal(signal.SIGTERM)
        finished = started.finish()
    assert finished.exit_code != 0
    assert finished.summary is not None
    (why,) = [reason["text"] for reason in finished.summary["reasons"] if reason["code"] == "audit"]
    assert "data-integrity check 'orders' failed: what the target stores could not be read: GET" in why
    assert "503" in why


@LOCAL_AND_WORKERS
def test_each_test_of_a_web_page_has_its_own_ledger(extra: list[str], server: Target, tmp_path: Path) -> None:
    """The audit is by identifiers, where those of single runs above are by how many there are."""
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    arguments = ["-f", LEDGER, "-H", server.url, "--web-host", "127.0.0.1", "--web-port", str(port), *extra]
    with Run(arguments, tmp_path, {"SHOP_AUDIT": "ids"}) as started:
        started.wait_for(lambda output: "Starting web interface" in output, "a web page")
        time.sleep(2.0)
        for loses in (0, 3):
            server.loses = loses
            before = server.answered[201]
            form = {"user_count": "4", "spawn_rate": "10", "host": server.url}
            assert requests.post(f"{page}/swarm", data=form, timeout=10).json()["success"]
            deadline = time.monotonic() + 30
            while server.answered[201] < before + 20:
                assert time.monotonic() < deadline, started.output
                time.sleep(0.1)
            assert requests.post(f"{page}/stop", timeout=60).json()["success"]
        started.process.send_signal(signal.SIGINT)
        finished = started.finish()
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("summary.json", "summary-2.json"))
    assert (first["verdict"], second["verdict"]) == ("pass", "fail")
    assert [audit["status"] for summary in (first, second) for audit in summary["audits"]] == ["pass", "fail"]
    assert 0 <= first["audits"][0]["actual"] - first["audits"][0]["expected"] <= 4
    assert [(reason["code"], reason["subject"]) for reason in second["reasons"]] == [("audit", "orders")]
    assert "acknowledged are not stored" in second["audits"][0]["detail"]
    assert sum(summary["audits"][0]["actual"] for summary in (first, second)) == len(server.orders)
    assert finished.exit_code == 99


@LOCAL_AND_WORKERS
def test_users_of_a_scenario_of_ones_own_measure_with_the_handle(
    extra: list[str], server: Target, tmp_path: Path
) -> None:
    arguments = ["--headless", "--only-summary", "-f", SCENARIO, "-H", server.url, *extra]
    finished = run(arguments, tmp_path)
    assert finished.exit_code == 0, finished.output
    assert finished.metric("list_time")["count"] == server.asked["/articles"] > 10
    assert finished.metric("checks{check:articles}")["passes"] == server.asked["/articles"]
    server.broken = True
    failing = run(arguments, tmp_path)
    assert failing.exit_code == 99, failing.output
    assert ("threshold", "checks{check:articles}") in failing.reasons

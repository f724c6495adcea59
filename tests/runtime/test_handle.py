from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from pika_locust.errors import ConfigurationError, UnreadableError
from pika_locust.handle import Handle
from pika_locust.judge import Ledger
from pika_locust.kit.audits import AuditedRun, LedgerAudits
from pika_locust.metrics import Histogram, counter, gauge, rate, trend
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.modes import locustfile_scenario
from pika_locust.scenario import AuditContext, PartlyAuditedError
from pika_locust.settings import Settings
from tests.runtime.sample_scenario import make_context

METRICS = (trend("checkout_time"), trend("basket", unit="items"), rate("in_stock"), counter("sold"), gauge("queued"))


def context(run_id: str = "r1") -> WorkerContext:
    return make_context(locustfile_scenario({}, METRICS, ["orders"]), run_id=run_id)


@pytest.fixture
def handle() -> Handle:
    bound = Handle(LedgerAudits(["orders"]))
    bound.bind(context())
    return bound


def ledger(handle: Handle) -> Ledger:
    assert handle._context is not None
    return handle._context.ledgers["orders"]


def histogram(handle: Handle, name: str) -> Histogram:
    value = handle.trend(name).read()
    assert isinstance(value, Histogram)
    return value


CALLS: dict[str, Callable[[Handle], Any]] = {
    "timer": lambda handle: handle.timer("checkout_time").__enter__(),
    "check": lambda handle: handle.check("receipt", True),
    "rate": lambda handle: handle.rate("in_stock"),
    "counter": lambda handle: handle.counter("sold"),
    "trend": lambda handle: handle.trend("checkout_time"),
    "gauge": lambda handle: handle.gauge("queued"),
    "new_id": lambda handle: handle.new_id(),
    "sending": lambda handle: handle.sending("orders", "o1"),
}


@pytest.mark.parametrize("method", CALLS)
def test_before_and_after_a_test_it_says_when_to_call_it(method: str) -> None:
    handle = Handle()
    with pytest.raises(RuntimeError, match="no test runs in this process; call it in tasks"):
        CALLS[method](handle)
    handle.bind(context())
    CALLS[method](handle)
    handle.bind(None)
    with pytest.raises(RuntimeError, match="the test has ended and its figures are sent; call it in tasks"):
        CALLS[method](handle)


def test_each_test_has_its_own_figures(handle: Handle) -> None:
    first = handle.counter("sold")
    first.add(3)
    assert handle.new_id().startswith("r1-")
    handle.bind(context("r2"))
    handle.counter("sold").add(1)
    assert (first.own_count, handle.counter("sold").own_count) == (3, 1)
    assert handle.new_id().startswith("r2-")


def test_a_timer_counts_what_succeeds_only(handle: Handle) -> None:
    with handle.timer("checkout_time"):
        pass
    with pytest.raises(ZeroDivisionError), handle.timer("checkout_time"):
        _ = 1 / 0
    with handle.timer("checkout_time") as timer:
        timer.failed()
    assert histogram(handle, "checkout_time").samples == 1


def test_a_timer_takes_the_time_inside_in_microseconds(handle: Handle) -> None:
    with handle.timer("checkout_time"):
        threading.Event().wait(0.05)
    assert 49_000 <= (histogram(handle, "checkout_time").quantile(0.5) or 0) < 5_000_000


def test_a_timer_of_something_undeclared_does_not_begin(handle: Handle) -> None:
    began = False
    with pytest.raises(KeyError, match=r"Did you mean checkout_time\?"), handle.timer("checkout_tim"):
        began = True
    assert not began
    with pytest.raises(ValueError, match="basket is in items"), handle.timer("basket"):
        began = True
    assert not began


def test_a_check_is_counted_and_handed_back(handle: Handle) -> None:
    assert handle.check("receipt", True) is True
    assert handle.check("receipt", False) is False
    checks = handle.rate("checks").tagged(check="receipt")
    assert (checks._passes, checks._fails) == (1, 1)


def test_ids_of_two_processes_differ() -> None:
    handles = [Handle(), Handle()]
    for handle in handles:
        handle.bind(context())
    assert len({handle.new_id() for handle in handles for _ in range(50)}) == 100


def test_what_becomes_of_an_item(handle: Handle) -> None:
    with handle.sending("orders", "o1") as order:
        assert ledger(handle).open == 1
        order.acked()
    with handle.sending("orders", "o2") as order:
        order.refused("409")
    with handle.sending("orders", "o3"):
        pass
    with pytest.raises(OSError), handle.sending("orders", "o4"):
        raise OSError("the connection broke")
    with pytest.raises(ZeroDivisionError), handle.sending("orders", "o5") as order:
        order.refused(f"{order.acked() or 1 / 0}")
    counts = {outcome: ledger(handle).count(outcome) for outcome in ("sent", "acked", "refused", "uncertain")}
    assert counts == {"sent": 5, "acked": 2, "refused": 1, "uncertain": 2}
    assert ledger(handle).refused_by == {"409": 1}
    assert ledger(handle).open == 0


def test_an_item_has_one_answer(handle: Handle) -> None:
    with handle.sending("orders", "o1") as order:
        order.acked()
        with pytest.raises(RuntimeError, match="orders o1: refused after acked"):
            order.refused("409")
    assert (ledger(handle).count("acked"), ledger(handle).count("refused")) == (1, 0)


def test_an_undeclared_ledger_is_named(handle: Handle) -> None:
    with pytest.raises(KeyError, match="no ledger 'order' is declared; there is: orders"):
        handle.sending("order", "o1")


# Audits


def audit_context(*acked: str, uncertain: int = 0, target: str = "http://shop/") -> AuditContext:
    orders = Ledger("orders")
    for item in acked:
        orders.sent(item)
        orders.acked(item)
    for number in range(uncertain):
        orders.sent(f"u{number}")
        orders.uncertain(f"u{number}")
    return AuditContext(target, Settings({}, {}), {"orders": orders}, {"run_id": "r1"}, None)


@pytest.mark.parametrize(
    ("held", "uncertain", "status"),
    [
        (2, 0, "pass"),
        (1, 0, "fail"),
        (3, 0, "fail"),
        (3, 1, "pass"),
        (0, 0, "fail"),
        (["a", "b"], 0, "pass"),
        (("b", "a"), 0, "pass"),
        (["a", "a"], 0, "fail"),
        (["a", "c"], 0, "fail"),
        (["a", "b", "u0"], 1, "pass"),
        ([], 0, "fail"),
        (None, 0, "not_observed"),
    ],
)
def test_what_is_held_against_what_was_acknowledged(held: Any, uncertain: int, status: str) -> None:
    audits = LedgerAudits(["orders"])
    handle = Handle(audits)
    handle.audit("orders")(lambda run: held)
    (result,) = audits(audit_context("a", "b", uncertain=uncertain))
    assert (result.name, result.status, result.expected) == ("orders", status, 2)


@pytest.mark.parametrize("held", ["12", True, {"count": 2}, object()], ids=["text", "a bool", "a mapping", "an object"])
def test_an_audit_that_returns_something_else_is_a_fault(held: Any) -> None:
    audits = LedgerAudits(["orders"])
    audits.add("orders", lambda run: held)
    with pytest.raises(PartlyAuditedError, match="the audit of orders returned"):
        audits(audit_context("a"))


def test_an_audit_that_raises_is_named() -> None:
    audits = LedgerAudits(["orders"])
    audits.add("orders", lambda run: {}["count"])
    with pytest.raises(PartlyAuditedError, match=r"^the audit of orders raised KeyError: 'count'$"):
        audits(audit_context("a"))


def test_an_audit_that_raises_does_not_hide_what_the_others_have_found() -> None:
    audits = LedgerAudits(["stock", "orders", "payments"])
    audits.add("stock", lambda run: {}["count"])
    audits.add("orders", lambda run: 1)
    audits.add("payments", lambda run: "none")  # type: ignore[arg-type, return-value]
    with pytest.raises(
        PartlyAuditedError, match=r"of stock raised KeyError: 'count'; .*of payments returned 'none'"
    ) as raised:
        audits(audit_context("a", "b"))
    found = {one.name: (one.status, one.expected, one.actual) for one in raised.value.results}
    assert found == {
        "stock": ("not_observed", 0, None),
        "orders": ("fail", 2, 1),
        "payments": ("not_observed", 0, None),
    }


def test_an_audit_that_cannot_read_the_target_has_failed() -> None:
    audits = LedgerAudits(["orders"])
    audits.add("orders", lambda run: run.get_json("http://127.0.0.1:9/")["count"])
    (result,) = audits(audit_context("a"))
    assert (result.status, result.expected, result.actual) == ("fail", 1, None)
    assert result.detail.endswith("could not be read: GET http://127.0.0.1:9/: 127.0.0.1:9 refused the connection")


def test_a_ledger_without_an_audit_is_not_observed() -> None:
    (result,) = LedgerAudits(["orders"])(audit_context("a"))
    assert (result.status, result.expected) == ("not_observed", 1)
    assert "@audit" in result.detail


def test_mistakes_with_audits_are_collected() -> None:
    audits = LedgerAudits(["orders"])
    handle = Handle(audits)

    def held(run: AuditedRun) -> None:
        return None

    def other(run: AuditedRun) -> None:
        return None

    assert handle.audit("orders")(held) is held
    # A file that is loaded again says the same again.
    handle.audit("orders")(held)
    assert audits.problems == []
    handle.audit("orders")(other)
    handle.audit("order")(held)
    assert [problem.partition(";")[0] for problem in audits.problems] == [
        "the ledger 'orders' has two audits",
        "an audit of 'order', but that is no ledger",
    ]


def test_a_scenario_has_audits_of_its_own() -> None:
    with pytest.raises(ValueError, match="a scenario has audits of its own"):
        Handle().audit("orders")


def test_what_an_audit_is_told_of_the_run() -> None:
    run = AuditedRun(audit_context("a", target="http://shop/, http://stock"))
    assert (run.host, run.hosts, run.run_id) == ("http://shop", ("http://shop", "http://stock"), "r1")
    assert run.ledgers["orders"].count("acked") == 1


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/json": json.dumps({"count": 3}), "/text": "three"}.get(self.path, "")
        self.send_response(200 if body else 500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_get_json(page: str) -> None:
    run = AuditedRun(audit_context(target=page))
    assert run.get_json(f"{run.host}/json") == {"count": 3}
    with pytest.raises(UnreadableError, match="/missing was answered 500"):
        run.get_json(f"{run.host}/missing")
    with pytest.raises(UnreadableError, match=r"/text was answered 200 OK \(three\): no JSON"):
        run.get_json(f"{run.host}/text")


# What is declared


def test_mistakes_with_metrics_and_ledgers_are_all_told() -> None:
    metrics: Any = [trend("http_req_duration"), rate("in_stock"), counter("in_stock"), trend("iteration_duration"), "x"]
    with pytest.raises(ConfigurationError) as caught:
        locustfile_scenario({"in_stock": "p95<1"}, metrics, ["orders", "orders"])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "the metric http_req_duration",
        "the metric in_stock",
        "the metric iteration_duration",
        "the metric 'x'",
        "the ledger orders is declared twice",
        "the threshold 'p95<1' of in_stock",
    ]
    with pytest.raises(ConfigurationError, match="ledgers='orders': give a list of names"):
        locustfile_scenario({}, ledgers="orders")

"""What the audits say of a server: of its metrics page as it is served, and of calls that had no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gevent
import pytest

from pika_locust.judge import AuditResult, Ledger
from pika_locust.platforms.greeter import audits
from pika_locust.platforms.greeter.scenarios import CALLS
from pika_locust.sandbox.process import start_sandbox
from pika_locust.scenario import AuditContext, SetupContext
from pika_locust.testing.worker import settings_of
from pika_locust.wire import socketio
from pika_locust.wire.socketio import SocketIo
from tests.wire.socketio_doubles import RecordingHandler

KEY = "sekret"


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A server whose metrics page has a key."""
    sandbox = start_sandbox(["greeter"], (), env={"METRICS_API_KEY": KEY})
    yield sandbox.url
    sandbox.stop()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "SETTLE_S", 0.1)


def before(target: str, **environ: str) -> Mapping[str, Any]:
    return audits.look_before(SetupContext(target, settings_of(CALLS, environ), 7)).private


def audit(target: str, given: Mapping[str, Any], calls: Ledger | None = None, **environ: str) -> dict[str, AuditResult]:
    ledgers = {"calls": calls if calls is not None else Ledger("calls")}
    context = AuditContext(target, settings_of(CALLS, environ), ledgers, {}, None, given)
    return {result.name: result for result in audits.audit_calls(context)}


def statuses(results: Mapping[str, AuditResult]) -> dict[str, str]:
    return {name: result.status for name, result in results.items()}


ALL = ("sockets", "visitors", "pending calls", "active calls")


def test_a_server_that_is_left_as_it_was_found(target: str) -> None:
    given = before(target, METRICS_API_KEY=KEY)
    assert given == {"before": dict.fromkeys(ALL, 0)}
    results = statuses(audit(target, given, METRICS_API_KEY=KEY))
    assert results == {"calls": "not_observed", **dict.fromkeys(ALL, "pass")}


def test_a_socket_that_is_left_is_one_too_many(target: str) -> None:
    given = before(target, METRICS_API_KEY=KEY)
    left: SocketIo = socketio.connect(target, RecordingHandler())
    left.open("/")
    while not left.is_connected("/"):
        gevent.sleep(0.01)
    results = audit(target, given, METRICS_API_KEY=KEY)
    left.close()
    assert statuses(results) == {"calls": "not_observed", **dict.fromkeys(ALL, "pass"), "sockets": "fail"}
    assert results["sockets"].actual == 1


def test_others_may_have_left_meanwhile(target: str) -> None:
    results = audit(target, {"before": dict.fromkeys(ALL, 2)}, METRICS_API_KEY=KEY)
    assert statuses(results) == {"calls": "not_observed", **dict.fromkeys(ALL, "pass")}
    assert results["sockets"].detail == "at most as many as before the load: 2"


@pytest.mark.parametrize("environ", [{}, {"METRICS_API_KEY": "wrong"}], ids=["no key", "a wrong key"])
def test_a_page_that_does_not_open_fails_and_says_what_would_open_it(target: str, environ: dict[str, str]) -> None:
    assert before(target, **environ) == {}
    results = audit(target, {}, **environ)
    assert statuses(results) == {"calls": "not_observed", **dict.fromkeys(ALL, "fail")}
    assert "401" in results["sockets"].detail
    assert "METRICS_API_KEY" in results["sockets"].detail


def test_a_page_that_is_not_looked_at_shows_nothing(target: str) -> None:
    results = audit(target, before(target, METRICS_PAGE="0"), METRICS_PAGE="0")
    assert statuses(results) == dict.fromkeys(("calls", *ALL), "not_observed")


def calls(accepted: int, refused: int, silent: int, cut: int) -> Ledger:
    ledger, numbers = Ledger("calls"), iter(range(1000))
    for count, outcome in ((accepted, "acked"), (silent, "timed_out"), (cut, "uncertain")):
        for _ in range(count):
            ledger.sent(item := str(next(numbers)))
            getattr(ledger, outcome)(item)
    for _ in range(refused):
        ledger.sent(item := str(next(numbers)))
        ledger.refused(item, "rejected")
    return ledger


@pytest.mark.parametrize(
    ("ledger", "status"),
    [
        (calls(5, 3, 0, 0), "pass"),
        (calls(5, 3, 0, 2), "pass"),
        (calls(5, 3, 1, 0), "fail"),
        (calls(0, 0, 3, 0), "fail"),
    ],
    ids=["all answered", "some cut off", "one without an answer", "none answered"],
)
def test_every_call_must_have_an_answer(target: str, ledger: Ledger, status: str) -> None:
    result = audit(target, {}, ledger, METRICS_PAGE="0")["calls"]
    assert result.status == status
    assert ("had no answer within 35 s" in result.detail) == (status == "fail")

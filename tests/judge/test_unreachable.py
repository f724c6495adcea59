from __future__ import annotations

import pytest

from pika_locust.judge import Reason, decide, unreadable
from pika_locust.judge.unreachable import nothing_answered
from pika_locust.metrics import Registry, Snapshot, counter, rate

URL = "ws://127.0.0.1:9/ws"
METRICS = (counter("data_received"), rate("http_req_failed"), rate("ws_connection_success"), rate("checks"))

ERRORS: dict[str, tuple[str, str]] = {
    "our WebSocket client": ("connection refused", "connection refused"),
    "our HTTP client": ("connect_refused: 127.0.0.1:9 refused the connection", "connection refused"),
    "requests": (
        "HTTPConnectionPool: Max retries exceeded (Caused by NewConnectionError: [Errno 111] Connection refused)",
        "connection refused",
    ),
    "geventhttpclient": ("[Errno 111] Connection refused", "connection refused"),
    "a name without an address": ("dns: no address for shop.invalid", "its name has no address"),
    "the same over WebSocket": ("the host cannot be looked up: no address", "its name has no address"),
    "the same in requests": ("[Errno -2] Name or service not known", "its name has no address"),
    "no answer to the first packet": (
        "connect_timeout: a:80 did not accept within 5 s",
        "no connection in time",
    ),
    "the same over WebSocket, too": ("no connection within 5 s", "no connection in time"),
    "no route": ("connect_failed: No route to host", "no route to it"),
}


def measured() -> Registry:
    registry = Registry(METRICS)
    registry.rate("http_req_failed").add(True, 7)
    registry.rate("ws_connection_success").add(False, 7)
    registry.rate("checks").add(False, 7)
    return registry


def why(*texts: str, snapshot: Snapshot | None = None) -> str | None:
    errors = [("connect", text, 7) for text in texts]
    reason = nothing_answered(URL, errors, snapshot or measured().snapshot())
    return None if reason is None else reason.text


@pytest.mark.parametrize(("text", "words"), ERRORS.values(), ids=ERRORS)
def test_connections_that_never_came_to_be_are_one_reason(text: str, words: str) -> None:
    assert why(text) == f"nothing answered at {URL}: {words}"


def test_the_commonest_of_several_is_told() -> None:
    errors = [("join", "no connection within 5 s", 2), ("connect", "connection refused", 9)]
    reason = nothing_answered("", errors, measured().snapshot())
    assert reason == Reason("no_answer", "", "nothing answered at the target: connection refused")


@pytest.mark.parametrize(
    "text",
    ["500 Internal Server Error", "reset: Connection reset by peer", "no answer to the upgrade within 5 s", "tls: no"],
)
def test_whoever_says_anything_has_answered(text: str) -> None:
    assert why("connection refused", text) is None


@pytest.mark.parametrize("success", ["data_received", "http_req_failed", "ws_connection_success", "checks"])
def test_a_single_success_says_that_the_target_was_there(success: str) -> None:
    registry = measured()
    if success == "data_received":
        registry.counter(success).add(1)
    else:
        registry.rate(success).add(success != "http_req_failed")
    assert why("connection refused", snapshot=registry.snapshot()) is None


def test_a_run_that_tried_nothing_has_not_failed_to_reach_anybody() -> None:
    assert why() is None


def test_it_is_the_first_reason_as_all_others_follow_from_it() -> None:
    reason = nothing_answered(URL, [("connect", "connection refused", 1)], measured().snapshot())
    assert reason is not None
    decision = decide(run_reasons=[reason], audits=[unreadable("likes", "connection refused")])
    assert [reason.code for reason in decision.reasons] == ["no_answer", "audit"]
    assert decision.exit_code == 99

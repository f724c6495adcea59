"""HTTP as Verity does it: bodies, routes, limits, and what its refusals look like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.verity.world_http import UnreadableBody, a_string, an_object, check_body, one_of, parse_body
from pika_locust.sandbox.schema import Refused, optional
from pika_locust.sandbox.world import Request
from tests.platforms.verity.world_driver import VerityDriver

JSON = "application/json"


def read(body: bytes, kind: str = JSON) -> Any:
    return parse_body(Request("POST", "/", "", {"content-type": kind}, body))


@pytest.mark.parametrize(
    ("body", "kind", "wanted"),
    [
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}),
        (b"[]", JSON, {}),
        (b"", JSON, {}),
        (b"  ", JSON, {}),
        (b"city=new+york&x=", "application/x-www-form-urlencoded", {"city": "new york", "x": ""}),
        (b'{"a": 1}', "text/plain", {}),
        (b'{"a": 1}', "", {}),
    ],
)
def test_a_body_is_read_by_its_content_type(body: bytes, kind: str, wanted: Any) -> None:
    assert read(body, kind) == wanted


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"city":', "Unexpected end of JSON input"),
        ('{"broken"', "Expected ':' after property name in JSON at position 9"),
        ('{"a":x}', 'Unexpected token \'x\', "{"a":x}" is not valid JSON'),
        ('"text"', 'Unexpected token \'"\', ""text"" is not valid JSON'),
        ('{"a":NaN}', "Unexpected token in JSON"),
    ],
)
def test_json_that_cannot_be_read_is_refused_in_the_words_of_the_real_parser(body: str, message: str) -> None:
    with pytest.raises(UnreadableBody) as refused:
        read(body.encode())
    answer = refused.value.answer
    assert answer.status == 400
    assert json.loads(answer.body) == {"message": message, "error": "Bad Request", "statusCode": 400}


def test_a_body_beyond_100_kilobytes_is_too_large() -> None:
    with pytest.raises(UnreadableBody) as refused:
        read(b'{"a":"' + b"x" * 102_400 + b'"}')
    assert refused.value.answer.status == 413
    assert json.loads(refused.value.answer.body)["message"] == "request entity too large"


SCHEMA = {"name": optional(a_string), "extra": optional(an_object), "choice": one_of("YES", "NO")}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, ["choice must be one of the following values: YES, NO"]),
        ({"name": 5, "choice": "NO"}, ["name must be a string"]),
        ({"extra": [1], "choice": "NO"}, ["extra must be an object"]),
        ({"choice": ["NO"]}, ["choice must be one of the following values: YES, NO"]),
        (
            {"extra": "x", "name": 7, "foo": 1, "choice": "YES"},
            ["property foo should not exist", "name must be a string", "extra must be an object"],
        ),
    ],
    ids=str,
)
def test_problems_are_listed_unknown_fields_first(body: Any, found: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        check_body(body, SCHEMA)
    assert refused.value.problems == found


def test_what_may_be_absent_is_none() -> None:
    assert check_body({"extra": None, "choice": "NO"}, SCHEMA) == {"name": None, "extra": None, "choice": "NO"}


GUARDED = (
    ("GET", "/tokens/balance"),
    ("POST", "/queue/join"),
    ("DELETE", "/queue/leave"),
    ("POST", "/sessions/x/choice"),
)
UNAUTHORIZED = (401, {"message": "Unauthorized", "statusCode": 401})


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("header", [None, "Bearer bad", "Basic abc", "Bearer"], ids=str)
def test_most_routes_are_guarded_before_they_look_at_the_body(method: str, path: str, header: str | None) -> None:
    headers = {"authorization": header} if header is not None else {}
    assert VerityDriver().ask(method, path, {"foo": 1} if method == "POST" else None, **headers) == UNAUTHORIZED


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_good_token_of_nobody_is_answered_404(method: str, path: str) -> None:
    driver = VerityDriver()
    token = driver.world.access.mint("cnosuchuser00000000000000", driver.now)
    answer = driver.ask(method, path, authorization=f"bearer {token}")
    assert answer == (404, {"message": "User not found", "error": "Not Found", "statusCode": 404})


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/health", 200, {"status": "ok", "timestamp": "2026-11-21T03:01:40.900Z", "uptimeSeconds": 100}),
        ("OPTIONS", "/health", 204, None),
        ("GET", "/socket.io/?EIO=4&transport=polling", 400, {"code": 0, "message": "Transport unknown"}),
    ],
)
def test_open_routes(method: str, path: str, status: int, body: Any) -> None:
    driver = VerityDriver()
    driver.wait(100.9)
    assert driver.ask(method, path) == (status, body)


def test_head_is_answered_as_get() -> None:
    assert VerityDriver().http("HEAD", "/health").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/queue/join"),
        ("GET", "/nope?a=1"),
        ("POST", "/health"),
        ("GET", "/metrics"),
        ("GET", "/matches"),
    ],
)
def test_other_paths_are_answered_404(method: str, path: str) -> None:
    message = f"Cannot {method} {path}"
    assert VerityDriver().ask(method, path) == (404, {"message": message, "error": "Not Found", "statusCode": 404})


def test_a_body_that_cannot_be_read_comes_before_everything_else() -> None:
    driver = VerityDriver("throttle=1/60s")
    for path in ("/nope", "/queue/join", "/queue/join"):
        answer = driver.http("POST", path, b'{"a":', content_type="application/json")
        assert answer.status == 400
        assert [name for name, _ in answer.headers] == ["content-type"]


def test_dropped_requests_are_processed_and_never_answered() -> None:
    driver = VerityDriver()
    members = [driver.member(1) for _ in range(10)]
    driver.switch("drop=0.2")
    sent = [
        driver.request("POST", "/queue/join", {"preferences": {"n": m.id}}, authorization=f"Bearer {m.token}")
        for m in members
    ]
    driver.wait(1.0)
    assert sum(exchange in driver.answers for exchange in sent) == 8
    assert driver.state()["queued"] == 10
    assert driver.faults.counts()["drop"]["by_kind"] == {"POST /queue/join": {"eligible": 10, "hit": 2}}


def test_signing_up_and_renewing_have_limits_of_their_own() -> None:
    driver = VerityDriver("throttle=120/60s")
    assert [driver.ask("POST", "/auth/signup-anonymous", {})[0] for _ in range(12)] == [201] * 10 + [429] * 2
    assert [driver.ask("POST", "/auth/refresh")[0] for _ in range(21)] == [401] * 20 + [429]
    assert [driver.ask("GET", "/health")[0] for _ in range(121)] == [200] * 120 + [429]
    assert driver.ask("POST", "/auth/signup-anonymous", {}, peer="127.0.0.2")[0] == 201


def test_a_refusal_has_the_shape_of_the_real_one() -> None:
    driver = VerityDriver("throttle=1/60s")
    driver.ask("GET", "/health")
    answer = driver.http("GET", "/health")
    assert answer.status == 429
    assert answer.body == b'{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}'
    assert dict(answer.headers) == {"content-type": "application/json; charset=utf-8", "retry-after": "60"}

"""What worlds and the server exchange: requests, answers, platforms."""

from __future__ import annotations

import pytest

from pika_locust.sandbox.world import Answer, Request, to_json
from tests.sandbox.echo_world import echo_platform


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"a": [1, "é", None, True]}, '{"a":[1,"é",null,true]}', id="no spaces, no needless escapes"),
        pytest.param({"type": "x", "b": 0.05}, '{"type":"x","b":0.05}', id="keys stay in order"),
        pytest.param('"\n', '"\\"\\n"', id="necessary escapes"),
    ],
)
def test_json_is_written_as_javascript_does(value: object, text: str) -> None:
    assert to_json(value) == text


def test_answers_know_their_type() -> None:
    assert Answer.json({"a": 1}, 201, (("x", "y"),)) == Answer(
        201, b'{"a":1}', (("content-type", "application/json"), ("x", "y"))
    )
    assert Answer.text("é").headers == (("content-type", "text/plain; charset=UTF-8"),)


@pytest.mark.parametrize(
    ("body", "value"),
    [(b'{"a":1}', {"a": 1}), (b"[1]", {}), (b"", {}), (b"{", {}), (b"[" * 100_000, {}), (b"\xff", {})],
    ids=["an object", "a list", "nothing", "broken", "too deep", "not UTF-8"],
)
def test_a_body_is_an_object_or_empty(body: bytes, value: object) -> None:
    assert Request("POST", "/", "", {}, body).json_object() == value


def test_a_platform_supports_what_it_covers() -> None:
    assert echo_platform("echo", "drop", "leak").supports == {"drop", "leak"}

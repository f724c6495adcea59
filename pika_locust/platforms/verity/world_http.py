"""HTTP as Verity's server framework does it: how bodies are read and checked, and what its refusals look like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from pika_locust.sandbox.schema import Check, Refused, Schema, read_fields
from pika_locust.sandbox.world import Answer, Headers, Request, to_json

JSON_TYPE: Headers = (("content-type", "application/json; charset=utf-8"),)
LARGEST_BODY_BYTES = 100 * 1024


def reply(value: Any, status: int = 200, headers: Headers = ()) -> Answer:
    """A JSON answer."""
    return Answer(status, to_json(value).encode("utf-8", "replace"), (*JSON_TYPE, *headers))


def refusal(status: int, message: str | list[str], error: str) -> Answer:
    """An answer of the framework's exceptions; `error` is the reason of the status."""
    return reply({"message": message, "error": error, "statusCode": status}, status)


def bad_request(message: str | list[str]) -> Answer:
    """400, with what is wrong."""
    return refusal(400, message, "Bad Request")


def not_found(message: str) -> Answer:
    """404, with what does not exist."""
    return refusal(404, message, "Not Found")


UNAUTHORIZED = reply({"message": "Unauthorized", "statusCode": 401}, 401)
SERVER_ERROR = reply({"statusCode": 500, "message": "Internal server error"}, 500)
TOO_MANY = {"statusCode": 429, "message": "ThrottlerException: Too Many Requests"}


class UnreadableBody(Exception):
    """The body cannot be parsed; `answer` says so, before there is a route, a limit or a user."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def parse_body(request: Request) -> dict[str, Any]:
    """The fields of a JSON object or of a form, by content type; of anything else, none. Raises `UnreadableBody`."""
    if not request.body:
        return {}
    kind = media_type(request)
    if kind not in ("application/json", "application/x-www-form-urlencoded"):
        return {}
    if len(request.body) > LARGEST_BODY_BYTES:
        raise UnreadableBody(refusal(413, "request entity too large", "Payload Too Large"))
    body = request.body.decode("utf-8", "replace")
    value = _parse_json(body) if kind == "application/json" else dict(parse_qsl(body, keep_blank_values=True))
    return value if isinstance(value, dict) else {}


def media_type(request: Request) -> str:
    """The content type without its parameters."""
    kind = request.headers.get("content-type", "")
    return kind if kind == "application/json" else kind.partition(";")[0].strip().lower()


def _parse_json(body: str) -> Any:
    start = body.lstrip()[:1]
    if not start:
        return {}
    try:
        if start not in "{[":  # the parser takes nothing else
            raise json.JSONDecodeError("", body, body.index(start))
        return _DECODER.decode(body)
    except json.JSONDecodeError as error:
        raise UnreadableBody(bad_request(_in_words_of_v8(error))) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableBody(bad_request("Unexpected token in JSON")) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _in_words_of_v8(error: json.JSONDecodeError) -> str:
    body, at = error.doc, error.pos
    if error.msg == "Expecting ':' delimiter":
        return f"Expected ':' after property name in JSON at position {at}"
    if at >= len(body):
        return "Unexpected end of JSON input"
    return f"Unexpected token '{body[at]}', \"{body}\" is not valid JSON"


def check_body(body: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The fields of a body by `schema`; raises `Refused` that lists fields the schema does not name, too, and first."""
    unknown = [f"property {name} should not exist" for name in body if name not in schema]
    try:
        accepted = read_fields(body, schema)
    except Refused as refused:
        raise Refused(unknown + refused.problems) from None
    if unknown:
        raise Refused(unknown)
    return accepted


def a_string(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def an_object(value: Any) -> dict[str, Any]:
    """Any JSON object."""
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


def a_date(value: Any) -> datetime:
    """A date, or date and time, as ISO 8601 writes it; in UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(a_string(value))
    except ValueError:
        raise ValueError("must be a valid ISO 8601 date string") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def one_of(*legal: str) -> Check:
    """One of these texts."""

    def check(value: Any) -> str:
        if value not in legal:
            raise ValueError(f"must be one of the following values: {', '.join(legal)}")
        return str(value)

    return check

"""Bodies of requests: how they are parsed, and how they are refused, in the words of the real server's parsers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from pika_locust.sandbox.world import Answer, Headers, Request, to_json

JSON_TYPE: Headers = (("content-type", "application/json; charset=utf-8"),)
LARGEST_BODY = 100 * 1024
_FORM = "application/x-www-form-urlencoded"

Check = Callable[[Any], str | None]
"""Says what is wrong with a value that was given; what follows the name of its property."""


class BadBody(Exception):
    """The body cannot be read; `answer` says so, before any limit or guard."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def reply(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, to_json(value).encode("utf-8", "replace"), JSON_TYPE)


def refusal(status: int, message: str | list[str], error: str) -> Answer:
    """An answer of the real server's exceptions; `error` is the reason of the status."""
    return reply({"message": message, "error": error, "statusCode": status}, status)


UNAUTHORIZED = reply({"message": "Unauthorized", "statusCode": 401}, 401)
BROKEN = reply({"statusCode": 500, "message": "Internal server error"}, 500)


def bad_request(message: str | list[str]) -> Answer:
    return refusal(400, message, "Bad Request")


def not_found(message: str) -> Answer:
    return refusal(404, message, "Not Found")


def read_body(request: Request) -> Any:
    """The body by its content type: parsed JSON, the fields of a form, else an empty object.

    Raises `BadBody`.
    """
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and kind != _FORM:
        return {}
    if len(request.body) > LARGEST_BODY:
        raise BadBody(refusal(413, "request entity too large", "Payload Too Large"))
    text = request.body.decode("utf-8", "replace")
    if kind == _FORM:
        return dict(parse_qsl(text, keep_blank_values=True))
    return _parse(text)


def _parse(text: str) -> Any:
    if not text.strip():
        return {}
    if text.lstrip()[0] not in "{[":
        # only objects and arrays are taken
        raise BadBody(bad_request(_unexpected(text, len(text) - len(text.lstrip()))))
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadBody(bad_request(_in_other_words(error))) from error
    except (ValueError, RecursionError) as error:
        raise BadBody(bad_request("Unexpected token in JSON")) from error


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _in_other_words(error: json.JSONDecodeError) -> str:
    """What V8 says about the same mistake."""
    text, at = error.doc, error.pos
    match error.msg:
        case "Expecting ':' delimiter":
            return f"Expected ':' after property name in JSON at position {at}"
        case "Expecting ',' delimiter" if text.lstrip().startswith("["):
            return f"Expected ',' or ']' after array element in JSON at position {at}"
        case "Expecting ',' delimiter":
            return f"Expected ',' or '}}' after property value in JSON at position {at}"
        case "Extra data":
            return f"Unexpected non-whitespace character after JSON at position {at}"
        case message if message.startswith("Unterminated string"):
            return f"Unterminated string in JSON at position {len(text)}"
        case message if message.startswith("Expecting property name") and at < len(text):
            wanted = "double-quoted property name" if "," in text[:at] else "property name or '}'"
            return f"Expected {wanted} in JSON at position {at}"
    return _unexpected(text, at)


def _unexpected(text: str, at: int) -> str:
    if at >= len(text):
        return "Unexpected end of JSON input"
    return f"Unexpected token '{text[at]}', \"{text}\" is not valid JSON"


def problems(body: Any, checks: Mapping[str, Check], needed: tuple[str, ...] = ()) -> list[str]:
    """What the validation pipe has against a body: unknown properties first, then those of a wrong kind.

    A property that is null or missing is not checked, unless it is `needed`.
    """
    fields = body if isinstance(body, dict) else {}
    found = [f"property {name} should not exist" for name in fields if name not in checks]
    for name, check in checks.items():
        value = fields.get(name)
        if (value is not None or name in needed) and (wrong := check(value)) is not None:
            found.append(f"{name} {wrong}")
    return found


def text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def an_object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def one_of(*legal: str) -> Check:
    """A check that only the legal values pass."""
    complaint = f"must be one of the following values: {', '.join(legal)}"
    return lambda value: None if value in legal else complaint

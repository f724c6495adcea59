"""JSON of bodies, by orjson; the json module sees to the little that orjson does not do, or does differently."""

from __future__ import annotations

import json
from typing import Any

import orjson

_NULL = b"null"
# A dataclass could have NaN in it.
_OPTION = orjson.OPT_PASSTHROUGH_DATACLASS


def _foreign(value: Any) -> Any:
    """What orjson knows beyond the json module (dates, UUIDs, enums), for both to write it alike."""
    return orjson.loads(orjson.dumps(value, option=_OPTION))


_careful = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_foreign)


def encode_json(value: Any) -> bytes:
    """A value as compact JSON in UTF-8.

    Raises TypeError for what JSON cannot hold, ValueError for a value that contains itself and for NaN and infinity
    (which are no JSON). Whole numbers of any size, keys that are numbers and lone surrogates are written.
    """
    try:
        body = orjson.dumps(value, option=_OPTION)
    except TypeError:
        return _careful.encode(value).encode()
    # (`find` because `in` costs as much as the writing.)
    if body.find(_NULL) >= 0:
        # Or NaN, which orjson writes like None: somebody would send a price of nothing and wonder at the answer.
        _careful.encode(value)
    return body


def decode_json(body: bytes) -> Any:
    """The value of JSON in UTF-8 (RFC 8259). Raises ValueError when it is none.

    A whole number beyond 64 bits is read as a float, as JavaScript does from 53 bits on. Lone surrogates and numbers
    without end are let in, as the json module does.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        return json.loads(body.decode())

"""JSON for request bodies: the text that `json.dumps` with the shortest separators gives, for a third of its price."""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder
from typing import Any

_C_ENCODER = getattr(encoder, "c_make_encoder", None)
_SAMPLE = {"text": 'ä"\\', "list": [1, 2.5, None, True], "nested": {"empty": {}}, "7": []}


def json_encoder(make: Callable[..., Any] | None = _C_ENCODER) -> Callable[[Any], str]:
    """A function from a value to compact JSON, ASCII only.

    `json.dumps` builds its C encoder anew for each call; here one is built for good, where this Python has it in the
    known form: `make` is what the json module itself builds it with. The function raises TypeError for what JSON
    cannot hold, ValueError for NaN and infinity (which are no JSON), RecursionError for a value that contains itself.
    """
    plain = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
    if make is None:
        return plain.encode
    try:
        encode = make(None, plain.default, encoder.encode_basestring_ascii, None, ":", ",", False, False, False)
        if "".join(encode(_SAMPLE, 0)) != plain.encode(_SAMPLE):
            return plain.encode
    except TypeError:
        return plain.encode
    return lambda value: "".join(encode(value, 0))

"""JSON for request bodies: the text that `json.dumps` with the shortest separators gives, for a third of its price."""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder
from typing import Any


def json_encoder() -> Callable[[Any], str]:
    """A function from a value to compact JSON, ASCII only.

    `json.dumps` builds its C encoder anew for each call; here one is built for good, where this Python has it in the
    known form. It raises what json.dumps raises: TypeError for what JSON cannot hold, ValueError for NaN and infinity
    (which are no JSON), RecursionError for a value that contains itself.
    """
    plain = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    try:
        encode = make(None, plain.default, encoder.encode_basestring_ascii, None, ":", ",", False, False, False)
        if "".join(encode(_SAMPLE, 0)) != plain.encode(_SAMPLE):
            return plain.encode
    except TypeError:
        return plain.encode
    return lambda value: "".join(encode(value, 0))


_SAMPLE = {"text": 'ä"\\', "list": [1, 2.5, None, True], "nested": {"empty": {}}, "7": []}

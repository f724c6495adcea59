"""Kinds of HTTP requests, so that a fault with a rate hits each kind by itself."""

from __future__ import annotations

import re

_CHANGING = re.compile(r"/[^/]*\d[^/]*")
MOST_KINDS = 200


class RequestKinds:
    """Requests of one kind share the parts of the path without digits; past `MOST_KINDS`, all the rest are one kind."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, path: str) -> str:
        kind = _CHANGING.sub("/*", path)
        if kind not in self._known and len(self._known) >= MOST_KINDS:
            return "other"
        self._known.add(kind)
        return kind

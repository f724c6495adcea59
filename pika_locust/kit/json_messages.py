"""Text messages that are JSON objects: their kind and id are read from their first bytes, without parsing the rest.

A server that writes `{"type":"ACK","messageId":"…"` in that order every time can be told apart by a slice; of ten
frames, nine are broadcasts that nobody needs to look into.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MOST_DEPTH = 100
_QUOTE = ord('"')
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class JsonMessages:
    """How one protocol spells its messages.

    Arguments:
        kind: the field that every message begins with, and that says what it is.
        id: the field that a message and its answer have in common.
        error: the field of a refusal that says why.
        ack, nack: the kinds of the two answers.
    """

    __slots__ = ("_ack_id_at", "ack", "error", "id", "kind", "kind_at", "nack")

    def __init__(
        self, *, kind: str = "type", id: str = "messageId", error: str = "error", ack: str = "ACK", nack: str = "NACK"
    ) -> None:
        self.kind, self.id, self.error, self.ack, self.nack = kind, id, error, ack, nack
        self.kind_at = len(f'{{"{kind}":"'.encode())
        """Where the kind begins, in bytes."""
        self._ack_id_at = len(f'{{"{kind}":"{ack}","{id}":"'.encode())

    def kind_of(self, payload: bytes) -> bytes:
        """The kind of a message that begins as the server's do; nonsense, of no known kind, for any other."""
        return payload[self.kind_at : payload.find(_QUOTE, self.kind_at)]

    def ack_id(self, payload: bytes) -> str:
        """The id of an acknowledgement that is spelt as the server does it; nonsense for any other."""
        return payload[self._ack_id_at : payload.find(_QUOTE, self._ack_id_at)].decode(errors="replace")

    @staticmethod
    def parse(payload: bytes) -> dict[str, Any] | None:
        """A message as an object; None when it is not a JSON object, or one that is nested deeper than `MOST_DEPTH`:
        whoever wrote it out, copied or compared it would fail."""
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):
            return None
        if not isinstance(message, dict):
            return None
        if payload.count(b"{") + payload.count(b"[") > MOST_DEPTH and _is_deeper(message, MOST_DEPTH):
            return None
        return message

    def respelt(self, message: Mapping[str, Any]) -> bytes:
        """A message as the server would have written it: what it begins with is what tells messages apart."""
        first = {key: message[key] for key in (self.kind, self.id) if key in message}
        # Half a surrogate pair, which JSON can name and UTF-8 cannot write, may come back in somebody's text.
        return _write(first | dict(message)).encode(errors="replace")


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether objects and arrays are nested in each other more than so many times."""
    level = [value]
    for _ in range(depth):
        level = [
            one
            for parent in level
            for one in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(one, dict | list)
        ]
        if not level:
            return False
    return True

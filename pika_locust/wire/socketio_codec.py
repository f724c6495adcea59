"""Packets of Engine.IO 4 and Socket.IO 5 over WebSocket, as bytes: one text message carries one packet.

An Engine.IO packet is a digit and its content; a message (`4`) holds a Socket.IO packet: a digit, for binary kinds the
number of attachments and a hyphen, the namespace and a comma unless it is `/`, an acknowledgement's id if there is one,
and JSON. (github.com/socketio/socket.io: docs/engine.io-protocol/v4-current.md, docs/socket.io-protocol/v5-current.md.)

JSON is found, not parsed: whoever wants to know what is in it calls `arguments`.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, TypeGuard

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

_PACKET = re.compile(rb"(?:([0-4])|([56])(\d{1,10})-)(?:(/[^,]*)(?:,|\Z))?(\d{1,20})?(.*)", re.DOTALL)
_UNCOUNTED = "a binary packet that does not say how many attachments it has"
_NOT_JSON = (ValueError, RecursionError)
"""What `json` raises; the second for brackets nested some thousand deep."""


class PacketError(ValueError):
    """A packet that breaks the protocol; the text says how, in words that are the same for every such packet."""


class Packet(NamedTuple):
    """One Socket.IO packet. `data` is its JSON, b"" when there is none."""

    kind: int
    namespace: str
    ack_id: int | None
    data: bytes
    attachments: int = 0
    """How many binary messages follow that belong to it."""


class Opening(NamedTuple):
    """What the server says first."""

    sid: str
    ping_interval_s: float
    ping_timeout_s: float
    max_payload: int | None
    """How many bytes a packet of ours may have, if the server says so."""

    @property
    def silence_s(self) -> float:
        """A connection without a ping for so long is dead."""
        return self.ping_interval_s + self.ping_timeout_s


def decode_open(payload: bytes) -> Opening:
    """The content of an Engine.IO open packet. Raises PacketError."""
    try:
        said = json.loads(payload)
        sid, interval_ms, timeout_ms = said["sid"], said["pingInterval"], said["pingTimeout"]
        most = said.get("maxPayload")
    except (*_NOT_JSON, TypeError, KeyError, AttributeError):
        raise PacketError("an open packet without sid, pingInterval and pingTimeout") from None
    if not isinstance(sid, str) or not _is_whole(interval_ms) or not _is_whole(timeout_ms):
        raise PacketError("an open packet whose sid is no text or whose ping times are no whole numbers")
    return Opening(sid, interval_ms / 1000, timeout_ms / 1000, most if _is_whole(most) else None)


def decode(message: bytes) -> Packet:
    """The Socket.IO packet in an Engine.IO message (without its `4`).

    A query behind the namespace is cut off, as the reference parser's users never see it. Raises PacketError.
    """
    match = _PACKET.fullmatch(message)
    if match is None:
        raise PacketError(_UNCOUNTED if message[:1] in (b"5", b"6") else "a packet of an unknown kind")
    plain, binary, attachments, path, number, data = match.groups()
    namespace = path.partition(b"?")[0].decode(errors="replace") if path else "/"
    ack_id = int(number) if number else None
    if binary:
        return Packet(int(binary), namespace, ack_id, data, int(attachments))
    kind = int(plain)
    if kind == EVENT:
        if data[:1] != b"[":
            raise PacketError("an event that is not a JSON array")
    elif kind == ACK:
        if ack_id is None:
            raise PacketError("an acknowledgement without an id")
        if data[:1] != b"[":
            raise PacketError("an acknowledgement that is not a JSON array")
    elif kind == CONNECT:
        if data and data[:1] != b"{":
            raise PacketError("a CONNECT whose content is not a JSON object")
    elif kind == DISCONNECT and data:
        raise PacketError("a DISCONNECT with content")
    return Packet(kind, namespace, ack_id, data)


def event_name(array: bytes) -> bytes:
    """The first element of an event's JSON array, as UTF-8, without parsing the others where that is possible.

    Raises PacketError when it is neither a text nor a number.
    """
    if array.startswith(b'["'):
        end = array.find(b'"', 2)
        name = array[2:end]
        if end > 0 and b"\\" not in name:
            return name
    try:
        parsed = json.loads(array)
    except _NOT_JSON:
        raise PacketError("an event that is not JSON") from None
    first = parsed[0] if isinstance(parsed, list) and parsed else None
    if isinstance(first, str):
        return first.encode(errors="surrogatepass")
    if _is_whole(first):
        return b"%d" % first
    raise PacketError("an event without a name")


def arguments(array: bytes) -> list[Any]:
    """What an event's JSON array holds behind the name. Raises PacketError when it is not JSON."""
    return all_of(array)[1:]


def all_of(array: bytes) -> list[Any]:
    """What a JSON array holds: all arguments of an acknowledgement. Raises PacketError when it is none."""
    try:
        parsed = json.loads(array)
    except _NOT_JSON:
        raise PacketError("a payload that is not JSON") from None
    if not isinstance(parsed, list):
        raise PacketError("a payload that is not a JSON array")
    return parsed


def as_json(content: Any) -> bytes:
    """Compact JSON as a browser writes it. Raises TypeError for bytes: binary events are not supported."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def head(kind: int, namespace: str) -> bytes:
    """What a packet of a kind begins with in a namespace, its `4` included: `42/queue,`."""
    return b"4%d" % kind if namespace == "/" else b"4%d%b," % (kind, namespace.encode())


def namespace_path(name: str) -> str:
    """A namespace as it is on the wire: with its slash. Raises ValueError for one that could not be read back."""
    if "," in name:
        raise ValueError(f"a namespace cannot have a comma: {name!r}")
    return name if name.startswith("/") else f"/{name}"


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0

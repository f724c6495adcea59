"""Engine.IO 4 and Socket.IO 5 packets and the client's protocol state, without a socket.

Over WebSocket one text message carries one packet. An Engine.IO packet is a digit and its content; a message (`4`)
holds a Socket.IO packet: a digit, for binary kinds the number of attachments and a hyphen, the namespace and a comma
unless it is `/`, an acknowledgement's id if there is one, and JSON. (github.com/socketio/socket.io:
docs/engine.io-protocol/v4-current.md, docs/socket.io-protocol/v5-current.md.)

JSON is found, not parsed: whoever wants to know what is in it calls `arguments`.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeGuard

from pika_locust.clock import monotonic_ns
from pika_locust.wire.websocket import Close

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

_PACKET = re.compile(rb"(?:([0-4])|([56])(\d{1,10})-)(?:(/[^,]*)(?:,|\Z))?(\d{1,20})?(.*)", re.DOTALL)
_UNCOUNTED = "a binary packet that does not say how many attachments it has"
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_NOT_JSON = (ValueError, RecursionError)
"""What `json` raises; the second for brackets nested some thousand deep."""
_LONGEST_PING_TIME_MS = (1 << 31) - 1
"""The longest that a timer of Node.js can wait, so no such server pings later."""


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
    """The content of the open packet, the server's first."""

    sid: str
    ping_interval_s: float
    ping_timeout_s: float

    @property
    def silence_s(self) -> float:
        """A connection without a ping for so long is dead."""
        return self.ping_interval_s + self.ping_timeout_s


def decode_open(payload: bytes) -> Opening:
    """The content of an Engine.IO open packet. Raises PacketError."""
    try:
        said = json.loads(payload)
        sid, interval_ms, timeout_ms = said["sid"], said["pingInterval"], said["pingTimeout"]
    except (*_NOT_JSON, TypeError, KeyError):
        raise PacketError("an open packet without sid, pingInterval and pingTimeout") from None
    if not isinstance(sid, str) or not _is_whole(interval_ms) or not _is_whole(timeout_ms):
        raise PacketError("an open packet whose sid is no text or whose ping times are no whole numbers")
    if max(interval_ms, timeout_ms) > _LONGEST_PING_TIME_MS:
        raise PacketError(f"an open packet whose ping times are longer than {_LONGEST_PING_TIME_MS} ms")
    return Opening(sid, interval_ms / 1000, timeout_ms / 1000)


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
    """Compact JSON as a browser writes it.

    Raises TypeError for bytes, as binary events are not supported, and ValueError for NaN and infinity, which are no
    JSON: servers drop whoever sends them.
    """
    return _write(content).encode(errors="surrogatepass")


def packet_head(kind: int, namespace: str) -> bytes:
    """What a packet of a kind begins with in a namespace, its `4` included: `42/queue,`."""
    return b"4%d" % kind if namespace == "/" else b"4%d%b," % (kind, namespace.encode())


def namespace_path(name: str) -> str:
    """A namespace as it is on the wire: with its slash. Raises ValueError for one that could not be read back."""
    if "," in name:
        raise ValueError(f"a namespace cannot have a comma: {name!r}")
    return name if name.startswith("/") else f"/{name}"


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


OnAck = Callable[[bytes | None, int], None]
"""Called once: with the JSON array that the server acknowledged with and the moment it was read, or with None and the
moment when the namespace or the connection ended before."""


class Handler(Protocol):
    """Receives what comes in on a connection. All methods are called in the event loop and must not block."""

    def on_connect(self, namespace: str) -> None:
        """The server accepted a namespace. It may yet kick us out of it: Verity accepts a bad token first."""

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        """The server refused a namespace; `data` is its JSON, such as `{"message":"Invalid namespace"}`."""

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        """An event. `payload` is the whole JSON array, name included (`arguments` reads it); `at_ns` is
        the monotonic clock at the moment its last bytes were read. Some servers send events before they confirm the
        namespace, so one may come before `on_connect`."""

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        """An event that the server wants acknowledged, with `SocketIo.ack`."""

    def on_kicked(self, namespace: str) -> None:
        """The server ended a namespace that we had opened or asked for."""

    def on_trouble(self, words: str) -> None:
        """The server sent what cannot be understood or is not supported; it was counted and passed over.

        The words are the same for every such message, so they can be counted by themselves.
        """

    def on_close(self, close: Close) -> None:
        """The connection is over; called once, last. Its namespaces are gone without an `on_kicked`."""

    def on_internal_error(self, error: BaseException) -> None:
        """One of the methods above, or an `OnAck`, raised: a mistake in the handler, never in the target."""


@dataclass(slots=True)
class Counts:
    """What happened on one connection, or on all that share it."""

    received: int = 0
    """Messages from the server, of every kind, pings included."""
    sent: int = 0
    """Messages to the server, of every kind, pongs included."""
    unsent: int = 0
    """What was not sent because its namespace was not connected, or because the connection was closing."""
    opens: int = 0
    """Open packets: connections that are ready for namespaces."""
    connects: int = 0
    connect_errors: int = 0
    kicks: int = 0
    events: int = 0
    calls: int = 0
    """Events that ask for an acknowledgement; they are not among `events`."""
    acks: int = 0
    acks_lost: int = 0
    """Acknowledgements that were still due when the namespace or the connection ended."""
    pings: int = 0
    ping_timeouts: int = 0
    strays: int = 0
    """Packets of namespaces that were not open, and acknowledgements that nobody waited for."""
    malformed: int = 0
    unsupported: int = 0
    """Binary events and acknowledgements, and binary messages that belong to none."""


class PendingAcks:
    """Acknowledgements that are due, by the ids that we gave out. An id is never used twice on a connection."""

    __slots__ = ("_next_id", "_waiting")

    def __init__(self) -> None:
        self._next_id = 0
        self._waiting: dict[int, tuple[str, OnAck]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, namespace: str, on_ack: OnAck) -> int:
        """The id to send with an event, whose acknowledgement `on_ack` waits for."""
        ack_id = self._next_id
        self._next_id += 1
        self._waiting[ack_id] = (namespace, on_ack)
        return ack_id

    def take(self, namespace: str, ack_id: int | None) -> OnAck | None:
        """Who waits for an id in a namespace, and does not any more; None when nobody did."""
        if ack_id is None or self._waiting.get(ack_id, ("",))[0] != namespace:
            return None
        return self._waiting.pop(ack_id)[1]

    def lose(self, namespace: str | None) -> list[OnAck]:
        """Whoever waited in a namespace (None: in any) and does not any more, because it has ended."""
        lost = [ack_id for ack_id, (of, _) in self._waiting.items() if namespace in (of, None)]
        return [self._waiting.pop(ack_id)[1] for ack_id in lost]


# An event's name begins within so many bytes, unless its namespace is very long; then it takes the careful way.
_HEAD_BYTES = 96


class SocketIoProtocol(ABC):
    """The namespaces of one connection. A driver adds the WebSocket and the clock by four methods."""

    __slots__ = ("_acks", "_attachments", "_early", "_handler", "_pending", "_routes", "counts", "opening")

    def __init__(self, handler: Handler, counts: Counts | None = None) -> None:
        self._handler = handler
        self.counts = Counts() if counts is None else counts
        self.opening: Opening | None = None
        """What the server said first; None before."""
        self._routes: dict[bytes, str] = {}
        """The namespaces that are connected, by what their events begin with."""
        self._pending: tuple[str, ...] = ()
        """The namespaces that were asked for and not answered yet."""
        self._early: tuple[bytes, ...] = ()
        """What waits for the open packet."""
        self._acks: PendingAcks | None = None
        self._attachments = 0

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether messages can be sent; says nothing of namespaces."""

    @abstractmethod
    def _write(self, message: bytes) -> bool:
        """Send a text message; False when the connection is closing."""

    @abstractmethod
    def _heard(self, at_ns: int) -> None:
        """The open packet or a ping came in."""

    @abstractmethod
    def _dismissed(self) -> None:
        """The server asks us to close the connection."""

    def is_connected(self, namespace: str = "/") -> bool:
        """Whether events can be sent in a namespace."""
        return packet_head(EVENT, namespace) in self._routes

    # Sending

    def open(self, namespace: str = "/", auth: Mapping[str, Any] | None = None) -> bool:
        """Ask for a namespace (a query may follow its path); the answer is on_connect, on_connect_error or on_kicked.

        It is sent when the server's open packet is there. False, and nothing sent, when the connection is closing or
        the namespace is open or asked for already.
        """
        full = namespace_path(namespace)
        path = full.partition("?")[0]
        if path in self._pending or self.is_connected(path):
            self.counts.unsent += 1
            return False
        packet = packet_head(CONNECT, full) + (b"" if auth is None else as_json(auth))
        if self.opening is None and self.is_open:
            self._early += (packet,)
        elif not self._send(packet):
            return False
        self._pending += (path,)
        return True

    def emit(self, namespace: str, name: str, *args: Any, on_ack: OnAck | None = None) -> bool:
        """Send an event; `on_ack` asks for an acknowledgement.

        False, and nothing sent, unless the namespace is connected: servers drop whoever sends an event before that.
        """
        return self.emit_json(namespace, as_json([name, *args]), on_ack)

    def emit_json(self, namespace: str, array: bytes, on_ack: OnAck | None = None) -> bool:
        """Send an event whose JSON array, name included, is written already."""
        head = packet_head(EVENT, namespace)
        if head not in self._routes:
            self.counts.unsent += 1
            return False
        if on_ack is None:
            return self._send(head + array)
        if self._acks is None:
            self._acks = PendingAcks()
        ack_id = self._acks.expect(namespace, on_ack)
        sent = self._send(b"%b%d%b" % (head, ack_id, array))
        if not sent:
            self._acks.take(namespace, ack_id)
        return sent

    def ack(self, namespace: str, ack_id: int, *args: Any) -> bool:
        """Acknowledge what `on_call` was told. False, and nothing sent, unless the namespace is connected."""
        if not self.is_connected(namespace):
            self.counts.unsent += 1
            return False
        return self._send(b"%b%d%b" % (packet_head(ACK, namespace), ack_id, as_json(args)))

    def leave(self, namespace: str = "/") -> bool:
        """Leave a namespace; the connection stays. False when it was not connected, or the connection is closing."""
        if self._routes.pop(packet_head(EVENT, namespace), None) is None:
            return False
        sent = self._send(packet_head(DISCONNECT, namespace))
        self._lose_acks(namespace)
        return sent

    def _leave_all(self) -> None:
        for namespace in tuple(self._routes.values()):
            self.leave(namespace)

    def _send(self, message: bytes) -> bool:
        if self._write(message):
            self.counts.sent += 1
            return True
        self.counts.unsent += 1
        return False

    # Receiving

    def on_text(self, payload: bytes, at_ns: int) -> None:
        """Take one packet, read at `at_ns`."""
        counts = self.counts
        counts.received += 1
        start = payload.find(b'["', 2, _HEAD_BYTES)
        if start > 0:
            namespace = self._routes.get(payload[:start])
            if namespace is not None:
                end = payload.find(b'"', start + 2)
                name = payload[start + 2 : end]
                if end > 0 and b"\\" not in name:
                    counts.events += 1
                    self._handler.on_event(namespace, name, payload[start:], at_ns)
                    return
        try:
            self._take(payload, at_ns)
        except PacketError as error:
            counts.malformed += 1
            self._handler.on_trouble(str(error))

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        """Pass over an attachment of a binary event."""
        self.counts.received += 1
        if self._attachments:
            self._attachments -= 1
        else:
            self._unsupported("a binary message that no packet announced")

    def _take(self, payload: bytes, at_ns: int) -> None:
        kind = payload[:1]
        if kind == MESSAGE:
            self._take_packet(decode(payload[1:]), at_ns)
        elif kind == PING:
            self.counts.pings += 1
            self._heard(at_ns)
            # A probe's content comes back, too: `2probe` is answered with `3probe`.
            self._send(PONG + payload[1:])
        elif kind == OPEN:
            if self.opening is not None:
                raise PacketError("a second open packet")
            self.opening = decode_open(payload[1:])
            self.counts.opens += 1
            self._heard(at_ns)
            early, self._early = self._early, ()
            for packet in early:
                self._send(packet)
        elif kind == CLOSE:
            self._dismissed()
        elif kind == b"b":
            self._unsupported("a binary message in base64")
        elif kind not in (PONG, UPGRADE, NOOP):
            raise PacketError("an Engine.IO packet of an unknown kind" if payload else "an empty message")

    def _take_packet(self, packet: Packet, at_ns: int) -> None:
        kind, namespace, ack_id, data, attachments = packet
        counts, handler = self.counts, self._handler
        if kind == EVENT:
            # An event may overtake the answer to our CONNECT: python-socketio's handlers of `connect` can emit.
            if not self.is_connected(namespace) and namespace not in self._pending:
                counts.strays += 1
                return
            name = event_name(data)
            if ack_id is None:
                counts.events += 1
                handler.on_event(namespace, name, data, at_ns)
            else:
                counts.calls += 1
                handler.on_call(namespace, name, data, ack_id, at_ns)
        elif kind == ACK:
            on_ack = self._acks.take(namespace, ack_id) if self._acks else None
            if on_ack is None:
                counts.strays += 1
            else:
                counts.acks += 1
                on_ack(data, at_ns)
        elif kind == CONNECT:
            if self._is_answer(namespace):
                counts.connects += 1
                self._routes[packet_head(EVENT, namespace)] = namespace
                handler.on_connect(namespace)
        elif kind == CONNECT_ERROR:
            if self._is_answer(namespace):
                counts.connect_errors += 1
                handler.on_connect_error(namespace, data)
        elif kind == DISCONNECT:
            connected = self._routes.pop(packet_head(EVENT, namespace), None) is not None
            if connected or self._is_answer(namespace):
                counts.kicks += 1
                self._lose_acks(namespace)
                handler.on_kicked(namespace)
        else:
            self._attachments += attachments
            self._unsupported("a binary event" if kind == BINARY_EVENT else "a binary acknowledgement")

    def _is_answer(self, namespace: str) -> bool:
        """Whether a namespace was asked for and this is the first answer."""
        if namespace not in self._pending:
            self.counts.strays += 1
            return False
        self._pending = tuple(other for other in self._pending if other != namespace)
        return True

    def _lose_acks(self, namespace: str | None) -> None:
        """Tell whoever waits for an acknowledgement in a namespace (None: in any) that it will not come."""
        at_ns = monotonic_ns()
        for on_ack in self._acks.lose(namespace) if self._acks else ():
            self.counts.acks_lost += 1
            try:
                on_ack(None, at_ns)
            except Exception as error:
                self._handler.on_internal_error(error)

    def _over(self) -> None:
        """The connection has ended."""
        self._routes.clear()
        self._pending = self._early = ()
        self._lose_acks(None)

    def _unsupported(self, words: str) -> None:
        self.counts.unsupported += 1
        self._handler.on_trouble(f"{words}, which is not supported")

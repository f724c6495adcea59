"""A Socket.IO client for very many connections in one process: Engine.IO 4, WebSocket only, no greenlet of its own.

Everything that arrives is handed on from the event loop's own callback, so a handler must not block. Events are told
apart by their first bytes; their JSON is never parsed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic_ns
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from gevent import get_hub

from pika_locust.wire import frames, websocket
from pika_locust.wire import socketio_codec as codec
from pika_locust.wire.websocket import Close, Limits

OnAck = Callable[[bytes | None, int], None]
"""Called once: with the JSON array of what the server acknowledged with and the moment it was read, or with None and
the moment when the namespace or the connection ended before."""

# An event's name begins within so many bytes unless its namespace is very long, or it is no event.
_HEAD_BYTES = 96


class Handler(Protocol):
    """Who listens. All methods are called in the event loop and must not block."""

    def on_connect(self, namespace: str) -> None:
        """The server accepted a namespace. It may yet kick us out of it: Verity accepts a bad token first."""

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        """The server refused a namespace; `data` is its JSON, such as `{"message":"Invalid namespace"}`."""

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        """An event. `payload` is the whole JSON array, name included (`socketio_codec.arguments` reads it); `at_ns` is
        the monotonic clock at the moment its last bytes were read."""

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        """An event that the server wants acknowledged, with `SocketIo.ack`."""

    def on_kicked(self, namespace: str) -> None:
        """The server ended a namespace that we had opened."""

    def on_trouble(self, words: str) -> None:
        """The server sent what cannot be understood or is not supported; it was counted and passed over."""

    def on_close(self, close: Close) -> None:
        """The connection is over; called once, last. The namespaces are gone without an `on_kicked`."""

    def on_fault(self, error: BaseException) -> None:
        """One of the methods above raised: a mistake in the handler, never in the target."""


@dataclass(slots=True)
class Counts:
    """What happened on one connection, or on all that share it."""

    received: int = 0
    """Messages from the server, of every kind, pings included."""
    sent: int = 0
    """Messages to the server, of every kind, pongs included."""
    unsent: int = 0
    """What was not sent because the namespace was not connected, or the connection was closing."""
    opens: int = 0
    connects: int = 0
    connect_errors: int = 0
    kicks: int = 0
    events: int = 0
    calls: int = 0
    acks: int = 0
    acks_lost: int = 0
    """Acknowledgements that were still due when the namespace or the connection ended."""
    pings: int = 0
    ping_timeouts: int = 0
    strays: int = 0
    """Packets of namespaces that were not open, and acknowledgements that nobody waited for."""
    malformed: int = 0
    unsupported: int = 0


class SocketIo:
    """One connection with any number of namespaces, made by `connect`; ends with `Handler.on_close`.

    Its own `on_…` methods are for the WebSocket below.
    """

    __slots__ = (
        "_acks",
        "_attachments",
        "_closed_by_server",
        "_early",
        "_handler",
        "_last_ping_ns",
        "_next_ack_id",
        "_pending",
        "_routes",
        "_socket",
        "_timer",
        "counts",
        "opening",
    )

    def __init__(self, handler: Handler, counts: Counts | None = None) -> None:
        self._handler = handler
        self.counts = counts or Counts()
        self.opening: codec.Opening | None = None
        """What the server said first; None before."""
        self._socket: Any = None
        self._routes: dict[bytes, str] = {}
        """The namespaces that are connected, by what their events begin with."""
        self._pending: tuple[str, ...] = ()
        self._early: list[bytes] = []
        """What waits for the open packet."""
        self._acks: dict[int, tuple[str, OnAck]] | None = None
        self._next_ack_id = 0
        self._attachments = 0
        self._closed_by_server = False
        self._last_ping_ns = 0
        self._timer: Any = None

    def attach(self, socket: Any, open_s: float) -> None:
        """Begin on a connected WebSocket, whose handler this is; the open packet must come within `open_s` seconds."""
        self._socket = socket
        self._last_ping_ns = monotonic_ns()
        self._arm(open_s)

    @property
    def is_open(self) -> bool:
        """Whether the connection can be used; says nothing of namespaces."""
        return self._socket is not None and bool(self._socket.is_open)

    @property
    def received_ns(self) -> int:
        """The monotonic clock when bytes last came in; inside a handler's method, when those came that it is about."""
        return int(self._socket.received_ns)

    def is_connected(self, namespace: str = "/") -> bool:
        """Whether events can be sent in a namespace."""
        return codec.head(codec.EVENT, namespace) in self._routes

    # What we say

    def open(self, namespace: str = "/", auth: Mapping[str, Any] | None = None) -> bool:
        """Ask for a namespace (a query may follow its path); the answer is on_connect, on_connect_error or on_kicked.

        It is sent when the server's open packet is there. False, and nothing sent, when the connection is closing or
        the namespace is open or asked for already.
        """
        full = codec.namespace_path(namespace)
        path = full.partition("?")[0]
        if path in self._pending or self.is_connected(path):
            self.counts.unsent += 1
            return False
        packet = codec.head(codec.CONNECT, full) + (b"" if auth is None else codec.as_json(auth))
        if self.opening is None and self.is_open:
            self._early.append(packet)
        elif not self._send(packet):
            return False
        self._pending += (path,)
        return True

    def emit(self, namespace: str, name: str, *args: Any, on_ack: OnAck | None = None) -> bool:
        """Send an event. False, and nothing sent, unless the namespace is connected: a server ends the connection for
        an event before that. `on_ack` asks for an acknowledgement."""
        return self.emit_json(namespace, codec.as_json([name, *args]), on_ack)

    def emit_json(self, namespace: str, array: bytes, on_ack: OnAck | None = None) -> bool:
        """Send an event whose JSON array, name included, is there already."""
        head = codec.head(codec.EVENT, namespace)
        if head not in self._routes:
            self.counts.unsent += 1
            return False
        if on_ack is None:
            return self._send(head + array)
        ack_id = self._next_ack_id
        if not self._send(b"%b%d%b" % (head, ack_id, array)):
            return False
        self._next_ack_id = ack_id + 1
        if self._acks is None:
            self._acks = {}
        self._acks[ack_id] = (namespace, on_ack)
        return True

    def ack(self, namespace: str, ack_id: int, *args: Any) -> bool:
        """Acknowledge what `on_call` was told."""
        if not self.is_connected(namespace):
            self.counts.unsent += 1
            return False
        return self._send(b"%b%d%b" % (codec.head(codec.ACK, namespace), ack_id, codec.as_json(args)))

    def leave(self, namespace: str = "/") -> bool:
        """Leave a namespace; the connection stays. False when it was not connected."""
        if self._routes.pop(codec.head(codec.EVENT, namespace), None) is None:
            return False
        sent = self._send(codec.head(codec.DISCONNECT, namespace))
        self._lose_acks(namespace)
        return sent

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Leave every namespace and begin the closing handshake."""
        for namespace in list(self._routes.values()):
            self.leave(namespace)
        self._disarm()
        if self._socket is not None:
            self._socket.close(code, reason)

    def abort(self, error: str = "given up by the user") -> None:
        """Drop the connection at once, as a phone does that loses its network."""
        if self._socket is not None:
            self._socket.abort(error)

    def _send(self, packet: bytes) -> bool:
        if self._socket is not None and self._socket.send(packet):
            self.counts.sent += 1
            return True
        self.counts.unsent += 1
        return False

    # What the server says

    def on_text(self, payload: bytes, at_ns: int) -> None:
        """One packet."""
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
        except codec.PacketError as error:
            counts.malformed += 1
            self._handler.on_trouble(str(error))

    def on_binary(self, payload: bytes, at_ns: int) -> None:
        """An attachment of a binary event: passed over with it."""
        self.counts.received += 1
        if self._attachments:
            self._attachments -= 1
        else:
            self._unsupported("a binary message that no packet announced")

    def _take(self, payload: bytes, at_ns: int) -> None:
        kind = payload[:1]
        if kind == codec.MESSAGE:
            self._take_packet(codec.decode(payload[1:]), at_ns)
        elif kind == codec.PING:
            self.counts.pings += 1
            self._last_ping_ns = at_ns
            # A probe's content comes back, too: `2probe` is answered with `3probe`.
            self._send(codec.PONG + payload[1:])
        elif kind == codec.OPEN:
            self._take_open(codec.decode_open(payload[1:]), at_ns)
        elif kind == codec.CLOSE:
            self._closed_by_server = True
            self._disarm()
            self._socket.close()
        elif kind == b"b":
            self._unsupported("a binary message in base64")
        elif kind not in (codec.PONG, codec.UPGRADE, codec.NOOP):
            raise codec.PacketError("an Engine.IO packet of an unknown kind" if payload else "an empty message")

    def _take_open(self, opening: codec.Opening, at_ns: int) -> None:
        if self.opening is not None:
            raise codec.PacketError("a second open packet")
        self.counts.opens += 1
        self.opening = opening
        self._last_ping_ns = at_ns
        self._arm(opening.silence_s)
        early, self._early = self._early, []
        for packet in early:
            self._send(packet)

    def _take_packet(self, packet: codec.Packet, at_ns: int) -> None:
        kind, namespace, ack_id, data, attachments = packet
        counts = self.counts
        if kind == codec.EVENT:
            if not self.is_connected(namespace):
                counts.strays += 1
            elif ack_id is None:
                name = codec.event_name(data)
                counts.events += 1
                self._handler.on_event(namespace, name, data, at_ns)
            else:
                name = codec.event_name(data)
                counts.calls += 1
                self._handler.on_call(namespace, name, data, ack_id, at_ns)
        elif kind == codec.ACK:
            self._take_ack(namespace, ack_id, data, at_ns)
        elif kind == codec.CONNECT:
            if self._is_answer(namespace):
                counts.connects += 1
                self._routes[codec.head(codec.EVENT, namespace)] = namespace
                self._handler.on_connect(namespace)
        elif kind == codec.CONNECT_ERROR:
            if self._is_answer(namespace):
                counts.connect_errors += 1
                self._handler.on_connect_error(namespace, data)
        elif kind == codec.DISCONNECT:
            connected = self._routes.pop(codec.head(codec.EVENT, namespace), None) is not None
            if connected or self._is_answer(namespace):
                counts.kicks += 1
                self._lose_acks(namespace)
                self._handler.on_kicked(namespace)
        else:
            self._attachments += attachments
            self._unsupported("a binary event")

    def _is_answer(self, namespace: str) -> bool:
        """Whether a namespace was asked for and this is the first answer."""
        if namespace not in self._pending:
            self.counts.strays += 1
            return False
        self._pending = tuple(other for other in self._pending if other != namespace)
        return True

    def _take_ack(self, namespace: str, ack_id: int | None, data: bytes, at_ns: int) -> None:
        waiting = self._acks.get(ack_id) if self._acks and ack_id is not None else None
        if waiting is None or waiting[0] != namespace:
            self.counts.strays += 1
            return
        assert self._acks is not None
        assert ack_id is not None
        del self._acks[ack_id]
        self.counts.acks += 1
        waiting[1](data, at_ns)

    def _lose_acks(self, namespace: str | None) -> None:
        """Tell whoever waits for an acknowledgement in a namespace (None: in any) that it will not come."""
        lost = [ack_id for ack_id, (of, _) in (self._acks or {}).items() if namespace in (of, None)]
        at_ns = monotonic_ns()
        for ack_id in lost:
            assert self._acks is not None
            _, on_ack = self._acks.pop(ack_id)
            self.counts.acks_lost += 1
            try:
                on_ack(None, at_ns)
            except Exception as error:
                self._handler.on_fault(error)

    def _unsupported(self, words: str) -> None:
        self.counts.unsupported += 1
        self._handler.on_trouble(f"{words}, which is not supported")

    def on_fault(self, error: BaseException) -> None:
        """The handler raised."""
        self._handler.on_fault(error)

    def on_close(self, close: Close) -> None:
        """The WebSocket is over."""
        self._disarm()
        self._routes.clear()
        self._pending = ()
        self._lose_acks(None)
        self._handler.on_close(replace(close, by_us=False) if self._closed_by_server else close)

    # Time: one timer a connection, set anew only when it fires

    def _arm(self, after_s: float) -> None:
        self._disarm()
        self._timer = get_hub().loop.timer(after_s)
        self._timer.start(self._check_silence)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _check_silence(self) -> None:
        self._disarm()
        if self.opening is None:
            self.abort("the server sent no open packet")
            return
        silence_s = self.opening.silence_s
        left_s = silence_s - (monotonic_ns() - self._last_ping_ns) / 1e9
        if left_s > 0:
            self._arm(left_s)
        else:
            self.counts.ping_timeouts += 1
            self.abort(f"the server sent no ping for {silence_s:g} s")


def endpoint(url: str, path: str = "/socket.io/") -> str:
    """Where a server's Socket.IO is: `https://host/prefix` is `wss://host/prefix/socket.io/?EIO=4&transport=websocket`.

    A URL that names an Engine.IO version in its query is taken as it is.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if "EIO=" in parts.query:
        return urlunsplit(parts._replace(scheme=scheme))
    query = "&".join(filter(None, ("EIO=4&transport=websocket", parts.query)))
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, query, ""))


def connect(
    url: str,
    handler: Handler,
    *,
    path: str = "/socket.io/",
    headers: Mapping[str, str] | None = None,
    counts: Counts | None = None,
    limits: Limits | None = None,
    verify: bool = True,
    ca_file: str | None = None,
) -> SocketIo:
    """Open a connection to a server (see `endpoint`); waits for the WebSocket's handshake in the caller's greenlet.

    Then `open` its namespaces. `counts` may be shared by many connections. Raises `wire.handshake.ConnectError`.
    """
    limits = limits or Limits()
    client = SocketIo(handler, counts)
    socket = websocket.connect(
        endpoint(url, path), client, headers=headers, limits=limits, verify=verify, ca_file=ca_file
    )
    client.attach(socket, limits.connect_s)
    return client

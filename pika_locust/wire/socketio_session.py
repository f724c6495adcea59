"""A client's half of a Socket.IO connection, without a socket: messages in, calls of a handler and messages out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from time import monotonic_ns
from typing import Any

from pika_locust.wire import socketio_codec as codec
from pika_locust.wire.socketio_acks import PendingAcks
from pika_locust.wire.socketio_handler import Counts, Handler, OnAck

# An event's name begins within so many bytes, unless its namespace is very long; then it takes the careful way.
_HEAD_BYTES = 96


class SocketIoProtocol(ABC):
    """The namespaces of one connection. A driver adds the WebSocket and the clock by four methods."""

    __slots__ = ("_acks", "_attachments", "_early", "_handler", "_pending", "_routes", "counts", "opening")

    def __init__(self, handler: Handler, counts: Counts | None = None) -> None:
        self._handler = handler
        self.counts = Counts() if counts is None else counts
        self.opening: codec.Opening | None = None
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
            self._early += (packet,)
        elif not self._send(packet):
            return False
        self._pending += (path,)
        return True

    def emit(self, namespace: str, name: str, *args: Any, on_ack: OnAck | None = None) -> bool:
        """Send an event; `on_ack` asks for an acknowledgement.

        False, and nothing sent, unless the namespace is connected: servers drop whoever sends an event before that.
        """
        return self.emit_json(namespace, codec.as_json([name, *args]), on_ack)

    def emit_json(self, namespace: str, array: bytes, on_ack: OnAck | None = None) -> bool:
        """Send an event whose JSON array, name included, is written already."""
        head = codec.head(codec.EVENT, namespace)
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
        return self._send(b"%b%d%b" % (codec.head(codec.ACK, namespace), ack_id, codec.as_json(args)))

    def leave(self, namespace: str = "/") -> bool:
        """Leave a namespace; the connection stays. False when it was not connected, or the connection is closing."""
        if self._routes.pop(codec.head(codec.EVENT, namespace), None) is None:
            return False
        sent = self._send(codec.head(codec.DISCONNECT, namespace))
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

    # What the server says

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
        except codec.PacketError as error:
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
        if kind == codec.MESSAGE:
            self._take_packet(codec.decode(payload[1:]), at_ns)
        elif kind == codec.PING:
            self.counts.pings += 1
            self._heard(at_ns)
            # A probe's content comes back, too: `2probe` is answered with `3probe`.
            self._send(codec.PONG + payload[1:])
        elif kind == codec.OPEN:
            if self.opening is not None:
                raise codec.PacketError("a second open packet")
            self.opening = codec.decode_open(payload[1:])
            self.counts.opens += 1
            self._heard(at_ns)
            early, self._early = self._early, ()
            for packet in early:
                self._send(packet)
        elif kind == codec.CLOSE:
            self._dismissed()
        elif kind == b"b":
            self._unsupported("a binary message in base64")
        elif kind not in (codec.PONG, codec.UPGRADE, codec.NOOP):
            raise codec.PacketError("an Engine.IO packet of an unknown kind" if payload else "an empty message")

    def _take_packet(self, packet: codec.Packet, at_ns: int) -> None:
        kind, namespace, ack_id, data, attachments = packet
        counts, handler = self.counts, self._handler
        if kind == codec.EVENT:
            # An event may overtake the answer to our CONNECT: python-socketio's handlers of `connect` can emit.
            if not self.is_connected(namespace) and namespace not in self._pending:
                counts.strays += 1
                return
            name = codec.event_name(data)
            if ack_id is None:
                counts.events += 1
                handler.on_event(namespace, name, data, at_ns)
            else:
                counts.calls += 1
                handler.on_call(namespace, name, data, ack_id, at_ns)
        elif kind == codec.ACK:
            on_ack = self._acks.take(namespace, ack_id) if self._acks else None
            if on_ack is None:
                counts.strays += 1
            else:
                counts.acks += 1
                on_ack(data, at_ns)
        elif kind == codec.CONNECT:
            if self._is_answer(namespace):
                counts.connects += 1
                self._routes[codec.head(codec.EVENT, namespace)] = namespace
                handler.on_connect(namespace)
        elif kind == codec.CONNECT_ERROR:
            if self._is_answer(namespace):
                counts.connect_errors += 1
                handler.on_connect_error(namespace, data)
        elif kind == codec.DISCONNECT:
            connected = self._routes.pop(codec.head(codec.EVENT, namespace), None) is not None
            if connected or self._is_answer(namespace):
                counts.kicks += 1
                self._lose_acks(namespace)
                handler.on_kicked(namespace)
        else:
            self._attachments += attachments
            self._unsupported("a binary event" if kind == codec.BINARY_EVENT else "a binary acknowledgement")

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

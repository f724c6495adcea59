"""Bytes in, messages out: the receiving half of a WebSocket client, without a socket.

This is the hot path of every broadcast: on CPython a text frame costs about a microsecond here, its handler aside.
"""

from __future__ import annotations

from typing import Protocol

from pika_locust.wire import frames


class Listener(Protocol):
    """Who is told what came in."""

    def on_text(self, payload: bytes, at_ns: int) -> None: ...
    def on_binary(self, payload: bytes, at_ns: int) -> None: ...


class Controls(Protocol):
    """Who answers control frames."""

    def on_control(self, opcode: int, payload: bytes) -> None: ...


class MessageReader:
    """Cuts a stream of bytes into messages.

    `partial_since_ns` is the stamp of the read that began a message which is not complete yet, 0 when there is none.
    """

    __slots__ = (
        "_controls",
        "_fragments",
        "_listener",
        "_max_bytes",
        "_needed",
        "_on_text",
        "_opcode",
        "_stopped",
        "_tail",
        "partial_since_ns",
    )

    def __init__(self, listener: Listener, controls: Controls, max_bytes: int) -> None:
        self._listener = listener
        self._on_text = listener.on_text
        self._controls = controls
        self._max_bytes = max_bytes
        self._tail: bytearray | None = None
        self._needed = 0
        self._fragments: bytearray | None = None
        self._opcode = 0
        self._stopped = False
        self.partial_since_ns = 0

    def stop(self) -> None:
        """Hand over nothing more, not even what has been taken already; may be called from the listener."""
        self._stopped = True
        self._tail = self._fragments = None
        self.partial_since_ns = 0

    def take(self, data: bytes, at_ns: int) -> None:
        """Hand over every message that is now complete; `at_ns` is when `data` was read.

        An exception of the listener passes through and loses nothing: call again, with no data, to go on behind the
        message that raised. After a close frame (RFC 6455, section 1.4) and after a violation whatever follows is
        dropped.

        Raises ProtocolViolation.
        """
        if self._stopped:
            return
        tail = self._tail
        if tail is not None:
            tail += data
            if len(tail) < self._needed:
                return
            data = bytes(tail)
            self._tail = None
        on_text = self._on_text
        ordinary = self._fragments is None and self._max_bytes >= 125
        position, size = 0, len(data)
        try:
            while size - position >= 2:
                # The ordinary frame: final, text, unmasked, below 64 kB. All others take the careful way.
                length = data[position + 1]
                if length < 127 and ordinary and data[position] == 0x81:
                    start = position + 2
                    if length == 126:
                        if size - position < 4:
                            break
                        start = position + 4
                        length = (data[position + 2] << 8) | data[position + 3]
                        if not 126 <= length <= self._max_bytes:
                            frames.decode(data, position, self._max_bytes)
                    end = start + length
                    if end > size:
                        break
                    payload = data[start:end]
                    position = end
                    if not payload.isascii():
                        _check_text(payload)
                    on_text(payload, at_ns)
                    if self._stopped:
                        break
                    continue
                frame = frames.decode(data, position, self._max_bytes)
                if frame is None:
                    break
                if self._fragments is None and (position or not self.partial_since_ns):
                    # Should this frame begin a fragmented message, then it began with this read.
                    self.partial_since_ns = at_ns
                position = frame.end
                self._take_frame(frame, at_ns)
                if self._stopped:
                    break
                ordinary = self._fragments is None and self._max_bytes >= 125
        except frames.ProtocolViolation:
            self.stop()
            raise
        finally:
            if not self._stopped:
                if position < size:
                    self._tail = bytearray(data[position:])
                    self._needed = sum(frames.extent(data, position))
                if self._fragments is None:
                    if position == size:
                        self.partial_since_ns = 0
                    elif position or not self.partial_since_ns:
                        self.partial_since_ns = at_ns

    def _take_frame(self, frame: frames.Frame, at_ns: int) -> None:
        opcode, payload = frame.opcode, frame.payload
        if opcode >= frames.CLOSE:
            if opcode == frames.CLOSE:
                self.stop()
            self._controls.on_control(opcode, payload)
        elif opcode == frames.CONTINUATION:
            if self._fragments is None:
                raise frames.ProtocolViolation(frames.PROTOCOL_ERROR, "a continuation of nothing")
            self._fragments += payload
            if len(self._fragments) > self._max_bytes:
                raise frames.ProtocolViolation(frames.TOO_BIG, f"a fragmented message beyond {self._max_bytes:,} bytes")
            if frame.final:
                message, self._fragments = bytes(self._fragments), None
                self._deliver(self._opcode, message, at_ns)
        elif self._fragments is not None:
            raise frames.ProtocolViolation(frames.PROTOCOL_ERROR, "a new message inside a fragmented one")
        elif frame.final:
            self._deliver(opcode, payload, at_ns)
        else:
            self._opcode, self._fragments = opcode, bytearray(payload)

    def _deliver(self, opcode: int, payload: bytes, at_ns: int) -> None:
        if opcode == frames.TEXT:
            _check_text(payload)
            self._on_text(payload, at_ns)
        else:
            self._listener.on_binary(payload, at_ns)


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise frames.ProtocolViolation(frames.INVALID_TEXT, "a text message that is not UTF-8") from None

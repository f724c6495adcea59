"""A handler that writes down what it is told, and a session whose socket is a list."""

from __future__ import annotations

from typing import Any

from pika_locust.wire.socketio_protocol import Counts, SocketIoProtocol
from pika_locust.wire.websocket import Close


class RecordingHandler:
    """Every call, in order; `stumble` names a method that raises afterwards."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.errors: list[BaseException] = []
        self.closes: list[Close] = []
        self.stumble = ""

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] == self.stumble:
            raise ZeroDivisionError(self.stumble)

    def on_connect(self, namespace: str) -> None:
        self._note("connect", namespace)

    def on_connect_error(self, namespace: str, data: bytes) -> None:
        self._note("connect_error", namespace, data)

    def on_event(self, namespace: str, name: bytes, payload: bytes, at_ns: int) -> None:
        self._note("event", namespace, name, payload, at_ns)

    def on_call(self, namespace: str, name: bytes, payload: bytes, ack_id: int, at_ns: int) -> None:
        self._note("call", namespace, name, payload, ack_id, at_ns)

    def on_kicked(self, namespace: str) -> None:
        self._note("kicked", namespace)

    def on_trouble(self, words: str) -> None:
        self._note("trouble", words)

    def on_close(self, close: Close) -> None:
        self.closes.append(close)
        self._note("close")

    def on_internal_error(self, error: BaseException) -> None:
        self.errors.append(error)

    def names(self) -> list[str]:
        """What was called, without arguments."""
        return [call[0] for call in self.calls]


class Scripted(SocketIoProtocol):
    """What is said lies in `out`; nothing is sent once `closing` is set."""

    def __init__(self, handler: RecordingHandler, counts: Counts | None = None) -> None:
        super().__init__(handler, counts)
        self.out: list[bytes] = []
        self.closing = False
        self.heard: list[int] = []
        self.dismissals = 0
        self.received_ns = 0

    @property
    def is_open(self) -> bool:
        return not self.closing

    def _write(self, message: bytes) -> bool:
        if not self.closing:
            self.out.append(message)
        return not self.closing

    def _heard(self, at_ns: int) -> None:
        self.heard.append(at_ns)

    def _dismissed(self) -> None:
        self.dismissals += 1

    def end(self) -> None:
        self.closing = True
        self._over()

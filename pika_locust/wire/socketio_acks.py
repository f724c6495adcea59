"""Who waits for which acknowledgement on a Socket.IO connection."""

from __future__ import annotations

from pika_locust.wire.socketio_handler import OnAck


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

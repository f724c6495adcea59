"""Counts the bytes of all WebSockets of a process, before TLS and without their handshakes, and FastUser's retries."""

from __future__ import annotations


class Traffic:
    """Bytes so far, in both directions, and HTTP requests of FastUsers that were sent twice."""

    __slots__ = ("received", "retries", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.retries = 0


TRAFFIC = Traffic()
"""One for the process: an object that each connection would have to hold costs more than the counting."""

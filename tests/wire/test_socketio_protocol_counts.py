from __future__ import annotations

from dataclasses import asdict

from pika_locust.wire.socketio_protocol import Counts, Handler
from tests.wire.socketio_doubles import RecordingHandler, Scripted


def test_nothing_has_been_counted_at_first() -> None:
    assert set(asdict(Counts()).values()) == {0}


def test_many_connections_can_share_their_counts() -> None:
    counts = Counts()
    first, second = Scripted(RecordingHandler(), counts), Scripted(RecordingHandler(), counts)
    for session in (first, second, second):
        session.on_text(b"2", 1)
    assert (counts.pings, counts.received, counts.sent) == (3, 3, 3)
    assert Scripted(RecordingHandler()).counts.pings == 0


def test_the_diary_is_a_handler() -> None:
    handler: Handler = RecordingHandler()
    handler.on_connect("/")
    assert handler.calls == [("connect", "/")]  # type: ignore[attr-defined]

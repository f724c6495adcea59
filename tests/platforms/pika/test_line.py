from __future__ import annotations

import pytest

from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.line import PikaConnection
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError
from tests.platforms.pika.evening import RUN_ID, Evening, refused_dial


class Talker:
    """Somebody with a line, who counts what goes out."""

    def __init__(self, evening: Evening) -> None:
        self.sent = 0
        self.line = PikaConnection(evening.room, self._count)
        self.closes: list[Close] = []

    def _count(self) -> None:
        self.sent += 1

    def on_close(self, close: Close) -> None:
        self.closes.append(close)
        self.line.lost()


@pytest.fixture
def talker(evening: Evening) -> Talker:
    return Talker(evening)


def test_what_is_said_is_counted_and_a_ping_is_not(evening: Evening, talker: Talker) -> None:
    talker.line.open(talker)  # type: ignore[arg-type]
    message_id = talker.line.expect("subscribe")
    talker.line.say(messages.subscribe("load-test-session", "client", message_id))
    talker.line.ping()
    assert evening.wires[0].kinds() == ["SUBSCRIBE", "PING"]
    assert evening.wires[0].sent[0][1]["messageId"] == message_id == f"{RUN_ID}.0.1"
    assert (talker.sent, talker.line.unanswered) == (1, 1)


def test_a_lost_line_takes_what_is_unanswered_with_it_and_can_be_opened_again(evening: Evening, talker: Talker) -> None:
    heard: list[tuple[bool, str]] = []
    line = talker.line
    line.open(talker)  # type: ignore[arg-type]
    line.expect(
        "like", ledger=evening.worker.ledgers["likes"], items=2, on_reply=lambda ok, why: heard.append((ok, why))
    )
    line.abort("no PONG")
    assert talker.closes == [Close(1006, by_us=True, error="no PONG")]
    assert not line.is_open
    assert line.unanswered == 0
    assert heard == [(False, "the connection was lost before the answer")]
    assert evening.booked("likes") == {"sent": 2, "uncertain": 2}
    line.open(talker)  # type: ignore[arg-type]
    assert line.is_open
    line.close()
    assert talker.closes[1] == Close(1000, by_us=True)


def test_without_a_connection_nothing_goes_out(evening: Evening, talker: Talker) -> None:
    evening.connect = refused_dial
    with pytest.raises(ConnectError, match="connection refused"):
        talker.line.open(talker)  # type: ignore[arg-type]
    talker.line.say(messages.PING)
    talker.line.ping()
    talker.line.close()
    talker.line.abort("never mind")
    assert (talker.sent, talker.line.is_open, talker.closes) == (0, False, [])

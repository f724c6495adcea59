"""Users who stream against the world, in virtual time: what is sent, what is counted, what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pika_locust.judge import AuditResult
from pika_locust.platforms.pixelated.audio import Turn
from pika_locust.platforms.pixelated.audits import audit_streams
from pika_locust.platforms.pixelated.scenarios import STREAMING
from pika_locust.platforms.pixelated.streaming_user import StreamingUser
from pika_locust.platforms.pixelated.world import PLATFORM
from pika_locust.sandbox.app import Socket
from pika_locust.scenario import AuditContext
from pika_locust.testing.virtual_run import VirtualRun
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.worker import make_user

SETTINGS = {
    "TURNS": "3",
    "CHUNKS": "4",
    "CHUNK_BYTES": "256",
    "CHUNK_PAUSE": "0.25",
    "THINK_TIME_MIN": "1",
    "THINK_TIME_MAX": "1",
    "RESULT_WITHIN": "3",
    "MALFORMED": "0",
}


class Run(VirtualRun):
    """With what these tests ask for."""

    def once(self, seconds: float = 30.0) -> None:
        """A user's first connection, from beginning to end."""
        user = make_user(StreamingUser, self.worker)
        user.on_start()
        self.users.append(user)
        self.time.call(user.act, within_s=seconds)

    def count(self, name: str, **tags: str) -> int:
        return self.worker.count_of(name, **tags)

    def rate(self, name: str) -> tuple[int, int]:
        """Passes and fails."""
        return self.worker.rate_of(name)

    def sent(self, kind: str) -> list[Any]:
        """The messages of one kind that users sent, in whatever connection."""
        texts = [text for socket in self.server.ever for text in socket.sent]
        return [message for message in map(json.loads, texts) if message["type"] == kind]

    def audit(self) -> dict[str, AuditResult]:
        context = AuditContext(self.server.url, self.worker.settings, self.worker.ledgers, self.worker.facts, None)
        return {result.name: result for result in audit_streams(context)}


Begin = Callable[..., Run]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins a run, which goes on until the end of the test."""
    with VirtualTime() as time, ExitStack() as runs:
        yield lambda *faults, **settings: runs.enter_context(
            Run(time, STREAMING, PLATFORM, *faults, settings={**SETTINGS, **settings}, target="ws://127.0.0.1:1/ws")
        )


def test_a_connection_has_turns_of_text_audio_and_one_result_each(begin: Begin) -> None:
    run = begin()
    run.once()
    assert run.rate("ws_connection_success") == (1, 0)
    assert run.rate("ws_connection_kept") == (1, 0)
    assert run.rate("chunk_acknowledged") == run.rate("chunk_totals_correct") == (12, 0)
    assert run.rate("buffer_reset") == (2, 0)
    assert run.rate("result_rate") == run.rate("answers_correct") == (3, 0)
    assert run.count("ws_closes") == run.count("ws_closes", code="1006") + run.count("ws_closes", code="1000") == 1
    # There and back takes 2 ms; the model takes 40.
    assert run.worker.trend_of("ws_chunk_latency").maximum == 2_000
    assert run.worker.trend_of("processing_time").maximum == 2_000
    assert run.worker.trend_of("ws_message_latency").maximum == pytest.approx(42_000, abs=2)
    assert run.worker.trend_of("model_latency").maximum == 40_000
    texts = run.sent("text")
    assert len(texts) == len(run.sent("complete")) == 3
    assert len({text["sessionId"] for text in texts}) == 1
    assert len({text["text"] for text in texts}) == 3
    assert {name: result.status for name, result in run.audit().items()} == {"chunks": "pass", "results": "pass"}


def test_active_connections_are_those_that_are_open(begin: Begin) -> None:
    run = begin(TURNS="100")
    run.start(StreamingUser, 7)
    run.time.run(5)
    gauge = run.worker.metrics.gauge("active_connections").read()
    assert (gauge.value, gauge.max) == (7, 7)
    run.drain()
    gauge = run.worker.metrics.gauge("active_connections").read()
    assert (gauge.value, gauge.max) == (0, 7)
    assert run.server.state()["sockets"] == 0
    assert run.rate("ws_connection_kept") == (7, 0)


def test_text_alone_comes_back_without_a_transcription(begin: Begin) -> None:
    run = begin(CHUNKS="0")
    run.once()
    assert run.rate("answers_correct") == (3, 0)
    assert run.sent("chunk") == []
    assert run.audit()["chunks"].status == "not_observed"


def test_a_chunk_that_is_lost_is_told_from_those_that_are_not(begin: Begin) -> None:
    # Of 12 chunks, the second, sixth and tenth are lost.
    run = begin("lose-chunk=0.25")
    run.once()
    assert run.rate("chunk_acknowledged") == (9, 3)
    assert run.worker.trend_of("ws_chunk_latency").maximum == 2_000
    audit = run.audit()["chunks"]
    assert (audit.status, audit.expected, audit.actual) == ("fail", 12, 9)
    # What comes behind a lost one has a running total that is too low.
    assert run.rate("chunk_totals_correct")[1] > 0


def test_a_turn_whose_last_chunk_is_lost_waits_no_longer_than_five_seconds(begin: Begin) -> None:
    run = begin("lose-chunk=1", TURNS="1", CHUNKS="1")
    run.once()
    assert run.rate("chunk_acknowledged") == (0, 1)
    assert run.worker.ledger_of("chunks") == {"sent": 1, "timed_out": 1}
    assert run.rate("result_rate") == (1, 0)


def test_a_text_that_is_never_acknowledged_comes_to_no_result(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    # Lost on the way.
    monkeypatch.setattr(StreamingUser, "send_json", lambda user, message: True)
    run = begin()
    run.once()
    assert run.rate("result_rate") == (0, 1)
    assert run.worker.errors_of("text") == ["not acknowledged within 5 s"]
    # It was ended by us, and nothing was completed.
    assert run.rate("ws_connection_kept") == (1, 0)
    assert run.worker.ledger_of("results") == {}


def test_a_result_that_does_not_come_is_missing_in_the_audit(begin: Begin) -> None:
    run = begin("no-result=1")
    run.once()
    assert run.rate("result_rate") == (0, 1)
    assert run.worker.errors_of("complete") == ["no result within 3 s"]
    audit = run.audit()["results"]
    assert (audit.status, audit.expected, audit.actual) == ("fail", 1, 0)


def test_a_result_too_many_is_not_made_up_for_by_one_too_few(begin: Begin) -> None:
    run = begin("two-results=1")
    run.once()
    extra = run.count("extra_results")
    assert extra >= 2
    for number in range(extra):
        run.worker.ledgers["results"].sent(f"another {number}")
        run.worker.ledgers["results"].timed_out(f"another {number}")
    audit = run.audit()["results"]
    assert audit.status == "fail"
    assert "of nothing that was completed" in audit.detail
    assert "had no result" in audit.detail


def test_an_answer_with_somebody_else_s_text_is_wrong(begin: Begin) -> None:
    run = begin("cross-talk=1")
    run.start(StreamingUser, 2)
    run.time.run(5)
    assert run.rate("answers_correct")[1] >= 1
    assert run.worker.rate_of("checks", check="result is our own")[1] >= 1


def test_audio_that_is_kept_for_the_next_turn_is_seen_by_its_first_chunk(begin: Begin) -> None:
    run = begin("keep-audio=1")
    run.once()
    assert run.rate("buffer_reset") == (0, 2)
    assert run.rate("chunk_acknowledged") == (12, 0)


def test_an_error_is_an_answer_that_is_no_result(begin: Begin) -> None:
    run = begin("model-down")
    run.once()
    assert run.rate("result_rate") == (0, 1)
    assert run.worker.ledger_of("results") == {"sent": 1, "refused": 1}
    assert run.audit()["results"].status == "pass"


def test_malformed_frames_are_refused_on_a_connection_that_stays(begin: Begin) -> None:
    run = begin(MALFORMED="1")
    # They are no JSON: `sent` cannot read them.
    run.once()
    assert run.rate("malformed_refused") == (3, 0)
    assert run.rate("result_rate") == (3, 0)
    assert run.worker.errors == {}


def test_audio_beyond_25_mib_ends_the_connection_and_that_is_as_it_should_be(begin: Begin) -> None:
    run = begin(LARGE_AUDIO="1")
    run.once()
    assert run.rate("large_audio_refused") == (1, 0)
    assert run.rate("chunk_acknowledged") == (25, 0)
    assert run.rate("ws_connection_kept") == (1, 0)
    assert run.count("ws_closes", code="1009") == 1
    assert run.worker.errors == {}


def test_a_server_that_takes_too_much_audio_is_noticed(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pika_locust.platforms.pixelated.world.LARGEST_AUDIO_BYTES", 1 << 30)
    run = begin(LARGE_AUDIO="1")
    run.once()
    assert run.rate("large_audio_refused") == (0, 1)


def test_a_server_that_dies_is_come_back_to_after_pauses_that_grow(begin: Begin) -> None:
    run = begin(TURNS="100")
    run.start(StreamingUser, 3)
    run.time.run(2.3)
    run.server.crash()
    run.time.run(30)
    assert run.rate("ws_connection_kept") == (0, 3)
    failed = run.rate("ws_connection_success")[1]
    assert 9 <= failed <= 18
    assert run.count("reconnection_attempts") == failed
    run.server.is_down = False
    run.time.run(30)
    assert run.rate("ws_connection_success")[0] == 6
    assert {result.status for result in run.audit().values()} == {"pass"}


def test_what_is_open_when_the_connection_is_lost_is_nobody_s_loss(begin: Begin) -> None:
    run = begin(GENERATION_MS="500", TURNS="1", CHUNKS="1")
    run.start(StreamingUser)
    run.time.run(0.3)
    run.server.crash()
    run.time.run(1)
    assert run.worker.ledger_of("results") == {"sent": 1, "uncertain": 1}
    assert run.rate("result_rate") == (0, 1)
    assert run.audit()["results"].status == "pass"
    assert run.users[0].unanswered == 0


def test_a_server_that_does_not_greet_is_no_success(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin()
    monkeypatch.setattr(run.server.world, "on_open", lambda socket: None)
    run.once()
    assert run.rate("ws_connection_success") == (0, 1)
    assert run.worker.errors_of("connect") == ["no greeting within 5 s"]


def test_the_suite_s_dialect_is_answered_in_pieces(begin: Begin) -> None:
    run = begin(CONTRACT="suite")
    run.once()
    assert run.rate("ws_connection_success") == (1, 0)
    assert run.rate("result_rate") == run.rate("answers_correct") == (3, 0)
    assert run.count("chunks_received") == 9
    # A piece each 10 ms, by the first word of the answer.
    assert run.worker.trend_of("ws_chunk_latency").maximum == pytest.approx(30_000, abs=2)
    assert run.worker.trend_of("ws_message_latency").maximum == pytest.approx(42_000, abs=2)
    assert {name: result.status for name, result in run.audit().items()} == {
        "chunks": "not_observed",
        "results": "pass",
    }


@pytest.mark.parametrize(("fault", "fails"), [("no-result=1", (0, 1)), ("model-down", (0, 1)), ("cross-talk=1", None)])
def test_the_suite_s_dialect_shows_the_same_faults(begin: Begin, fault: str, fails: tuple[int, int] | None) -> None:
    run = begin(fault, CONTRACT="suite")
    if fails is not None:
        run.once()
        assert run.rate("result_rate") == fails
    else:
        run.start(StreamingUser, 2)
        run.time.run(5)
        assert run.rate("answers_correct")[1] >= 1


HOSTILE = [
    '{"type":"result","data":{"response":5,"latency_ms":1e999,"fused_emotion":[]}}',
    '{"type":"result","data":{"response":null,"latency_ms":-1}}',
    '{"type":"result","data":{"latency_ms":true}}',
    '{"type":"result","data":[]}',
    '{"type":"result"}',
    '{"type":"status","status":"chunk_received","bytes":%s,"mimeType":""}' % ("9" * 5000),
    '{"type":"status","status":"chunk_received","bytes":-5}',
    '{"type":"status","status":"chunk_received","bytes":null}',
    '{"type":"status","status":{"a":[]}}',
    '{"type":"status"}',
    '{"type":"error"}',
    '{"status":"complete"}',
    '{"status":"chunk"}',
    '{"status":7}',
    "[]",
    "",
]


@pytest.mark.parametrize("names", [None, "another's"], ids=["not announced", "announced for another session"])
def test_a_result_is_announced_for_the_session_that_asked(
    names: str | None, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Socket.send

    def send_otherwise(socket: Socket, message: Any) -> None:
        if message.get("status") != "processing":
            send(socket, message)
        elif names is not None:
            send(socket, {**message, "sessionId": names})

    monkeypatch.setattr(Socket, "send", send_otherwise)
    run = begin()
    run.once()
    assert run.rate("result_rate") == (3, 0)
    assert run.rate("answers_correct") == (0, 3)


def test_an_answer_of_the_suite_s_dialect_that_comes_in_one_piece_is_wrong(begin: Begin) -> None:
    run = begin("lose-chunk=1", CONTRACT="suite")
    run.once()
    assert run.rate("result_rate") == (3, 0)
    assert run.rate("answers_correct") == (0, 3)


@pytest.mark.parametrize("contract", ["server", "suite"])
@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_server_should_not_say_is_its_mistake_and_not_ours(begin: Begin, text: str, contract: str) -> None:
    run = begin(CONTRACT=contract, GENERATION_MS="200", CHUNKS="1")
    run.start(StreamingUser)
    for _ in range(20):
        run.time.run(0.05)
        for socket in list(run.server.connections.values()):
            socket.hear(text)
    # `begin` looks for mistakes of our own.
    assert run.users[0].worker.count_of("ws_messages_received") > 0


def test_acknowledgements_find_their_chunks_by_how_much_there_is_more() -> None:
    turn = Turn()
    for number, size in enumerate((100, 99, 98)):
        turn.send(str(number), size, number)
    told = turn.acknowledge(99)
    assert told.chunk is not None
    assert (told.chunk.item, [chunk.item for chunk in told.lost], told.is_first) == ("1", ["0"], True)
    # A total that fits nothing is an answer to the oldest.
    told = turn.acknowledge(5000)
    assert told.chunk is not None
    assert (told.chunk.item, told.lost, told.is_first) == ("2", [], False)
    assert turn.acknowledge(5001).chunk is None

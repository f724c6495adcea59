"""Real servers' recorded frames, fed to the dancer and to the DJ: every one is understood.

Whatever a recorded connection received is fed to both, whoever it belonged to. What the recorded client sent with a
messageId is announced to the table of answers first, so that its ACK or NACK finds somebody who waits.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.kit.pending import SharedReplies
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import Dj
from pika_locust.platforms.pika.messages import SPELLING
from pika_locust.runtime.machine import boot_id
from pika_locust.testing.transcripts import Transcript, TranscriptReplay
from tests.platforms.pika.harness import RUN_ID, Harness, VirtualSocket
from tests.platforms.pika.transcripts import TRANSCRIPTS, received

KINDS = {
    "SUBSCRIBE": "subscribe",
    "SEND_LIKE": "like",
    "SEND_BULK_LIKE": "bulk_like",
    "SEND_TEMPO_REQUEST": "tempo",
    "VOTE_ON_POLL": "vote",
    "SEND_REACTION": "thank_you",
    "REGISTER_SESSION": "register",
    "BROADCAST_TRACK": "track",
    "START_POLL": "poll",
    "END_POLL": "end_poll",
    "SEND_ANNOUNCEMENT": "announcement",
    "END_SESSION": "end_session",
}
OTHER = "like"
"""What messages that we never send are announced as: REMOVE_LIKE, CANCEL_POLL, PING with an id."""


def sockets() -> list[tuple[str, str]]:
    """Every recorded connection that was upgraded and heard anything."""
    return [
        (flow, who)
        for flow, transcript in TRANSCRIPTS.items()
        for who in transcript.clients
        if transcript.of(who).received()
    ]


def object_of(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def session_of(transcript: Transcript) -> str | None:
    """The session that a recorded client joined first."""
    for text in transcript.sent():
        message = object_of(text)
        session = message.get("sessionId")
        if message.get("type") == "SUBSCRIBE" and isinstance(session, str) and len(session) >= 8:
            return session
    return None


class ClientReplay(TranscriptReplay):
    """One recorded connection, its client ours."""

    def __init__(self, harness: Harness, flow: str, who: str, kind: type[Dancer] | type[Dj]) -> None:
        super().__init__(TRANSCRIPTS[flow].of(who))
        self.harness = harness
        self.session = session_of(self.transcript) or "no-session-at-all"
        harness.make_context(SESSION_ID=self.session)
        harness.worker.supporters_ready.set()
        self.user = harness.start(kind)
        harness.time.run(0.001)
        self.socket: VirtualSocket = harness.sockets[-1]
        self.answers: list[tuple[str, bool]] = []
        self.expected: list[tuple[str, bool]] = []

    def run(self) -> ClientReplay:
        self.play()
        return self

    def sent_text(self, who: str, data: str) -> None:
        message = object_of(data)
        message_id, kind = message.get("messageId"), message.get("type")
        if kind == "SUBSCRIBE" and isinstance(self.user, Dancer):
            # The dancer's own SUBSCRIBE stands for the recorded one; without a messageId there it is not answered.
            if isinstance(message_id, str) and self.socket.of("SUBSCRIBE"):
                self._expect(message_id, "subscribe", self.user.on_subscribed)
            return
        if isinstance(message_id, str):
            self._expect(message_id, KINDS.get(str(kind), OTHER), None)

    def _expect(self, message_id: str, kind: str, then: Any) -> None:
        def note(ok: bool, why: str) -> None:
            self.answers.append((message_id, ok))
            if then is not None:
                then(ok, why)

        self.user.pending.expect(message_id, kind, self.user, on_reply=note)

    def received_text(self, who: str, data: str) -> None:
        message = json.loads(data)
        if message["type"] in ("ACK", "NACK"):
            self.expected.append((message["messageId"], message["type"] == "ACK"))
        self.socket.hear(data)

    @property
    def received(self) -> int:
        return len(self.transcript.received())


ALL = sockets()


def test_the_recordings_are_there() -> None:
    assert len(TRANSCRIPTS) >= 25
    assert len(ALL) >= 70
    assert len(JOINED) >= 45


@pytest.mark.parametrize(("flow", "who"), ALL, ids=[f"{flow} {who}" for flow, who in ALL])
def test_a_dancer_understands_every_frame(flow: str, who: str, harness: Harness) -> None:
    replay = ClientReplay(harness, flow, who, Dancer).run()
    assert harness.worker.count_of("ws_messages_received") == replay.received
    assert harness.worker.internal_errors == []
    assert harness.worker.errors_of("receive") == []
    assert replay.answers == replay.expected
    assert harness.worker.count_of("late_answers") == 0
    refused = sum(not ok for _, ok in replay.expected)
    assert harness.worker.count_of("nacks") == refused
    assert harness.worker.rate_of("ack_success")[1] == refused
    assert harness.worker.trend_of("fanout_latency").count == 0


@pytest.mark.parametrize(("flow", "who"), ALL, ids=[f"{flow} {who}" for flow, who in ALL])
def test_a_dj_understands_every_frame(flow: str, who: str, harness: Harness) -> None:
    replay = ClientReplay(harness, flow, who, Dj).run()
    assert harness.worker.count_of("dj_messages_received") == replay.received
    assert harness.worker.internal_errors == []
    assert replay.answers == replay.expected
    assert harness.worker.count_of("late_answers") == 0


LIVE = {
    "http_live d2",
    "poll_auto_end d1",
    "reconnect_listener_count d1",
    "reconnect_listener_count d2",
    "server_shutdown d1",
    "server_shutdown d2",
}
"""Who left before the session ended, or was never told. All others were told, or had joined one that was not there."""

JOINED = [
    (flow, who) for flow, who in ALL if flow != "bad_messages" and session_of(TRANSCRIPTS[flow].of(who)) is not None
]


@pytest.mark.parametrize(("flow", "who"), JOINED, ids=[f"{flow} {who}" for flow, who in JOINED])
def test_in_the_end_a_dancer_knows_whether_its_session_is_live(flow: str, who: str, harness: Harness) -> None:
    replay = ClientReplay(harness, flow, who, Dancer).run()
    # Many recorded clients asked for no ACK of their SUBSCRIBE; ours always does.
    replay.socket.ack(replay.socket.of("SUBSCRIBE")[-1])
    assert replay.user.session == ("live" if f"{flow} {who}" in LIVE else "ended")


REPLAYED = {
    ("register_and_tracks", "d2"): {"NOW_PLAYING"},
    ("poll_auto_end", "d3"): {"POLL_STARTED"},
    ("announcement", "d3"): {"ANNOUNCEMENT_RECEIVED"},
    ("takeover_with_poll", "d2"): {"POLL_STARTED"},
}


@pytest.mark.parametrize(("flow", "who"), REPLAYED, ids=[f"{flow} {who}" for flow, who in REPLAYED])
def test_what_late_joiners_are_shown_is_no_delivery_though_it_is_ours(flow: str, who: str, harness: Harness) -> None:
    """As if our own DJ had written the title, the question and the announcement: only what follows the ACK counts."""
    replay = ClientReplay(harness, flow, who, Dancer)
    stamp = f"LT 000001 {RUN_ID} {boot_id()} {harness.time.now_ns}"
    shown: set[str] = set()
    for text in replay.transcript.received():
        message = object_of(text)
        if message["type"] == "ACK":
            break
        if message["type"] in ("NOW_PLAYING", "POLL_STARTED", "ANNOUNCEMENT_RECEIVED"):
            shown.add(message["type"])
            text = text[:-1] + f',"stamp":"{stamp}"}}'
        replay.socket.hear(text)
    assert shown >= REPLAYED[(flow, who)]
    assert harness.worker.trend_of("fanout_latency").count == 0
    replay.socket.ack(replay.socket.of("SUBSCRIBE")[0])
    assert replay.user.session == "live"
    harness.time.run(0.1)
    live = {"type": "ANNOUNCEMENT_RECEIVED", "sessionId": replay.session, "message": stamp, "djName": "DJ"}
    replay.socket.hear(live)
    assert harness.worker.trend_of("fanout_latency").count == 1


def test_the_answers_of_a_real_server_are_told_apart(harness: Harness) -> None:
    """Every refusal that was recorded, by its text."""
    pending = harness.worker.shared(SharedReplies(SPELLING))
    refusals = set()
    for _, frame in received():
        if frame.startswith('{"type":"NACK"'):
            refusals.add(json.loads(frame)["error"])
            pending.on_nack(frame.encode(), harness.time.now_ns)
    assert len(refusals) >= 12
    assert all(harness.worker.count_of("nacks", error=text) > 0 for text in refusals)
    assert harness.worker.metrics.series_refused == 0

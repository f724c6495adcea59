"""Users understand what a real server said to others: every frame, and every answer to a question."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.pixelated.inference_user import InferenceUser
from pika_locust.platforms.pixelated.scenarios import INFERENCE, STREAMING
from pika_locust.platforms.pixelated.streaming_user import StreamingUser
from pika_locust.testing.transcripts import TranscriptReplay
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.worker import make_context, make_user
from tests.platforms.pixelated.transcripts import TRANSCRIPTS
from tests.wire.http_servers import Peer, serving

STREAMED = sorted(flow for flow, one in TRANSCRIPTS.items() if one.received("text"))


class UserReplay(TranscriptReplay):
    """What one client was told, told to a user."""

    def __init__(self, flow: str, user: Any) -> None:
        super().__init__(TRANSCRIPTS[flow].of(TRANSCRIPTS[flow].clients[0]))
        self._user = user

    def received_text(self, who: str, data: str) -> None:
        self._user.on_text(data.encode(), int(self.at_ms * 1e6))


@pytest.mark.parametrize("flow", STREAMED)
def test_a_user_reads_every_frame_of_the_server(flow: str) -> None:
    with VirtualTime():
        worker = make_context(STREAMING)
        user: Any = make_user(StreamingUser, worker)
        user.on_start()
        replay = UserReplay(flow, user)
        replay.play()
        assert worker.rate_of("protocol_errors")[0] == 0
        assert user.confirmed == any('"connected"' in text for text in replay.transcript.received())
        # Nothing of it was asked for by this user: that is told.
        results = sum('"type":"result"' in text for text in replay.transcript.received())
        assert worker.count_of("extra_results") == results
        assert worker.internal_errors == []


ANSWERS = [
    *TRANSCRIPTS["rest_infer"].received("http"),
    *TRANSCRIPTS["rest_rate_limit"].received("http"),
    TRANSCRIPTS["rest_upstream_failure"].received("http")[0],
]
BY_STATUS = {answer["status"]: answer for answer in ANSWERS}


@pytest.mark.parametrize("status", sorted(BY_STATUS))
def test_a_user_tells_the_server_s_answers_from_its_refusals(status: int) -> None:
    body = BY_STATUS[status]["body"].encode()

    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 %d Words\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

    with serving(script) as server:
        worker = make_context(INFERENCE, {"THINK_TIME_MIN": "0", "THINK_TIME_MAX": "0"}, target=server.url)
        user: Any = make_user(InferenceUser, worker)
        user.on_start()
        user.act()
        user.on_stop()
    good = status == 200
    assert worker.rate_of("errors") == (int(not good), int(good))
    assert worker.trend_of("inference_latency").count == worker.count_of("successful_inferences") == int(good)
    assert worker.trend_of("http_req_duration").count == int(good)
    assert worker.internal_errors == []


def test_all_kinds_of_refusals_were_recorded() -> None:
    assert sorted(BY_STATUS) == [200, 400, 401, 429, 500]

"""The world answers every recorded flow as the real server did: the same frames, texts and pages, in the same order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pika_locust.testing.transcripts import Transcript
from tests.platforms.pixelated.transcripts import TRANSCRIPTS, PixelatedReplay

NOT_SERVED = {
    "stop_and_restart": "stopping the WebSocket server, which no test may do to a target",
    "frame_too_large": "a frame of 100 MiB; the sandbox's limit is its own",
}
NOT_ASKED = {("GET", "/api/ai/pixel/infer"), ("POST", "/api/websocket/pixel-multimodal")}
"""Pages that neither a scenario nor the suite asks for."""
SETTINGS = {
    "chunk_during_complete": {"GENERATION_MS": "400"},
    "disconnect_in_flight": {"GENERATION_MS": "400"},
    "rest_rate_limit": {"RATE_LIMITS": "1"},
    "rest_multimodal_past_login": {"MULTIMODAL_AUTH": "fixed"},
}
FAILS_MS = {
    "upstream_error": (0.0, 1000.0),
    "rest_upstream_failure": (0.0, 1e9),
    "rest_multimodal_past_login": (900.0, 1e9),
}
"""When the model failed."""
SERVED = sorted(TRANSCRIPTS.keys() - NOT_SERVED.keys())


def asked(transcript: Transcript) -> Transcript:
    """Without the requests that nobody makes, and the answers to them."""
    kept, skipped = [], set()
    for event in transcript.events:
        if event.kind == "http" and event.by_client and (event.data["method"], event.data["path"]) in NOT_ASKED:
            skipped.add(event.who)
        elif event.kind == "http" and not event.by_client and event.who in skipped:
            skipped.discard(event.who)
        else:
            kept.append(event)
    return replace(transcript, events=tuple(kept))


@pytest.mark.parametrize("flow", SERVED)
def test_the_world_answers_as_recorded(flow: str) -> None:
    replay = PixelatedReplay(asked(TRANSCRIPTS[flow]), FAILS_MS.get(flow), **SETTINGS.get(flow, {}))
    got, want = replay.run(), replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who


def test_what_is_not_served_was_recorded() -> None:
    assert NOT_SERVED.keys() <= TRANSCRIPTS.keys()

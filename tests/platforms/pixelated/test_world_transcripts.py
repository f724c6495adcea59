"""The world answers every recorded flow as the real server did: the same frames, texts and pages, in the same order."""

from __future__ import annotations

import pytest

from tests.platforms.pixelated.transcripts import TRANSCRIPTS, PixelatedReplay

NOT_SERVED = {
    "stop_and_restart": "stopping the WebSocket server, which no test may do to a target",
    "status_get": "how many sockets the server has, and a WebSocket's page without an upgrade: nobody asks for them",
    "frame_too_large": "a frame of 100 MiB; the sandbox's limit is its own",
}
ASKED = (("GET", "/health"), ("POST", "/api/ai/pixel/infer"), ("POST", "/api/ai/pixel/infer-multimodal"))
"""Pages that a scenario or the suite asks for; and inference of text and audio by REST."""
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


@pytest.mark.parametrize("flow", SERVED)
def test_the_world_answers_as_recorded(flow: str) -> None:
    transcript = TRANSCRIPTS[flow].asked(lambda method, path: (method, path) in ASKED)
    replay = PixelatedReplay(transcript, FAILS_MS.get(flow), **SETTINGS.get(flow, {}))
    got, want = replay.run(), replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who


def test_what_is_not_served_was_recorded() -> None:
    assert NOT_SERVED.keys() <= TRANSCRIPTS.keys()

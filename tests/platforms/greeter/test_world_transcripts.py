"""The world answers every recorded flow as the real server did: the same frames, texts and pages, in the same order."""

from __future__ import annotations

import pytest

from tests.platforms.greeter.transcripts import TRANSCRIPTS, GreeterReplay

NOT_SERVED = {
    "24-http": "Engine.IO by polling, the match of pools, and an old protocol's answer inside of a WebSocket",
    "27-rate-limit-redis": "the limits that only a server with Redis has",
    "28-rna-redis": "calls of a server with Redis, which looks at its timers every 5 s",
}
NOT_ASKED = "/api/stats"
"""A page that neither a scenario nor an audit asks for."""
DEFECTS = {"14-leave-ringing": ["ghost-call"], "15-leave-ringing-accepted": ["ghost-call"]}
SETTINGS = {
    "25-metrics-key": {"METRICS_API_KEY": "sekret"},
    "26-metrics-key-production": {"METRICS_API_KEY": "sekret", "NODE_ENV": "production"},
}
SERVED = sorted(TRANSCRIPTS.keys() - NOT_SERVED.keys())


@pytest.mark.parametrize("flow", SERVED)
def test_the_world_answers_as_recorded(flow: str) -> None:
    transcript = TRANSCRIPTS[flow].asked(lambda method, path: not path.startswith(NOT_ASKED))
    replay = GreeterReplay(transcript, *DEFECTS.get(flow, ()), **SETTINGS.get(flow, {}))
    got, want = replay.run(), replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who


def test_what_is_not_served_was_recorded() -> None:
    assert NOT_SERVED.keys() <= TRANSCRIPTS.keys()

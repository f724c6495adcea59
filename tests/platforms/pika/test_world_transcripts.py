"""The world answers every recorded flow as the real server did: same frames, same order, same keys, same texts.

Order is compared on each socket, strictly, heartbeats included: they are given the phase they had in the recording.
There are no intended differences.
"""

from __future__ import annotations

import pytest

from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.testing.transcripts import WorldReplay
from tests.platforms.pika.transcripts import TRANSCRIPTS, ids, normalise

BEATS_MS = {
    "announcement": 1500.0,
    "bad_messages": 1000.0,
    "dj_gone": 1700.0,
    "end_session_recap": 1810.0,
    "http_idle": 1000.0,
    "http_live": 1888.7,
    "idle_ping": 1976.2,
    "likes": 1831.5,
    "likes_ten_then_eleventh": 1900.0,
    "max_sessions": 1900.0,
    "ping_and_queries": 1650.0,
    "poll_auto_end": 1868.2,
    "poll_manual": 1950.0,
    "reconnect_listener_count": 1864.8,
    "register_and_tracks": 1761.8,
    "register_variants": 1686.8,
    "remove_and_bulk_likes": 1854.9,
    "server_shutdown": 1900.0,
    "takeover": 497.5,
    "takeover_with_poll": 1900.0,
    "tempo_votes": 1896.0,
    "track_too_fast": 1881.6,
    "two_sessions": 1851.1,
    "unknown_session": 1000.0,
    "upgrade_rate_limit": 1900.0,
}
"""An instant of the heartbeat in each flow: as recorded, or anywhere it went unnoticed."""

SETTINGS = {
    "max_sessions": {"PIKA_SANDBOX_MAX_SESSIONS": "1"},
    "upgrade_rate_limit": {"PIKA_SANDBOX_WS_RATE_LIMIT": "3"},
}
STOPS_MS = {"server_shutdown": 341.0}


def test_every_flow_is_replayed() -> None:
    assert sorted(BEATS_MS) == sorted(TRANSCRIPTS)


@pytest.mark.parametrize("flow", sorted(BEATS_MS))
def test_the_world_answers_as_recorded(flow: str) -> None:
    replay = WorldReplay(
        PLATFORM,
        TRANSCRIPTS[flow],
        normalise=normalise,
        ids=ids(),
        kept_headers=("content-type", "retry-after"),
        settings=SETTINGS.get(flow),
        born_ms=BEATS_MS[flow] % 2000 - 2000,
    )
    if flow in STOPS_MS:
        replay.play(until_ms=STOPS_MS[flow])
        replay.shutdown(STOPS_MS[flow])
    else:
        replay.play()
    got, want = replay.seen, replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who

"""The world answers every recorded flow as the real server did: same answers, headers, frames, order, keys, texts.

Order is compared for each client, strictly; heartbeats, limits and the moments of the matching worker are as recorded.
Two defects of the real server are faults here and are switched on where a flow shows them; what the world does without
them is tested below.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pika_locust.testing.transcripts import Transcript
from tests.platforms.verity.transcripts import TRANSCRIPTS, VerityReplay, decoded

TICKS_MS = {
    "01-signup": 0.0,
    "02-balance": 0.0,
    "03-webhooks": 0.0,
    "04-join-leave": 350.0,
    "05-join-no-tokens": 350.0,
    "06-double-join": 350.0,
    "07-match-mutual": 880.0,
    "08-match-non-mutual": 745.0,
    "09-no-choice": 365.0,
    "10-leave-after-match": 540.0,
    "11-bad-socket-token": 0.0,
    "12-throttle": 0.0,
    "13-validation": 350.0,
    "14-refresh": 0.0,
    "15-health": 0.0,
    "16-fan-out": 667.0,
    "18-disconnect-leaves": 350.0,
}
"""An instant of the worker in each flow: shortly before a match or a put-back was seen, or anywhere unnoticed."""

DEFECTS = {"03-webhooks": ["forged-500"], "10-leave-after-match": ["kept-token"]}
GOT_THROUGH = {"16-fan-out": ["u3", "u4", "u1", "u2", "u5"]}
"""Who came first of those who joined within 3 ms, going by the positions in the answers."""


def replayed(flow: str, *faults: str) -> VerityReplay:
    replay = VerityReplay(in_order_of_arrival(TRANSCRIPTS[flow], GOT_THROUGH.get(flow, [])), TICKS_MS[flow], *faults)
    replay.play()
    return replay


def in_order_of_arrival(transcript: Transcript, who: list[str]) -> Transcript:
    """Joins that were sent together, in the order in which they got through, a millisecond apart."""
    arranged = list(transcript.events)
    joins = [n for n, event in enumerate(arranged) if event.by_client and "/queue/join" in str(event.data)]
    by_who = {arranged[n].who: arranged[n] for n in joins}
    for later, (n, name) in enumerate(zip(joins, who, strict=False)):
        arranged[n] = replace(by_who[name], at_ms=transcript.events[joins[0]].at_ms + later)
    return replace(transcript, events=tuple(arranged))


def test_every_flow_is_replayed() -> None:
    assert sorted(TICKS_MS) == sorted(TRANSCRIPTS)


@pytest.mark.parametrize("flow", sorted(TICKS_MS))
def test_the_world_answers_as_recorded(flow: str) -> None:
    replay = replayed(flow, *DEFECTS.get(flow, []))
    got, want = replay.seen, replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who


def differences(flow: str) -> list[tuple[Any, Any]]:
    """Recorded and our (status, body) where the world differs with its defects off."""
    replay = replayed(flow)
    got, want = replay.seen, replay.recorded()
    assert {who: len(events) for who, events in got.items()} == {who: len(events) for who, events in want.items()}
    return [
        (decoded(theirs[1]), decoded(ours[1]))
        for who in want
        for theirs, ours in zip(want[who], got[who], strict=True)
        if theirs != ours
    ]


def test_without_the_defect_a_bad_signature_is_refused_with_400() -> None:
    broken = (500, {"statusCode": 500, "message": "Internal server error"})
    refused = (400, {"message": "Invalid Stripe signature", "error": "Bad Request", "statusCode": 400})
    # wrong secret, malformed header, only v0, too old, a body that is no JSON
    assert differences("03-webhooks") == [(broken, refused)] * 5


def test_without_the_defect_an_unmatched_leave_gives_the_token_back() -> None:
    def left(status: str, refunded: bool, key: str) -> Any:
        return 200, {"status": status, "refunded": refunded, "queueKey": f"australiacentral:{key}"}

    kept = [(left("already_matched", False, key), left("left", True, key)) for key in ("9ac07f4baf7e", "5b6e6b3bbb08")]
    balance = ((200, {"tokenBalance": 2}), (200, {"tokenBalance": 3}))
    assert differences("10-leave-after-match") == [kept[0], balance, kept[1], balance]

"""The world answers every recorded flow that a scenario uses as the real backend did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.wwmaa.world_events import Event
from pika_locust.testing.transcripts import Transcript
from tests.platforms.wwmaa.transcripts import TRANSCRIPTS, WwmaaReplay, until

WITH_CSRF = ("01-health", "02-csrf", "11-subscriptions")
"""Recorded with tokens against forged requests, as the server has them by default."""
NOT_SERVED = ("/api/search/feedback", "/api/health", "/api/webhooks/stripe/health")
"""What no scenario asks for: opinions on an answer, and health pages beside the one."""
EVENTS = (
    Event("evt_g_open", 10, 5),
    Event("evt_g_full", 5, 5),
    Event("evt_g_paid", 10, 0, 25.0),
    Event("evt_gs", 3),
    Event("evt_gs_full", 2, 2),
)
ENDS = {"04-refresh": "/logout", "08-rsvp-status": "/waitlist"}
"""Where a flow goes on with what no scenario does."""


def replayed(flow: str, *faults: str, **settings: str) -> WwmaaReplay:
    transcript = TRANSCRIPTS[flow].asked(lambda method, path: not path.startswith(NOT_SERVED))
    if flow == "09-webhooks":
        transcript = transcript.asked(lambda method, path: method == "POST")
    if flow in ENDS:
        transcript = until(transcript, ENDS[flow])
    if flow == "07-rsvp":
        # A request without any body makes the real server fail; it is one that nobody sends.
        transcript = asked_with_a_body(transcript)
    replay = WwmaaReplay(transcript, *faults, **settings)
    world = replay.driver.world
    world.known_events.update({one.id: Event(one.id, one.capacity, one.taken, one.fee) for one in EVENTS})
    if flow == "05-events-public":
        world.known_events = {one["id"]: Event(one["id"], 1, shown=one["data"]) for one in listed(transcript)}
    return replay


def listed(transcript: Transcript) -> list[Any]:
    """The events of the recorded list that is not cut short."""
    path = "/api/events/public"
    number = next(at for at, one in enumerate(transcript.events) if one.by_client and one.data["path"] == path)
    events: list[Any] = json.loads(transcript.events[number + 1].data["body"])["events"]
    return events


def asked_with_a_body(transcript: Transcript) -> Transcript:
    bodies = iter([one.data["body"] for one in transcript.events if one.by_client])
    return transcript.asked(lambda method, path: next(bodies) is not None)


@pytest.mark.parametrize("flow", sorted(TRANSCRIPTS))
def test_the_world_answers_as_recorded(flow: str) -> None:
    replay = replayed(flow, "as-shipped", CSRF_PROTECTION_ENABLED=str(flow in WITH_CSRF).lower())
    got, want = replay.run(), replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who

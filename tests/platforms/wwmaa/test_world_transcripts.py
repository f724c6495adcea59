"""The world answers every recorded flow that a scenario uses as the real backend did."""

from __future__ import annotations

import pytest

from pika_locust.platforms.wwmaa.world_events import Event
from pika_locust.testing.transcripts import Transcript
from tests.platforms.wwmaa.transcripts import TRANSCRIPTS, WwmaaReplay, asked, until

NOT_SERVED = {
    "01-health": "pages that nobody asks for",
    "05-events-public": "a list that no scenario looks at",
    "11-subscriptions": "the suite asks for other plans",
}
NO_CSRF = sorted(TRANSCRIPTS.keys() - NOT_SERVED.keys() - {"02-csrf"})
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
    transcript = asked(TRANSCRIPTS[flow], lambda method, path: "/feedback" not in path)
    if flow == "09-webhooks":
        transcript = asked(transcript, lambda method, path: method == "POST")
    if flow in ENDS:
        transcript = until(transcript, ENDS[flow])
    if flow == "07-rsvp":
        # A request without any body makes the real server fail; it is one that nobody sends.
        transcript = asked_with_a_body(transcript)
    replay = WwmaaReplay(transcript, *faults, **settings)
    world = replay.driver.world
    world.known_events.update({one.id: Event(one.id, one.capacity, one.taken, one.fee) for one in EVENTS})
    return replay


def asked_with_a_body(transcript: Transcript) -> Transcript:
    bodies = iter([one.data["body"] for one in transcript.events if one.by_client])
    return asked(transcript, lambda method, path: next(bodies) is not None)


@pytest.mark.parametrize("flow", NO_CSRF)
def test_the_world_answers_as_recorded(flow: str) -> None:
    replay = replayed(flow, "as-shipped", CSRF_PROTECTION_ENABLED="false")
    got, want = replay.run(), replay.recorded()
    assert sorted(got) == sorted(want)
    for who in want:
        assert got[who] == want[who], who


def test_forged_requests_are_refused_as_recorded() -> None:
    replay = replayed("02-csrf", "as-shipped")
    got, want = replay.run(), replay.recorded()
    for who in want:
        assert got[who] == want[who], who


def test_what_is_not_served_was_recorded() -> None:
    assert NOT_SERVED.keys() <= TRANSCRIPTS.keys()

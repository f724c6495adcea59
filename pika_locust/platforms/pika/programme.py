"""The DJ's evening: what is played, asked and announced when. Pure arithmetic."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PING_EVERY_S = 30.0
POLL_EVERY_TRACKS = 3
POLL_ENDS_AFTER_S = 8.0
"""Votes come within 5 s of a poll; what is left is for those who join while it runs."""
ANNOUNCEMENT_AT_TRACK = 2
TRACK_EVERY_S = (5.2, 20.0)
"""The server takes a track every 5 s at most; a night that is planned to be long gets one every 20 s."""
PLANNED_TRACKS = 6

What = Literal["track", "poll", "end_poll", "announcement", "ping"]


@dataclass(frozen=True, slots=True, order=True)
class ScheduledAction:
    """Something to do `at_s` seconds after the first track."""

    at_s: float
    what: What


def cues(track_every_s: float) -> Iterator[ScheduledAction]:
    """The evening, in order and without an end: a poll by the third track and with every third after it, ended before
    the next one; one announcement; a PING every 30 s."""
    due: list[ScheduledAction] = [ScheduledAction(PING_EVERY_S, "ping")]
    for track in itertools.count(1):
        at_s = (track - 1) * track_every_s
        heapq.heappush(due, ScheduledAction(at_s, "track"))
        if track == ANNOUNCEMENT_AT_TRACK:
            heapq.heappush(due, ScheduledAction(at_s + track_every_s / 2, "announcement"))
        if track % POLL_EVERY_TRACKS == 0:
            heapq.heappush(due, ScheduledAction(at_s + 0.5, "poll"))
            heapq.heappush(due, ScheduledAction(at_s + 0.5 + POLL_ENDS_AFTER_S, "end_poll"))
        while due and due[0].at_s < at_s + track_every_s:
            cue = heapq.heappop(due)
            if cue.what == "ping":
                heapq.heappush(due, ScheduledAction(cue.at_s + PING_EVERY_S, "ping"))
            yield cue


def track_every_s(setting: float | None, planned_s: float | None) -> float:
    """Seconds between tracks: what is set, else a sixth of the planned time, within what server and dancers like."""
    low, high = TRACK_EVERY_S
    if setting is not None:
        return setting
    return high if planned_s is None else min(high, max(low, planned_s / PLANNED_TRACKS))

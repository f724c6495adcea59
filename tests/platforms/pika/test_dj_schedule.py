from __future__ import annotations

import itertools

import pytest

from pika_locust.platforms.pika.dj import ScheduledAction, dj_schedule, track_every_s

PACES_S = [5.1, 5.2, 6.7, 10.0, 13.3, 20.0, 29.9, 30.0, 60.0, 240.0]


def first(seconds: float, every_s: float) -> list[ScheduledAction]:
    return list(itertools.takewhile(lambda action: action.at_s < seconds, dj_schedule(every_s)))


def times(actions: list[ScheduledAction], what: str) -> list[float]:
    return [action.at_s for action in actions if action.what == what]


def test_the_first_half_minute_at_the_fastest_pace() -> None:
    assert [(round(action.at_s, 1), action.what) for action in first(32.0, 5.2)] == [
        (0.0, "track"),
        (5.2, "track"),
        (7.8, "announcement"),
        (10.4, "track"),
        (10.9, "poll"),
        (15.6, "track"),
        (18.9, "end_poll"),
        (20.8, "track"),
        (26.0, "track"),
        (26.5, "poll"),
        (30.0, "ping"),
        (31.2, "track"),
    ]


@pytest.mark.parametrize("every_s", PACES_S)
def test_the_shape_of_a_long_schedule(every_s: float) -> None:
    actions = first(3 * 3600.0, every_s)
    tracks, polls, ends = times(actions, "track"), times(actions, "poll"), times(actions, "end_poll")
    assert [action.at_s for action in actions] == sorted(action.at_s for action in actions)
    assert tracks[0] == 0.0
    assert min(later - earlier for earlier, later in itertools.pairwise(tracks)) >= 5.0
    assert tracks[2] <= polls[0] < tracks[3]
    for earlier, later in itertools.pairwise(polls):
        assert sum(earlier <= at_s < later for at_s in tracks) == 3
    for poll, ended, following in zip(polls, ends, polls[1:], strict=False):
        assert poll + 5.0 < ended < following
    assert len(times(actions, "announcement")) == 1
    pings = times(actions, "ping")
    assert {round(later - earlier, 6) for earlier, later in itertools.pairwise([0.0, *pings])} == {30.0}


PLANS = {
    "what is set is taken": (7.5, 600.0, 7.5),
    "what is set is taken without a plan, too": (240.0, None, 240.0),
    "without an end, as seldom as in a long run": (None, None, 20.0),
    "a sixth of the planned time": (None, 60.0, 10.0),
    "a short run gets one as often as is taken": (None, 12.0, 5.2),
    "31.2 s are six tracks as fast as can be": (None, 31.2, 5.2),
    "two minutes are six tracks as slowly as wanted": (None, 120.0, 20.0),
    "the suite's eleven minutes": (None, 660.0, 20.0),
}


@pytest.mark.parametrize(("setting", "planned_s", "wanted"), PLANS.values(), ids=PLANS.keys())
def test_seconds_between_tracks(setting: float | None, planned_s: float | None, wanted: float) -> None:
    assert track_every_s(setting, planned_s) == pytest.approx(wanted)

from __future__ import annotations

import pytest

from pika_locust.judge import ThresholdEvaluator
from pika_locust.metrics import Registry, trend
from pika_locust.platforms.verity.scenarios import MEMORY, QUEUE, SESSIONS, session_length
from tests.platforms.verity.harness import settings_of

METRIC = trend("session_length")
LIMITS = {
    "45": ("p(5)>=44500", "p(95)<=46000"),
    "2": ("p(5)>=1500", "p(95)<=3000"),
    "0.3": ("p(5)>=150", "p(95)<=1300"),
}


@pytest.mark.parametrize(("hold", "limits"), LIMITS.items(), ids=LIMITS)
def test_how_long_a_session_may_be_follows_from_how_long_it_should_be(hold: str, limits: tuple[str, str]) -> None:
    thresholds = session_length(settings_of(SESSIONS, SESSION_HOLD_SECONDS=hold))
    assert tuple(threshold.expression.text for threshold in thresholds) == limits
    assert {threshold.metric for threshold in thresholds} == {"session_length"}


LENGTHS = {
    "the real server's": (45.0, [44.988, 44.999, 45.002], ["pass", "pass"]),
    "one in thirty stamped late or early by a busy machine": (45.0, [45.0] * 29 + [44.1], ["pass", "pass"]),
    "a second too short": (45.0, [44.0] * 20, ["fail", "pass"]),
    "one in ten too short": (45.0, [45.0] * 90 + [40.0] * 10, ["fail", "pass"]),
    "too long": (45.0, [47.0] * 20, ["pass", "fail"]),
    "those of another setting": (20.0, [45.0] * 20, ["pass", "fail"]),
    "none": (45.0, [], ["no_data", "no_data"]),
}


@pytest.mark.parametrize(("hold_s", "lengths_s", "verdicts"), LENGTHS.values(), ids=LENGTHS)
def test_which_sessions_pass(hold_s: float, lengths_s: list[float], verdicts: list[str]) -> None:
    registry = Registry([METRIC])
    for length_s in lengths_s:
        registry.trend("session_length").add(round(length_s * 1e6))
    panel = ThresholdEvaluator(session_length(settings_of(SESSIONS, SESSION_HOLD_SECONDS=str(hold_s))), [METRIC])
    assert [result.status for result in panel.results(registry.snapshot(), 60.0)] == verdicts


def test_every_profile_has_a_limit_for_the_memory_of_the_target() -> None:
    for scenario in (QUEUE, SESSIONS):
        assert set(MEMORY) == set(scenario.profiles)
    assert {name: limit.expression.text for name, (limit,) in MEMORY.items()} == {
        "suite": "value<1024",
        "standard": "value<512",
        "big": "value<1024",
        "stress": "value<1024",
        "spike": "value<512",
    }

"""The scenarios as data: which load and which thresholds follow from what is asked for."""

from __future__ import annotations

import pytest

from pika_locust.load.plan import BY_HAND, CONSTANT
from pika_locust.platforms.pixelated.scenarios import INFERENCE, STREAMING
from pika_locust.platforms.pixelated.texts import CORPUS
from pika_locust.testing.worker import settings_of


def limits(scenario: object, profile: str, metric: str, **environ: str) -> list[str]:
    settings = settings_of(scenario, environ)  # type: ignore[arg-type]
    thresholds = scenario.thresholds_for(profile, settings)  # type: ignore[attr-defined]
    return [one.expression.text for one in thresholds if one.metric == metric]


def test_a_rate_makes_an_open_model_and_its_threshold() -> None:
    assert INFERENCE.arrivals is not None
    assert INFERENCE.arrivals(settings_of(INFERENCE)) is None
    rate = INFERENCE.arrivals(settings_of(INFERENCE, {"INFERENCE_RATE": "120", "TEST_DURATION": "1m"}))
    assert rate is not None
    assert rate.problems() == []
    assert rate.describe() == "constant arrival rate: 120/s for 1m (30 to 1200 users)"


@pytest.mark.parametrize(
    ("rate", "lasts", "limit"),
    [("120", "2m", "rate>=100"), ("500", "10m", "rate>=100"), ("50", "76s", "rate>=45.1"), ("120", "4s", "rate>=57")],
)
def test_throughput_is_the_guide_s_hundred_or_what_was_asked_for(rate: str, lasts: str, limit: str) -> None:
    found = limits(INFERENCE, CONSTANT, "successful_inferences", INFERENCE_RATE=rate, TEST_DURATION=lasts)
    assert limit in found


def test_without_a_rate_there_is_no_throughput_to_hold() -> None:
    assert limits(INFERENCE, "suite", "successful_inferences") == ["count>0"]
    without = {"INFERENCE_RATE": "50", "USE_SIMPLE": "1"}
    assert limits(INFERENCE, CONSTANT, "successful_inferences", **without) == ["count>0"]


@pytest.mark.parametrize(
    ("profile", "found"),
    [("plateaus", ["max>500"]), ("heavy", ["max>500"]), ("light", []), (CONSTANT, []), (BY_HAND, [])],
)
def test_five_hundred_connections_are_asked_of_loads_that_have_them(profile: str, found: list[str]) -> None:
    assert limits(STREAMING, profile, "active_connections") == found


def test_what_only_the_server_s_dialect_tells_decides_nothing_in_the_suite_s() -> None:
    hidden = STREAMING.unobservable(settings_of(STREAMING, {"CONTRACT": "suite"}))
    assert hidden == {"chunk_acknowledged", "chunk_totals_correct"}
    assert STREAMING.unobservable(settings_of(STREAMING)) == frozenset()


def test_text_alone_has_no_acknowledgements_to_judge() -> None:
    hidden = STREAMING.unobservable(settings_of(STREAMING, {"CHUNKS": "0"}))
    assert hidden == {"chunk_acknowledged", "chunk_totals_correct", "ws_chunk_latency"}


def test_of_eighteen_texts_two_tell_of_a_crisis_and_one_of_a_bias() -> None:
    assert len({text.words for text in CORPUS}) == 18
    assert sum(text.should_raise("suite")[0] for text in CORPUS) == 2
    assert sum(text.should_raise("suite")[1] for text in CORPUS) == 1
    assert [text.words for text in CORPUS if text.should_raise("server")[0]] == [CORPUS[15].words]
    assert all(("hurt" in text.words) == text.crisis for text in CORPUS)

"""The scenarios as data: which load and which thresholds follow from what is asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.platforms.pixelated.scenarios import INFERENCE, STREAMING
from pika_locust.platforms.pixelated.texts import CORPUS
from pika_locust.runtime.shape import StagesShape
from pika_locust.scenario import Scenario
from pika_locust.testing.worker import settings_of
from tests.runtime.sample_scenario import read


def limits(scenario: Scenario, line: str, metric: str, **environ: str) -> list[str]:
    """What a run with this command line and environment asks of a metric."""
    thresholds = read(line, environ, scenario=scenario).thresholds
    return [one.expression.text for one in thresholds if one.metric == metric]


def test_a_rate_makes_an_open_model_and_its_threshold() -> None:
    assert INFERENCE.arrivals is not None
    assert INFERENCE.arrivals(settings_of(INFERENCE)) is None
    rate = INFERENCE.arrivals(settings_of(INFERENCE, {"INFERENCE_RATE": "120", "TEST_DURATION": "1m"}))
    assert rate is not None
    assert rate.problems() == []
    assert rate.describe() == "constant arrival rate: 120/s for 1m (30 to 1200 users)"


@pytest.mark.parametrize(
    ("rate", "lasts", "line", "limit"),
    [
        ("120", "2m", "", "rate>=100"),
        ("500", "10m", "", "rate>=100"),
        ("50", "76s", "", "rate>=45.1"),
        ("120", "4s", "", "rate>=57"),
        # What -t leaves of the schedule.
        ("50", "2m", "-t 20s", "rate>=39.5"),
        ("50", "2m", "-t 5m", "rate>=45.9"),
    ],
)
def test_throughput_is_the_guide_s_hundred_or_what_was_asked_for(rate: str, lasts: str, line: str, limit: str) -> None:
    found = limits(INFERENCE, line, "successful_inferences", INFERENCE_RATE=rate, TEST_DURATION=lasts)
    assert limit in found


def test_without_a_rate_there_is_no_throughput_to_hold() -> None:
    assert limits(INFERENCE, "", "successful_inferences") == ["count>0"]
    without = {"INFERENCE_RATE": "50", "USE_SIMPLE": "1"}
    assert limits(INFERENCE, "-u 10 -t 1m", "successful_inferences", **without) == ["count>0"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", ["max>500"]),
        ("--load-profile heavy", ["max>500"]),
        ("--load-profile heavy -t 20s", ["max>500"]),
        ("--load-profile light", []),
        ("--load-profile medium", []),
        ("-t 2m", []),
        ("-u 1000 -t 1m", []),
        ("--stage 1m:1000", []),
    ],
)
def test_five_hundred_connections_are_asked_of_loads_that_have_more(line: str, found: list[str]) -> None:
    assert limits(STREAMING, line, "active_connections") == found


def test_five_hundred_connections_are_not_asked_of_a_few_users_who_are_scaled_or_counted() -> None:
    assert limits(STREAMING, "--load-profile heavy", "active_connections", USERS="50") == []
    assert limits(STREAMING, "-u 10", "active_connections", ITERATIONS="20") == []


@pytest.mark.parametrize(
    ("name", "stages", "found"),
    [("standard", "2m:100,8m:100", []), ("stress", "5m:500,10m:500", []), ("vast", "5m:900", ["max>500"])],
)
def test_a_shape_file_is_asked_for_the_connections_that_it_makes(
    name: str, stages: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = SimpleNamespace(
        as_profile=lambda: LoadProfile(name, parse_stages(stages)), source=lambda: f"shapes/{name}.py"
    )
    monkeypatch.setattr(StagesShape, "loaded", lambda: [shape])
    assert limits(STREAMING, "", "active_connections") == found


def test_what_only_the_server_s_dialect_tells_decides_nothing_in_the_suite_s() -> None:
    hidden = STREAMING.unobservable(settings_of(STREAMING, {"CONTRACT": "suite"}))
    assert hidden == {"chunk_acknowledged", "chunk_totals_correct", "text_ack_time"}
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

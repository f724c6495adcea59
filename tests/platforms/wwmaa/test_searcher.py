"""Searches against the sandbox on real sockets, in both contracts: what is counted, and what is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.wwmaa.queries import COMPLEX, FILTERED, KINDS, SEMANTIC, SIMPLE, Query
from pika_locust.platforms.wwmaa.scenarios import SEARCH, api_base
from pika_locust.testing.worker import settings_of
from tests.platforms.wwmaa.served import CONTRACTS, altered, serving

BOTH = pytest.mark.parametrize("contract", CONTRACTS)
QUICK = {"SEARCH_RATE": "0", "SEARCH_PAUSE": "0", "SEARCH_MS": "1"}


@BOTH
def test_searches_are_answered_and_timed_by_kind(contract: str) -> None:
    with serving(SEARCH, contract, **QUICK) as run:
        run.act(60)
        assert run.worker.rate_of("search_errors") == (0, 60)
        assert run.worker.rate_of("http_req_failed")[0] == 0
        assert run.worker.trend_of("search_latency").count == 60
        semantic = run.worker.trend_of("semantic_search_latency").count
        assert 3 <= semantic <= 25
        assert 5 <= run.worker.trend_of("filtered_search_latency").count <= 35
        assert run.worker.rate_of("search_relevance") == ((semantic, 0) if contract == "suite" else (0, 0))


@BOTH
def test_what_is_no_answer_is_an_error(contract: str) -> None:
    with serving(SEARCH, contract, **QUICK) as run:
        run.plant(error="0.5")
        run.act(20)
        assert run.worker.rate_of("search_errors")[0] >= 9


def test_without_its_token_the_real_server_refuses_a_search() -> None:
    with serving(SEARCH, "server", **QUICK) as run:
        user = run.user()
        user.csrf_headers = (("x-csrf-token", "made up"),)
        user.act()
        assert run.worker.rate_of("search_errors") == (1, 0)
        assert "403" in run.worker.errors_of("search")[0]


def test_filters_that_are_not_obeyed_are_an_error() -> None:
    with serving(SEARCH, "suite", **QUICK) as run:
        run.plant(lose_filter="1")
        run.act(40)
        failed = run.worker.rate_of("checks", check="results obey the filters")[1]
        assert run.worker.rate_of("search_errors")[0] == failed > 0


RESULTS: dict[str, tuple[dict[str, str], dict[str, Any], bool]] = {
    "a flag is no text": ({"rank": "black", "style": "taekwondo", "verified": "true"}, {"verified": True}, True),
    "a place is within another": ({"location": "California"}, {"location": "San Diego, CA"}, True),
    "nearby is anywhere": ({"location": "nearby"}, {"location": "Austin"}, True),
    "a kind has several names": ({"type": "event"}, {"type": "competition"}, True),
    "a black belt has a grade": ({"rank": "black"}, {"rank": "1st dan"}, True),
    "in capitals": ({"style": "karate"}, {"style": "Shotokan Karate"}, True),
    "one of several": ({"style": "karate"}, {"style": ["Judo", "Karate"]}, True),
    "not shown": ({"level": "beginner"}, {"level": None}, True),
    "another style": ({"style": "karate"}, {"style": "Judo"}, False),
    "another level": ({"level": "beginner"}, {"level": "advanced"}, False),
    "another age": ({"age_group": "children"}, {"age_group": "adults"}, False),
}


@pytest.mark.parametrize(("filters", "shown", "good"), RESULTS.values(), ids=RESULTS)
def test_what_a_result_shows_is_held_against_what_was_asked_for(
    filters: dict[str, str], shown: dict[str, Any], good: bool
) -> None:
    with serving(SEARCH, "suite", **QUICK) as run:
        user = run.user()
        altered(user, "search", lambda answer: {"results": [{"id": "art_1", **shown}]})
        user._search(Query("filtered", "kata", filters))
        assert run.worker.rate_of("search_errors") == (int(not good), int(good))


def test_semantic_results_that_do_not_say_how_well_they_fit_are_noticed() -> None:
    with serving(SEARCH, "suite", **QUICK) as run:
        run.plant(lose_relevance="1")
        run.act(40)
        passed, failed = run.worker.rate_of("search_relevance")
        assert passed == 0 < failed
        assert run.worker.rate_of("search_errors")[0] == 0


def test_the_mix_is_the_suite_s() -> None:
    assert [len(one) for one in (SIMPLE, FILTERED, SEMANTIC, COMPLEX)] == [20, 10, 10, 5]
    assert [share for _, share in KINDS] == [0.4, 0.3, 0.2, 0.1]
    # The real server refuses what looks like SQL.
    assert all("exec" not in query.words and "--" not in query.words for those, _ in KINDS for query in those)


def test_a_thousand_a_minute_is_an_open_model_and_nothing_a_closed_one() -> None:
    assert SEARCH.arrivals is not None
    rate = SEARCH.arrivals(settings_of(SEARCH))
    assert rate is not None
    assert rate.problems() == []
    assert rate.schedule().total == 5000
    assert SEARCH.arrivals(settings_of(SEARCH, {"SEARCH_RATE": "0"})) is None


@pytest.mark.parametrize("target", ["http://h:1/api", "http://h:1/api/", "http://h:1"])
def test_the_api_is_named_with_its_path_or_without(target: str) -> None:
    assert api_base(target) == "http://h:1"

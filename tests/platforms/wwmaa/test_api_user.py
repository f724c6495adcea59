"""Calls of the API against the sandbox on real sockets: what is measured, and what is noticed."""

from __future__ import annotations

import pytest

from pika_locust.platforms.wwmaa.scenarios import API
from pika_locust.testing.worker import settings_of
from tests.platforms.wwmaa.served import CONTRACTS, serving

BOTH = pytest.mark.parametrize("contract", CONTRACTS)
QUICK = {"API_PAUSE": "0", "REUSE": "1"}


@BOTH
def test_visits_are_measured_by_what_they_are_about(contract: str) -> None:
    with serving(API, contract, **QUICK) as run:
        run.act(40)
        assert run.worker.rate_of("api_success")[1] == 0
        refused, taken = run.worker.rate_of("reuse_refused")
        assert taken == 0
        assert run.worker.trend_of("auth_latency").count == 3 * refused > 0
        events = run.worker.trend_of("events_api_latency").count
        subscriptions = run.worker.trend_of("subscriptions_api_latency").count
        assert (events > 0, subscriptions > 0) == ((contract == "suite"),) * 2
        assert run.worker.trend_of("api_latency").count == 3 * refused + events + subscriptions
        assert run.worker.rate_of("http_req_failed")[0] == 0


@BOTH
def test_a_refresh_token_that_is_taken_twice_is_noticed(contract: str) -> None:
    with serving(API, contract, EVENTS_RATE="0", SUBSCRIPTIONS_RATE="0", **QUICK) as run:
        run.plant(forget_refresh="0.1")
        run.act(10)
        assert run.worker.rate_of("reuse_refused") == (9, 1)


def test_tokens_of_the_server_as_it_is_shipped_are_good_for_nothing() -> None:
    with serving(API, "server", **QUICK) as run:
        run.plant(as_shipped=True)
        run.act(5)
        assert run.worker.rate_of("api_success") == (10, 5)
        assert "401" in run.worker.errors_of("me")[0]


def test_users_are_enough_for_the_rates() -> None:
    assert API.arrivals is not None
    rate = API.arrivals(settings_of(API))
    assert rate is not None
    assert rate.problems() == []
    assert rate.describe() == "constant arrival rate: 350/s for 5m (525 to 1050 users)"

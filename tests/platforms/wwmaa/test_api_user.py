"""Calls of the API against the sandbox on real sockets: what is measured, and what is noticed."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from pika_locust.load.rng import part_at
from pika_locust.platforms.wwmaa.api_user import GOLDEN
from pika_locust.platforms.wwmaa.scenarios import API, api_rates
from pika_locust.testing.worker import settings_of
from pika_locust.wire.http import ErrorKind, Response, TransportError
from tests.platforms.wwmaa.served import CONTRACTS, altered, serving

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
        assert (events > 0, subscriptions > 0) == (True, True)
        assert run.worker.trend_of("api_latency").count == 3 * refused + events + subscriptions
        assert run.worker.rate_of("http_req_failed")[0] == 0


@BOTH
def test_a_refresh_token_that_is_taken_twice_is_noticed(contract: str) -> None:
    with serving(API, contract, EVENTS_RATE="0", SUBSCRIPTIONS_RATE="0", **QUICK) as run:
        run.plant(forget_refresh="0.1")
        run.act(10)
        assert run.worker.rate_of("reuse_refused") == (9, 1)


@pytest.mark.parametrize(
    ("status", "refused"),
    [(401, (1, 0)), (400, (1, 0)), (200, (0, 1)), (429, (0, 0)), (503, (0, 0)), (0, (0, 0))],
)
def test_a_used_refresh_token_that_nobody_answers_was_not_taken(status: int, refused: tuple[int, int]) -> None:
    error = None if status else TransportError(ErrorKind.READ_TIMEOUT, "no answer")
    again = Response(status, b"HTTP/1.1 %d Words\r\n\r\n" % status, b"{}", (0,) * 7, 0, 0, error)
    with serving(API, "suite", EVENTS_RATE="0", SUBSCRIPTIONS_RATE="0", **QUICK) as run:
        user = run.user()
        user._apart = SimpleNamespace(request=lambda *sent, **more: again, close=user.apart.close)
        user.act()
        assert run.worker.rate_of("reuse_refused") == refused
        assert len(run.worker.errors_of("refresh-again")) == (refused == (0, 0))


MIXED_UP = {
    "another id": {"id": "another"},
    "another address": {"email": "loadtest_user_x@wwmaa.com"},
}


@BOTH
@pytest.mark.parametrize("told", MIXED_UP.values(), ids=MIXED_UP)
def test_a_member_who_is_taken_for_another_is_noticed(contract: str, told: dict[str, str]) -> None:
    with serving(API, contract, EVENTS_RATE="0", SUBSCRIPTIONS_RATE="0", **QUICK) as run:
        user = run.user()
        altered(user, "me", lambda me: {**me, **told})
        user.act()
        assert run.worker.rate_of("api_success") == (2, 1)
        assert run.worker.rate_of("checks", check="me is who logged in") == (0, 1)


def test_a_target_that_shows_less_of_a_member_mixes_nobody_up() -> None:
    """The suite says no more than that there is an answer to who one is; and an address may come in small letters."""
    settings = {"EVENTS_RATE": "0", "SUBSCRIPTIONS_RATE": "0", "TEST_USER_EMAIL": "LoadTest{user}@wwmaa.com", **QUICK}
    with serving(API, "suite", **settings) as run:
        user = run.user()
        altered(user, "login", lambda answer: {name: answer[name] for name in ("access_token", "refresh_token")})
        altered(user, "me", lambda me: {"id": me["id"], "email": me["email"].lower()})
        user.act()
        altered(user, "me", lambda me: {"id": me["id"]})
        user.act()
        assert run.worker.rate_of("api_success") == (6, 0)


@BOTH
def test_another_event_than_the_one_asked_for_is_noticed(contract: str) -> None:
    with serving(API, contract, AUTH_RATE="0", SUBSCRIPTIONS_RATE="0", **QUICK) as run:
        user = run.user()
        altered(user, "event", lambda event: {**event, "id": "evt_other"})
        user.act()
        assert run.worker.rate_of("api_success") == (2, 1)
        assert run.worker.rate_of("checks", check="event is the one asked for") == (0, 1)


def test_tokens_of_the_server_as_it_is_shipped_are_good_for_nothing() -> None:
    with serving(API, "server", EVENTS_RATE="0", SUBSCRIPTIONS_RATE="0", **QUICK) as run:
        run.plant(as_shipped=True)
        run.act(5)
        assert run.worker.rate_of("api_success") == (10, 5)
        assert "401" in run.worker.errors_of("me")[0]


def test_arrivals_take_turns_so_that_each_kind_of_visit_keeps_its_own_rate() -> None:
    """Of any 350 arrivals in a row, which are a second's, 100, 200 and 50: give or take two."""
    rates = api_rates(settings_of(API))
    kinds = [part_at(number * GOLDEN % 1.0, rates) for number in range(350 * 60)]
    for first in range(0, len(kinds) - 350, 97):
        second = Counter(kinds[first : first + 350])
        assert [second[kind] for kind in range(3)] == pytest.approx(list(rates), abs=2)


def test_an_arrival_s_number_decides_what_is_visited() -> None:
    with serving(API, "suite", AUTH_RATE="1", EVENTS_RATE="1", SUBSCRIPTIONS_RATE="0", API_PAUSE="0") as run:
        user = run.user()
        for number in range(10):
            user.arrival = number
            user.act()
        assert run.worker.trend_of("auth_latency").count == 3 * 5
        assert run.worker.trend_of("events_api_latency").count > 5


def test_subscribers_look_at_the_membership_that_is_set() -> None:
    settings = {"AUTH_RATE": "0", "EVENTS_RATE": "0", "API_PAUSE": "0"}
    with serving(API, "server", TEST_MEMBERSHIP_TIER_ID="lifetime", **settings) as run:
        run.act(2)
        assert run.worker.rate_of("api_success") == (4, 0)
    with serving(API, "server", TEST_MEMBERSHIP_TIER_ID="gold", **settings) as run:
        run.act(2)
        assert run.worker.rate_of("api_success") == (2, 2)
        assert "400" in run.worker.errors_of("plan")[0]


def test_users_are_enough_for_the_rates() -> None:
    assert API.arrivals is not None
    rate = API.arrivals(settings_of(API))
    assert rate is not None
    assert rate.problems() == []
    assert rate.describe() == "constant arrival rate: 350/s for 5m (1050 users)"

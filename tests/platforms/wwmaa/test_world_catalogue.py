"""The lists that everybody can read as the real server means them: what it does wrong is in the recordings."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.wwmaa.world import PLATFORM
from pika_locust.platforms.wwmaa.world_accounts import ADMIN, PASSWORD
from pika_locust.platforms.wwmaa.world_events import Event
from pika_locust.testing.world_driver import WorldDriver

LIST = "/api/events/public"


def world(*faults: str, contract: str = "server", **settings: str) -> WorldDriver:
    driver = WorldDriver(PLATFORM, *faults, settings={"CONTRACT": contract, **settings})
    for event in (Event("evt_paid", 10, fee=25.0), Event("evt_free", 20)):
        driver.world.known_events[event.id] = event
    return driver


def bearer(driver: WorldDriver, email: str) -> str:
    _, answer = driver.ask("POST", "/api/auth/login", {"email": email, "password": PASSWORD})
    return f"Bearer {answer['access_token']}"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("price=paid", ["evt_paid"]),
        ("price=free", ["evt_load_test_001", "evt_free"]),
        ("location=in_person&limit=1", ["evt_load_test_001"]),
        ("location=online", []),
        ("type=seminar", []),
        ("date_from=2026-12-21&offset=1", ["evt_paid", "evt_free"]),
        ("date_from=2026-12-22", []),
    ],
)
def test_filters_find_what_they_should(query: str, found: list[str]) -> None:
    status, answer = world().ask("GET", f"{LIST}?{query}")
    assert status == 200
    assert [event["id"] for event in answer["events"]] == found
    assert answer["total"] >= len(found)


def test_the_total_is_of_all_pages_unless_the_server_is_as_it_is_shipped() -> None:
    totals = [world(*faults).ask("GET", f"{LIST}?limit=1")[1]["total"] for faults in ((), ("as-shipped",))]
    assert totals == [3, 1]


@pytest.mark.parametrize("query", ["type=party", "limit=none", "offset=-1", "order=up"])
def test_a_filter_that_is_none_is_refused(query: str) -> None:
    status, answer = world().ask("GET", f"{LIST}?{query}")
    assert (status, answer["detail"][0]["loc"]) == (422, ["query", query.partition("=")[0]])


def test_an_event_of_the_list_can_be_looked_at() -> None:
    status, answer = world().ask("GET", f"{LIST}/evt_paid")
    assert (status, answer["price"], answer["capacity"]) == (200, 25.0, 10)
    assert world().ask("GET", f"{LIST}/nowhere")[0] == 404


@pytest.mark.parametrize("path", ["/api/events", "/api/events/evt_free", "/api/events/evt_free/attendees"])
def test_what_is_the_staff_s_is_shown_to_nobody_else(path: str) -> None:
    driver = world()
    members = bearer(driver, "loadtest_user_1@wwmaa.com")
    asked: list[Any] = [driver.ask("GET", path)[0]]
    asked += [driver.ask("GET", path, authorization=token)[0] for token in (members, bearer(driver, ADMIN))]
    assert asked == [403, 403, 200]


def test_the_suite_s_list_of_who_comes_is_the_staff_s() -> None:
    driver = world(contract="suite")
    path = "/api/events/evt_free/registrations"
    members = bearer(driver, "loadtest_user_1@wwmaa.com")
    asked: list[Any] = [driver.ask("GET", path)[0]]
    asked += [driver.ask("GET", path, authorization=token)[0] for token in (members, bearer(driver, ADMIN))]
    assert asked == [403, 401, 200]


def test_the_one_contract_has_none_of_the_other_s_pages() -> None:
    suite, server = world(contract="suite"), world()
    for path in (LIST, f"{LIST}/evt_free", "/api/subscriptions", "/api/subscriptions/basic"):
        assert (suite.ask("GET", path)[0], server.ask("GET", path)[0]) == (404, 200)
    for path in ("/api/instructors", "/api/search?q=kata", "/api/events/evt_free/registrations?email=a@b.co"):
        assert server.ask("GET", path)[0] == 404


def test_more_searches_than_the_server_means_to_take_are_told_when_to_come_again() -> None:
    driver = world("throttle=1/60s", contract="suite")
    assert driver.ask("GET", "/api/search?q=kata")[0] == 200
    status, answer = driver.ask("GET", "/api/search?q=kata")
    assert (status, answer["error"], answer["retry_after"]) == (429, "rate_limit_exceeded", 60)

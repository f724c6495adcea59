"""Pages against the sandbox on real sockets: what is measured of them, and what is noticed."""

from __future__ import annotations

import pytest

from pika_locust.platforms.wwmaa.page_visitor import PAGES as KINDS
from pika_locust.platforms.wwmaa.scenarios import PAGES
from pika_locust.testing.worker import settings_of
from tests.platforms.wwmaa.served import altered, serving

QUICK = {"THINK_TIME_MIN": "0", "THINK_TIME_MAX": "0"}


@pytest.mark.parametrize("members", ["0", "1"])
def test_pages_are_loaded_with_what_belongs_to_them(members: str) -> None:
    with serving(PAGES, "suite", MEMBER_SHARE=members, **QUICK) as run:
        run.act(60)
        assert run.worker.rate_of("page_load_success") == (60, 0)
        assert run.worker.trend_of("page_load_time").count == run.worker.trend_of("html_time").count == 60
        assert run.worker.trend_of("http_req_duration", name="asset").count == 180
        # Once, whatever the number of pages.
        assert run.worker.rate_of("auth_success") == (int(members), 0)
        seen = {kind.name: run.worker.trend_of("http_req_duration", name=kind.name).count for kind in KINDS}
        assert sum(seen.values()) == 60
        assert run.worker.rate_of("api_success") == (sum(seen[kind.name] for kind in KINDS if kind.call), 0)
        assert (seen["dashboard"] > 0) == (members == "1")
        assert run.worker.rate_of("http_req_failed")[0] == 0


@pytest.mark.parametrize(
    ("members", "hidden"), [("0", {"auth_success", "http_req_duration{name:dashboard}"}), ("0.3", set())]
)
def test_without_members_nobody_logs_in_and_nobody_has_a_dashboard(members: str, hidden: set[str]) -> None:
    thresholds = PAGES.thresholds_for("suite", settings_of(PAGES, {"MEMBER_SHARE": members}))
    assert {threshold.metric for threshold in thresholds if threshold.optional} == hidden


def test_a_page_that_is_slow_is_not_taken_for_a_fast_one() -> None:
    with serving(PAGES, "suite", MEMBER_SHARE="0", **QUICK) as run:
        run.plant(slow_page="120")
        run.act(12)
        assert run.worker.trend_of("page_load_time").minimum >= 120_000
        assert run.worker.trend_of("api_response_time").maximum < 120_000


def test_pages_that_fail_are_server_errors() -> None:
    with serving(PAGES, "suite", MEMBER_SHARE="0", **QUICK) as run:
        run.plant(error="1")
        run.act(3)
        assert run.worker.rate_of("page_load_success") == (0, 3)
        assert run.worker.count_of("server_errors") == 3


@pytest.mark.parametrize("told", [{}, {"events": None, "results": None}])
def test_what_a_page_asked_for_and_did_not_get_is_noticed(told: dict[str, None]) -> None:
    with serving(PAGES, "suite", MEMBER_SHARE="0", **QUICK) as run:
        user = run.user()
        altered(user, "api-events", lambda answer: told)
        altered(user, "api-search", lambda answer: told)
        for page in KINDS:
            if page.name != "dashboard":
                user._look_at(page)
        assert run.worker.rate_of("api_success") == (1, 2)
        assert run.worker.rate_of("page_load_success") == (4, 0)


TARGETS: dict[str, tuple[dict[str, str], int]] = {
    "the same server": ({"BASE_URL": "https://example.com/", "API_URL": "https://example.com/api"}, 0),
    "another server": ({"BASE_URL": "https://example.com", "API_URL": "https://api.example.com"}, 1),
    "another platform's": ({"BASE_URL": "http://verity:3000", "WWMAA_API_URL": "https://example.com/api"}, 0),
    "another platform's API": ({"WWMAA_BASE_URL": "https://example.com", "API_URL": "http://pixelated:5173"}, 1),
}


@pytest.mark.parametrize(("environ", "problems"), TARGETS.values(), ids=TARGETS)
def test_the_script_s_two_names_must_name_one_server(environ: dict[str, str], problems: int) -> None:
    assert len(list(PAGES.check_settings(settings_of(PAGES, environ), None))) == problems

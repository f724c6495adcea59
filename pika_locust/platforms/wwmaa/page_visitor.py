"""Visitors of WWMAA's pages, with what belongs to a page and what it asks the API for; and some in real browsers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pika_locust.kit.browser_users import BrowserUsers
from pika_locust.kit.meters import named
from pika_locust.platforms.wwmaa.member import Member, Members, WwmaaUser
from pika_locust.platforms.wwmaa.scenarios import PAGES_METRICS

ASSETS = ("/static/css/main.css", "/static/js/main.js", "/static/images/logo.png")


@dataclass(frozen=True, slots=True)
class Page:
    """A page, the share of visits that it has, and what it asks the API for."""

    name: str
    path: str
    share: float
    call: str = ""
    field: str = ""


PAGES = (
    Page("homepage", "/", 0.3),
    Page("events", "/events", 0.25, "/api/events?limit=20", "events"),
    Page("instructors", "/instructors", 0.2, "/api/instructors?limit=20"),
    Page("search", "/search?q=karate", 0.15, "/api/search?q=karate&limit=20", "results"),
    Page("dashboard", "/dashboard", 0.1, "/api/users/me/dashboard"),
)
_MIX = tuple((page, page.share) for page in PAGES)
HTML = {"accept": "text/html", "accept-language": "en-US,en;q=0.5"}


class PageVisitor(WwmaaUser):
    """One iteration is one page; who logs in does so once."""

    meters: Any = named(PAGES_METRICS)

    def begin(self) -> None:
        super().begin()
        logs_in = self.dice.chance(self.worker.settings["MEMBER_SHARE"])
        self._member: Member | None = self.worker.shared(Members).take() if logs_in else None

    def act(self) -> None:
        is_member = self._member is not None and self._enter(self._member)
        page = self.dice.weighted(_MIX)
        # A dashboard is a member's own; others look at the first page in its place.
        self._look_at(page if is_member or page.name != "dashboard" else PAGES[0])
        self.think()

    def _enter(self, member: Member) -> bool:
        if member.token:
            return self.log_in(member)
        entered = self.log_in(member)
        self.meters.auth_success.add(entered)
        return entered

    def _look_at(self, page: Page) -> None:
        response = self.http.request("GET", page.path, name=page.name, headers=HTML)
        kind = response.headers.get("content-type") or "" if response.error is None else ""
        good = response.error is None and response.status == 200 and bool(response.content) and "text/html" in kind
        self.checked("page loads", good)
        self.meters.page_load_success.add(good)
        if response.error is None and response.status >= 500:
            self.meters.server_errors.add()
        if good:
            self.meters.html_time.add(response.duration_us)
            loaded_us = response.duration_us + sum(
                self.call("GET", asset, name="asset", ok=(200,)).duration_us for asset in ASSETS
            )
            self.meters.page_load_time.add(loaded_us)
        if page.call:
            self.meters.api_success.add(self._ask(page))

    def _ask(self, page: Page) -> bool:
        """What a page asks the API for: whether it was answered as it should be."""
        answer = self.call("GET", page.call, name=f"api-{page.name}", ok=(200,), trend="api_response_time")
        if answer.status != 200 or not page.field:
            return answer.status == 200
        return self.checked(f"api has {page.field}", isinstance(answer.json_object().get(page.field), list))


class PageBrowser(BrowserUsers):
    """They look at the pages that anybody may see, as often as visitors do: of a dashboard, the target shows a page
    only to who sends a token with the request for it, which a browser does not."""

    pages = tuple((page.name, page.path, page.share) for page in PAGES if page.name != "dashboard")

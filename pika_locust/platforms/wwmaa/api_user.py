"""Who calls WWMAA's API: members who log in, people who look at events, and subscribers, in the suite's proportions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika_locust.kit.meters import named
from pika_locust.platforms.wwmaa.member import WwmaaUser, object_in
from pika_locust.platforms.wwmaa.scenarios import API_METRICS, api_rates
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire.http import Response

SUBJECTS = ("martial%20arts", "training", "tournament", "beginner", "advanced")


class ApiUser(WwmaaUser, OpenActor):
    """One iteration is one visit: of a member, of somebody who looks at events, or of a subscriber."""

    meters: Any = named(API_METRICS)
    expected = {"my-subscription": (404,)}

    def act(self) -> None:
        visits: tuple[Callable[[], None], ...] = (self._log_in_and_refresh, self._look_at_events, self._subscribe)
        rates = api_rates(self.worker.settings)
        point = self.dice.uniform(0.0, sum(rates))
        for visit, rate in zip(visits, rates, strict=True):
            if point < rate:
                visit()
                return
            point -= rate

    def _measured(self, response: Response, trend: Any, good: bool) -> bool:
        """One call of the suite's: its time, and whether it was answered as it should be."""
        if response.error is None:
            trend.add(response.duration_us)
            self.meters.api_latency.add(response.duration_us)
        self.meters.api_success.add(good)
        return good

    def _log_in(self) -> tuple[Response, dict[str, Any]]:
        settings = self.worker.settings
        email = settings["TEST_USER_EMAIL"].replace("{user}", str(int(self.dice.uniform(0.0, settings["MEMBERS"]))))
        body = {"email": email, "password": settings["TEST_USER_PASSWORD"]}
        response = self.call("POST", "/api/auth/login", body, name="login", ok=(200,))
        return response, object_in(response)

    def _log_in_and_refresh(self) -> None:
        pause_s, times = self.worker.settings["API_PAUSE"], self.meters.auth_latency
        if not self.prepare_posts():
            self.meters.api_success.add(False)
            return
        response, answer = self._log_in()
        token, old = answer.get("access_token"), answer.get("refresh_token")
        if not self._measured(response, times, isinstance(token, str) and isinstance(old, str)):
            return
        self.pause(pause_s)
        self.http.set_headers({"authorization": f"Bearer {token}"})
        who = self.call("GET", "/api/auth/me", name="me", ok=(200,))
        self._measured(who, times, bool(object_in(who).get("id")))
        self.pause(pause_s)
        response = self.call("POST", "/api/auth/refresh", {"refresh_token": old}, name="refresh", ok=(200,))
        answer = object_in(response)
        new = answer.get("refresh_token")
        renewed = self._measured(response, times, bool(answer.get("access_token")) and new not in (None, old))
        if renewed and self.dice.chance(self.worker.settings["REUSE"]):
            # A deliberate negative: a token is good once.
            again = self.apart.request("POST", "/api/auth/refresh", json={"refresh_token": old})
            self.meters.reuse_refused.add(again.status in (401, 403))

    def _look_at_events(self) -> None:
        pause_s, times = self.worker.settings["API_PAUSE"] / 2, self.meters.events_api_latency
        listed = self.call("GET", "/api/events?limit=20&page=1", name="events", ok=(200,))
        events = object_in(listed).get("events")
        if not self._measured(listed, times, isinstance(events, list)):
            return
        known = [str(one["id"]) for one in events or () if isinstance(one, dict) and "id" in one]
        if known:
            self.pause(pause_s)
            viewed = self.call("GET", f"/api/events/{self.dice.choice(known)}", name="event", ok=(200,))
            page = object_in(viewed)
            self._measured(viewed, times, all(page.get(name) for name in ("id", "title", "description")))
        self.pause(pause_s)
        found = self.call("GET", f"/api/events/search?q={self.dice.choice(SUBJECTS)}", name="event-search", ok=(200,))
        self._measured(found, times, found.status == 200)

    def _subscribe(self) -> None:
        pause_s, times = self.worker.settings["API_PAUSE"] / 2, self.meters.subscriptions_api_latency
        token = self._log_in()[1].get("access_token")
        if not isinstance(token, str):
            return
        self.http.set_headers({"authorization": f"Bearer {token}"})
        self.pause(pause_s)
        plans = self.call("GET", "/api/subscriptions/plans", name="plans", ok=(200,))
        self._measured(plans, times, isinstance(object_in(plans).get("plans"), list))
        self.pause(pause_s)
        mine = self.call("GET", "/api/subscriptions/my-subscription", name="my-subscription", ok=(200,))
        self._measured(mine, times, mine.status in (200, 404))

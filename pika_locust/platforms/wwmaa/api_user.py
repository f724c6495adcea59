"""Who calls WWMAA's API: members who log in, people who look at events, and subscribers, in the suite's proportions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from pika_locust.kit.meters import named
from pika_locust.load.rng import part_at
from pika_locust.metrics.metric import FAILURE
from pika_locust.platforms.wwmaa.member import Member, Members, WwmaaUser, is_refusal
from pika_locust.platforms.wwmaa.scenarios import API_METRICS, api_rates
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire.http import Response

SUBJECTS = ("martial%20arts", "training", "tournament", "beginner", "advanced")
KINDS = ("training", "tournament", "seminar", "competition", "social")
"""What the real server's list of events can be narrowed down to."""
GOLDEN = 0.6180339887498949
"""Multiples of it, without their whole part, are spread evenly over 0 to 1, in any stretch of them."""


class ApiCaller(WwmaaUser, OpenActor):
    """What all visits have in common: logging in, and what the suite measures of a call."""

    abstract = True

    meters: Any = named(API_METRICS)
    expected = {"my-subscription": (404,)}

    def _measured(self, response: Response, trend: Any, good: bool) -> bool:
        """One call of the suite's: its time, and whether it was answered as it should be."""
        if response.error is None:
            trend.add(response.duration_us)
            self.meters.api_latency.add(response.duration_us)
        self.meters.api_success.add(good)
        return good

    def _somebody(self) -> Member:
        return self.worker.shared(Members).any(self.dice)

    def _log_in(self, member: Member) -> tuple[Response, dict[str, Any]]:
        body = {"email": member.email, "password": member.password}
        response = self.call("POST", "/api/auth/login", body, name="login", ok=(200,))
        return response, response.json_object()


class MemberVisits(ApiCaller):
    """A member logs in, asks who it is, and refreshes its tokens."""

    abstract = True

    def visit_as_member(self) -> None:
        """One visit."""
        pause_s, times = self.worker.settings["API_PAUSE"], self.meters.auth_latency
        if not self.prepare_posts():
            self.meters.api_success.add(False)
            return
        member = self._somebody()
        response, answer = self._log_in(member)
        token, old = answer.get("access_token"), answer.get("refresh_token")
        if not self._measured(response, times, isinstance(token, str) and isinstance(old, str)):
            return
        self.pause(pause_s)
        self.http.set_headers({"authorization": f"Bearer {token}"})
        who = self.call("GET", "/api/auth/me", name="me", ok=(200,))
        self._measured(who, times, who.status == 200 and self._is_me(who, member, answer.get("user")))
        self.pause(pause_s)
        response = self.call("POST", "/api/auth/refresh", {"refresh_token": old}, name="refresh", ok=(200,))
        answer = response.json_object()
        new = answer.get("refresh_token")
        renewed = self._measured(response, times, bool(answer.get("access_token")) and new not in (None, old))
        if renewed and self.dice.chance(self.worker.settings["REUSE"]):
            # A deliberate negative: a token is good once.
            again = self.apart.request("POST", "/api/auth/refresh", json={"refresh_token": old})
            if is_refusal(again):
                self.meters.reuse_refused.add(True)
            elif again.ok:
                self.meters.reuse_refused.tagged(**{FAILURE: f"answered {again.status}"}).add(False)
            else:
                self.worker.error("refresh-again", again.outcome, again.says)

    def _is_me(self, who: Response, member: Member, user: Any) -> bool:
        """Whether it is who logged in, as far as the login's `user` and this answer show it."""
        me, known = who.json_object(), {**(user if isinstance(user, dict) else {}), "email": member.email}
        shown = [name for name in ("id", "email") if me.get(name) and known.get(name)]
        is_same = all(str(me[name]).casefold() == str(known[name]).casefold() for name in shown)
        return bool(me.get("id")) and self.checked("me is who logged in", is_same)


class EventVisits(ApiCaller):
    """Somebody lists events, looks at one of them, and looks for others."""

    abstract = True

    def visit_events(self) -> None:
        """One visit."""
        pause_s, times = self.worker.settings["API_PAUSE"] / 2, self.meters.events_api_latency
        listed = self.call("GET", self._list(), name="events", ok=(200,))
        events = listed.json_object().get("events")
        if not self._measured(listed, times, isinstance(events, list)):
            return
        known = [str(one["id"]) for one in events or () if isinstance(one, dict) and "id" in one]
        if known:
            self.pause(pause_s)
            wanted = self.dice.choice(known)
            path = "/api/events" if self.is_suite else "/api/events/public"
            viewed = self.call("GET", f"{path}/{quote(wanted)}", name="event", ok=(200,))
            page = viewed.json_object()
            is_whole = all(page.get(name) for name in ("id", "title", "description"))
            is_wanted = is_whole and self.checked("event is the one asked for", str(page["id"]) == wanted)
            self._measured(viewed, times, is_wanted)
        self.pause(pause_s)
        found = self.call("GET", self._search(), name="event-search", ok=(200,))
        self._measured(found, times, found.status == 200)

    def _list(self) -> str:
        return "/api/events?limit=20&page=1" if self.is_suite else "/api/events/public?limit=20"

    def _search(self) -> str:
        if self.is_suite:
            return f"/api/events/search?q={self.dice.choice(SUBJECTS)}"
        return f"/api/events/public?limit=20&type={self.dice.choice(KINDS)}"


class SubscriberVisits(ApiCaller):
    """A member looks at the plans and at its own; at the real server, somebody at all memberships and at one."""

    abstract = True

    def visit_as_subscriber(self) -> None:
        """One visit."""
        if self.is_suite:
            self._look_at_plans()
        else:
            self._look_at_tiers()

    def _look_at_plans(self) -> None:
        pause_s, times = self.worker.settings["API_PAUSE"] / 2, self.meters.subscriptions_api_latency
        token = self._log_in(self._somebody())[1].get("access_token")
        if not isinstance(token, str):
            return
        self.http.set_headers({"authorization": f"Bearer {token}"})
        self.pause(pause_s)
        plans = self.call("GET", "/api/subscriptions/plans", name="plans", ok=(200,))
        self._measured(plans, times, isinstance(plans.json_object().get("plans"), list))
        self.pause(pause_s)
        mine = self.call("GET", "/api/subscriptions/my-subscription", name="my-subscription", ok=(200,))
        self._measured(mine, times, mine.status in (200, 404))

    def _look_at_tiers(self) -> None:
        pause_s, times = self.worker.settings["API_PAUSE"] / 2, self.meters.subscriptions_api_latency
        tiers = self.call("GET", "/api/subscriptions", name="plans", ok=(200,))
        self._measured(tiers, times, isinstance(tiers.json_object().get("tiers"), list))
        self.pause(pause_s)
        wanted = self.worker.settings["TEST_MEMBERSHIP_TIER_ID"]
        tier = self.call("GET", f"/api/subscriptions/{quote(wanted)}", name="plan", ok=(200,))
        self._measured(tier, times, tier.json_object().get("id") == wanted)


class ApiUser(MemberVisits, EventVisits, SubscriberVisits):
    """One iteration is one visit: of a member, of somebody who looks at events, or of a subscriber."""

    def act(self) -> None:
        visits: tuple[Callable[[], None], ...] = (self.visit_as_member, self.visit_events, self.visit_as_subscriber)
        visits[part_at(self._point(), api_rates(self.worker.settings))]()

    def _point(self) -> float:
        """Which of the visits it is, from 0 to 1: arrivals take turns, so that each kind keeps its own steady rate."""
        return self.dice.random() if self.arrival is None else self.arrival * GOLDEN % 1.0

"""WWMAA's suite as data: load, metrics, thresholds, settings, audits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pika_locust.browser.chromium import BROWSER_SETTINGS, browser_problems
from pika_locust.judge import Band, Threshold, ThresholdSpecs
from pika_locust.kit.scenarios import arrival_settings, scenario, suite_load
from pika_locust.kit.targets import http_url
from pika_locust.load.arrivals import ArrivalRate, ArrivalStage, ConstantArrivalRate, RampingArrivalRate
from pika_locust.load.plan import CONSTANT, LoadPlan
from pika_locust.metrics import counter, rate, trend
from pika_locust.metrics.builtin import BROWSER_METRICS, CLOCK_METRICS, HTTP_METRICS, WEBSOCKET_METRICS
from pika_locust.platforms.wwmaa.members_file import members_file, read_members
from pika_locust.scenario import QuickLoad
from pika_locust.settings import Setting, Settings, duration, number, one_of, share, text, url, whole

MINUTE_S = 60.0
EVENT_ID = "evt_load_test_001"
TIER_ID = "premium"
PAID_STATUSES = ("succeeded", "paid")
"""What a registration says whose payment was taken."""
_PHASES: ThresholdSpecs = {
    "http_req_connecting": {"threshold": "p(95)<100", "allow_empty": True},
    "http_req_tls_handshaking": {"threshold": "p(95)<200", "allow_empty": True},
    "http_req_sending": "p(95)<10",
    "http_req_waiting": "p(95)<1000",
    "http_req_receiving": "p(95)<100",
}

_ERRORS = Band("http_req_failed", "rate", healthy="<0.001", warning="<0.01")
"""What the suite's targets say of all its tests."""


_FAST = ("p(95)<300", "p(99)<500")


def _as_tagged(tags: str, first: str, *others: str) -> tuple[Any, ...]:
    """Thresholds of which the first is also the suite's on requests with these tags, which are the same ones."""
    return {"threshold": first, "about": f"the suite's http_req_duration{{{tags}}}, too"}, *others


def api_base(target: str) -> str:
    """`https://host/api` -> `https://host`: the suite names the API, whose server has pages and health besides.

    Raises ValueError for what is no base URL of an HTTP server.
    """
    return http_url(target).removesuffix("/api")


_COMMON: dict[str, Any] = {
    "platform": "wwmaa",
    "target": Setting("API_URL", url("http", "https"), None, "the API, such as http://127.0.0.1:8000/api"),
    "normalise_target": api_base,
    "think": False,
    "production_hosts": ("wwmaa.com", "www.wwmaa.com", "api.wwmaa.com"),
    "loss": "http_req_failed",
    "finish_s": lambda settings: 30.0,
    "speeds": {"req": "http_reqs"},
}
_CONTRACT = Setting("CONTRACT", one_of("suite", "server"), "suite", "server: what the FastAPI backend really speaks")
_OPEN = arrival_settings("what the rate needs", "what is due within ten seconds")
_MEMBERS = (
    Setting("MEMBERS", whole(1), 1000, "members that are in the target; users are mapped onto them"),
    Setting(
        "TEST_USER_EMAIL",
        text,
        "loadtest_user_{user}@wwmaa.com",
        "addresses of the members; {user} is a member's number, from 0",
    ),
    Setting("TEST_USER_PASSWORD", text, "test_password_123", "password of all members", secret=True),
    Setting(
        "MEMBERS_FILE",
        members_file,
        None,
        "CSV of the members, in place of MEMBERS and TEST_USER_EMAIL: the column email and, where they have their own, "
        "password",
    ),
)


def _vus(settings: Settings, rate_per_s: float, least: int = 1) -> dict[str, int]:
    """Users for a rate: a second for each iteration at first; when the server hangs, all that are due within ten."""
    prepared = settings["PREALLOCATED_VUS"] or max(least, math.ceil(rate_per_s))
    most = settings["MAX_VUS"] or math.ceil(10 * rate_per_s)
    return {"pre_allocated_vus": prepared, "max_vus": max(prepared, most)}


# Search

SEARCH_METRICS = (
    *HTTP_METRICS,
    trend("search_latency", "round trip of a search, without making the connection"),
    trend("semantic_search_latency", "round trip of searches for whole sentences"),
    trend("filtered_search_latency", "round trip of searches with one filter"),
    rate("search_errors", "searches without a proper answer, among all"),
    rate("search_relevance", "semantic searches whose results say how well they fit"),
)


def _search_rate(settings: Settings) -> ArrivalRate | None:
    wanted: float = settings["SEARCH_RATE"]
    if not wanted:
        return None
    return ConstantArrivalRate(
        rate=wanted,
        time_unit_s=MINUTE_S,
        duration_s=settings["TEST_DURATION"],
        **_vus(settings, wanted / MINUTE_S, least=min(100, math.ceil(wanted / 10))),
    )


def _of_search(settings: Settings) -> frozenset[str]:
    return frozenset() if settings["CONTRACT"] == "suite" else frozenset({"search_relevance"})


SEARCH = scenario(
    "search",
    "pika_locust.platforms.wwmaa.searcher:Searcher",
    about="A thousand searches a minute: simple, filtered, semantic, complex",
    arrivals=_search_rate,
    rate_settings=("SEARCH_RATE",),
    rate_unit="searches a minute",
    length_setting="TEST_DURATION",
    quick=QuickLoad("5s:20,20s:20,5s:0", {"TEST_DURATION": "30s"}),
    profiles=suite_load("2m:100,5m:100,2m:0"),
    metrics=SEARCH_METRICS,
    thresholds={
        "http_req_duration{name:search}": ("p(95)<1200", "p(99)<2000"),
        "search_latency": ("p(95)<1200", "p(99)<2000"),
        "semantic_search_latency": ("p(95)<1500", "p(99)<2500"),
        "filtered_search_latency": ("p(95)<800", "p(99)<1200"),
        "search_errors": "rate<0.001",
        "search_relevance": {"threshold": "rate>0.99", "about": "the script checks it, and judges nothing by it"},
        "http_req_failed": "rate<0.001",
        **_PHASES,
    },
    bands=(
        Band("search_latency", "p(95)", healthy="<1200", warning="<2000"),
        Band("search_errors", "rate", healthy="<0.001", warning="<0.01"),
        _ERRORS,
    ),
    unobservable=_of_search,
    settings=(
        _CONTRACT,
        Setting("SEARCH_RATE", number(), 1000.0, "searches a minute (open model); 0: the script's closed loop"),
        Setting("TEST_DURATION", duration, 300.0, "for how long, with SEARCH_RATE"),
        *_OPEN,
        Setting("SEARCH_PAUSE", number(0), 0.6, "seconds between two searches of a user, with SEARCH_RATE=0"),
        Setting("BYPASS_CACHE", share, 0.1, "server: share of searches that are to be worked out anew"),
    ),
    iteration="one for each search",
    **_COMMON,
)

# Registrations

RSVP_METRICS = (
    *HTTP_METRICS,
    trend("rsvp_latency", "round trip of a registration that was confirmed"),
    trend("event_view_latency", "round trip of looking at the event"),
    rate("rsvp_success", "registrations that were confirmed, or refused because the event is full"),
    rate("registration_held", "confirmed registrations that were there, once, when they were looked up"),
    counter("duplicate_bookings", "confirmations too many for one person"),
    rate("double_refused", "registrations of one person, also at the same moment, of which one was taken"),
    rate("capacity_enforced", "looks and answers that know no more registrations than places"),
    rate("payment_processing_success", "paid registrations whose payment was taken"),
)
_ADMIN = (
    Setting("TEST_ADMIN_EMAIL", text, None, "staff account that sees all registrations, to audit a real target"),
    Setting("TEST_ADMIN_PASSWORD", text, None, "password of TEST_ADMIN_EMAIL", secret=True),
)
RUSH = 0.5
"""Of all registrations, how many come in the first fifth of the time."""


def _rsvp_rate(settings: Settings) -> ArrivalRate:
    people, lasts_s = settings["REGISTRATIONS"], settings["TEST_DURATION"]
    rush_s = lasts_s / 5
    first, later = people * RUSH / rush_s, people * (1 - RUSH) / (lasts_s - rush_s)
    return RampingArrivalRate(
        start_rate=first,
        stages=(ArrivalStage(rush_s, first), ArrivalStage(0.0, later), ArrivalStage(lasts_s - rush_s, later)),
        **_vus(settings, first, least=50),
    )


def _check_rsvp(settings: Settings, planned_s: float | None) -> Iterator[str]:
    if bool(settings["TEST_ADMIN_EMAIL"]) != bool(settings["TEST_ADMIN_PASSWORD"]):
        yield "TEST_ADMIN_EMAIL and TEST_ADMIN_PASSWORD go together: audits log in with both"
    if settings["CONTRACT"] == "server":
        path, people = settings["MEMBERS_FILE"], settings["REGISTRATIONS"]
        members = len(read_members(path)) if path else settings["MEMBERS"]
        if people > members:
            yield (
                f"REGISTRATIONS={people:.10g} is more than the {members:,} members of "
                f"{'MEMBERS_FILE' if path else 'MEMBERS'}: with CONTRACT=server, each can register once"
            )


def _capacity(settings: Settings) -> tuple[Threshold, ...]:
    # The real server's members only see whether there are places: nothing to judge before the last one is taken.
    may_be_empty = settings["CONTRACT"] == "server"
    return (Threshold.of("capacity_enforced", {"threshold": "rate>0.99", "allow_empty": may_be_empty}),)


def _of_rsvp(settings: Settings) -> frozenset[str]:
    hidden = set() if settings["DOUBLES"] else {"double_refused"}
    if settings["CONTRACT"] == "server" or not settings["PAID"]:
        hidden.add("payment_processing_success")
    return frozenset(hidden)


RSVP = scenario(
    "rsvp",
    "pika_locust.platforms.wwmaa.registrant:Registrant",
    about="Five hundred people register for an event, half of them at once; there are places for fewer",
    arrivals=_rsvp_rate,
    rate_settings=("REGISTRATIONS",),
    rate_unit="people in a trial",
    length_setting="TEST_DURATION",
    quick=QuickLoad(settings={"REGISTRATIONS": "200", "TEST_DURATION": "30s"}),
    profiles={},
    default_profile=CONSTANT,
    metrics=RSVP_METRICS,
    thresholds={
        "rsvp_latency": ("p(95)<800", "p(99)<1500"),
        "event_view_latency": "p(95)<500",
        "http_req_duration{name:event}": "p(95)<500",
        "http_req_duration{name:rsvp}": ("p(95)<800", "p(99)<1500"),
        "rsvp_success": "rate>0.95",
        "registration_held": {"threshold": "rate==1", "about": "the script means to look, and never does"},
        "duplicate_bookings": "count==0",
        "double_refused": {"threshold": "rate==1", "about": "nobody is registered twice"},
        "payment_processing_success": "rate>0.98",
        "http_req_failed": "rate<0.05",
    },
    bands=(Band("rsvp_latency", "p(95)", healthy="<800", warning="<1500"), _ERRORS),
    setting_thresholds=_capacity,
    unobservable=_of_rsvp,
    ledgers=("registrations", "payments"),
    settings=(
        _CONTRACT,
        Setting("TEST_EVENT_ID", text, EVENT_ID, "the event"),
        Setting(
            "REGISTRATIONS",
            number(1),
            500.0,
            "people who register, at CONTRACT=server no more than members; the sandbox has places for 80 % of them",
        ),
        Setting("TEST_DURATION", duration, 600.0, "time of all registrations; half of them in its first fifth"),
        Setting("PAID", share, 0.3, "suite: share of people who pay"),
        Setting("DOUBLES", share, 0.1, "share of registrations sent twice at once, and of confirmed ones sent again"),
        Setting("RSVP_PAUSE", number(0), 0.5, "seconds between looking at the event and registering"),
        *_OPEN,
        *_MEMBERS,
        *_ADMIN,
    ),
    check_settings=_check_rsvp,
    audit="pika_locust.platforms.wwmaa.audits:audit_registrations",
    audits=("registrations", "capacity", "payments", "mails"),
    iteration="one for each person",
    **_COMMON,
)

# Webhooks

WEBHOOKS_METRICS = (
    *HTTP_METRICS,
    trend("webhook_processing_latency", "round trip of a webhook that was taken, without making the connection"),
    rate("webhook_processing_success", "new webhooks that were taken and processed"),
    counter("webhook_duplicates", "new webhooks that were taken for ones seen before"),
    rate("webhook_signature_valid", "good signatures that were taken for such"),
    rate("redelivery_ignored", "deliveries of an event that was there before, answered as they should be"),
    rate("forged_refused", "webhooks with a forged or stale signature that were refused"),
)


def _webhook_rate(settings: Settings) -> ArrivalRate:
    wanted: float = settings["WEBHOOK_RATE"]
    return ConstantArrivalRate(
        rate=wanted,
        duration_s=settings["TEST_DURATION"],
        # Two seconds' worth: webhooks come at once, so that a server that pauses holds all that are due meanwhile.
        **_vus(settings, wanted, least=math.ceil(2 * wanted)),
    )


def _of_webhooks(settings: Settings) -> frozenset[str]:
    return frozenset() if settings["REDELIVERY"] else frozenset({"redelivery_ignored", "forged_refused"})


WEBHOOKS = scenario(
    "webhooks",
    "pika_locust.platforms.wwmaa.webhook_sender:WebhookSender",
    about="A hundred webhooks a second, some delivered again or forged; each is processed once",
    secrets_needed=lambda settings: ("STRIPE_WEBHOOK_SECRET",),
    arrivals=_webhook_rate,
    rate_settings=("WEBHOOK_RATE",),
    length_setting="TEST_DURATION",
    quick=QuickLoad(settings={"WEBHOOK_RATE": "50", "TEST_DURATION": "30s"}),
    profiles={},
    default_profile=CONSTANT,
    metrics=WEBHOOKS_METRICS,
    thresholds={
        "webhook_processing_latency": _as_tagged("endpoint:webhook,status:200", "p(95)<500", "p(99)<1000"),
        "http_req_duration{name:webhook}": ("p(95)<500", "p(99)<1000"),
        "webhook_processing_success": "rate>0.99",
        "webhook_duplicates": "count<10",
        "webhook_signature_valid": "rate>0.999",
        "redelivery_ignored": "rate==1",
        "forged_refused": "rate==1",
        "http_req_failed": "rate<0.01",
    },
    bands=(Band("webhook_processing_latency", "p(95)", healthy="<500", warning="<1000"), _ERRORS),
    unobservable=_of_webhooks,
    ledgers=("webhooks",),
    settings=(
        _CONTRACT,
        Setting("STRIPE_WEBHOOK_SECRET", text, "whsec_test_secret", "signs the webhooks", secret=True),
        Setting("WEBHOOK_RATE", number(0.1), 100.0, "webhooks a second"),
        Setting("TEST_DURATION", duration, 300.0, "for how long"),
        Setting("TEST_MEMBERSHIP_TIER_ID", text, TIER_ID, "the membership that payments are for"),
        Setting("REDELIVERY", share, 0.05, "share of webhooks that are delivered again, also at once, and forged"),
        *_OPEN,
    ),
    audit="pika_locust.platforms.wwmaa.audits:audit_webhooks",
    audits=("webhooks",),
    iteration="one for each webhook",
    **_COMMON,
)

# Training sessions

RTC_METRICS = (
    *HTTP_METRICS,
    *WEBSOCKET_METRICS,
    *CLOCK_METRICS,
    trend("session_join_latency", "round trip of joining the session"),
    trend("chat_message_latency", "from the send of a chat message to its receipt, at each who hears it"),
    rate("message_delivery_success", "chat messages that reached somebody who was there, among all that were owed"),
    counter("message_duplicates", "chat messages that somebody got a second time"),
    rate("chat_in_order", "chat messages that came behind all earlier ones of the same sender"),
    rate("ws_connection_drops", "connections that were lost, among all"),
    rate("video_health_check_success", "tokens for video that came, and looks at its health that said it is well"),
)


def _no_media(settings: Settings, plan: LoadPlan) -> Iterator[str]:
    yield "no video flows: its health is what the server says of it"


RTC = scenario(
    "rtc",
    "pika_locust.platforms.wwmaa.participant:Participant",
    about="Fifty people in a training session, who chat; every message is owed to each of them, once",
    profiles=suite_load("1m:50,10m:50,1m:0"),
    quick=QuickLoad("5s:20,25s:20,5s:0", {"CHAT_EVERY": "1", "SESSION_LENGTH": "30s"}),
    metrics=RTC_METRICS,
    thresholds={
        "ws_connection_success": "rate>0.99",
        "ws_connection_drops": "rate<0.01",
        "message_delivery_success": {"threshold": "rate==1", "about": "the suite's is 0.99, of what it never counts"},
        "message_duplicates": "count==0",
        "chat_in_order": "rate==1",
        "chat_message_latency": ("p(95)<500", "p(99)<1000"),
        "video_health_check_success": "rate>0.95",
        "session_join_latency": ("p(95)<2000", "p(99)<3000"),
        "http_req_duration{name:join}": "p(95)<2000",
        "http_req_duration{name:video-token}": "p(95)<1000",
        "http_req_failed": "rate<0.01",
    },
    bands=(Band("ws_connection_drops", "rate", healthy="<0.01", warning="<0.05"), _ERRORS),
    settings=(
        Setting("CONTRACT", one_of("suite"), "suite", "the backend has no such sessions"),
        Setting("TEST_SESSION_ID", text, "test_session_001", "the session that everybody joins"),
        Setting(
            "WS_URL", url("ws", "wss"), None, "the WebSockets, where they are not below the API's host: ws://host/ws"
        ),
        Setting("SESSION_LENGTH", duration, 600.0, "how long somebody stays"),
        Setting("CHAT_EVERY", number(0.05), 12.0, "seconds between two messages of one participant"),
    ),
    other_targets=("WS_URL",),
    iteration="one for each stay in the session",
    notes=_no_media,
    **_COMMON,
)

# API

_API_SUCCESS = rate("api_success", "measured calls of the API that were answered as they should be")
API_METRICS = (
    *HTTP_METRICS,
    trend("api_latency", "round trip of all measured calls"),
    trend("auth_latency", "round trip of calls for logins, identity and refreshed tokens"),
    trend("events_api_latency", "round trip of calls for events"),
    trend("subscriptions_api_latency", "round trip of calls for subscriptions"),
    _API_SUCCESS,
    rate("reuse_refused", "refresh tokens that were used before, and were refused"),
)


def api_rates(settings: Settings) -> tuple[float, float, float]:
    """Visits a second of members, of people who look at events, and of subscribers."""
    return settings["AUTH_RATE"], settings["EVENTS_RATE"], settings["SUBSCRIPTIONS_RATE"]


def _api_rate(settings: Settings) -> ArrivalRate:
    rates = api_rates(settings)
    # As the suite's should have been: its own maximum of users cannot carry its rates. All are there from the
    # beginning, as half of them are pausing between two calls at any time.
    most = max(10, math.ceil(4 * rates[0] + 2.5 * rates[1] + 3 * rates[2]))
    most = settings["MAX_VUS"] or most
    prepared = settings["PREALLOCATED_VUS"] or most
    return ConstantArrivalRate(
        rate=sum(rates),
        duration_s=settings["TEST_DURATION"],
        pre_allocated_vus=prepared,
        max_vus=max(prepared, most),
    )


def _of_api(settings: Settings) -> frozenset[str]:
    auth, events, subscriptions = api_rates(settings)
    hidden = set() if events else {"events_api_latency"}
    hidden |= set() if subscriptions else {"subscriptions_api_latency"}
    hidden |= set() if auth else {"auth_latency"}
    return frozenset(hidden if auth and settings["REUSE"] else {*hidden, "reuse_refused"})


API = scenario(
    "api",
    "pika_locust.platforms.wwmaa.api_user:ApiUser",
    about="Members log in and refresh, people look at events, subscribers at their plans, side by side",
    arrivals=_api_rate,
    rate_settings=("AUTH_RATE", "EVENTS_RATE", "SUBSCRIPTIONS_RATE"),
    length_setting="TEST_DURATION",
    quick=QuickLoad(
        settings={"AUTH_RATE": "10", "EVENTS_RATE": "20", "SUBSCRIPTIONS_RATE": "5", "TEST_DURATION": "25s"}
    ),
    profiles={},
    default_profile=CONSTANT,
    metrics=API_METRICS,
    thresholds={
        "api_latency": _FAST,
        "auth_latency": _as_tagged("endpoint:auth", *_FAST),
        "events_api_latency": _as_tagged("endpoint:events", *_FAST),
        "subscriptions_api_latency": _as_tagged("endpoint:subscriptions", *_FAST),
        "api_success": "rate>0.99",
        "reuse_refused": "rate==1",
        "http_req_failed": "rate<0.01",
    },
    bands=(Band("api_latency", "p(95)", healthy="<300", warning="<500"), _ERRORS),
    unobservable=_of_api,
    settings=(
        _CONTRACT,
        Setting("AUTH_RATE", number(0), 100.0, "a second: log in, ask who one is, refresh"),
        Setting("EVENTS_RATE", number(0), 200.0, "a second: list events, look at one, search"),
        Setting("SUBSCRIPTIONS_RATE", number(0), 50.0, "a second: log in, look at plans and one's own"),
        Setting("TEST_MEMBERSHIP_TIER_ID", text, TIER_ID, "server: the membership that subscribers look at"),
        Setting("TEST_DURATION", duration, 300.0, "for how long; all from the beginning"),
        Setting(
            "API_PAUSE",
            number(0),
            1.0,
            "seconds between calls; half of it for events and subscriptions",
        ),
        Setting("REUSE", share, 0.05, "share of refresh tokens that are used again, to be refused"),
        *_OPEN,
        *_MEMBERS,
    ),
    iteration="one for each visit",
    **_COMMON,
)

# Pages

PAGES_METRICS = (
    *HTTP_METRICS,
    trend("page_load_time", "a page and its three assets, one after another; nothing is rendered"),
    trend("html_time", "the page itself, which the suite takes for the largest contentful paint"),
    trend("api_response_time", "what pages ask the API for"),
    _API_SUCCESS,
    rate("auth_success", "logins, one for each visitor who logs in"),
    rate("page_load_success", "pages that came, as HTML"),
    counter("server_errors", "pages that were answered by a 5xx"),
)


_BROWSERS = ("pika_locust.platforms.wwmaa.page_visitor:PageBrowser",)


def _browsers(settings: Settings, users: int) -> tuple[str, ...]:
    """All browser users are one actor's: there is one Chromium in the whole test."""
    return _BROWSERS if settings["BROWSER_USERS"] else ()


def _browser_thresholds(settings: Settings) -> tuple[Threshold, ...]:
    if not settings["BROWSER_USERS"]:
        return ()
    return (
        Threshold.of("browser_web_vital_lcp", "p(95)<2500"),
        Threshold.of("browser_page_success", {"threshold": "rate>0.999", "about": "browsers load and paint pages"}),
    )


def _of_pages(settings: Settings) -> frozenset[str]:
    return frozenset() if settings["MEMBER_SHARE"] else frozenset({"auth_success", "http_req_duration{name:dashboard}"})


def _check_pages(settings: Settings, planned_s: float | None) -> Iterator[str]:
    yield from browser_problems(settings)
    pages, api = settings["BASE_URL"], settings["API_URL"]
    if pages and api and api_base(pages) != api_base(api):
        # Verity reads BASE_URL, too: beside an API that is named for this platform, it is meant for that one.
        named_for_us = not settings.sources["API_URL"].startswith("API_URL")
        if settings.sources["BASE_URL"].startswith("BASE_URL") and named_for_us:
            return
        yield (
            "BASE_URL and API_URL are two servers: here, pages and what they ask the API for come from one; "
            "WWMAA_API_URL names it where others have names of their own"
        )


PAGES = scenario(
    "pages",
    "pika_locust.platforms.wwmaa.page_visitor:PageVisitor",
    about="Ten thousand visitors look at pages, three in ten of them as members",
    profiles=suite_load("3m:1000,2m:5000,2m:10000,5m:10000,3m:0"),
    quick=QuickLoad("10s:60,30s:60,5s:0", {"THINK_TIME_MIN": "1", "THINK_TIME_MAX": "3"}),
    supporters=_browsers,
    optional_supporters=_BROWSERS,
    metrics=(*PAGES_METRICS, *BROWSER_METRICS),
    thresholds={
        "page_load_time": "p(95)<2500",
        "html_time": "p(95)<2500",
        "api_response_time": _as_tagged("type:api", *_FAST),
        "server_errors": "count==0",
        "http_req_duration{name:homepage}": "p(95)<2000",
        "http_req_duration{name:events}": "p(95)<2500",
        "http_req_duration{name:instructors}": "p(95)<2000",
        "http_req_duration{name:search}": "p(95)<2500",
        "http_req_duration{name:dashboard}": "p(95)<2500",
        "http_req_duration{name:api-search}": "p(95)<1200",
        "page_load_success": "rate>0.999",
        "api_success": {"threshold": "rate>0.999", "about": "the script checks it, and judges nothing by it"},
        "auth_success": "rate>0.99",
        "http_req_failed": "rate<0.001",
    },
    bands=(
        Band("page_load_time", "p(95)", healthy="<2500", warning="<4000"),
        Band("api_response_time", "p(95)", healthy="<300", warning="<500"),
        _ERRORS,
    ),
    setting_thresholds=_browser_thresholds,
    unobservable=_of_pages,
    check_settings=_check_pages,
    target_settings=("API_URL", "BASE_URL"),
    settings=(
        Setting("BASE_URL", url("http", "https"), None, "the pages, such as http://127.0.0.1:8000; or name the API"),
        Setting("CONTRACT", one_of("suite"), "suite", "the backend serves no pages"),
        Setting("THINK_TIME_MIN", number(0), 5.0, "shortest look at a page, in seconds"),
        Setting("THINK_TIME_MAX", number(0), 10.0, "longest look, in seconds"),
        Setting("MEMBER_SHARE", share, 0.3, "share of visitors who log in, once"),
        *BROWSER_SETTINGS,
        *_MEMBERS,
    ),
    iteration="one for each page",
    **{**_COMMON, "think": True},
)

SCENARIOS = (SEARCH, RSVP, WEBHOOKS, RTC, API, PAGES)

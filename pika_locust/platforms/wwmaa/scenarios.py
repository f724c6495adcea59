"""WWMAA's suite as data: load, metrics, thresholds, settings, audits."""

from __future__ import annotations

import math
from typing import Any

from pika_locust.judge import Band, ThresholdSpecs
from pika_locust.kit.scenarios import scenario
from pika_locust.kit.targets import http_url
from pika_locust.load.arrivals import ArrivalRate, ConstantArrivalRate
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import rate, trend
from pika_locust.metrics.builtin import HTTP_METRICS
from pika_locust.settings import Setting, Settings, duration, number, one_of, share, text, url, whole

MINUTE_S = 60.0
EVENT_ID = "evt_load_test_001"
_PHASES: ThresholdSpecs = {
    "http_req_connecting": {"threshold": "p(95)<100", "allow_empty": True},
    "http_req_tls_handshaking": {"threshold": "p(95)<200", "allow_empty": True},
    "http_req_sending": "p(95)<10",
    "http_req_waiting": "p(95)<1000",
    "http_req_receiving": "p(95)<100",
}


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
_OPEN = (
    Setting("PREALLOCATED_VUS", whole(1), None, "users prepared; default: what the rate needs"),
    Setting("MAX_VUS", whole(1), None, "users at most; default: what is due within ten seconds"),
    Setting("ARRIVALS", one_of("uniform", "poisson"), "uniform", "evenly spaced, or at random"),
)
_MEMBERS = (
    Setting("MEMBERS", whole(1), 1000, "members that are in the target; users are mapped onto them"),
    Setting("TEST_USER_EMAIL", text, "loadtest_user_{user}@wwmaa.com", "their addresses; {user} is the number from 0"),
    Setting("TEST_USER_PASSWORD", text, "test_password_123", "the password of all of them", secret=True),
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
    trend("semantic_search_latency", "the same of whole sentences"),
    trend("filtered_search_latency", "the same of queries with one filter"),
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
    length_setting="TEST_DURATION",
    profiles={"suite": LoadProfile("suite", parse_stages("2m:100,5m:100,2m:0"), about="the script's own load")},
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
    ),
    unobservable=_of_search,
    settings=(
        _CONTRACT,
        Setting("SEARCH_RATE", number(), 1000.0, "searches a minute (open model); 0: as fast as users come round"),
        Setting("TEST_DURATION", duration, 300.0, "for how long, with SEARCH_RATE"),
        *_OPEN,
        Setting("SEARCH_PAUSE", number(0), 0.6, "seconds between two searches of a user, with SEARCH_RATE=0"),
        Setting("BYPASS_CACHE", share, 0.1, "server: share of searches that are to be worked out anew"),
    ),
    iteration="one for each search",
    **_COMMON,
)

SCENARIOS = (SEARCH,)

"""Verity's suites as data: load, thresholds, settings, audits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pika_locust.judge import Threshold
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import Stage, parse_stages
from pika_locust.measure import rate, trend
from pika_locust.platforms.verity.audits import audit_tokens
from pika_locust.platforms.verity.target import base_url
from pika_locust.runtime.http_meter import HTTP_METRICS
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, number, on_unless_0, text, url, whole

_COMMON = (
    Setting("BASE_URL", url("http", "https"), None, "the target, such as http://127.0.0.1:3000"),
    Setting("STRIPE_WEBHOOK_SECRET", text, None, "signs the webhooks that credit tokens", secret=True),
    Setting("SOURCE_ADDRESSES", text, None, "send from these addresses, one a user: the server throttles per address"),
)

_QUEUE_SETTINGS = (
    *_COMMON,
    Setting("TARGET_VUS", whole(1), None, "users at the peak of the suite's profile (10,000)"),
    Setting("QUEUE_REGION", text, "australiaCentral", "where to queue"),
    Setting("QUEUE_MODE", text, "isolated", "isolated: a queue for each visit; shared: one for all, who are matched"),
    Setting("SEED_TOKENS", on_unless_0, True, "0: users get no tokens"),
    Setting("TOKENS_PER_USER", whole(1), 2, "tokens of a new user"),
    Setting("THINK_TIME_MIN", number(0), 0.5, "shortest pause, in seconds"),
    Setting("THINK_TIME_MAX", number(0), 2.0, "longest pause, in seconds"),
)

_SUITE = "suite"
_PROFILES = (
    ("standard", "2m:100,8m:100,1m:0"),
    ("big", "5m:300,15m:300,2m:0"),
    ("stress", "5m:500,10m:500,2m:0"),
    ("spike", "1m:100,30s:100,1m:0"),
)


def _profiles(suite: Sequence[Stage]) -> dict[str, LoadProfile]:
    """The suite's own load, then the ones that every scenario has."""
    profiles = {_SUITE: LoadProfile(_SUITE, tuple(suite), about="the suite's own load")}
    return profiles | {name: LoadProfile(name, parse_stages(stages)) for name, stages in _PROFILES}


def _secrets_needed(settings: Settings) -> Sequence[str]:
    return ("STRIPE_WEBHOOK_SECRET",) if settings["SEED_TOKENS"] else ()


def _check(settings: Settings, planned_s: float | None) -> Iterable[str]:
    if settings["THINK_TIME_MAX"] < settings["THINK_TIME_MIN"]:
        yield (
            f"THINK_TIME_MAX={settings['THINK_TIME_MAX']:g} is below THINK_TIME_MIN={settings['THINK_TIME_MIN']:g}; "
            "the suite would pause for the minimum"
        )


_SUITE_THRESHOLDS = (
    Threshold.of("http_req_duration", "p(95)<100"),
    Threshold.of("http_req_failed", "rate<0.001"),
    Threshold.of("error_rate", "rate<0.001"),
    Threshold.of("http_rate_limited", {"threshold": "count==0", "about": "nobody was told to slow down (429)"}),
)

QUEUE = Scenario(
    name="queue",
    platform="verity",
    about="Thousands of users join and leave the matchmaking queue over HTTP",
    primary="pika_locust.platforms.verity.queue_user:QueueUser",
    normalise_target=base_url,
    target_settings=("BASE_URL",),
    secrets_needed=_secrets_needed,
    users_setting="TARGET_VUS",
    profiles=_profiles(parse_stages("10m:10000,2m:0")),
    default_profile=_SUITE,
    metrics=(
        *HTTP_METRICS,
        trend("queue_join_latency", "round trip of joining the queue, without making the connection"),
        rate("error_rate", "checked calls that failed their check"),
    ),
    thresholds=(Threshold.of("queue_join_latency", "p(95)<3000"), *_SUITE_THRESHOLDS),
    settings=_QUEUE_SETTINGS,
    check_settings=_check,
    audit=audit_tokens,
    iteration="as many as the think times allow",
    speeds={"req": "http_reqs"},
)

SCENARIOS = (QUEUE,)

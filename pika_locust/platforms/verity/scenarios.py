"""Verity's suites as data: load, thresholds, settings, audits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pika_locust.load.arrivals import ArrivalRate, ArrivalStage, RampingArrivalRate
from pika_locust.load.plan import CONSTANT, LoadProfile
from pika_locust.load.stages import Stage, parse_stages
from pika_locust.measure import gauge, rate, trend
from pika_locust.observe.queries import PROMETHEUS_SETTINGS
from pika_locust.platforms import Deferred
from pika_locust.platforms.verity import limits
from pika_locust.platforms.verity.habits import FINISH_GRACE_S
from pika_locust.platforms.verity.keys import queue_notes, session_notes
from pika_locust.platforms.verity.target import base_url
from pika_locust.runtime.http_metrics import HTTP_METRICS
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, duration, number, on_unless_0, one_of, share, text, url, whole
from pika_locust.wire.http_addresses import SourceAddresses


def _addresses(value: str) -> str:
    """A pool of source addresses, as its text."""
    SourceAddresses(value)
    return value


_COMMON = (
    Setting("BASE_URL", url("http", "https"), None, "the target, such as http://127.0.0.1:3000"),
    Setting("STRIPE_WEBHOOK_SECRET", text, None, "signs the webhooks that credit tokens", secret=True),
    Setting(
        "SOURCE_ADDRESSES", _addresses, None, "send from these addresses, one a user: the server throttles per address"
    ),
    *PROMETHEUS_SETTINGS,
)

_QUEUE_SETTINGS = (
    *_COMMON,
    Setting("TARGET_VUS", whole(1), None, "users at the peak of the suite's profile (10,000)"),
    Setting("QUEUE_REGION", text, "australiaCentral", "where to queue"),
    Setting("QUEUE_MODE", text, "isolated", "isolated: a queue for each visit; shared: one for all, who are matched"),
    Setting("SEED_TOKENS", on_unless_0, True, "0: users get no tokens"),
    Setting("TOKENS_PER_USER", whole(1), 2, "tokens of a new user"),
    Setting("CONTRACT", one_of("server", "suite"), "server", "suite: users who are matched do not buy tokens again"),
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
    thresholds=limits.QUEUE,
    profile_thresholds=limits.MEMORY,
    settings=_QUEUE_SETTINGS,
    check_settings=_check,
    audit=Deferred("pika_locust.platforms.verity.audits:audit_tokens"),
    audits=("tokens",),
    iteration="one for each user at least: as many as the think times allow",
    notes=queue_notes,
    speeds={"req": "http_reqs"},
)

_TOKENS_SETTINGS = (
    *_COMMON,
    Setting("SEED_USER_COUNT", whole(1), 100, "members that are made before the load, and paid for"),
    Setting("TOKENS_PER_EVENT", whole(1), 5, "tokens of one checkout"),
    Setting("BASE_RATE", number(0), 20.0, "webhooks a second before and after the spike"),
    Setting("SPIKE_RATE", number(0), 400.0, "webhooks a second in the spike"),
    Setting("SPIKE_HOLD", duration, 120.0, "length of the spike"),
    Setting("PREALLOCATED_VUS", whole(1), None, "users prepared; default twice the spike's rate, at most 5,000"),
    Setting("MAX_VUS", whole(1), None, "users at most; default three times the spike's rate, at most 10,000"),
    Setting("ARRIVALS", one_of("uniform", "poisson"), "uniform", "evenly spaced, or at random"),
    Setting("REDELIVERY", share, 0.0, "share of checkouts that are delivered again, at once, and forged"),
    Setting("THINK_TIME_MIN", number(0), 0.05, "shortest pause, in seconds; it only keeps a user busy"),
    Setting("THINK_TIME_MAX", number(0), 0.2, "longest pause, in seconds"),
)
_AFTERWARDS_S = 60.0
"""The suite's last stage, down to nothing: it has no setting."""


def _webhook_rate(settings: Settings) -> ArrivalRate:
    base, spike = settings["BASE_RATE"], settings["SPIKE_RATE"]
    up, down = settings["RAMP_UP"], settings["RAMP_DOWN"]
    prepared = settings["PREALLOCATED_VUS"] or max(1, min(round(2 * spike), 5000))
    return RampingArrivalRate(
        start_rate=base,
        stages=(
            ArrivalStage(60.0 if up is None else up, spike),
            ArrivalStage(settings["SPIKE_HOLD"], spike),
            ArrivalStage(60.0 if down is None else down, base),
            ArrivalStage(_AFTERWARDS_S, 0.0),
        ),
        pre_allocated_vus=prepared,
        max_vus=max(prepared, settings["MAX_VUS"] or min(round(3 * spike), 10_000)),
    )


def _negatives(settings: Settings) -> frozenset[str]:
    return frozenset() if settings["REDELIVERY"] else frozenset({"forged_refused", "redelivery_ignored"})


TOKENS = Scenario(
    name="tokens",
    platform="verity",
    about="Payment webhooks arrive in a spike; each must be credited exactly once",
    primary="pika_locust.platforms.verity.buyer:Buyer",
    normalise_target=base_url,
    target_settings=("BASE_URL",),
    secrets_needed=lambda settings: ("STRIPE_WEBHOOK_SECRET",),
    arrivals=_webhook_rate,
    default_profile=CONSTANT,
    metrics=(
        *HTTP_METRICS,
        trend("stripe_webhook_latency", "round trip of a webhook, without making the connection"),
        rate("error_rate", "checked calls that failed their check"),
        rate("redelivery_ignored", "deliveries of an event that was there before, answered as they should be"),
        rate("forged_refused", "webhooks with a forged or stale signature that were refused"),
    ),
    thresholds=(*limits.TOKENS, limits.memory(1024)),
    unobservable=_negatives,
    settings=_TOKENS_SETTINGS,
    check_settings=_check,
    set_up=Deferred("pika_locust.platforms.verity.setup:seed_users"),
    audit=Deferred("pika_locust.platforms.verity.audits:audit_webhooks"),
    audits=("webhooks",),
    iteration="one for each webhook that is due",
    speeds={"req": "http_reqs"},
)

_SESSIONS_SETTINGS = (
    *_COMMON,
    Setting("SESSION_VUS", whole(1), None, "users at the peak of the suite's profile (2,000)"),
    Setting("SESSION_HOLD_SECONDS", number(0), 45.0, "length of a session; the embedded sandbox's, too"),
    Setting("QUEUE_REGION", text, "australiaCentral", "where to queue"),
    Setting("QUEUE_MODE", text, "shared", "shared: users meet; isolated: a queue for each visit, nobody meets"),
    Setting("QUEUE_KEYS", whole(1), None, "queues the users are spread over; the suite's is 1, where 20 pairs/s meet"),
    Setting("SEED_TOKENS", on_unless_0, True, "0: users get no tokens"),
    Setting("TOKENS_PER_USER", whole(1), 5, "tokens of a new user"),
    Setting("AUTO_TOP_UP", on_unless_0, True, "0: users do not buy more tokens"),
    Setting("TOP_UP_TOKENS", whole(1), 5, "tokens of a top-up"),
    Setting("BALANCE_CHECK_EVERY", whole(1), 3, "visits between looks at the balance"),
    Setting("CONTRACT", one_of("server", "suite"), "server", "suite: its own approximation, without sockets"),
    Setting("THINK_TIME_MIN", number(0), 0.5, "shortest pause, in seconds"),
    Setting("THINK_TIME_MAX", number(0), 1.5, "longest pause, in seconds"),
)


def _without_sockets(settings: Settings) -> frozenset[str]:
    if settings["CONTRACT"] == "server":
        return frozenset()
    return frozenset({"match_time", "match_rate", "session_start_lag", "session_length"})


def _until_the_session_ends(settings: Settings) -> float:
    """The suite's users leave at once when they are told to finish; whoever listens stays for the session's end."""
    return settings["SESSION_HOLD_SECONDS"] + FINISH_GRACE_S if settings["CONTRACT"] == "server" else 0.0


def _sessions_secrets(settings: Settings) -> Sequence[str]:
    return ("STRIPE_WEBHOOK_SECRET",) if settings["SEED_TOKENS"] or settings["AUTO_TOP_UP"] else ()


SESSIONS = Scenario(
    name="sessions",
    platform="verity",
    about="Members are matched and talk in video sessions, listening on Socket.IO",
    primary="pika_locust.platforms.verity.session_user:SessionUser",
    normalise_target=base_url,
    target_settings=("BASE_URL",),
    secrets_needed=_sessions_secrets,
    users_setting="SESSION_VUS",
    profiles=_profiles(parse_stages("5m:2000,10m:2000,2m:0")),
    default_profile=_SUITE,
    metrics=(
        *HTTP_METRICS,
        trend("queue_join_latency", "round trip of joining the queue, without making the connection"),
        trend("match_time", "from joining to the match"),
        rate("match_rate", "visits that came to a match"),
        trend("session_start_lag", "from the match to session:start"),
        trend("session_length", "from session:start to session:end"),
        trend("choice_latency", "round trip of the choice after a session"),
        gauge("users_in_session", "users who are in a session now"),
        rate("error_rate", "checked calls that failed their check, and sockets that were lost"),
    ),
    thresholds=limits.SESSIONS,
    profile_thresholds=limits.MEMORY,
    setting_thresholds=limits.session_length,
    unobservable=_without_sockets,
    settings=_SESSIONS_SETTINGS,
    check_settings=_check,
    audit=Deferred("pika_locust.platforms.verity.audits:audit_sessions"),
    audits=("tokens", "sessions"),
    iteration="one for each user at least: as many as sessions allow",
    notes=session_notes,
    finish_s=_until_the_session_ends,
    speeds={"req": "http_reqs"},
)

SCENARIOS = (QUEUE, SESSIONS, TOKENS)

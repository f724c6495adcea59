"""Verity's suites as data: load, thresholds, settings, audits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pika_locust.judge import Threshold
from pika_locust.judge.thresholds import ThresholdSpec
from pika_locust.kit.scenarios import arrival_settings, fanout_thresholds, memory_below, scenario, suite_load
from pika_locust.load.arrivals import ArrivalRate, ArrivalStage, RampingArrivalRate
from pika_locust.load.plan import CONSTANT
from pika_locust.metrics import gauge, rate, trend
from pika_locust.metrics.builtin import FANOUT_METRICS, HTTP_METRICS, PROTOCOL_METRICS
from pika_locust.observe.prometheus_settings import PROMETHEUS_SETTINGS
from pika_locust.platforms.verity.limits import queue_notes, session_notes, token_notes
from pika_locust.scenario import Deferred, QuickLoad
from pika_locust.settings import Setting, Settings, duration, number, on_unless_0, one_of, share, text, whole

PAUSE_S = 1.0
"""After something that did not work, before the next try. The suites try again at once, which hammers a server that is
already in trouble."""
START_WAIT_S = 10.0
"""From the match to session:start, and for the namespaces of a socket to be opened."""
END_GRACE_S = 15.0
"""Beyond the length of a session, for its end."""
MATCH_CHANCE = 0.5
"""How many choose to see each other again: the suite has no choices; this is a plausible share."""
FINISH_GRACE_S = END_GRACE_S + 5.0
"""Beyond the length of a session, for a user who was matched when told to finish: it waits for the end, and chooses."""

EARLY_S, LATE_S = 0.5, 1.0
"""How far the announced length of a session may be off: the real server's timer keeps to milliseconds, the rest is what
a stretch of network or a busy machine may add to one of the two announcements."""

SUITE: dict[str, ThresholdSpec] = {
    "http_req_duration": "p(95)<100",
    "http_req_failed": "rate<0.001",
    "error_rate": "rate<0.001",
    "http_rate_limited": {"threshold": "count==0", "about": "nobody was told to slow down (429)"},
}
"""What the suites ask of every scenario, and that nobody was throttled."""

QUEUE_THRESHOLDS: dict[str, ThresholdSpec] = {"queue_join_latency": "p(95)<3000", **SUITE}

EVENTS = ("match", "session_start", "session_end", "outcome", "queue_status")
"""What users are told over Socket.IO because of what they did."""

SESSIONS_THRESHOLDS: dict[str, ThresholdSpec] = {
    "queue_join_latency": "p(95)<3000",
    "match_time": {"threshold": "p(95)<3000", "about": "joining to match"},
    "match_rate": {"threshold": "rate>0.95", "about": "whoever waits for a match is matched in the end"},
    "session_start_lag": {"threshold": "p(95)<1000", "about": "match to session:start"},
    **SUITE,
    **fanout_thresholds([kind for kind in EVENTS if kind != "queue_status"], EVENTS),
    # A server that pops somebody who waits alone, to put them back, may miss them in that moment.
    "fanout_delivery{kind:queue_status}": {
        "threshold": "rate>0.9",
        "allow_empty": True,
        "about": "whoever queues is told how many are searching",
    },
}

TOKENS_THRESHOLDS: dict[str, ThresholdSpec] = {
    **SUITE,
    "forged_refused": {"threshold": "rate==1", "about": "forged and stale signatures are refused: 400, 401, 403"},
    "redelivery_ignored": {"threshold": "rate==1", "about": "a repeated event is acknowledged"},
    "target_memory_mb": memory_below(1024),
}

MEMORY = {
    profile: (Threshold.of("target_memory_mb", memory_below(most_mb)),)
    for profile, most_mb in (("suite", 1024), ("standard", 512), ("big", 1024), ("stress", 1024), ("spike", 512))
}
"""By load profile. No suite has such a limit, but nothing else would see a leak."""


def session_length(settings: Settings) -> tuple[Threshold, ...]:
    """Sessions last as long as SESSION_HOLD_SECONDS says that they do."""
    expected_s = settings["SESSION_HOLD_SECONDS"]
    least_s, most_s = max(expected_s / 2, expected_s - EARLY_S), expected_s + LATE_S
    limits = {
        f"p(5)>={round(least_s * 1000)}": f"sessions last their {expected_s:g} s",
        f"p(95)<={round(most_s * 1000)}": "and their end is announced in time",
    }
    return tuple(
        Threshold.of("session_length", {"threshold": limit, "about": about}) for limit, about in limits.items()
    )


_COMMON = (
    Setting("STRIPE_WEBHOOK_SECRET", text, None, "signs the webhooks that credit tokens", secret=True),
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
)

_PROFILES = {
    "standard": "2m:100,8m:100,1m:0",
    "big": "5m:300,15m:300,2m:0",
    "stress": "5m:500,10m:500,2m:0",
    "spike": "1m:100,30s:100,1m:0",
}


def _secrets_needed(settings: Settings) -> Sequence[str]:
    return ("STRIPE_WEBHOOK_SECRET",) if settings["SEED_TOKENS"] else ()


def _check(settings: Settings, planned_s: float | None) -> Iterable[str]:
    if settings["THINK_TIME_MAX"] < settings["THINK_TIME_MIN"]:
        yield (
            f"THINK_TIME_MAX={settings['THINK_TIME_MAX']:g} is below THINK_TIME_MIN={settings['THINK_TIME_MIN']:g}; "
            "the suite would pause for the minimum"
        )


_JOIN_LATENCY = trend("queue_join_latency", "round trip of joining the queue, without making the connection")

QUEUE_METRICS = (*HTTP_METRICS, _JOIN_LATENCY, rate("error_rate", "checked calls that failed their check"))

QUEUE = scenario(
    "queue",
    "pika_locust.platforms.verity.queue_user:QueueUser",
    platform="verity",
    about="Thousands of users join and leave the matchmaking queue over HTTP",
    secrets_needed=_secrets_needed,
    users_setting="TARGET_VUS",
    profiles=suite_load("10m:10000,2m:0", **_PROFILES),
    quick=QuickLoad("10s:60,25s:60,5s:0"),
    loss="http_req_failed",
    metrics=QUEUE_METRICS,
    thresholds=QUEUE_THRESHOLDS,
    profile_thresholds=MEMORY,
    settings=_QUEUE_SETTINGS,
    check_settings=_check,
    audit="pika_locust.platforms.verity.audits:audit_tokens",
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
    Setting("COOL_DOWN", duration, 60.0, "length of the last stage, from BASE_RATE down to nothing"),
    *arrival_settings("twice the spike's rate, at most 5,000", "three times the spike's rate, at most 10,000"),
    Setting("REDELIVERY", share, 0.0, "share of checkouts that are delivered again, at once, and forged"),
    Setting("THINK_TIME_MIN", number(0), 0.05, "shortest pause, in seconds; it only keeps a user busy"),
    Setting("THINK_TIME_MAX", number(0), 0.2, "longest pause, in seconds"),
)


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
            ArrivalStage(settings["COOL_DOWN"], 0.0),
        ),
        pre_allocated_vus=prepared,
        max_vus=max(prepared, settings["MAX_VUS"] or min(round(3 * spike), 10_000)),
    )


def _negatives(settings: Settings) -> frozenset[str]:
    return frozenset() if settings["REDELIVERY"] else frozenset({"forged_refused", "redelivery_ignored"})


TOKENS_METRICS = (
    *HTTP_METRICS,
    trend("stripe_webhook_latency", "round trip of a webhook, without making the connection"),
    rate("error_rate", "checked calls that failed their check"),
    rate("redelivery_ignored", "deliveries of an event that was there before, answered as they should be"),
    rate("forged_refused", "webhooks with a forged or stale signature that were refused"),
)

_QUICK_SPIKE = {
    "BASE_RATE": "10",
    "SPIKE_RATE": "60",
    "SEED_USER_COUNT": "50",
    "RAMP_UP": "5s",
    "SPIKE_HOLD": "15s",
    "RAMP_DOWN": "5s",
    "COOL_DOWN": "5s",
}

TOKENS = scenario(
    "tokens",
    "pika_locust.platforms.verity.buyer:Buyer",
    platform="verity",
    about="Payment webhooks arrive in a spike; each must be credited exactly once",
    secrets_needed=lambda settings: ("STRIPE_WEBHOOK_SECRET",),
    arrivals=_webhook_rate,
    rate_settings=("BASE_RATE", "SPIKE_RATE"),
    length_setting="SPIKE_HOLD",
    quick=QuickLoad(settings=_QUICK_SPIKE),
    profiles={},
    default_profile=CONSTANT,
    loss="http_req_failed",
    metrics=TOKENS_METRICS,
    thresholds=TOKENS_THRESHOLDS,
    unobservable=_negatives,
    settings=_TOKENS_SETTINGS,
    check_settings=_check,
    set_up=Deferred("pika_locust.platforms.verity.buyer:seed_users"),
    audit="pika_locust.platforms.verity.audits:audit_webhooks",
    audits=("webhooks",),
    iteration="one for each webhook that is due",
    notes=token_notes,
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
    Setting("THINK_TIME_MAX", number(0), 1.5, "longest pause, in seconds"),
)


def _check_sessions(settings: Settings, planned_s: float | None) -> Iterable[str]:
    yield from _check(settings, planned_s)
    tokens, visits = settings["TOP_UP_TOKENS"], settings["BALANCE_CHECK_EVERY"]
    # The suite's users run dry in any case: they look at the balance, and buy at 0 only.
    if settings["AUTO_TOP_UP"] and tokens < visits and not _without_matches(settings):
        yield (
            f"TOP_UP_TOKENS={tokens} is below BALANCE_CHECK_EVERY={visits}: members spend up to {visits} tokens "
            f"between looks at the balance, and run out; set TOP_UP_TOKENS={visits} or BALANCE_CHECK_EVERY={tokens}"
        )


def _without_matches(settings: Settings) -> frozenset[str]:
    if settings["CONTRACT"] == "server" and settings["QUEUE_MODE"] != "isolated":
        return frozenset()
    fanout = {metric.name for metric in _FANOUT}
    return frozenset({"match_time", "match_rate", "session_start_lag", "session_length", *fanout})


def _until_the_session_ends(settings: Settings) -> float:
    """The suite's users leave at once when they are told to finish; whoever listens stays for the session's end."""
    return settings["SESSION_HOLD_SECONDS"] + FINISH_GRACE_S if settings["CONTRACT"] == "server" else 0.0


def _sessions_secrets(settings: Settings) -> Sequence[str]:
    return ("STRIPE_WEBHOOK_SECRET",) if settings["SEED_TOKENS"] or settings["AUTO_TOP_UP"] else ()


_FANOUT = tuple(metric for metric in FANOUT_METRICS if metric.name != "fanout_latency")

SESSIONS_METRICS = (
    *HTTP_METRICS,
    _JOIN_LATENCY,
    trend("match_time", "from joining to the match"),
    rate("match_rate", "visits that came to a match"),
    trend("session_start_lag", "from the match to session:start"),
    trend("session_length", "from session:start to session:end"),
    trend("choice_latency", "round trip of the choice after a session"),
    gauge("users_in_session", "users who are in a session now"),
    rate("error_rate", "checked calls that failed their check, and sockets that were lost"),
    *PROTOCOL_METRICS,
    *_FANOUT,
)

SESSIONS = scenario(
    "sessions",
    "pika_locust.platforms.verity.session_user:SessionUser",
    platform="verity",
    about="Members are matched and talk in video sessions, listening on Socket.IO",
    secrets_needed=_sessions_secrets,
    users_setting="SESSION_VUS",
    profiles=suite_load("5m:2000,10m:2000,2m:0", **_PROFILES),
    quick=QuickLoad("5s:40,25s:40,5s:0", {"SESSION_HOLD_SECONDS": "5"}),
    baseline_users=2,
    loss="http_req_failed",
    metrics=SESSIONS_METRICS,
    thresholds=SESSIONS_THRESHOLDS,
    profile_thresholds=MEMORY,
    setting_thresholds=session_length,
    unobservable=_without_matches,
    settings=_SESSIONS_SETTINGS,
    check_settings=_check_sessions,
    set_up=Deferred("pika_locust.platforms.verity.audits:look_before"),
    audit="pika_locust.platforms.verity.audits:audit_sessions",
    audits=("tokens", "sessions"),
    iteration="one for each user at least: as many as sessions allow",
    notes=session_notes,
    finish_s=_until_the_session_ends,
    speeds={"req": "http_reqs"},
)

SCENARIOS = (QUEUE, SESSIONS, TOKENS)

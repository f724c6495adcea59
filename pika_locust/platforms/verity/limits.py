"""What must hold of Verity: the suites' own limits, honest ones beside them, and those that follow from settings."""

from __future__ import annotations

from pika_locust.judge import Threshold
from pika_locust.settings import Settings

EARLY_S, LATE_S = 0.5, 1.0
"""How far the announced length of a session may be off: the real server's timer keeps to milliseconds, the rest is what
a stretch of network or a busy machine may add to one of the two announcements."""

SUITE = (
    Threshold.of("http_req_duration", "p(95)<100"),
    Threshold.of("http_req_failed", "rate<0.001"),
    Threshold.of("error_rate", "rate<0.001"),
    Threshold.of("http_rate_limited", {"threshold": "count==0", "about": "nobody was told to slow down (429)"}),
)

QUEUE = (Threshold.of("queue_join_latency", "p(95)<3000"), *SUITE)

SESSIONS = (
    Threshold.of("queue_join_latency", "p(95)<3000"),
    Threshold.of("match_time", {"threshold": "p(95)<3000", "about": "joining to match"}),
    Threshold.of("match_rate", {"threshold": "rate>0.95", "about": "whoever waits for a match is matched in the end"}),
    Threshold.of("session_start_lag", {"threshold": "p(95)<1000", "about": "match to session:start"}),
    *SUITE,
)

TOKENS = (
    *SUITE,
    Threshold.of("forged_refused", {"threshold": "rate==1", "about": "no forged or stale signature is taken"}),
    Threshold.of("redelivery_ignored", {"threshold": "rate==1", "about": "a repeated event is acknowledged"}),
)


def memory(most_mb: int) -> Threshold:
    """The target's process may hold so many megabytes. No suite has such a limit, but nothing else would see a leak."""
    about = "seen where the target's process runs on this machine"
    return Threshold.of("target_memory_mb", {"threshold": f"value<{most_mb}", "optional": True, "about": about})


MEMORY = {
    "suite": (memory(1024),),
    "standard": (memory(512),),
    "big": (memory(1024),),
    "stress": (memory(1024),),
    "spike": (memory(512),),
}
"""By load profile."""


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

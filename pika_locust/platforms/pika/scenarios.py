"""The scenario `dancers` as data: load, metrics, thresholds, settings, audits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pika_locust.judge import Band, Threshold
from pika_locust.judge.thresholds import ThresholdSpec
from pika_locust.kit.scenarios import fanout_thresholds, memory_below, scenario
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import counter, rate
from pika_locust.metrics.builtin import CLOCK_METRICS, FANOUT_METRICS, HTTP_METRICS, WEBSOCKET_METRICS
from pika_locust.scenario import Deferred, QuickLoad
from pika_locust.settings import Setting, Settings, duration, one_of, sized, text

LEDGERS = ("likes", "tempo votes", "poll votes")

NAMED = ("track", "poll", "announcement", "poll_end", "session_end")
"""What our DJ's actions bring to all others, and which says what it is."""
COUNTED = ("like", "tempo", "vote", "thanks", "tempo_reset", "listeners")
"""What anybody's actions bring to all others, and which does not say whose it was."""
TOLD = ("tempo", "vote", "listeners")
"""Those of them that tell a number."""

METRICS = (
    *WEBSOCKET_METRICS,
    rate("ws_session_live", "subscriptions whose session was live, and stayed so until the dancer left"),
    *FANOUT_METRICS,
    counter("dj_messages_received", "text messages that our DJ received"),
    *CLOCK_METRICS,
    *HTTP_METRICS,
)


TRACK_EVERY_LEAST_S = 5.1
"""The server refuses tracks that reach it less than 5 s apart; the way there is not always as long."""

SETTINGS = (
    Setting(
        "SESSION_ID",
        sized(8, 64),
        "load-test-session",
        "the session that the DJ opens and the dancers join; against a sandbox, the default is another in each run",
    ),
    Setting("TRACK_EVERY", duration, None, "time between tracks; default a sixth of the planned time, 5.2 s to 20 s"),
    Setting("PIKA_DJ", one_of("own", "external"), "own", "external: somebody else plays, this test only dances"),
    Setting("SESSION_WAIT", duration, 60.0, "how long another DJ's session is waited for before the load"),
    Setting("PIKA_DJ_TOKEN", text, None, "a DJ account's token; without it the session is anonymous", secret=True),
)

_PROFILES = (
    ("standard", "2m:100,8m:100,1m:0", "the usual load"),
    ("big", "5m:300,15m:300,2m:0", "three times the usual load"),
    ("stress", "5m:500,10m:500,2m:0", "more than the server is meant for"),
    ("spike", "1m:100,30s:100,1m:0", "everybody comes within a minute"),
)

_ALWAYS: dict[str, ThresholdSpec] = {
    "fanout_latency": {
        "threshold": "p(95)<1000",
        "about": "tracks, polls and announcements reach the dancers within a second",
    },
    "fanout_delivery": {"threshold": "rate>0.999", "about": "whatever is broadcast reaches everybody who is there"},
    "ack_success": {"threshold": "rate>0.99", "about": "likes, votes and thanks are acknowledged within 5 s"},
    "ws_session_live": {"threshold": "rate>0.99", "about": "the session was live for as long as a dancer stayed"},
    "http_req_failed": {"threshold": "rate<0.01", "about": "the pages that a dancer's app asks for are answered"},
    **fanout_thresholds((*NAMED, *COUNTED), TOLD),
}


def _suite(success: str, latency: str | None, memory_mb: int) -> tuple[Threshold, ...]:
    """The suite's own limits, and those that its README names but never checked."""
    kept = {"threshold": f"rate>{success}", "about": "connections end when we end them"}
    limits = (
        Threshold.of("ws_connection_success", f"rate>{success}"),
        Threshold.of("ws_connection_kept", kept),
        Threshold.of("target_memory_mb", memory_below(memory_mb)),
    )
    return limits if latency is None else (Threshold.of("ws_message_latency", latency), *limits)


def _unobservable(settings: Settings) -> frozenset[str]:
    """Only our own DJ stamps what it broadcasts; of another one nobody knows when it was sent, or to whom."""
    return frozenset({"fanout_latency", "fanout_delivery"}) if settings["PIKA_DJ"] == "external" else frozenset()


def _supporters(settings: Settings, users: int) -> Sequence[str]:
    return ("pika_locust.platforms.pika.dj:Dj",) if settings["PIKA_DJ"] == "own" else ()


def _check(settings: Settings, planned_s: float | None) -> Iterable[str]:
    every_s = settings["TRACK_EVERY"]
    if every_s is not None and every_s < TRACK_EVERY_LEAST_S:
        yield (
            f"TRACK_EVERY={every_s:g}s: the server refuses tracks less than 5 s apart, so it must be "
            f"{TRACK_EVERY_LEAST_S:g}s or more"
        )


DANCERS = scenario(
    "dancers",
    "pika_locust.platforms.pika.dancer:Dancer",
    platform="pika",
    about="A DJ plays; dancers listen, like, vote and thank over WebSocket",
    target="ws",
    think=False,
    supporters=_supporters,
    profiles={name: LoadProfile(name, parse_stages(stages), about=about) for name, stages, about in _PROFILES},
    loss="ws_connection_success",
    quick=QuickLoad("10s:30,25s:30,5s:0"),
    metrics=METRICS,
    thresholds=_ALWAYS,
    profile_thresholds={
        "standard": _suite("0.99", "p(95)<500", 512),
        "spike": _suite("0.99", "p(95)<500", 512),
        "big": _suite("0.95", "p(95)<1000", 1024),
        "stress": _suite("0.90", None, 1024),
    },
    unobservable=_unobservable,
    bands=(
        Band("ws_message_latency", "p(95)", healthy="<500", warning="<1000"),
        Band("ws_connection_success", "rate", healthy=">0.99", warning=">0.95"),
    ),
    settings=SETTINGS,
    check_settings=_check,
    set_up=Deferred("pika_locust.platforms.pika.setup:look_for_session"),
    audit="pika_locust.platforms.pika.audits:audit",
    speeds={"msg": "ws_messages_received"},
    iteration="one connection for each dancer, and one more for each reconnect",
    endless="a dancer stays until the test is over",
    ledgers=LEDGERS,
    production_hosts=("api.pika.stream", "pika.stream"),
)

SCENARIOS = (DANCERS,)

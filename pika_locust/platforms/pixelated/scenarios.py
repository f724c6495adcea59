"""Pixelated Empathy's suites as data: load, metrics, thresholds, settings, audits."""

from __future__ import annotations

import math

from pika_locust.judge import Threshold
from pika_locust.kit.scenarios import arrival_settings, scenario, suite_load
from pika_locust.kit.targets import http_url
from pika_locust.load.arrivals import ArrivalRate, ConstantArrivalRate
from pika_locust.load.plan import BY_HAND, CONSTANT, FIXED, LoadPlan, LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import counter, gauge, rate, trend
from pika_locust.metrics.builtin import HTTP_METRICS, WEBSOCKET_METRICS
from pika_locust.scenario import QuickLoad
from pika_locust.settings import Setting, Settings, duration, number, one_of, share, text, url, whole

TARGET_RATE = 100.0
"""Inferences a second that the guide wants the service to hold."""

AROUND_S = 4.0
"""Before the first and after the last arrival of the open model, at most."""

_CONTRACT = Setting("CONTRACT", one_of("server", "suite"), "server", "suite: the dialect that the suite assumed")


def _constant(name: str, minutes: int, users: int) -> LoadProfile:
    """As many users at once and to the end, as k6 has them with `--vus` and `--duration`."""
    about = f"the guide's own: {users} users for {minutes} min"
    return LoadProfile(name, parse_stages(f"{minutes}m:{users}"), start_users=users, about=about)


INFERENCE_METRICS = (
    *HTTP_METRICS,
    trend("inference_latency", "what the API itself reports of successful inferences"),
    counter("successful_inferences", "answers with all that an answer must have"),
    counter("crisis_detections", "answers that tell of a crisis"),
    counter("bias_detections", "answers with a bias score above 0.5"),
    rate("detections_correct", "answers that raise what their question should, and nothing else"),
    rate("errors", "questions without a proper answer, among all"),
)


def _inference_rate(settings: Settings) -> ArrivalRate | None:
    wanted: float | None = settings["INFERENCE_RATE"]
    if wanted is None:
        return None
    # A quarter of a second for each at first; when the server hangs, all that are due within ten seconds.
    return ConstantArrivalRate(
        rate=wanted,
        duration_s=settings["TEST_DURATION"],
        pre_allocated_vus=settings["PREALLOCATED_VUS"] or max(10, math.ceil(wanted / 4)),
        max_vus=max(settings["PREALLOCATED_VUS"] or 10, settings["MAX_VUS"] or math.ceil(10 * wanted)),
    )


def _throughput(settings: Settings, plan: LoadPlan) -> tuple[Threshold, ...]:
    wanted: float | None = settings["INFERENCE_RATE"]
    lasts_s = plan.arrivals_s
    if wanted is None or lasts_s is None:
        # USE_SIMPLE makes users of the rate.
        return ()
    # What begins in the seconds of the schedule is told for all of the test, which has some more.
    asked = 0.95 * wanted * lasts_s / (lasts_s + AROUND_S)
    least = min(TARGET_RATE, math.floor(asked * 10) / 10)
    about = "the guide's throughput" if least == TARGET_RATE else "what INFERENCE_RATE asks for, less 5 %"
    return (Threshold.of("successful_inferences", {"threshold": f"rate>={least:g}", "about": about}),)


INFERENCE = scenario(
    "inference",
    "pika_locust.platforms.pixelated.inference_user:InferenceUser",
    platform="pixelated",
    about="People ask the model over REST; the model's own latency, and what it detects",
    target=Setting("API_URL", url("http", "https"), None, "the server, such as http://127.0.0.1:5173"),
    normalise_target=http_url,
    arrivals=_inference_rate,
    rate_settings=("INFERENCE_RATE",),
    length_setting="TEST_DURATION",
    loss="http_req_failed",
    quick=QuickLoad("5s:25,25s:25,5s:0", {"TEST_DURATION": "30s"}),
    profiles={
        **suite_load("30s:10,1m:25,2m:50,1m:100,30s:0"),
        "light": _constant("light", 1, 10),
        "medium": _constant("medium", 5, 50),
        "heavy": _constant("heavy", 10, 100),
        "stress": _constant("stress", 15, 200),
        "spike": LoadProfile(
            "spike",
            parse_stages("30s:10,0s:100,1m:100,0s:10,30s:10,10s:0"),
            start_users=10,
            about="ten users, who are a hundred at once for a minute",
        ),
    },
    metrics=INFERENCE_METRICS,
    thresholds={
        "http_req_duration": ("p(50)<200", "p(95)<500", "p(99)<1000"),
        "inference_latency": ("p(50)<200", "p(95)<500", "p(99)<1000"),
        "http_req_failed": "rate<0.01",
        "errors": "rate<0.01",
        "successful_inferences": "count>0",
        "detections_correct": {"threshold": "rate==1", "about": "a crisis that is missed is one too many"},
    },
    plan_thresholds=_throughput,
    settings=(
        _CONTRACT,
        Setting(
            "API_TOKEN",
            text,
            "user:load-test-{user}",
            "bearer token; {user} in it becomes each user's own name",
            secret=True,
        ),
        Setting("INFERENCE_RATE", number(0.1), None, "open model instead of users: so many questions a second"),
        Setting("TEST_DURATION", duration, 120.0, "for how long, with INFERENCE_RATE"),
        *arrival_settings("what a quarter of a second needs", "what is due within ten seconds"),
        Setting("THINK_TIME_MIN", number(0), 2.0, "shortest pause between two questions, in seconds"),
        Setting("THINK_TIME_MAX", number(0), 5.0, "longest pause, in seconds"),
    ),
    iteration="one for each question: as many as pauses allow, or as INFERENCE_RATE says",
    finish_s=lambda settings: 30.0,
    speeds={"req": "http_reqs"},
)

STREAMING_METRICS = (
    *WEBSOCKET_METRICS,
    gauge("active_connections", "connections that are open"),
    counter("ws_closes", "connections that ended, by close code"),
    counter("reconnection_attempts", "dials after a connection that failed or was lost, each after a pause"),
    trend("text_ack_time", "from a text to its receipt"),
    trend(
        "ws_chunk_latency",
        "from an audio chunk to its acknowledgement; suite: from an answer's begin to each piece",
    ),
    counter("chunks_received", "acknowledgements of chunks; suite: pieces of answers"),
    rate("chunk_acknowledged", "audio chunks that were acknowledged in time"),
    rate("chunk_totals_correct", "acknowledgements whose running total is that of the bytes sent"),
    rate("buffer_reset", "first chunks of a later turn whose running total starts from nothing"),
    trend(
        "processing_time",
        "from a complete to the word that it is processed; suite: to an answer's begin",
    ),
    trend("model_latency", "what results report of the model"),
    rate("result_rate", "completes that came to a result in time"),
    counter("successful_messages", "results"),
    counter("extra_results", "results that nobody waits for"),
    rate("answers_correct", "results with all that belongs in one, and nothing of another session's"),
    rate("malformed_refused", "malformed frames that were answered by an error, on a connection that stays"),
    rate("large_audio_refused", "audio of 25 MiB and a byte that was refused by close code 1009"),
)

_AS_TOLD = {"threshold": "rate==1", "allow_empty": True}


MOST_CONNECTIONS = 500
"""The guide wants more than these at once."""


def _active(settings: Settings, plan: LoadPlan) -> tuple[Threshold, ...]:
    # A tenth more users, as some are between two connections. Who sets their number by hand asks for no more than it.
    if plan.name in (CONSTANT, BY_HAND, FIXED) or plan.users_peak < 1.1 * MOST_CONNECTIONS:
        return ()
    about = "the guide's connections at once"
    return (Threshold.of("active_connections", {"threshold": f"max>{MOST_CONNECTIONS}", "about": about}),)


def _of_chunks(settings: Settings) -> frozenset[str]:
    """What only acknowledgements tell: there are none without chunks, and none in the suite's dialect."""
    if settings["CONTRACT"] == "suite":
        return frozenset({"chunk_acknowledged", "chunk_totals_correct", "text_ack_time"})
    silent = {"chunk_acknowledged", "chunk_totals_correct", "ws_chunk_latency"}
    return frozenset() if settings["CHUNKS"] else frozenset(silent)


STREAMING = scenario(
    "streaming",
    "pika_locust.platforms.pixelated.streaming_user:StreamingUser",
    platform="pixelated",
    about="Up to a thousand WebSockets on which people say something, and are answered",
    target="ws",
    path="/ws/pixel-multimodal",
    profiles={
        **suite_load(
            "30s:50,30s:50,1m:200,1m:200,2m:500,1m:500,1m:1000,1m:1000,30s:0",
            "plateaus",
            "the suite's own load, with a plateau at each of its heights",
        ),
        "light": _constant("light", 2, 100),
        "medium": _constant("medium", 5, 500),
        "heavy": _constant("heavy", 10, 1000),
    },
    metrics=STREAMING_METRICS,
    thresholds={
        "ws_connection_success": {"threshold": "rate>0.95", "about": "as a true share: the suite only counts failures"},
        "ws_connection_kept": {"threshold": "rate>0.99", "about": "connections last until we end them"},
        "ws_message_latency": ("p(50)<100", "p(95)<500"),
        "ws_chunk_latency": ("p(50)<50", "p(95)<200"),
        "text_ack_time": "p(95)<500",
        "processing_time": "p(95)<500",
        "successful_messages": "count>0",
        "result_rate": "rate>0.99",
        "answers_correct": {"threshold": "rate==1", "about": "nobody is answered what another one asked"},
        "chunk_acknowledged": "rate>0.999",
        "chunk_totals_correct": "rate==1",
        "buffer_reset": {**_AS_TOLD, "about": "audio of one turn is not in the next"},
        "extra_results": "count==0",
        "malformed_refused": _AS_TOLD,
        "large_audio_refused": _AS_TOLD,
    },
    plan_thresholds=_active,
    unobservable=_of_chunks,
    ledgers=("chunks", "results"),
    settings=(
        _CONTRACT,
        Setting("TURNS", whole(1), 6, "turns that a user takes on one connection, each a message and its result"),
        Setting("CHUNKS", whole(0, 4096), 8, "audio chunks in each turn; 0: text alone"),
        Setting("CHUNK_BYTES", whole(128, 1 << 20), 16_384, "size of a chunk; each next one is a byte smaller"),
        Setting("CHUNK_PAUSE", number(0), 0.25, "seconds between two chunks"),
        Setting("RESULT_WITHIN", number(0.1), 60.0, "how long a result is waited for, in seconds"),
        Setting("MALFORMED", share, 0.02, "share of connections that send malformed frames as well"),
        Setting("LARGE_AUDIO", share, 0.0, "share of connections that send audio up to 25 MiB, and beyond"),
        Setting("THINK_TIME_MIN", number(0), 6.0, "shortest pause before the next thing is said, in seconds"),
        Setting("THINK_TIME_MAX", number(0), 9.0, "longest pause, in seconds"),
    ),
    audit="pika_locust.platforms.pixelated.audits:audit_streams",
    audits=("chunks", "results"),
    loss="ws_connection_success",
    quick=QuickLoad("5s:50,30s:50,5s:0", {"TURNS": "3", "THINK_TIME_MIN": "2", "THINK_TIME_MAX": "4"}),
    iteration="one for each connection: as many as turns and pauses allow",
    finish_s=lambda settings: settings["RESULT_WITHIN"] + 10.0,
    speeds={"msg": "successful_messages"},
)

SCENARIOS = (INFERENCE, STREAMING)

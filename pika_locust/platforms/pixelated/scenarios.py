"""Pixelated Empathy's suites as data: load, metrics, thresholds, settings, audits."""

from __future__ import annotations

import math

from pika_locust.judge import Threshold
from pika_locust.kit.scenarios import scenario
from pika_locust.kit.targets import http_url
from pika_locust.load.arrivals import ArrivalRate, ConstantArrivalRate
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import counter, rate, trend
from pika_locust.metrics.builtin import HTTP_METRICS
from pika_locust.settings import Setting, Settings, duration, number, one_of, text, url, whole

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


def _throughput(settings: Settings) -> tuple[Threshold, ...]:
    wanted: float | None = settings["INFERENCE_RATE"]
    if wanted is None:
        return ()
    # What begins in the seconds of the schedule is told for all of the test, which has some more.
    lasts_s: float = settings["TEST_DURATION"]
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
    profiles={
        "suite": LoadProfile("suite", parse_stages("30s:10,1m:25,2m:50,1m:100,30s:0"), about="the suite's own load"),
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
    setting_thresholds=_throughput,
    settings=(
        _CONTRACT,
        Setting(
            "API_TOKEN",
            text,
            "user:load-test-{user}",
            "bearer token; {user} in it becomes each user's own name; empty: none",
            secret=True,
        ),
        Setting("INFERENCE_RATE", number(0.1), None, "open model instead of users: so many questions a second"),
        Setting("TEST_DURATION", duration, 120.0, "for how long, with INFERENCE_RATE"),
        Setting("PREALLOCATED_VUS", whole(1), None, "users prepared; default what a quarter of a second needs"),
        Setting("MAX_VUS", whole(1), None, "users at most; default what is due within ten seconds"),
        Setting("ARRIVALS", one_of("uniform", "poisson"), "uniform", "evenly spaced, or at random"),
        Setting("THINK_TIME_MIN", number(0), 2.0, "shortest pause between two questions, in seconds"),
        Setting("THINK_TIME_MAX", number(0), 5.0, "longest pause, in seconds"),
    ),
    iteration="one for each question: as many as pauses allow, or as INFERENCE_RATE says",
    finish_s=lambda settings: 30.0,
    speeds={"req": "http_reqs"},
)

SCENARIOS = (INFERENCE,)

from __future__ import annotations

import pytest

from pika_locust.judge import check, check_bands
from pika_locust.metrics.builtin import BASE_METRICS, TARGET_METRICS
from pika_locust.platforms.pika.scenarios import COUNTED, DANCERS, LEDGERS, METRICS, NAMED, SCENARIOS, TOLD
from pika_locust.settings import Settings, read_settings


def settings(**environ: str) -> Settings:
    read, problems = read_settings(DANCERS.settings, environ, "pika")
    assert problems == []
    return read


def limits(profile: str, **environ: str) -> set[str]:
    return {str(threshold) for threshold in DANCERS.thresholds_for(profile, settings(**environ))}


SUITE = {
    "standard": (
        [(120.0, 100), (480.0, 100), (60.0, 0)],
        {"ws_message_latency:p(95)<500", "ws_connection_success:rate>0.99"},
    ),
    "big": (
        [(300.0, 300), (900.0, 300), (120.0, 0)],
        {"ws_message_latency:p(95)<1000", "ws_connection_success:rate>0.95"},
    ),
    "stress": ([(300.0, 500), (600.0, 500), (120.0, 0)], {"ws_connection_success:rate>0.90"}),
}
"""The suite's stages as (seconds, users at their end), and all its thresholds."""

OWN = ("ws_message_latency", "ws_connection_success")

HONEST = {
    "fanout_latency:p(95)<1000",
    "fanout_delivery:rate>0.999",
    "ack_success:rate>0.99",
    "ws_session_live:rate>0.99",
    "http_req_failed:rate<0.01",
    "fanout_duplicates:count==0",
    *(f"fanout_delivery{{kind:{kind}}}:rate>0.999" for kind in (*NAMED, *COUNTED)),
    *(f"fanout_correct{{kind:{kind}}}:rate>0.999" for kind in TOLD),
}


@pytest.mark.parametrize("profile", SUITE)
def test_the_suites_load(profile: str) -> None:
    stages = [(stage.duration_s, stage.target) for stage in DANCERS.profiles[profile].stages]
    assert stages == SUITE[profile][0]


@pytest.mark.parametrize("profile", SUITE)
def test_the_suites_thresholds_hold_under_its_profiles_and_no_others_of_its_metrics(profile: str) -> None:
    assert {limit for limit in limits(profile) if limit.startswith(OWN)} == SUITE[profile][1]


KEPT_AND_MEMORY = {
    "standard": {"ws_connection_kept:rate>0.99", "target_memory_mb:value<512"},
    "spike": {"ws_connection_kept:rate>0.99", "target_memory_mb:value<512"},
    "big": {"ws_connection_kept:rate>0.95", "target_memory_mb:value<1024"},
    "stress": {"ws_connection_kept:rate>0.90", "target_memory_mb:value<1024"},
}


@pytest.mark.parametrize("profile", KEPT_AND_MEMORY)
def test_what_the_suite_meant_and_could_not_see_is_judged_too(profile: str) -> None:
    assert limits(profile) >= HONEST | KEPT_AND_MEMORY[profile]
    suite = SUITE[profile if profile in SUITE else "standard"][1]
    assert limits(profile) == HONEST | KEPT_AND_MEMORY[profile] | suite


@pytest.mark.parametrize("profile", ["spike", "constant", "by hand"])
def test_loads_of_ones_own_are_judged_as_the_standard(profile: str) -> None:
    assert limits(profile) == limits("standard")


@pytest.mark.parametrize("profile", ["standard", "big", "stress", "spike", "constant"])
def test_every_threshold_is_legal_and_nothing_measured_is_a_failure(profile: str) -> None:
    thresholds = DANCERS.thresholds_for(profile, settings())
    assert check(thresholds, (*BASE_METRICS, *TARGET_METRICS, *DANCERS.metrics)) == []
    kinds = {threshold.name for threshold in thresholds if threshold.allow_empty}
    assert kinds == {"fanout_delivery", "fanout_correct"}
    assert not any(threshold.allow_empty for threshold in thresholds if "{" not in threshold.metric)
    assert [threshold.metric for threshold in thresholds if threshold.optional] == ["target_memory_mb"]


def test_of_another_djs_broadcasts_nobody_knows_whom_they_should_have_reached() -> None:
    thresholds = DANCERS.thresholds_for("standard", settings(PIKA_DJ="external"))
    assert {threshold.name for threshold in thresholds if threshold.optional} == {
        "target_memory_mb",
        "fanout_latency",
        "fanout_delivery",
    }
    assert limits("standard", PIKA_DJ="external") == limits("standard")


def test_our_own_dj_comes_on_top_unless_somebody_else_plays() -> None:
    assert DANCERS.supporters(settings(), 1) == ("pika_locust.platforms.pika.dj:Dj",)
    assert DANCERS.supporters(settings(PIKA_DJ="external"), 1) == ()


GRADES = {
    "ws_message_latency": [(499.0, "healthy"), (500.0, "warning"), (999.0, "warning"), (1000.0, "critical")],
    "ws_connection_success": [(0.991, "healthy"), (0.99, "warning"), (0.951, "warning"), (0.95, "critical")],
}


@pytest.mark.parametrize("metric", GRADES)
def test_the_grades_of_the_suites_table(metric: str) -> None:
    (band,) = [band for band in DANCERS.bands if band.metric == metric]
    assert [(value, band.grade(value)) for value, _ in GRADES[metric]] == GRADES[metric]
    assert check_bands([band], DANCERS.thresholds_for("standard", settings())) == []


K6 = {
    "ws_message_latency": ("trend", "ms"),
    "ws_messages_received": ("counter", ""),
    "ws_messages_sent": ("counter", ""),
    "ws_connection_errors": ("counter", ""),
    "ws_connection_success": ("rate", ""),
    "ws_connecting": ("trend", "ms"),
    "ws_session_duration": ("trend", "ms"),
}


def test_metrics_have_the_suites_names_and_kinds() -> None:
    known = {metric.name: (str(metric.kind), metric.unit) for metric in METRICS}
    assert {name: known[name] for name in K6} == K6
    assert all(metric.about for metric in METRICS)


def test_the_suites_settings_and_defaults() -> None:
    default = settings()
    assert default["SESSION_ID"] == "load-test-session"
    assert default["WS_URL"] is None, "never somebody's staging"
    given = settings(WS_URL="ws://127.0.0.1:3001/ws", SESSION_ID="friday-social", TRACK_EVERY="30", PIKA_DJ="external")
    assert (given["WS_URL"], given["SESSION_ID"]) == ("ws://127.0.0.1:3001/ws", "friday-social")
    assert (given["TRACK_EVERY"], given["PIKA_DJ"]) == (30.0, "external")
    assert settings(PIKA_SESSION_ID="only-for-pika", SESSION_ID="for-everybody")["SESSION_ID"] == "only-for-pika"


MISTAKES = {
    "a session id that the server would ignore": {"SESSION_ID": "short"},
    "a target of another kind": {"WS_URL": "http://127.0.0.1:3001"},
    "a duration that is none": {"TRACK_EVERY": "soon"},
    "a DJ who is neither": {"PIKA_DJ": "somebody"},
}


@pytest.mark.parametrize("environ", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named(environ: dict[str, str]) -> None:
    _, problems = read_settings(DANCERS.settings, environ, "pika")
    assert len(problems) == 1
    assert problems[0].startswith("=".join(next(iter(environ.items()))))


PACES = {
    "as fast as the server would refuse": ("5s", ["TRACK_EVERY=5s: the server refuses tracks less than 5 s apart"]),
    "as fast as is safe": ("5.1s", []),
    "a real song": ("3m", []),
    "the default": ("", []),
}


@pytest.mark.parametrize(("every", "wanted"), PACES.values(), ids=PACES.keys())
def test_tracks_that_the_server_would_refuse_are_a_mistake(every: str, wanted: list[str]) -> None:
    problems = list(DANCERS.check_settings(settings(TRACK_EVERY=every), 60.0))
    assert len(problems) == len(wanted)
    assert all(problem.startswith(start) for problem, start in zip(problems, wanted, strict=True))


def test_the_token_is_a_secret() -> None:
    read = settings(PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert read["PIKA_DJ_TOKEN"] == "pk_dj_0123456789"
    assert "PIKA_DJ_TOKEN" not in read.public()


def test_what_the_scenario_is() -> None:
    assert SCENARIOS == (DANCERS,)
    assert (DANCERS.name, DANCERS.platform, DANCERS.default_profile) == ("dancers", "pika", "standard")
    assert DANCERS.ledgers == LEDGERS == ("likes", "tempo votes", "poll votes")
    assert DANCERS.production_hosts == ("api.pika.stream", "pika.stream")
    assert DANCERS.normalise_target("http://localhost:3001") == "ws://localhost:3001/ws"

from __future__ import annotations

import pytest

from pika_locust.judge import check, check_bands
from pika_locust.load.arrivals import ArrivalStage, RampingArrivalRate
from pika_locust.metrics.builtin import BASE_METRICS, TARGET_METRICS
from pika_locust.platforms.verity.scenarios import QUEUE, SCENARIOS, SESSIONS, TOKENS
from pika_locust.runtime.options import LOAD_SETTINGS
from pika_locust.scenario import Scenario
from pika_locust.settings import read_settings
from tests.platforms.verity.harness import settings_of

IDS = [scenario.name for scenario in SCENARIOS]


def limits(scenario: Scenario, **environ: str) -> set[str]:
    profile = scenario.default_profile
    return {str(threshold) for threshold in scenario.thresholds_for(profile, settings_of(scenario, **environ))}


def optional(scenario: Scenario, **environ: str) -> set[str]:
    profile = scenario.default_profile
    thresholds = scenario.thresholds_for(profile, settings_of(scenario, **environ))
    return {threshold.metric for threshold in thresholds if threshold.optional}


def test_three_scenarios_of_one_platform() -> None:
    assert IDS == ["queue", "sessions", "tokens"]
    assert {scenario.platform for scenario in SCENARIOS} == {"verity"}


LOADS = {
    "queue": (QUEUE, [(600.0, 10000), (120.0, 0)], "TARGET_VUS"),
    "sessions": (SESSIONS, [(300.0, 2000), (600.0, 2000), (120.0, 0)], "SESSION_VUS"),
}
"""The suite's stages as (seconds, users at their end), and its own name for the peak."""


@pytest.mark.parametrize(("scenario", "stages", "setting"), LOADS.values(), ids=LOADS)
def test_the_suites_load_is_the_default(scenario: Scenario, stages: list[tuple[float, int]], setting: str) -> None:
    profile = scenario.profiles[scenario.default_profile]
    assert [(stage.duration_s, stage.target) for stage in profile.stages] == stages
    assert scenario.users_setting == setting
    assert list(scenario.profiles) == ["suite", "standard", "big", "stress", "spike"]


COMMON = {"http_req_duration:p(95)<100", "http_req_failed:rate<0.001", "error_rate:rate<0.001"}
TOLD = {"match", "session_start", "session_end", "outcome", "queue_status"}
FANOUT = {
    *(f"fanout_delivery{{kind:{kind}}}:rate>{0.9 if kind == 'queue_status' else 0.999}" for kind in TOLD),
    *(f"fanout_correct{{kind:{kind}}}:rate>0.999" for kind in TOLD),
    "fanout_duplicates:count==0",
}
HONEST = {"http_rate_limited:count==0", "target_memory_mb:value<1024"}
LIMITS = {
    "queue": (QUEUE, COMMON | HONEST | {"queue_join_latency:p(95)<3000"}),
    "sessions": (
        SESSIONS,
        COMMON
        | HONEST
        | FANOUT
        | {
            "queue_join_latency:p(95)<3000",
            "match_time:p(95)<3000",
            "session_start_lag:p(95)<1000",
            "match_rate:rate>0.95",
            "session_length:p(5)>=44500",
            "session_length:p(95)<=46000",
        },
    ),
    "tokens": (TOKENS, COMMON | HONEST | {"forged_refused:rate==1", "redelivery_ignored:rate==1"}),
}


@pytest.mark.parametrize(("scenario", "expected"), LIMITS.values(), ids=LIMITS)
def test_the_suites_thresholds_and_the_honest_ones(scenario: Scenario, expected: set[str]) -> None:
    assert limits(scenario) == expected


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_every_threshold_is_legal_and_nothing_measured_is_a_failure(scenario: Scenario) -> None:
    thresholds = scenario.thresholds_for(scenario.default_profile, settings_of(scenario))
    assert check(thresholds, (*BASE_METRICS, *TARGET_METRICS, *scenario.metrics)) == []
    assert check_bands(scenario.bands, thresholds) == []
    # Of what a server tells its users, some may never be due.
    assert {str(threshold) for threshold in thresholds if threshold.allow_empty} <= FANOUT


def test_what_a_run_does_not_do_it_cannot_judge() -> None:
    memory = {"target_memory_mb"}
    assert optional(QUEUE) == memory
    assert optional(TOKENS) == memory | {"forged_refused", "redelivery_ignored"}
    assert optional(TOKENS, REDELIVERY="0.1") == memory
    assert optional(SESSIONS) == memory
    heard = {"match_time", "match_rate", "session_start_lag", "session_length"}
    fanout = {threshold.rpartition(":")[0] for threshold in FANOUT}
    assert optional(SESSIONS, CONTRACT="suite") == memory | heard | fanout
    assert optional(SESSIONS, QUEUE_MODE="isolated") == memory | heard | fanout


DEFAULTS = {
    "queue": (
        QUEUE,
        {"QUEUE_REGION": "australiaCentral", "QUEUE_MODE": "isolated", "TOKENS_PER_USER": 2, "CONTRACT": "server"},
        (0.5, 2.0),
    ),
    "sessions": (
        SESSIONS,
        {
            "SESSION_HOLD_SECONDS": 45.0,
            "QUEUE_MODE": "shared",
            "TOKENS_PER_USER": 5,
            "TOP_UP_TOKENS": 5,
            "BALANCE_CHECK_EVERY": 3,
            "CONTRACT": "server",
        },
        (0.5, 1.5),
    ),
    "tokens": (TOKENS, {"SEED_USER_COUNT": 100, "TOKENS_PER_EVENT": 5, "REDELIVERY": 0.0}, (0.05, 0.2)),
}


@pytest.mark.parametrize(("scenario", "expected", "think"), DEFAULTS.values(), ids=DEFAULTS)
def test_the_suites_settings_have_its_defaults(
    scenario: Scenario, expected: dict[str, object], think: tuple[float, float]
) -> None:
    settings = settings_of(scenario)
    assert {name: settings[name] for name in expected} == expected
    assert (settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"]) == think


def test_switches_are_off_only_at_0() -> None:
    for given, on in (("0", False), ("1", True), ("false", True), ("no", True)):
        assert settings_of(QUEUE, SEED_TOKENS=given)["SEED_TOKENS"] is on
        assert settings_of(SESSIONS, AUTO_TOP_UP=given)["AUTO_TOP_UP"] is on


SECRET = ("STRIPE_WEBHOOK_SECRET",)
SECRETS = {
    "queue": (QUEUE, {}, SECRET),
    "queue, nobody is given tokens": (QUEUE, {"SEED_TOKENS": "0"}, ()),
    "sessions": (SESSIONS, {}, SECRET),
    "sessions, tokens are only bought": (SESSIONS, {"SEED_TOKENS": "0"}, SECRET),
    "sessions, nobody gets tokens": (SESSIONS, {"SEED_TOKENS": "0", "AUTO_TOP_UP": "0"}, ()),
    "tokens": (TOKENS, {}, SECRET),
}


@pytest.mark.parametrize(("scenario", "environ", "needed"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_needed_where_something_is_signed(
    scenario: Scenario, environ: dict[str, str], needed: tuple[str, ...]
) -> None:
    assert tuple(scenario.secrets_needed(settings_of(scenario, **environ))) == needed


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_no_secret_is_among_what_may_be_shown(scenario: Scenario) -> None:
    assert "whsec_mine" not in str(settings_of(scenario, STRIPE_WEBHOOK_SECRET="whsec_mine").public())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
def test_pauses_the_wrong_way_round_are_a_mistake(scenario: Scenario) -> None:
    wrong = settings_of(scenario, THINK_TIME_MIN="3", THINK_TIME_MAX="1")
    assert list(scenario.check_settings(wrong, 60.0)) == [
        "THINK_TIME_MAX=1 is below THINK_TIME_MIN=3; the suite would pause for the minimum"
    ]
    assert list(scenario.check_settings(settings_of(scenario), 60.0)) == []


TOP_UPS = {
    "one token for three visits": ({"TOP_UP_TOKENS": "1"}, ("1", "3")),
    "two tokens for three visits": ({"TOP_UP_TOKENS": "2"}, ("2", "3")),
    "five for six": ({"BALANCE_CHECK_EVERY": "6"}, ("5", "6")),
    "as many as visits": ({"TOP_UP_TOKENS": "3"}, None),
    "a look before each visit": ({"TOP_UP_TOKENS": "1", "BALANCE_CHECK_EVERY": "1"}, None),
    "nobody buys": ({"TOP_UP_TOKENS": "1", "AUTO_TOP_UP": "0"}, None),
    "nobody is matched": ({"TOP_UP_TOKENS": "1", "QUEUE_MODE": "isolated"}, None),
    "the suite's users run dry in any case": ({"TOP_UP_TOKENS": "1", "CONTRACT": "suite"}, None),
}


@pytest.mark.parametrize(("environ", "told"), TOP_UPS.values(), ids=TOP_UPS)
def test_a_top_up_that_does_not_last_until_the_next_look_is_a_mistake(
    environ: dict[str, str], told: tuple[str, str] | None
) -> None:
    problems = list(SESSIONS.check_settings(settings_of(SESSIONS, **environ), 60.0))
    if told is None:
        assert problems == []
        return
    tokens, visits = told
    (problem,) = problems
    assert problem == (
        f"TOP_UP_TOKENS={tokens} is below BALANCE_CHECK_EVERY={visits}: members spend up to {visits} tokens between "
        f"looks at the balance, and run out; set TOP_UP_TOKENS={visits} or BALANCE_CHECK_EVERY={tokens}"
    )


WRONG = {
    "no addresses": ("SOURCE_ADDRESSES", "127.0.0.x"),
    "a target of another kind": ("BASE_URL", "ws://127.0.0.1:3000"),
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=IDS)
@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_is_said_before_the_run(name: str, value: str, scenario: Scenario) -> None:
    _, problems = read_settings((*LOAD_SETTINGS, *scenario.settings), {name: value}, "verity")
    assert len(problems) == 1
    assert problems[0].startswith(f"{name}={value}: ")


FINISHES = {
    "queue": (QUEUE, {}, 0.0),
    "tokens": (TOKENS, {}, 0.0),
    "a session": (SESSIONS, {}, 65.0),
    "a short one": (SESSIONS, {"SESSION_HOLD_SECONDS": "2"}, 22.0),
    "the suite's users do not stay for the end": (SESSIONS, {"CONTRACT": "suite"}, 0.0),
}


@pytest.mark.parametrize(("scenario", "environ", "finish_s"), FINISHES.values(), ids=FINISHES)
def test_how_long_users_may_need_to_finish(scenario: Scenario, environ: dict[str, str], finish_s: float) -> None:
    assert scenario.finish_s(settings_of(scenario, **environ)) == finish_s


# The rate of webhooks


def rate(**environ: str) -> RampingArrivalRate:
    assert TOKENS.arrivals is not None
    made = TOKENS.arrivals(settings_of(TOKENS, **environ))
    assert isinstance(made, RampingArrivalRate)
    assert made.problems() == []
    return made


def test_webhooks_come_at_the_suites_rate() -> None:
    suite = rate()
    stages = [(60.0, 400.0), (120.0, 400.0), (60.0, 20.0), (60.0, 0.0)]
    assert suite.start_rate == 20
    assert suite.stages == tuple(ArrivalStage(*stage) for stage in stages)
    assert (suite.pre_allocated_vus, suite.max_vus) == (800, 1200)
    # 60 s at 210 on average, 120 s at 400, 60 s at 210 again, 60 s at 10.
    assert suite.schedule().total == 12_600 + 48_000 + 12_600 + 600


def test_every_part_of_the_rate_can_be_set() -> None:
    own = rate(BASE_RATE="5", SPIKE_RATE="60", RAMP_UP="4s", SPIKE_HOLD="5s", RAMP_DOWN="6s", COOL_DOWN="7s")
    assert own.start_rate == 5
    stages = (ArrivalStage(4.0, 60.0), ArrivalStage(5.0, 60.0), ArrivalStage(6.0, 5.0), ArrivalStage(7.0, 0.0))
    assert own.stages == stages
    assert rate(RAMP_UP="0s").stages[0] == ArrivalStage(0.0, 400.0)


USERS = {
    "twice and three times the rate": ({"SPIKE_RATE": "60"}, (120, 180)),
    "at most so many": ({"SPIKE_RATE": "4000"}, (5000, 10_000)),
    "at least one": ({"SPIKE_RATE": "0.2", "BASE_RATE": "0.1"}, (1, 1)),
    "as said": ({"PREALLOCATED_VUS": "10", "MAX_VUS": "20"}, (10, 20)),
    "more prepared than the most": ({"PREALLOCATED_VUS": "2000"}, (2000, 2000)),
    "a most below those prepared": ({"PREALLOCATED_VUS": "30", "MAX_VUS": "20"}, (30, 30)),
}


@pytest.mark.parametrize(("environ", "users"), USERS.values(), ids=USERS)
def test_how_many_users_webhooks_may_take(environ: dict[str, str], users: tuple[int, int]) -> None:
    made = rate(**environ)
    assert (made.pre_allocated_vus, made.max_vus) == users


def test_only_webhooks_come_at_a_rate() -> None:
    assert QUEUE.arrivals is None
    assert SESSIONS.arrivals is None
    assert TOKENS.profiles == {}

from __future__ import annotations

import subprocess
import sys

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.kit import counter, rate, scenario, trend
from pika_locust.kit.meters import declared
from pika_locust.kit.scenarios import suite_load
from pika_locust.load.arrivals import ConstantArrivalRate
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import Kind
from pika_locust.metrics import trend as trend_of
from pika_locust.scenario import AuditContext, schedule_of
from pika_locust.settings import Setting, read_settings, whole


class Base:
    meters = {"latency": trend("round trip"), "lost": counter("nobody answered")}
    ledgers = ("orders",)


class Caller(Base):
    meters = {"lost": rate("calls that nobody answered")}
    think_s = (1.0, 3.0)


class Listener:
    meters = {"heard": counter("announcements")}
    ledgers = ("orders", "announcements")


def test_a_class_has_the_metrics_of_its_bases_and_the_last_word() -> None:
    metrics = declared(Caller)
    assert {name: metric.kind for name, metric in metrics.items()} == {"latency": Kind.TREND, "lost": Kind.RATE}
    assert metrics["latency"] == trend_of("latency", "round trip")


def test_the_metrics_and_ledgers_of_all_actors_are_the_scenarios() -> None:
    made = scenario("calls", Caller, supporters=(Listener,), metrics=(trend_of("own"),), ledgers=("receipts",))
    assert [metric.name for metric in made.metrics] == ["latency", "lost", "heard", "own"]
    assert made.ledgers == ("orders", "announcements", "receipts")
    settings, _ = read_settings(made.settings, {}, "calls")
    assert made.actor_names(settings, 1) == ("tests.kit.test_scenarios:Caller", "tests.kit.test_scenarios:Listener")


def test_an_open_model_has_the_setting_for_how_its_arrivals_are_spaced() -> None:
    rate = ConstantArrivalRate(rate=10, duration_s=9, pre_allocated_vus=5)
    made = scenario("calls", Caller, profiles={}, arrivals=lambda _: rate)
    settings, _ = read_settings(made.settings, {}, "calls")
    assert schedule_of(made, settings, 1, 2.0).total == 20
    own = Setting("ARRIVALS", str, "poisson", "as in a script")
    assert own in scenario("calls", Caller, profiles={}, arrivals=lambda _: None, settings=[own]).settings
    assert "ARRIVALS" not in {setting.name for setting in scenario("calls", Caller).settings}


def test_profiles_and_thresholds_are_read() -> None:
    made = scenario(
        "calls",
        Caller,
        profiles={"short": "5s:3", "long": "1m:10,1m:0"},
        thresholds={"latency": ["p(95)<200", {"threshold": "med<50", "abort_on_fail": True}], "lost": "rate<0.1"},
        world="worlds:PLATFORM",
        about="people call",
    )
    assert made.default_profile == "short"
    assert [str(stage) for stage in made.profiles["long"].stages] == ["1m:10", "1m:0"]
    assert [str(one) for one in made.thresholds] == ["latency:p(95)<200", "latency:med<50", "lost:rate<0.1"]
    assert made.thresholds[1].abort_on_fail
    assert (made.platform, made.world, made.about) == ("calls", "worlds:PLATFORM", "people call")


def test_a_profile_may_be_made_already() -> None:
    suite = LoadProfile("suite", parse_stages("1m:10"), about="the suite's own load")
    made = scenario("calls", Caller, profiles={"suite": suite, "short": "5s:3"})
    assert (made.default_profile, made.profiles["suite"]) == ("suite", suite)
    assert made.profiles["short"].stages == parse_stages("5s:3")


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        scenario(
            "calls",
            Caller,
            profiles={"broken": "5s"},
            thresholds={"latency": "p(95)<", "lost": 5},  # type: ignore[dict-item]
            metrics=(trend_of("lost"),),
        )
    assert len(caught.value.problems) == 4
    assert all(problem.startswith("scenario calls: ") for problem in caught.value.problems)


def test_without_a_load_there_is_no_scenario() -> None:
    with pytest.raises(ConfigurationError, match="no load profile"):
        scenario("calls", Caller, profiles={})


def test_the_targets_form_follows_its_kind() -> None:
    http, ws = scenario("calls", Caller), scenario("talks", Caller, target="ws", path="/socket")
    assert (http.target_settings, ws.target_settings) == (("BASE_URL",), ("WS_URL",))
    assert http.normalise_target("http://host/") == "http://host"
    assert http.http_base("http://host") == "http://host"
    assert ws.normalise_target("http://host") == "ws://host/socket"
    assert ws.http_base("ws://host/socket") == "http://host"


def test_the_think_time_is_the_actors_and_the_environment_may_change_it() -> None:
    made = scenario("calls", Caller, settings=(Setting("LINES", whole(1), 2, "lines"),))
    settings, problems = read_settings(made.settings, {"THINK_TIME_MAX": "9"}, "calls")
    assert problems == []
    assert (settings["THINK_TIME_MIN"], settings["THINK_TIME_MAX"], settings["LINES"]) == (1.0, 9.0, 2)


def test_a_setting_of_its_own_takes_the_place_of_the_kits() -> None:
    made = scenario("calls", Caller, settings=(Setting("THINK_TIME_MIN", whole(0), 7, "a long pause"),))
    settings, _ = read_settings(made.settings, {}, "calls")
    assert settings["THINK_TIME_MIN"] == 7
    assert [setting.name for setting in made.settings].count("THINK_TIME_MIN") == 1


def test_a_wrong_pool_of_addresses_is_a_problem_of_the_settings() -> None:
    _, problems = read_settings(scenario("calls", Caller).settings, {"SOURCE_ADDRESSES": "nowhere"}, "calls")
    assert len(problems) == 1
    assert "SOURCE_ADDRESSES" in problems[0]


def audit(context: AuditContext) -> list[object]:
    return [context]


def test_a_suite_s_own_load_comes_first_and_is_the_default() -> None:
    found = scenario("calls", Caller, profiles=suite_load("1m:10,30s:0", "realistic", soak="1h:5"))
    assert (found.default_profile, list(found.profiles)) == ("realistic", ["realistic", "soak"])
    own = found.profiles["realistic"]
    assert (own.name, own.about, own.stages) == (
        "realistic",
        "the suite's own load",
        tuple(parse_stages("1m:10,30s:0")),
    )
    with pytest.raises(ValueError):
        suite_load("soon")


def test_an_audit_may_be_named_or_given() -> None:
    given = scenario("calls", Caller, audit=audit)  # type: ignore[arg-type]
    named = scenario("calls", Caller, audit="tests.kit.test_scenarios:audit")
    assert given.audit is audit
    assert named.audit is not None
    assert named.audit("context") == ["context"]  # type: ignore[arg-type]


def test_a_scenario_of_a_named_actor_loads_neither_locust_nor_sockets() -> None:
    code = (
        "import sys\n"
        "from pika_locust.kit import scenario\n"
        "scenario('calls', 'nowhere:Caller')\n"
        "print([name for name in ('locust', 'gevent', 'pika_locust.wire.http') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from pika_locust import FastUser, SocketIOUser, WebSocketUser
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.runtime.modes import LocustfileMode, locustfile_scenario, locusts_plan, title_of
from pika_locust.runtime.options import RunOptions, all_metrics, parse_all
from pika_locust.runtime.run import empty_report
from pika_locust.scenario import Scenario


def texts(scenario: Scenario) -> list[str]:
    return [str(threshold) for threshold in scenario.thresholds]


def test_without_a_word_locusts_own_rule_holds() -> None:
    assert texts(locustfile_scenario({})) == ["http_req_failed:rate==0", "task_exceptions:count==0"]


def test_thresholds_in_k6_s_spellings() -> None:
    scenario = locustfile_scenario(
        {
            "http_req_duration": [
                "p(95)<500",
                {"threshold": "p(99)<900", "abortOnFail": True, "delayAbortEval": "10s"},
            ],
            "http_req_duration{name:/login}": "max<2000",
            "http_req_failed": ("rate<0.01",),
        }
    )
    assert texts(scenario) == [
        "task_exceptions:count==0",
        "http_req_duration:p(95)<500",
        "http_req_duration:p(99)<900",
        "http_req_duration{name:/login}:max<2000",
        "http_req_failed:rate<0.01",
    ]
    assert [threshold.delay_abort_eval_s for threshold in scenario.thresholds if threshold.abort_on_fail] == [10.0]


def test_a_word_about_one_request_leaves_locusts_rule_for_the_others() -> None:
    scenario = locustfile_scenario({"http_req_failed{name:/login}": "rate<0.01"})
    assert texts(scenario) == [
        "http_req_failed:rate==0",
        "task_exceptions:count==0",
        "http_req_failed{name:/login}:rate<0.01",
    ]


def test_every_mistake_is_told() -> None:
    with pytest.raises(ConfigurationError) as caught:
        locustfile_scenario({"http_req_duration": ["p95<500", "avg<200"], "http_req_failed": 0.01, "x{": "count>0"})  # type: ignore[dict-item]
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "the threshold 'p95<500' of http_req_duration",
        "the threshold 0.01 of http_req_failed",
        "the threshold 'count>0' of x{",
    ]


def test_only_what_can_be_seen_is_declared() -> None:
    names = {metric.name for metric in all_metrics(locustfile_scenario({}))}
    assert {"http_reqs", "http_req_duration", "vus", "generator_lag_ms"} < names
    assert names.isdisjoint({"iterations", "dropped_iterations", "target_memory_mb", "health_success"})


def settle(
    line: str, scenario: Scenario | None = None, environ: Mapping[str, str] | None = None
) -> tuple[LocustfileMode, RunOptions]:
    users = LocustfileMode(scenario or locustfile_scenario({}), environ or {})
    parser = get_empty_argument_parser()
    setup_parser_arguments(parser)
    users.add_arguments(parser, None)
    arguments, unknown, problems = parse_all(parser, line.split(), environ or {})
    assert unknown == []
    return users, users.read(parser, arguments, problems)


def test_the_command_line_adds_thresholds_and_replaces_them() -> None:
    _, options = settle("-t 5s --threshold http_req_failed:rate<0.5 --threshold http_req_duration:p(95)<9 --strict")
    assert [str(threshold) for threshold in options.thresholds] == [
        "http_req_failed:rate<0.5",
        "task_exceptions:count==0",
        "http_req_duration:p(95)<9",
    ]
    assert options.strict


@pytest.mark.parametrize(("line", "judged"), [("", False), ("-s 0", False), ("-s 5", True)])
def test_users_that_have_time_to_finish_must_have_finished(line: str, judged: bool) -> None:
    _, options = settle(line)
    assert ("iterations_cut:count==0" in map(str, options.thresholds)) is judged


def test_what_cannot_be_seen_is_refused_with_all_other_mistakes() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settle("--threshold iterations:count>9 --threshold nonsense -t never")
    told = "\n".join(caught.value.problems)
    assert all(word in told for word in ("iterations", "nonsense", "never"))


def locust(host: str | None, *hosts: str | None, shape: Any = None, **options: Any) -> Any:
    return SimpleNamespace(
        host=host,
        user_classes=[SimpleNamespace(host=own) for own in hosts],
        shape_class=shape,
        parsed_options=SimpleNamespace(**{"num_users": None, "spawn_rate": None, "run_time": None, **options}),
        events=SimpleNamespace(test_stop=SimpleNamespace(add_listener=lambda listener: None)),
    )


def chosen(environment: Any, line: str = "", environ: Mapping[str, str] | None = None) -> RunOptions:
    users, options = settle(line, environ=environ)
    coordinator = SimpleNamespace(attach=lambda runner, chosen: None)
    users.attach(environment, None, coordinator, options, lambda: options)  # type: ignore[arg-type]
    return users.choose(environment, options, 0)


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        pytest.param(locust("http://a", "http://b"), "http://a", id="-H is stronger"),
        pytest.param(locust(None, "http://b", None, "http://c", "http://b"), "http://b, http://c", id="their classes'"),
        pytest.param(locust(None), "", id="nobody named one"),
    ],
)
def test_the_target_is_what_the_users_have(environment: Any, target: str) -> None:
    assert chosen(environment).target == target


@pytest.mark.parametrize("environment", [locust("http://Shop.example./x"), locust(None, "http://shop.example")])
def test_production_hosts_are_refused_unless_they_are_meant(environment: Any) -> None:
    environ = {"PIKA_PRODUCTION_HOSTS": "shop.example"}
    with pytest.raises(ConfigurationError, match="--allow-production"):
        chosen(environment, environ=environ)
    chosen(environment, "--allow-production", environ)


def test_a_host_that_the_web_form_names_is_looked_at_again() -> None:
    environ = {"PIKA_PRODUCTION_HOSTS": "shop.example"}
    users, options = settle("", environ=environ)
    environment = locust(None)
    coordinator = SimpleNamespace(attach=lambda runner, chosen: None)
    users.attach(environment, None, coordinator, options, lambda: options)  # type: ignore[arg-type]
    environment.host = "http://shop.example"
    with pytest.raises(ValueError, match=r"shop\.example, a production host"):
        users.choose(environment, options, 0)


class Waves:
    """A shape of the locustfile's own."""


@pytest.mark.parametrize(
    ("environment", "described"),
    [
        pytest.param(locust("http://a"), "constant: 1 users at 1/s, until stopped", id="Locust's defaults"),
        pytest.param(
            locust("http://a", num_users=9, spawn_rate=3.0, run_time=60),
            "constant: 9 users at 3/s, for 1m",
            id="its options, or the form's",
        ),
        pytest.param(locust("http://a", shape=Waves()), "the shape Waves, for as long as it lasts", id="a shape"),
    ],
)
def test_the_load_is_locusts_and_only_described(environment: Any, described: str) -> None:
    assert locusts_plan(environment.parsed_options, environment.shape_class).describe() == described
    assert chosen(environment).plan.describe() == described


@pytest.mark.parametrize(
    ("files", "title"),
    [
        ("locustfile", "locustfile"),
        ("tests/shop.py", "shop"),
        ("shop.py, tests/checkout.py", "shop, checkout"),
        ("https://files.example/shop.py", "shop"),
        ("", ""),
    ],
)
def test_reports_call_a_locustfile_by_its_file_s_name(files: str, title: str) -> None:
    assert title_of(files) == title
    scenario = replace(locustfile_scenario({}), title=title)
    assert empty_report(scenario, "", (), ExitCode.CONFIG).scenario == (title or "locustfile")


def test_settings_of_the_target_that_change_nothing_for_somebody_are_noted() -> None:
    class Other:
        host = "https://a"

    class Ours:
        host = "https://a"
        obeys_target_settings = True

    def notes(users: list[type], **environ: str) -> tuple[str, ...]:
        environment = locust("https://a")
        environment.user_classes = users
        return chosen(environment, environ=environ).plan.overrides

    assert notes([Ours, Other], ORIGIN="https://b") == (
        "ORIGIN changes nothing for Other: pika_locust's own users and audits do as it says",
    )
    assert notes([Ours], ORIGIN="https://b") == notes([Other]) == ()


def test_the_users_of_this_package_obey_the_settings_of_the_target() -> None:
    assert all(user.obeys_target_settings for user in (FastUser, WebSocketUser, SocketIOUser))


@pytest.mark.parametrize(("signalled", "cause"), [("SIGTERM", "signal"), (None, "user")])
def test_a_test_that_is_still_on_at_the_end_was_ended_by_a_signal_or_by_locust(
    signalled: str | None, cause: str
) -> None:
    users, options = settle("")
    causes: list[str] = []
    coordinator: Any = SimpleNamespace(
        attach=lambda runner, chosen: None, finish=lambda cause: causes.append(cause), signalled=signalled
    )
    users.attach(locust("http://a"), SimpleNamespace(stop=lambda: None), coordinator, options, lambda: options)
    users.end(coordinator)
    assert causes == [cause]

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.load.stages import Stage
from pika_locust.metrics.builtin import BASE_METRICS, TARGET_METRICS
from pika_locust.platforms.verity.scenarios import TOKENS
from pika_locust.platforms.wwmaa.scenarios import RTC
from pika_locust.runtime import options as module
from pika_locust.runtime.options import all_metrics, form_profile, from_web_form, refusal
from pika_locust.runtime.shape import StagesShape
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, read


def problems_of(line: str = "", environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(line, environ)
    assert caught.value.exit_code == ExitCode.CONFIG
    return caught.value.problems


def shape_files(monkeypatch: pytest.MonkeyPatch, **stages: str) -> None:
    """As if `-f` had named these files of shapes/."""

    def make(name: str) -> type[StagesShape]:
        class Loaded(StagesShape):
            abstract = True

            @classmethod
            def source(cls) -> str:
                return f"shapes/{name}.py"

        Loaded.profile, Loaded.stages = name, stages[name]
        return Loaded

    shapes = [make(name) for name in stages]
    monkeypatch.setattr(StagesShape, "loaded", lambda: shapes)


# The load


LOADS: dict[str, tuple[str, dict[str, str], str]] = {
    "nothing named": ("", {}, "standard: 2m → 100, 8m at 100, 1m → 0 (11m)"),
    "--load-profile": ("--load-profile stress", {}, "stress: 5m → 500, 10m at 500, 2m → 0 (17m)"),
    "SCENARIO": ("", {"SCENARIO": "stress"}, "stress: 5m → 500, 10m at 500, 2m → 0 (17m)"),
    "the platform's SCENARIO": ("", {"PIKA_SCENARIO": "stress"}, "stress: 5m → 500, 10m at 500, 2m → 0 (17m)"),
    "--load-profile wins over SCENARIO": (
        "--load-profile standard",
        {"SCENARIO": "stress"},
        "standard: 2m → 100, 8m at 100, 1m → 0 (11m)",
    ),
    "--stage": ("--stage 10s:5,5s:0", {}, "by hand: 10s → 5, 5s → 0 (15s)"),
    "-u": ("-u 100", {}, "constant: 100 users at once, until stopped"),
    "-u from LOCUST_USERS": ("", {"LOCUST_USERS": "100"}, "constant: 100 users at once, until stopped"),
    "USE_SIMPLE with -u": ("-u 9 -t 5", {"USE_SIMPLE": "1"}, "constant: 9 users at once, for 5s"),
    "-u, -r and -t": ("-u 100 -r 50 -t 1m30s", {}, "constant: 100 users at 50/s, for 1m30s"),
    "-t alone": ("-t 1m", {}, "standard: 1m → 51 (1m)"),
    "USERS and the three lengths": (
        "",
        {"USERS": "20", "RAMP_UP": "10", "HOLD": "1m", "RAMP_DOWN": "5s"},
        "standard: 10s → 20, 1m at 20, 5s → 0 (1m15s)",
    ),
}


@pytest.mark.parametrize(("line", "environ", "plan"), LOADS.values(), ids=LOADS)
def test_command_line_and_environment_make_the_load(line: str, environ: dict[str, str], plan: str) -> None:
    assert read(line, environ).plan.describe() == plan


def test_what_gave_way_is_told_in_words() -> None:
    options = read("-u 5 --load-profile stress", {"SCENARIO": "standard", "HOLD": "5s"})
    assert options.plan.overrides == (
        "-u 5 overrides profile stress (--load-profile)",
        "-u 5 overrides HOLD",
    )
    changed_nothing = read("", {"USE_SIMPLE": "1"})
    assert changed_nothing.plan.overrides == ("USE_SIMPLE=1 changes nothing without -u",)
    assert changed_nothing.settings["USE_SIMPLE"] == "0"


def test_a_shape_file_means_the_scenario_s_profile_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_files(monkeypatch, stress="1m:1")
    assert read().plan.describe() == "stress: 5m → 500, 10m at 500, 2m → 0 (17m)"
    assert read("-u 5").plan.overrides == ("-u 5 overrides profile stress (shapes/stress.py)",)


def test_a_shape_file_s_own_stages_serve_where_the_scenario_has_no_such_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape_files(monkeypatch, quiet="10s:3,10s:0")
    options = read()
    assert (options.plan.name, options.plan.stages) == ("quiet", (Stage(10, 3), Stage(10, 0)))


def test_scenario_and_load_profile_win_over_a_shape_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_files(monkeypatch, quiet="10s:3,10s:0")
    assert read("", {"SCENARIO": "stress"}).plan.name == "stress"
    assert read("--load-profile standard").plan.name == "standard"
    assert problems_of("", {"SCENARIO": "quiet"}) == (
        "SCENARIO: there is no load profile 'quiet'; there are standard, stress, constant",
    )


def test_a_run_follows_one_shape_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_files(monkeypatch, stress="1m:1", quiet="1m:1")
    assert problems_of() == ("-f names shapes/stress.py and shapes/quiet.py; a run follows one shape",)


def test_a_shape_file_with_a_mistake_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shape_files(monkeypatch, quiet="often:3")
    assert problems_of() == ("shapes/quiet.py: 'often' is not a duration; write it like 90s, 10m, 1h30m or 500ms",)


def test_a_shape_that_nobody_would_follow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    named = []

    def foreign_shapes(files: list[str]) -> list[type]:
        named.extend(files)
        return [type("Wave", (), {})]

    monkeypatch.setattr(module, "foreign_shapes", foreign_shapes)
    (problem,) = problems_of("-f locustfiles/sample.py,wave.py")
    assert problem.startswith("-f names the shape Wave, which is none of this package's and would not be followed")
    assert named == ["locustfiles/sample.py", "wave.py"]


# Thresholds


def written(line: str = "") -> list[str]:
    return [f"{threshold.metric}:{threshold.expression.text}" for threshold in read(line).thresholds]


def test_the_profile_s_thresholds_the_scenario_s_and_those_of_every_run() -> None:
    everywhere = ["dropped_iterations:count==0", "target_memory_mb:slope<20"]
    assert written() == ["latency:p(95)<500", "errors:count<10", *everywhere]
    assert written("--load-profile stress")[0] == "delivery:rate>0.9"


def test_a_threshold_of_the_command_line_replaces_or_is_added() -> None:
    line = "--threshold latency:p(95)<300 --threshold latency:max<900 --threshold dropped_iterations:count<5"
    assert written(line) == [
        "latency:p(95)<300",
        "errors:count<10",
        "dropped_iterations:count<5",
        "target_memory_mb:slope<20",
        "latency:max<900",
    ]


def test_a_threshold_on_what_nobody_measures_is_a_mistake() -> None:
    unknown, wrong, nonsense = problems_of(
        "--threshold latncy:p(95)<300 --threshold errors:p(95)<300 --threshold latency"
    )[::-1]
    assert "latncy" in wrong or "latncy" in unknown
    assert any("errors" in problem and "count" in problem for problem in (unknown, wrong, nonsense))
    assert any(problem.startswith("--threshold: ") for problem in (unknown, wrong, nonsense))


def test_every_run_declares_its_own_metrics_beside_the_scenario_s() -> None:
    assert all_metrics(SAMPLE_SCENARIO) == (*BASE_METRICS, *TARGET_METRICS, *SAMPLE_SCENARIO.metrics)


# The target


PLATFORM = SAMPLE_SCENARIO.platform
TARGETS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "nobody names one": ("", {}, None),
    "the setting": ("", {"API_URL": "http://a"}, "http://a/"),
    "the older setting": ("", {"OLD_URL": "http://b"}, "http://b/"),
    "the stronger setting": ("", {"API_URL": "http://a", "OLD_URL": "http://b"}, "http://a/"),
    "the platform's own name": ("", {"API_URL": "http://a", "PIKA_API_URL": "http://c"}, "http://c/"),
    "-H wins over all": ("-H http://d", {"PIKA_API_URL": "http://c"}, "http://d/"),
    "a shared sandbox, if nobody does": ("", {"SANDBOX_URL": "http://s:8700/"}, f"http://s:8700/{PLATFORM}/"),
    "a setting, beside a shared sandbox": ("", {"SANDBOX_URL": "http://s", "API_URL": "http://a"}, "http://a/"),
    "LOCUST_HOST is -H": ("", {"LOCUST_HOST": "http://d", "API_URL": "http://a"}, "http://d/"),
}


@pytest.mark.parametrize(("line", "environ", "target"), TARGETS.values(), ids=TARGETS)
def test_the_strongest_name_of_the_target_wins(line: str, environ: dict[str, str], target: str | None) -> None:
    assert read(line, environ).target == target


def test_a_target_that_cannot_be_one_is_named_with_its_source() -> None:
    assert problems_of("-H sample") == ("-H sample: not a URL that begins with http://",)


PRODUCTION = {
    "by -H": ("-H http://sample.example", {}, "-H names sample.example"),
    "by a setting": ("", {"API_URL": "http://api.sample.example:8080/v1"}, "API_URL names api.sample.example"),
    "in capital letters": ("-H http://SAMPLE.Example", {}, "-H names sample.example"),
    "with a final dot": ("-H http://sample.example.", {}, "-H names sample.example"),
    "from the list": ("-H http://b.c", {"PIKA_PRODUCTION_HOSTS": "a.b, B.c."}, "-H names b.c"),
    "an IPv6 address": ("-H http://[::1]:80", {"PIKA_PRODUCTION_HOSTS": "[::1]"}, "-H names ::1"),
    "without brackets": ("-H http://[::1]:80", {"PIKA_PRODUCTION_HOSTS": "a.b,::1"}, "-H names ::1"),
    "an empty list is none": ("-H http://sample.example", {"PIKA_PRODUCTION_HOSTS": " "}, "-H names sample.example"),
}


@pytest.mark.parametrize(("line", "environ", "problem"), PRODUCTION.values(), ids=PRODUCTION)
def test_production_is_refused_unless_it_is_meant(line: str, environ: dict[str, str], problem: str) -> None:
    assert problems_of(line, environ) == (f"{problem}, a production host; --allow-production says that it is meant",)
    assert read(f"{line} --allow-production", environ).target is not None


def test_production_is_refused_wherever_users_go() -> None:
    line, environ = "-H http://staging.example", {"WS_URL": "wss://api.wwmaa.com/ws"}
    with pytest.raises(ConfigurationError, match=r"WS_URL names api\.wwmaa\.com, a production host"):
        read(line, environ, RTC)
    assert read(f"{line} --allow-production", environ, RTC).target == "http://staging.example"
    assert read(line, {"WS_URL": "wss://sockets.staging.example/ws"}, RTC).target == "http://staging.example"


def test_users_of_the_sandbox_go_to_no_other_server() -> None:
    """Its tokens would be sent there: WS_URL may be another suite's, from the same file of settings."""
    with pytest.raises(ConfigurationError, match=r"WS_URL names a server beside the target: name that, too \(.*-H\)"):
        read("", {"WS_URL": "ws://127.0.0.1:3001/ws"}, RTC)


NO_HOSTS = {
    "a URL": "https://www.example.com",
    "a port": "www.example.com:443",
    "a pattern": "*.example.com",
    "the end of a name": ".example.com",
    "a blank for the comma": "www.example.com sample.example",
    "commas alone": ",",
}


@pytest.mark.parametrize("listed", NO_HOSTS.values(), ids=NO_HOSTS)
def test_what_no_target_can_be_is_no_list_of_production_hosts(listed: str) -> None:
    """It would be in the place of the scenario's list, and refuse nothing."""
    wrong, refused = problems_of("-H http://sample.example", {"PIKA_PRODUCTION_HOSTS": listed})
    assert wrong.startswith(
        f"PIKA_PRODUCTION_HOSTS={listed}: it must be names of hosts, without a scheme, a port or a *"
    )
    assert refused.startswith("-H names sample.example, a production host")


def test_a_misspelt_list_of_production_hosts_is_a_mistake() -> None:
    (problem,) = problems_of("-H http://other.example", {"PIKA_PRODUCTION_HOST": "other.example"})
    assert problem.endswith("did you mean PIKA_PRODUCTION_HOSTS?")


def test_a_list_of_production_hosts_replaces_the_scenario_s() -> None:
    options = read("-H http://sample.example", {"PIKA_PRODUCTION_HOSTS": "other.example"})
    assert options.target == "http://sample.example/"
    assert options.refused_hosts == {"other.example"}
    assert refusal("http://other.example:80/", "the form", options.refused_hosts) is not None
    assert read("--allow-production").refused_hosts == frozenset()


def test_a_host_that_only_contains_a_production_host_s_name_is_not_one() -> None:
    assert read("-H http://sample.example.test").target == "http://sample.example.test/"


def test_faults_are_for_the_embedded_sandbox() -> None:
    assert read("--sandbox-fault lose-write=0.05").sandbox_faults == ("lose-write=0.05",)
    (problem,) = problems_of("--sandbox-fault lose-write=0.05 -H http://a")
    assert "embedded sandbox only, but the target is http://a/" in problem


def test_a_fault_that_the_sandbox_does_not_have_is_told_before_it_starts() -> None:
    unknown, wrong = problems_of("--sandbox-fault bogus --sandbox-fault latency=much")
    assert unknown.startswith("--sandbox-fault: fault 'bogus' is not known here; legal are ")
    assert wrong.startswith("--sandbox-fault: fault latency cannot have the value 'much'")


def test_a_named_target_that_needs_a_secret_is_not_tested_without_it() -> None:
    needy = replace(SAMPLE_SCENARIO, secrets_needed=lambda settings: ("PIKA_CODE",))
    assert read("", scenario=needy).target is None
    assert read("", {"SANDBOX_URL": "http://s:8700"}, needy).settings["PIKA_CODE"] is None
    assert read("-H http://a", {"PIKA_CODE": "sesame"}, needy).settings["PIKA_CODE"] == "sesame"
    with pytest.raises(ConfigurationError, match="PIKA_CODE is needed to test http://a/"):
        read("-H http://a", scenario=needy)


# The rest


def test_a_seed_is_kept_and_one_is_drawn_where_there_is_none() -> None:
    assert read("--seed 7").seed == 7
    drawn = {read().seed for _ in range(5)}
    assert len(drawn) == 5
    assert all(0 <= seed < 2**31 for seed in drawn)


def test_all_mistakes_are_told_at_once_and_each_once() -> None:
    problems = problems_of(
        "-r 5 --seed x --stage bad --threshold nonsense -H sample --load-profile no --sandbox-fault bogus",
        {"USERS": "none", "PIKA_HOLD": "soon", "PAGES": "6", "API_URL": "ftp://x"},
    )
    beginnings = [
        "--load-profile no: ",
        "--seed x: ",
        "USERS=none: ",
        "PIKA_HOLD=soon: ",
        "API_URL=ftp://x: ",
        "-r needs -u: ",
        "--stage: 'bad' ",
        "--threshold: ",
        "-H sample: ",
        "--sandbox-fault: ",
        "PAGES=6: ",
    ]
    assert len(problems) == len(beginnings) == len(set(problems))
    assert all(problem.startswith(begin) for problem, begin in zip(sorted(problems), sorted(beginnings), strict=True))


def test_mistakes_between_settings_see_the_planned_time() -> None:
    assert problems_of("-t 90", {"PAGES": "6"}) == ("PAGES=6: nobody visits that many in 90.0 s",)


def test_a_secret_is_in_no_public_value() -> None:
    options = read("", {"PIKA_CODE": "sesame"})
    assert options.settings["PIKA_CODE"] == "sesame"
    assert "sesame" not in str(options.settings.public())


# The web form


def form(**chosen: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{"load_profile": "standard", "num_users": 1, "spawn_rate": 1.0, "run_time": None, **chosen}
    )


def test_the_form_s_numbers_count_for_the_constant_profile_only() -> None:
    options = read()
    assert from_web_form(SAMPLE_SCENARIO, options, form(num_users=50)) is options
    stress = from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress", num_users=50))
    assert stress.plan.describe() == "stress: 5m → 500, 10m at 500, 2m → 0 (17m)"
    constant = from_web_form(
        SAMPLE_SCENARIO, options, form(load_profile="constant", num_users=50, spawn_rate=10.0, run_time=60)
    )
    assert constant.plan.describe() == "constant: 50 users at 10/s, for 1m"


@pytest.mark.parametrize(("given", "judged"), [("-s 30", True), ("-s 1", True), ("-s 0", False)])
def test_users_that_are_cut_off_fail_the_run_unless_they_were_to_have_no_time(given: str, judged: bool) -> None:
    thresholds = [str(threshold) for threshold in read(given).thresholds]
    assert ("iterations_cut:count==0" in thresholds) is judged


def test_the_form_s_profile_brings_its_thresholds_and_keeps_those_of_the_command_line() -> None:
    options = read("--threshold errors:count<99")
    stress = from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress"))
    assert [threshold.metric for threshold in stress.thresholds] == [
        "delivery",
        "latency",
        "errors",
        "dropped_iterations",
        "target_memory_mb",
        "iterations_cut",
    ]
    assert stress.thresholds[2].expression.text == "count<99"


def test_constant_users_of_the_command_line_give_way_to_the_form() -> None:
    options = read("-u 5 -t 1m")
    again = from_web_form(SAMPLE_SCENARIO, options, form(load_profile="constant", num_users=8, spawn_rate=2.0))
    assert again.plan.describe() == "constant: 8 users at 2/s, until stopped"
    standard = from_web_form(SAMPLE_SCENARIO, options, form(load_profile="standard", run_time=60))
    assert standard.plan.describe() == "standard: 1m → 51 (1m)"


def test_stages_by_hand_stay_what_the_form_begins_with() -> None:
    options = read("--stage 10s:5")
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="by hand")) is options
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress")).plan.name == "stress"
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="constant", num_users=3)).plan.users_peak == 3


def test_the_form_s_run_time_cuts_a_profile_as_t_does() -> None:
    options = read("-t 1m --load-profile stress")
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress", run_time=60)) is options
    longer = from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress", run_time=360))
    assert longer.plan.describe() == "stress: 5m → 500, 1m at 500 (6m)"
    whole = from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress"))
    assert whole.plan.describe() == "stress: 5m → 500, 10m at 500, 2m → 0 (17m)"


@pytest.mark.parametrize(
    ("line", "environ", "shown"),
    [
        pytest.param("", {}, "constant", id="nothing asked for: the numbers of the form count"),
        pytest.param("-u 5", {}, "constant", id="a number of users"),
        pytest.param("--load-profile stress", {}, "stress", id="a profile"),
        pytest.param("", {"SCENARIO": "stress"}, "stress", id="a profile of the suite"),
        pytest.param("", {"RAMP_UP": "10s"}, "standard", id="the default profile, bent"),
        pytest.param("--stage 10s:5", {}, "by hand", id="stages"),
        pytest.param("", {"ITERATIONS": "20"}, "iterations", id="a number of iterations"),
    ],
)
def test_what_the_form_begins_with(line: str, environ: dict[str, str], shown: str) -> None:
    options = read(line, environ)
    assert form_profile(options) == shown
    # A script that fills in the numbers only; and a start without a form.
    by_script = from_web_form(SAMPLE_SCENARIO, options, form(load_profile=None, num_users=3))
    assert by_script.plan.name == shown
    given = form(load_profile=None, num_users=options.load.users, spawn_rate=options.load.spawn_rate)
    assert from_web_form(SAMPLE_SCENARIO, options, given).plan.describe() == options.plan.describe()


def test_another_choice_of_the_form_drops_the_iterations() -> None:
    options = read("", {"ITERATIONS": "20"})
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="iterations")) is options
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="stress")).plan.iterations is None
    assert from_web_form(SAMPLE_SCENARIO, options, form(load_profile="constant", num_users=3)).plan.iterations is None


def test_arrivals_stay_what_the_form_begins_with_and_a_run_time_cuts_them() -> None:
    options = read(scenario=TOKENS)
    assert form_profile(options) == "arrivals"
    assert from_web_form(TOKENS, options, form(load_profile="arrivals", num_users=50)) is options
    cut = from_web_form(TOKENS, options, form(load_profile="arrivals", run_time=4)).plan
    assert (cut.name, cut.arrivals_s) == ("arrivals", 4)
    closed = from_web_form(TOKENS, options, form(load_profile="constant", num_users=3)).plan
    assert (closed.users_peak, closed.arrivals) == (3, None)


def test_numbers_of_the_form_that_make_no_plan_are_told() -> None:
    with pytest.raises(ValueError, match="-u, the number of users, must be at least 1, got 0"):
        from_web_form(SAMPLE_SCENARIO, read(), form(load_profile="constant", num_users=0))
    with pytest.raises(ValueError, match="-u, the number of users, must be at least 1, got -3"):
        from_web_form(SAMPLE_SCENARIO, read(), form(load_profile="constant", num_users=-3))
    with pytest.raises(ValueError, match="-r must be a number of users a second above 0, got -1"):
        from_web_form(SAMPLE_SCENARIO, read(), form(load_profile="constant", num_users=3, spawn_rate=-1.0))

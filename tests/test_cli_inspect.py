"""What `pika-locust inspect dancers` says, part by part."""

from __future__ import annotations

import re

import pytest

from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.platforms.verity.scenarios import QUEUE, SESSIONS, TOKENS
from pika_locust.scenario import Scenario
from tests.test_cli import here


def parts(*words: str, env: dict[str, str] | None = None, scenario: str = "dancers") -> dict[str, list[str]]:
    """The lines of each part, by its title; the head is under the scenario's name."""
    told = here("inspect", scenario, "--seed", "7", *words, env=env)
    assert (told.returncode, told.stderr) == (0, "")
    found: dict[str, list[str]] = {}
    for block in told.stdout.rstrip("\n").split("\n\n"):
        lines = block.split("\n")
        found[lines[0].split()[0].rstrip(":")] = lines
    return found


@pytest.fixture(scope="module")
def standard() -> dict[str, list[str]]:
    return parts()


def test_the_head_says_what_and_against_what(standard: dict[str, list[str]]) -> None:
    assert standard["dancers"] == [
        f"dancers: {DANCERS.about}",
        "  target      none named: the embedded sandbox",
        "  seed        7",
        "  actors      Dancer, Dj",
    ]


def test_the_load_is_the_plan_stage_by_stage(standard: dict[str, list[str]]) -> None:
    assert standard["Load"] == [
        "Load  standard: 2m → 100, 8m at 100, 1m → 0 (11m)",
        "    length          users",
        "        2m        1 → 100",
        "        8m      100 → 100",
        "        1m        100 → 0",
        "  100 users at the peak, and 1 on top",
        f"  100 expected iterations, {DANCERS.iteration}",
        "  other profiles: big, stress, spike, constant",
    ]


def test_what_gave_way_is_told() -> None:
    load = parts("-u", "60", "-r", "30", "-t", "40", "--load-profile", "spike", env={"HOLD": "1m"})["Load"]
    assert load[:6] == [
        "Load  constant: 60 users at 30/s, for 40s",
        "  -u 60 overrides profile spike (--load-profile)",
        "  -u 60 overrides HOLD",
        "    length          users",
        "        2s         0 → 60",
        "       38s        60 → 60",
    ]


def test_an_arrival_rate_is_told_by_its_rates_and_how_many_arrive() -> None:
    assert parts(scenario="tokens")["Load"] == [
        "Load  ramping arrival rate: 20/s, 1m → 400/s, 2m at 400/s, 1m → 20/s, 1m → 0/s (800 to 1200 users)",
        "    length     arrivals/s   arrivals",
        "        1m       20 → 400      12600",
        "        2m      400 → 400      48000",
        "        1m       400 → 20      12600",
        "        1m         20 → 0        600",
        "  800 users are prepared, 1200 at most",
        f"  73800 expected iterations, {TOKENS.iteration}",
    ]


def test_an_arrival_rate_that_is_cut_is_told_as_far_as_it_goes() -> None:
    load = parts("-t", "90s", "-u", "7", env={"MAX_VUS": "7", "PREALLOCATED_VUS": "7"}, scenario="tokens")["Load"]
    assert load[-5:] == [
        "    length     arrivals/s   arrivals",
        "        1m       20 → 400      12600",
        "       30s      400 → 400      12000",
        "  7 users are prepared",
        f"  24600 expected iterations, {TOKENS.iteration}",
    ]


def test_what_a_scenario_has_to_say_of_a_plan_stands_below_it() -> None:
    load = parts("-u", "2000", "-t", "10m", env={"QUEUE_KEYS": "1"}, scenario="sessions")["Load"]
    assert load[2:5] == [
        "       10m    2000 → 2000",
        "  2000 users at the peak",
        f"  2000 expected iterations, {SESSIONS.iteration}",
    ]
    assert load[6].startswith("  1 queue key (QUEUE_KEYS): the worker matches at most 20 pairs/s in one")
    assert load[7].startswith("  1 queue key cannot hold 2,000 users: ")
    assert load[8] == "  all 2,000 users join at once: the last of them is matched after 50 s (-r spreads them)"
    assert len(load) == 9


def test_thresholds_are_those_of_the_profile_with_what_is_special_about_them(standard: dict[str, list[str]]) -> None:
    thresholds = {tuple(line.split()[:2]): line for line in standard["Thresholds"][1:]}
    assert ("ws_message_latency", "p(95)<500") in thresholds
    assert thresholds["target_memory_mb", "value<512"].split(maxsplit=2)[2].startswith("if it can be seen; ")
    assert ("dropped_iterations", "count==0") in thresholds
    stress = parts("--load-profile", "stress")["Thresholds"]
    assert not any(line.split()[0] == "ws_message_latency" for line in stress)


def test_a_threshold_s_marks_are_told_in_words() -> None:
    option = "fanout_latency:p(95)<50; abort_on_fail; delay_abort_eval=90s; allow_empty; window=30s"
    (line,) = [line for line in parts("--threshold", option)["Thresholds"] if line.split()[0] == "fanout_latency"]
    assert line.split(maxsplit=2)[1:] == ["p(95)<50", "aborts, not before 1m30s; may be empty; worst 30 s"]


@pytest.mark.parametrize(
    ("options", "end"),
    [
        (("-u", "60", "-t", "40s"), "held for 1m or more, as it never is here; "),
        (("-u", "60", "-t", "90s"), "held for 1m or more; "),
        ((), "held for 1m or more; "),
    ],
)
def test_a_slope_says_where_it_is_judged(options: tuple[str, ...], end: str) -> None:
    (line,) = [line for line in parts(*options)["Thresholds"] if line.split()[:2] == ["target_memory_mb", "slope<20"]]
    assert line.split(maxsplit=2)[2].startswith(f"if it can be seen; a minute, while the load is {end}")


def test_audits_are_named(standard: dict[str, list[str]]) -> None:
    (line,) = standard["Data-integrity"]
    assert (
        line
        == "Data-integrity checks  likes, tempo votes, poll votes: acknowledged <= stored <= acknowledged + unanswered"
    )


@pytest.mark.parametrize("scenario", [QUEUE, SESSIONS, TOKENS], ids=lambda scenario: scenario.name)
def test_audits_without_ledgers_are_named_as_well(scenario: Scenario) -> None:
    (line,) = parts(scenario=scenario.name)["Data-integrity"]
    assert (
        line
        == f"Data-integrity checks  {', '.join(scenario.audits)}: acknowledged <= stored <= acknowledged + unanswered"
    )


def test_what_a_grade_means_is_told(standard: dict[str, list[str]]) -> None:
    assert standard["Grades"] == [
        "Grades  shown beside the thresholds; --fail-on lets them decide, too",
        "  ws_message_latency       p(95)          healthy <500, warning <1000, else critical",
        "  ws_connection_success    rate           healthy >0.99, warning >0.95, else critical",
    ]


def test_every_setting_is_there_with_its_value_and_where_it_came_from() -> None:
    settings = parts(env={"PIKA_SESSION_ID": "friday-session", "TRACK_EVERY": "10s", "PIKA_DJ_TOKEN": "s3cr3t"})[
        "Settings"
    ]
    by_name = {line.split()[0]: line for line in settings[1:]}
    assert set(by_name) >= {setting.name for setting in DANCERS.settings} | {"SCENARIO", "USERS", "USE_SIMPLE"}
    assert "friday-session (from PIKA_SESSION_ID)" in by_name["SESSION_ID"]
    assert "10s (from the environment)" in by_name["TRACK_EVERY"]
    assert "set (from the environment)" in by_name["PIKA_DJ_TOKEN"]
    assert by_name["WS_URL"].split()[1] == "-"


def test_values_are_shown_as_they_are_written() -> None:
    env = {"SPIKE_HOLD": "90", "BASE_RATE": "1234567", "REDELIVERY": "0.05"}
    tokens = {line.split()[0]: line.split()[1] for line in parts(env=env, scenario="tokens")["Settings"][1:]}
    assert {name: tokens[name] for name in env} == {"SPIKE_HOLD": "1m30s", "BASE_RATE": "1234567", "REDELIVERY": "0.05"}
    queue = {line.split()[0]: line.split()[1] for line in parts(scenario="queue")["Settings"][1:]}
    assert (queue["SEED_TOKENS"], queue["TOKENS_PER_USER"], queue["THINK_TIME_MAX"]) == ("1", "2", "2")


def test_a_long_value_does_not_push_its_explanation_away() -> None:
    lines = parts(env={"WS_URL": "ws://127.0.0.1:3001/a/path/that/is/long"})["Settings"]
    assert lines[1:3] == [
        "  WS_URL                   ws://127.0.0.1:3001/a/path/that/is/long (from the environment)",
        f"{'':<58}the target's WebSocket, such as ws://127.0.0.1:3001/ws",
    ]
    assert lines[3].startswith("  SOURCE_ADDRESSES ")
    assert lines[3].index("send from these") == 58


def test_another_dj_changes_who_comes_and_what_can_be_seen() -> None:
    outside = parts(env={"PIKA_DJ": "external"})
    assert outside["dancers"][3] == "  actors      Dancer"
    assert outside["Load"][5] == "  100 users at the peak"
    delivery = next(line for line in outside["Thresholds"] if line.split()[0] == "fanout_delivery")
    assert "if it can be seen" in delivery


def test_every_metric_is_there_with_its_kind_and_unit(standard: dict[str, list[str]]) -> None:
    by_name = {line.split()[0]: line for line in standard["Metrics"][1:]}
    assert set(by_name) >= {metric.name for metric in DANCERS.metrics} | {"iterations", "generator_lag_ms"}
    assert by_name["fanout_latency"].split()[1] == "trend"
    assert by_name["fanout_latency"].endswith("(ms)")
    assert by_name["checks"].split()[1] == "rate"


@pytest.mark.parametrize("scenario", ["api", "sessions"])
def test_columns_stay_columns_whatever_the_names(scenario: str) -> None:
    shown = parts(scenario=scenario)
    for part, second in (("Thresholds", r" (?=\S+[<>=]\S)"), ("Metrics", r" (?=(trend|rate|gauge|counter) )")):
        found = [re.search(second, line) for line in shown[part][1:] if line.strip()]
        starts = {match.start() for match in found if match is not None}
        assert len(starts) == 1, shown[part]


def test_a_fixed_number_of_iterations_is_all_there_is() -> None:
    load = parts("-u", "20", env={"ITERATIONS": "500"}, scenario="queue")["Load"]
    assert load == [
        "Load  iterations: 500 shared by 20 users, in 10m at most",
        "    length          users",
        "       10m        20 → 20",
        "  20 users at the peak",
        "  500 expected iterations, and then it ends",
        "  other profiles: suite, standard, big, stress, spike, constant",
    ]


def test_users_until_somebody_stops_them_have_no_length() -> None:
    assert "  open end        20 → 20" in parts("-u", "20")["Load"]

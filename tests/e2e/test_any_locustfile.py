"""`pika_locust.install(thresholds=…)` in locustfiles that know nothing else of this package."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.e2e.shop_server.server import Target
from tests.e2e.support import LOCAL_AND_WORKERS, Finished, Run, free_port, run

pytestmark = pytest.mark.e2e

SHOP = "tests/e2e/shop_server/shop.py"
EXAMPLES = Path(sys.prefix) / "share" / "locust-examples"
"""Locust's own; the Makefile takes them from Locust's source package."""


def options(server: Target, *more: str) -> list[str]:
    return ["--headless", "--only-summary", "-f", SHOP, "-H", server.url, "-u", "6", "-r", "6", *more]


def wait_for_answers(server: Target, answers: int, started: Run) -> None:
    deadline = time.monotonic() + 40
    while server.answered[200] < answers:
        assert time.monotonic() < deadline, started.output
        time.sleep(0.1)


def counted(finished: Finished) -> int:
    return int(finished.metric("http_reqs")["count"])


@LOCAL_AND_WORKERS
def test_every_request_is_counted_and_the_run_passes(extra: list[str], server: Target, tmp_path: Path) -> None:
    finished = run(options(server, "-t", "3s", "-s", "5", *extra), tmp_path)
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert counted(finished) == sum(server.answered.values()) > 50
    assert finished.metric("http_req_failed")["rate"] == 0
    assert finished.metric("http_req_duration")["count"] == counted(finished)
    # Three of each class, their first requests and their last ones included.
    assert finished.metric("http_reqs{method:GET,name:/start}")["count"] == 3
    assert finished.metric("http_reqs{method:GET,name:/goodbye}")["count"] == 3
    assert finished.metric("data_received")["count"] == 12 * counted(finished)
    assert finished.summary["load"]["users_peak"] == 6
    assert finished.summary["load"]["workers"] == (2 if extra else 1)
    assert finished.summary["load"]["iterations"] is None
    assert finished.summary["target"] == server.url
    assert "iterations" not in finished.summary["metrics"]
    # It goes by its file's own name.
    assert finished.summary["scenario"] == "shop"
    assert "PASS  shop  " in finished.output


def test_a_run_lasts_as_long_as_asked_however_slowly_its_locustfile_loads(server: Target, tmp_path: Path) -> None:
    # The exit code that it sets itself is ours.
    finished = run(options(server, "-t", "3s"), tmp_path, {"SHOP_IMPORT_S": "1.5", "SHOP_EXIT_CODE": "0"})
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert 2.9 <= finished.summary["duration_s"] < 10
    assert (finished.summary["exit_code"], finished.reasons) == (0, [])
    assert finished.output.rstrip().rpartition("\n")[2].startswith("Exit code 0")


@LOCAL_AND_WORKERS
def test_a_target_that_fails_turns_the_run_red(extra: list[str], server: Target, tmp_path: Path) -> None:
    server.broken = True
    # A locustfile that is content with itself changes nothing of it.
    finished = run(options(server, "-t", "2s", "-s", "5", *extra), tmp_path, {"SHOP_EXIT_CODE": "0"})
    assert finished.exit_code == 99
    assert finished.output.rstrip().rpartition("\n")[2].startswith("Exit code 99")
    # Locust's own rule, and nothing that is fast because it failed.
    assert finished.reasons == [("threshold", "http_req_failed"), ("no_data", "http_req_duration")]
    assert finished.metric("http_req_failed")["rate"] == 1
    assert finished.metric("http_req_failed_duration")["count"] == counted(finished) == server.answered[503]


def test_a_dead_target_turns_the_run_red(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    finished = run(["--headless", "-f", SHOP, "-H", url, "-u", "2", "-t", "3s"], tmp_path)
    assert finished.exit_code == 99
    assert finished.reasons[0] == ("no_answer", url)
    assert f"WARNING/pika_locust.runtime.coordinator: nothing answered at {url}: connection refused" in finished.output
    assert finished.metric("http_req_failed")["fails"] == 0
    assert finished.metric("http_req_failed")["passes"] > 5


def test_a_threshold_of_the_command_line_and_one_with_a_tag(server: Target, tmp_path: Path) -> None:
    arguments = options(server, "-t", "2s", "--threshold", "http_req_duration{name:/search}:p(95)<0.001")
    finished = run(arguments, tmp_path)
    assert finished.reasons == [("threshold", "http_req_duration{name:/search}")]
    assert finished.exit_code == 99


def test_failures_that_the_user_allows_are_allowed(server: Target, tmp_path: Path) -> None:
    server.broken = True
    thresholds = json.dumps({"http_req_failed": "rate<=1"})
    finished = run(options(server, "-t", "2s"), tmp_path, {"SHOP_THRESHOLDS": thresholds})
    assert finished.exit_code == 0, finished.output


def test_abort_on_fail_ends_the_run_early(server: Target, tmp_path: Path) -> None:
    server.broken = True
    thresholds = json.dumps({"http_req_failed": {"threshold": "rate<0.01", "abort_on_fail": True}})
    finished = run(options(server, "-t", "60s"), tmp_path, {"SHOP_THRESHOLDS": thresholds})
    assert finished.exit_code == 99
    assert finished.summary is not None
    assert finished.summary["duration_s"] < 30
    assert any("abort_on_fail" in note for note in finished.summary["notes"])


def test_tasks_that_raise_turn_the_run_red(server: Target, tmp_path: Path) -> None:
    finished = run(options(server, "-t", "2s"), tmp_path, {"SHOP_TASK_FAILS": "1"})
    assert finished.reasons == [("threshold", "task_exceptions")]
    assert finished.summary is not None
    errors = {error["error"] for error in finished.summary["errors"]}
    # The second is no Exception, and ends its user: Locust does not count it.
    assert errors == {"ValueError: no such shoe", "Timeout: 0.01 seconds"}


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ('{"http_req_duration": "p95<300"}', "the threshold 'p95<300' of http_req_duration"),
        ('{"http_req_durations": "p(95)<300"}', "http_req_duration"),
        ('{"http_reqs": "p(95)<300"}', "http_reqs"),
        ('{"http_req_failed": 0.01}', "http_req_failed"),
        ('{"iterations": "count>0"}', "iterations"),
    ],
    ids=["an expression", "a name", "an aggregation", "a number", "a metric that cannot be seen here"],
)
def test_a_threshold_that_cannot_be_meant_is_refused(
    thresholds: str, said: str, server: Target, tmp_path: Path
) -> None:
    finished = run(options(server, "-t", "2s"), tmp_path, {"SHOP_THRESHOLDS": thresholds})
    assert finished.exit_code == 104
    assert finished.summary is not None
    assert said in finished.summary["reasons"][0]["text"]
    assert "Traceback" not in finished.output
    assert not server.answered


@pytest.mark.parametrize(("broken", "code"), [(False, 7), (True, 99)], ids=["only the locustfile fails", "both fail"])
def test_an_exit_code_of_the_locustfile_that_is_none_of_ours(
    broken: bool, code: int, server: Target, tmp_path: Path
) -> None:
    server.broken = broken
    finished = run(options(server, "-t", "2s"), tmp_path, {"SHOP_EXIT_CODE": "7"})
    assert finished.summary is not None
    assert (finished.exit_code, finished.summary["exit_code"]) == (code, code)
    assert ("exit_code", "locust") in finished.reasons
    assert finished.output.rstrip().rpartition("\n")[2].startswith(f"Exit code {code}")


@pytest.mark.parametrize(
    ("event", "workers"), [("test_start", "0"), ("spawning_complete", "0"), ("worker_report", "2")]
)
def test_a_listener_that_ends_the_process_makes_no_success_of_it(
    event: str, workers: str, server: Target, tmp_path: Path
) -> None:
    extra = ["--processes", workers] if workers != "0" else []
    finished = run(options(server, "-t", "20s", *extra), tmp_path, {"SHOP_EXITS_AT": event})
    assert finished.summary is not None
    assert finished.exit_code == finished.summary["exit_code"] == 2, finished.output
    assert ("exit_code", "locust") in finished.reasons
    assert finished.summary["duration_s"] < 10


@pytest.mark.parametrize(("more", "code"), [([], 107), (["--list"], 0)], ids=["a test", "a list"])
def test_a_listener_of_init_that_ends_the_process_makes_no_success_of_it(
    more: list[str], code: int, server: Target, tmp_path: Path
) -> None:
    finished = run(options(server, "-t", "20s", *more), tmp_path, {"SHOP_EXITS_AT": "init"})
    assert finished.exit_code == code, finished.output
    assert (finished.summary is None) is bool(more)
    if finished.summary is not None:
        assert finished.summary["exit_code"] == 107
        assert finished.reasons == [("internal", "listener")]
        assert "sys.exit() before the test began" in finished.output
    assert not server.answered


def test_an_exception_in_a_listener_is_no_pass(server: Target, tmp_path: Path) -> None:
    finished = run(options(server, "-t", "2s"), tmp_path, {"SHOP_WARM_UP_FAILS": "1"})
    assert finished.summary is not None
    assert (finished.exit_code, finished.summary["exit_code"]) == (2, 2), finished.output
    assert finished.reasons == [("exit_code", "locust")]


def test_an_exception_in_the_very_last_listener_of_a_worker_is_no_pass(server: Target, tmp_path: Path) -> None:
    arguments = options(server, "-t", "2s", "--processes", "2")
    finished = run(arguments, tmp_path, {"SHOP_WORKERS_FAIL_AT": "quitting"})
    assert finished.summary is not None
    assert (finished.exit_code, finished.summary["exit_code"]) == (2, 2), finished.output
    # Both workers have failed, and each is named.
    assert finished.reasons == [("exit_code", "locust")] * 2
    assert "\nExit code 2" in finished.output


def test_a_worker_whose_master_was_killed_stops_soon_and_not_with_success(server: Target, tmp_path: Path) -> None:
    port = str(free_port())
    (tmp_path / "worker").mkdir()
    leading = options(server, "-t", "60s", "--master", "--master-bind-port", port)
    with (
        Run(["-f", SHOP, "--worker", "--master-port", port], tmp_path / "worker") as worker,
        Run(leading, tmp_path) as master,
    ):
        wait_for_answers(server, 50, master)
        master.process.kill()
        killed_s = time.monotonic()
        finished = worker.finish(timeout_s=30)
    assert time.monotonic() - killed_s < 25
    assert finished.exit_code == 99, finished.output
    assert "The master is gone" in finished.output


SINGLE = """
import sys
from locust import FastHttpUser, constant, run_single_user, task
from locust.exception import StopUser
import pika_locust

judge = pika_locust.install(thresholds={"looking": "p(95)<500"}, metrics=[pika_locust.trend("looking")])

class Visitor(FastHttpUser):
    host = sys.argv.pop()
    wait_time = constant(0.05)
    looks = 0

    @task
    def look(self):
        with judge.timer("looking"):
            self.client.get("/look")
        self.looks += 1
        if self.looks == 3:
            raise StopUser

if __name__ == "__main__":
    run_single_user(Visitor)
    print("the user has ended")
"""


def test_a_single_user_runs_for_a_debugger(server: Target, tmp_path: Path) -> None:
    (tmp_path / "single.py").write_text(SINGLE)
    command = [sys.executable, "single.py", server.url]
    run_alone = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run_alone.returncode == 0, run_alone.stderr
    assert run_alone.stdout.endswith("the user has ended\n")
    assert "One user against http://127.0.0.1" in run_alone.stderr
    assert server.answered[200] == 3


def test_a_task_may_quit_the_runner_and_the_test_is_judged(server: Target, tmp_path: Path) -> None:
    finished = run(options(server, "-t", "60s"), tmp_path, {"SHOP_ENOUGH": "100"})
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert finished.summary["duration_s"] < 30
    assert finished.summary["metrics"]["http_reqs"]["count"] > 100


@LOCAL_AND_WORKERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_results_are_written_when_it_is_stopped(
    number: signal.Signals, extra: list[str], server: Target, tmp_path: Path
) -> None:
    with Run(options(server, "-t", "60s", *extra), tmp_path) as started:
        wait_for_answers(server, 50, started)
        if number == signal.SIGINT:
            started.signal_group(number)
        else:
            started.process.send_signal(number)
        finished = started.finish()
    assert finished.exit_code == 105, finished.output
    assert finished.summary is not None
    assert ("stopped", number.name) in finished.reasons
    assert finished.summary["load"]["complete"] is True
    # Who is in the middle of a request when everybody is told to stop has no answer to count.
    assert 0 <= sum(server.answered.values()) - counted(finished) <= 6


def test_a_ramp_up_that_outlasts_the_run(server: Target, tmp_path: Path) -> None:
    arguments = [
        "--headless",
        "--only-summary",
        "-f",
        SHOP,
        "-H",
        server.url,
        "-u",
        "100",
        "-r",
        "5",
        "-t",
        "4s",
        "-s",
        "5",
    ]
    finished = run([*arguments, "--processes", "2"], tmp_path)
    assert finished.exit_code == 0, finished.output
    # Nobody is started, and asks for anything, after the last report.
    assert sum(server.answered.values()) == counted(finished)


@LOCAL_AND_WORKERS
def test_two_tests_from_the_web_page(extra: list[str], server: Target, tmp_path: Path) -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    arguments = ["-f", SHOP, "-H", server.url, "--web-host", "127.0.0.1", "--web-port", str(port), *extra]
    with Run(arguments, tmp_path) as started:
        started.wait_for(lambda output: "Starting web interface" in output, "a web page")
        time.sleep(2.0)
        for users in (2, 4):
            before = sum(server.answered.values())
            form = {"user_count": str(users), "spawn_rate": "10", "host": server.url}
            assert requests.post(f"{page}/swarm", data=form, timeout=10).json()["success"]
            deadline = time.monotonic() + 30
            while sum(server.answered.values()) < before + 40:
                assert time.monotonic() < deadline, started.output
                time.sleep(0.1)
            assert requests.post(f"{page}/stop", timeout=60).json()["success"]
        started.process.send_signal(signal.SIGINT)
        finished = started.finish()
    summaries = [json.loads((tmp_path / name).read_text()) for name in ("summary.json", "summary-2.json")]
    assert [summary["load"]["users_peak"] for summary in summaries] == [2, 4]
    assert [summary["verdict"] for summary in summaries] == ["pass", "pass"]
    total = sum(summary["metrics"]["http_reqs"]["count"] for summary in summaries)
    assert 0 <= sum(server.answered.values()) - total <= 6
    assert finished.exit_code == 0


def example(name: str, directory: Path) -> list[str]:
    """One of Locust's own, with the one line at its end."""
    assert EXAMPLES.is_dir(), f"{EXAMPLES} is missing; `make test` puts it there"
    copy = directory / Path(name).name
    line = "import pika_locust\npika_locust.install(thresholds={'http_req_duration': 'p(95)<2000'})\n"
    copy.write_text(f"{(EXAMPLES / name).read_text()}\n\n{line}")
    return ["--headless", "--only-summary", "-f", str(copy)]


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("basic.py", 99),
        ("custom_wait_function.py", 99),
        ("dynamic_user_credentials.py", 0),
        ("events.py", 0),
        ("fast_http_locust.py", 0),
        ("locustfile.py", 0),
        ("nested_inline_tasksets.py", 0),
        ("semaphore_wait.py", 0),
    ],
)
def test_locusts_own_examples(name: str, exit_code: int, server: Target, tmp_path: Path) -> None:
    # Those that fail ask for a page that is not there, every third time or so.
    seconds = 4 if exit_code else 2
    arguments = [*example(name, tmp_path), "-H", server.url, "-u", "8", "-r", "8", "-t", f"{seconds}s"]
    finished = run(arguments, tmp_path)
    assert finished.exit_code == exit_code, finished.output
    assert finished.reasons == ([("threshold", "http_req_failed")] if exit_code else [])
    assert 0 <= sum(server.answered.values()) - counted(finished) <= 8
    assert finished.metric("http_req_failed")["passes"] == server.answered[404]


@pytest.mark.parametrize("name", ["custom_shape/stages.py", "custom_shape/staging_user_classes.py"])
def test_locusts_own_shapes(name: str, server: Target, tmp_path: Path) -> None:
    with Run([*example(name, tmp_path), "-H", server.url], tmp_path) as started:
        deadline = time.monotonic() + 40
        while server.answered[200] < 20:
            assert time.monotonic() < deadline, started.output
            time.sleep(0.1)
        started.process.send_signal(signal.SIGTERM)
        finished = started.finish()
    assert finished.reasons == [("stopped", "SIGTERM")]
    assert finished.summary is not None
    assert finished.summary["load"]["profile"].startswith("the shape ")
    assert finished.summary["load"]["users_peak"] == 10


def test_production_hosts_are_refused(tmp_path: Path) -> None:
    arguments = ["--headless", "-f", SHOP, "-H", "http://shop.example", "-t", "2s"]
    finished = run(arguments, tmp_path, {"PIKA_PRODUCTION_HOSTS": "shop.example"})
    assert finished.exit_code == 104
    assert finished.summary is not None
    assert "--allow-production" in finished.summary["reasons"][0]["text"]

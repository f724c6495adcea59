"""Bad settings end a run with 104 and one message with all mistakes, before anything is sent or started."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.support import DANCERS, LOCAL_AND_WORKERS, Finished, Run, free_port, run

pytestmark = pytest.mark.e2e

TOKEN = "s3cr3t-dj-token"


class Ear:
    """A port that hears whether anybody calls."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    def called(self) -> bool:
        try:
            self._socket.accept()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.close()


def left_behind(run: Run) -> list[str]:
    """Processes of the run's session that are still there."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "-s", str(run.process.pid)], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "<defunct>" not in line]


def problems_of(finished: Finished) -> list[str]:
    """The mistakes as they were told; the summary must tell the same."""
    assert finished.exit_code == 104, finished.output
    first, *lines = finished.output.strip().splitlines()
    assert first == "dancers: this cannot run as it is set up:"
    told = [line.removeprefix("  - ") for line in lines]
    assert finished.summary is not None
    assert (finished.summary["verdict"], finished.summary["exit_code"]) == ("invalid", 104)
    assert finished.summary["scenario"] == "dancers"
    assert [reason["code"] for reason in finished.summary["reasons"]] == ["config"] * len(told)
    assert [reason["text"] for reason in finished.summary["reasons"]] == told
    return told


@LOCAL_AND_WORKERS
def test_every_mistake_is_told_at_once_and_nothing_has_begun(extra: list[str], ear: Ear, tmp_path: Path) -> None:
    words = ["--headless", "-f", DANCERS, "-r", "5", "--seed", "x", "--stage", "often", "--load-profile", "no", *extra]
    env = {
        "WS_URL": f"ws://127.0.0.1:{ear.port}/ws",
        "TRACK_EVERY": "2s",
        "PIKA_DJ": "nobody",
        "SESSION_ID": "short",
        "PIKA_DJ_TOKEN": TOKEN,
    }
    started = Run(words, tmp_path, env)
    finished = started.finish(30.0)
    told = problems_of(finished)
    beginnings = [
        "--seed x: it is not a whole number",
        "--load-profile no: it must be one of standard, big, stress, spike, constant",
        "SESSION_ID=short: it must have 8 to 64 characters, it has 5",
        "PIKA_DJ=nobody: it must be one of own, external",
        "-r needs -u: ",
        "--stage: 'often' is not a stage",
        "TRACK_EVERY=2s: ",
    ]
    assert len(told) == len(beginnings), told
    for beginning in beginnings:
        assert any(problem.startswith(beginning) for problem in told), (beginning, told)
    assert not ear.called()
    assert left_behind(started) == []
    assert TOKEN not in finished.output + json.dumps(finished.summary)


def test_a_secret_is_in_nothing_that_a_run_prints_or_writes_and_production_can_be_meant(tmp_path: Path) -> None:
    env = {
        "WS_URL": f"ws://127.0.0.1:{free_port()}/ws?token={TOKEN}",
        "PIKA_DJ_TOKEN": TOKEN,
        "PIKA_PRODUCTION_HOSTS": "127.0.0.1",
    }
    words = ["--headless", "-f", DANCERS, "-u", "2", "-t", "2", "--loglevel", "DEBUG", "--allow-production"]
    finished = run(words, tmp_path, env)
    assert finished.exit_code == 99, finished.output
    assert finished.summary is not None
    assert finished.summary["target"]
    url = env["WS_URL"].partition("?")[0]
    why = f"nothing answered at {url}: connection refused"
    assert finished.summary["reasons"][0] == {"code": "no_answer", "subject": url, "text": why}
    assert finished.summary["settings"] == {
        "WS_URL": env["WS_URL"].replace(TOKEN, "REDACTED"),
        "PIKA_PRODUCTION_HOSTS": "127.0.0.1",
    }
    assert TOKEN not in finished.output
    assert TOKEN not in json.dumps(finished.summary)


def test_a_misspelt_option_is_a_mistake_like_others(tmp_path: Path) -> None:
    assert problems_of(run(["--headless", "-f", DANCERS, "--treshold", "x:avg<1"], tmp_path)) == [
        "unrecognized arguments: --treshold; Did you mean '--threshold'?"
    ]


def test_words_of_k6_are_answered_beside_every_other_mistake(tmp_path: Path) -> None:
    words = ["--headless", "-f", DANCERS, "--vus", "10", "-d", "30s"]
    answers = [
        "there is no option --vus here; use -u NUMBER, and -r for so many a second",
        "there is no option -d here; use -t, as in -t 30s",
    ]
    assert problems_of(run(words, tmp_path)) == answers
    assert problems_of(run([*words, "--seed", "x"], tmp_path)) == ["--seed x: it is not a whole number", *answers]


def test_a_misspelt_setting_would_test_the_sandbox_and_is_a_mistake(tmp_path: Path) -> None:
    words = ["--headless", "-f", DANCERS, "-u", "1", "-t", "2"]
    assert problems_of(run(words, tmp_path, {"WSURL": "ws://127.0.0.1:9/ws", "RAMPUP": "5s"})) == [
        "WSURL: no setting is called so; did you mean WS_URL?",
        "RAMPUP: no setting is called so; did you mean RAMP_UP?",
    ]


def test_a_scenario_beside_users_of_a_locustfile_s_own_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("import pika_locust\n\npika_locust.install()\n")
    finished = run(["--headless", "-f", f"{DANCERS},{own}", "-t", "2s"], tmp_path)
    (problem,) = problems_of(finished)
    assert problem.startswith(
        "dancers and locustfile are both installed; users of a locustfile's own run by themselves"
    )
    assert "Traceback" not in finished.output


def test_two_shape_files_are_refused(tmp_path: Path) -> None:
    finished = run(["--headless", "-f", f"{DANCERS},shapes/spike.py,shapes/big.py"], tmp_path)
    assert problems_of(finished) == ["-f names shapes/spike.py and shapes/big.py; a run follows one shape"]


def test_a_shape_that_nobody_would_follow_is_refused(tmp_path: Path) -> None:
    wave = tmp_path / "wave.py"
    wave.write_text("import locust\n\n\nclass Wave(locust.LoadTestShape):\n    def tick(self):\n        return 1, 1\n")
    (problem,) = problems_of(run(["--headless", "-f", f"{DANCERS},{wave}"], tmp_path))
    assert problem.startswith("-f names the shape Wave, which is none of this package's")


def test_a_fault_that_the_sandbox_does_not_have_is_refused_before_it_starts(tmp_path: Path) -> None:
    (problem,) = problems_of(run(["--headless", "-f", DANCERS, "--sandbox-fault", "loose-write=0.05"], tmp_path))
    assert problem.startswith("--sandbox-fault: fault 'loose-write' is not known here; legal are ")


def test_production_is_not_called(ear: Ear, tmp_path: Path) -> None:
    env = {"WS_URL": f"ws://127.0.0.1:{ear.port}/ws", "PIKA_PRODUCTION_HOSTS": "api.example.org, 127.0.0.1"}
    assert problems_of(run(["--headless", "-f", DANCERS, "-u", "1", "-t", "2"], tmp_path, env)) == [
        "WS_URL names 127.0.0.1, a production host; --allow-production says that it is meant"
    ]
    assert not ear.called()


def test_production_is_not_called_from_the_web_page_either(ear: Ear, tmp_path: Path) -> None:
    port = free_port()
    env = {"PIKA_PRODUCTION_HOSTS": "127.0.0.1", "WS_URL": f"ws://localhost:{ear.port}/ws"}
    started = Run(["-f", DANCERS, "--web-host", "127.0.0.1", "--web-port", str(port)], tmp_path, env)
    with started:
        started.wait_for(lambda output: "Starting web interface" in output, "a web page")
        page = f"http://127.0.0.1:{port}"
        form = {"user_count": "1", "spawn_rate": "1", "load_profile": "constant"}
        deadline_s = time.monotonic() + 10
        while True:
            try:
                answer = requests.post(f"{page}/swarm", data={**form, "host": f"ws://127.0.0.1:{ear.port}"}, timeout=10)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
        assert answer.json()["success"] is False
        assert answer.json()["message"].startswith("the form names 127.0.0.1, a production host")
        assert "This test cannot run: the form names 127.0.0.1, a production host" in started.output
        time.sleep(1.5)
        assert not ear.called()
        assert requests.get(f"{page}/stats/requests", timeout=10).json()["user_count"] == 0
        started.process.terminate()
        finished = started.finish()
    # There was no test to judge.
    assert finished.exit_code == 0, finished.output
    assert finished.summary is None

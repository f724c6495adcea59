"""The web page of a master: each test that it starts and stops has its own verdict and its own summary.

What people see of it is in `test_browser`.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest
import requests

from tests.e2e.support import DANCERS, Run, free_port, run, sandbox, socket_url

pytestmark = pytest.mark.e2e


def state(page: str) -> str:
    return str(requests.get(f"{page}/stats/requests", timeout=10).json()["state"])


def wait_for(page: str, wanted: set[str], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while state(page) not in wanted:
        assert time.monotonic() < deadline, f"still {state(page)}, not {wanted}"
        time.sleep(0.2)


@pytest.mark.long
def test_two_tests_one_after_the_other_give_two_verdicts(tmp_path: Path) -> None:
    port = free_port()
    # A scenario's users are its own, whatever Locust's form could pick.
    arguments = [
        "-f",
        DANCERS,
        "--class-picker",
        "--web-host",
        "127.0.0.1",
        "--web-port",
        str(port),
        "--processes",
        "2",
    ]
    with (
        sandbox() as target,
        Run(arguments, tmp_path, {"WS_URL": socket_url(target), "TRACK_EVERY": "5.2s"}) as started,
    ):
        page = f"http://127.0.0.1:{port}"
        started.wait_for(lambda output: "Starting web interface" in output, "a web page")
        time.sleep(2.0)
        form = {"user_count": "8", "spawn_rate": "8"}
        for foreign in ({"Origin": "http://attacker.example"}, {"Host": "attacker.example"}):
            assert requests.post(f"{page}/swarm", data=form, headers=foreign, timeout=10).status_code == 403
        for _ in range(2):
            held = target.state()["likes_held"]
            answer = requests.post(f"{page}/swarm", data=form, timeout=10).json()
            assert answer["success"], answer
            wait_for(page, {"running", "spawning"})
            started.wait_for(lambda _, held=held: target.state()["likes_held"] > held, "a like of this test")
            answer = requests.post(f"{page}/stop", timeout=90).json()
            assert answer["success"], answer
            wait_for(page, {"stopped", "ready"})
        started.process.send_signal(signal.SIGINT)
        finished = started.finish()
        first = json.loads((tmp_path / "summary.json").read_text())
        second = json.loads((tmp_path / "summary-2.json").read_text())
        assert first["run_id"] != second["run_id"]
        for summary in (first, second):
            assert summary["verdict"] == "pass", summary["reasons"]
            assert summary["load"]["users_peak"] == 8
            assert any("stopped in the web page" in note for note in summary["notes"])
            assert summary["metrics"]["ws_session_live"]["passes"] == 8
            assert all(audit["status"] == "pass" for audit in summary["audits"])
        assert finished.output.count("PASS  dancers") == 2
        assert finished.exit_code == 0


def test_a_port_in_use_ends_the_run_with_the_reason_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        arguments = ["-f", DANCERS, "--web-host", "127.0.0.1", "--web-port", str(port), "--processes", "2"]
        finished = run(arguments, tmp_path)
    assert finished.exit_code == 104
    assert finished.reasons == [("config", "settings")]
    assert f"the web page's port 127.0.0.1:{port} cannot be opened" in finished.output
    assert "--web-port" in finished.output
    assert "Traceback" not in finished.output

"""A sandbox in a process of its own: start, faults, stop, and what goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pika_locust.errors import ConfigurationError, SetupError
from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.sandbox import process as process_module

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    with start_sandbox(["pika"]) as process:
        yield process


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment, check=False)


def test_a_started_sandbox_answers_and_lives_in_a_session_of_its_own(shared: SandboxProcess) -> None:
    assert shared.url == f"http://127.0.0.1:{shared.port}"
    assert shared.state()["platform"] == "pika"
    assert shared.exit_code is None
    assert os.getsid(shared.pid) == shared.pid != os.getsid(0)


def test_it_may_open_as_many_descriptors_as_the_system_allows(shared: SandboxProcess) -> None:
    soft, hard = psutil.Process(shared.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard


def test_faults_are_switched_through_it(shared: SandboxProcess) -> None:
    shared.set_faults({"drop": 0.5, "dead-session": True})
    assert shared.faults() == {"drop": "0.5", "dead-session": True}
    with pytest.raises(ConfigurationError, match="legal are close-after=S"):
        shared.set_faults({"nope": 1})
    shared.clear_faults()
    assert shared.faults() == {}


def test_reset_empties_it(shared: SandboxProcess) -> None:
    with connect(f"ws://127.0.0.1:{shared.port}/ws") as dj:
        dj.send('{"type":"REGISTER_SESSION","sessionId":"reset-room"}')
        dj.recv(2)
        assert "reset-room" in shared.state()["sessions"]
        shared.reset()
        with pytest.raises(ConnectionClosed):
            dj.recv(2)
    assert shared.state()["sessions"] == {}


@pytest.mark.parametrize(("host", "loopback"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
def test_one_that_listens_on_every_address_is_reached_on_loopback(host: str, loopback: str) -> None:
    if host == "::" and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with start_sandbox(["pika"], host=host) as process:
        assert process.url == f"http://{loopback}:{process.port}"
        assert process.state()["platform"] == "pika"


@pytest.mark.alone
def test_stopping_ends_it_at_once_and_may_be_repeated() -> None:
    process = start_sandbox(["pika"], faults=["latency=50"], env={"PATH": os.environ["PATH"]})
    assert process.faults() == {"latency": "50"}
    started = time.monotonic()
    process.stop()
    process.stop()
    assert time.monotonic() - started < 1
    assert process.exit_code == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", process.port))


def test_terminating_sends_the_last_notice_to_all_but_the_oldest() -> None:
    process = start_sandbox(["pika"])
    url = f"ws://127.0.0.1:{process.port}/ws"
    with connect(url) as oldest, connect(url) as other:
        other.send('{"type":"PING"}')
        assert other.recv(2) == '{"type":"PONG"}'
        started = time.monotonic()
        process.terminate()
        assert 0.4 < time.monotonic() - started < 2
        assert other.recv(2) == '{"type":"SERVER_SHUTDOWN","message":"Server is shutting down for maintenance"}'
        for client in (oldest, other):
            with pytest.raises(ConnectionClosed) as ended:
                client.recv(2)
            assert ended.value.rcvd is None
    assert process.exit_code == 0


def test_it_ends_when_its_starter_is_killed() -> None:
    script = "from pika_locust.sandbox import start_sandbox; import time; p = start_sandbox(['pika']); "
    command = [sys.executable, "-c", script + "print(p.pid, flush=True); time.sleep(60)"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert psutil.pid_exists(pid)
        starter.send_signal(signal.SIGKILL)
    gone = within(3, lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert gone


def test_an_unknown_platform_or_fault_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="platform 'nope' has no sandbox"):
        start_sandbox(["nope"])
    with pytest.raises(ConfigurationError) as refused:
        start_sandbox(["pika"], faults=["drop=2", "oversell"])
    assert len(refused.value.problems) == 2


def test_a_setting_that_cannot_be_read_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="PIKA_SANDBOX_MAX_SESSIONS=many: not a whole number"):
        start_sandbox(["pika"], env={**os.environ, "PIKA_SANDBOX_MAX_SESSIONS": "many"})


def test_a_port_that_is_taken_is_a_failed_set_up_with_the_reason(shared: SandboxProcess) -> None:
    with pytest.raises(SetupError, match=f"cannot listen on port {shared.port}: .*address already in use"):
        start_sandbox(["pika"], port=shared.port)


def test_a_process_that_breaks_is_a_failed_set_up_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise RuntimeError('planted')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with pytest.raises(SetupError, match=r"ended with code 1 instead of starting: (.|\n)*RuntimeError: planted"):
        start_sandbox(["pika"], env=environment)


def test_a_process_that_stays_silent_is_given_up_and_another_one_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    been_here = tmp_path / "been_here"
    (tmp_path / "uvloop.py").write_text(
        f"import pathlib, time\nfirst = not pathlib.Path({str(been_here)!r}).exists()\n"
        f"pathlib.Path({str(been_here)!r}).touch()\nif first: time.sleep(60)\nimport asyncio\n"
        "new_event_loop = asyncio.new_event_loop\n"
    )
    monkeypatch.setattr(process_module, "SILENCE_S", 1.0)
    with start_sandbox(["pika"], env={**os.environ, "PYTHONPATH": str(tmp_path)}) as started:
        assert been_here.exists()
        assert started.state()["platform"] == "pika"


def test_it_starts_and_stops_under_gevents_patches_without_stopping_other_greenlets() -> None:
    script = """
from gevent import monkey; monkey.patch_all()
import gevent
from pika_locust.sandbox import start_sandbox
ticks = []
def tick():
    while True:
        ticks.append(1); gevent.sleep(0.005)
other = gevent.spawn(tick)
process = start_sandbox(["pika"])
print(process.state()["platform"], len(ticks) > 5)
process.stop()
print(process.exit_code)
"""
    done = run_script(script)
    assert (done.stdout.split(), done.stderr) == (["pika", "True", "0"], "")


def test_what_the_process_imports_leaves_locust_and_gevent_out() -> None:
    script = """
import sys
import pika_locust.sandbox.__main__
from pika_locust.catalogue import find_platform, known_platforms
for name in known_platforms():
    find_platform(name)
print(sorted({"gevent", "locust", "requests"} & {name.partition(".")[0] for name in sys.modules}))
"""
    assert run_script(script).stdout == "[]\n"

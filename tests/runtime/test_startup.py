from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

LISTENING = """
import os, signal, sys, time
# Whoever started the tests may have had it ignored, as a shell has of what it starts in the background.
signal.signal(signal.Signals[sys.argv[1]], signal.SIG_IGN if sys.argv[2] == "ignored" else signal.SIG_DFL)
from pika_locust.runtime.startup import listen_early
listen_early(lambda name: print("stopped by", name, flush=True))
if sys.argv[2] == "forked":
    pid = os.fork()
    if pid:
        print("exit code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        sys.exit(0)
os.kill(os.getpid(), signal.Signals[sys.argv[1]])
time.sleep(0.1)
print("goes on")
"""


@pytest.mark.parametrize(
    ("name", "how", "code", "said"),
    [
        ("SIGINT", "", 105, ["stopped by SIGINT"]),
        ("SIGTERM", "", 105, ["stopped by SIGTERM"]),
        ("SIGHUP", "", 105, ["stopped by SIGHUP"]),
        ("SIGHUP", "ignored", 0, ["goes on"]),
        ("SIGTERM", "forked", 0, ["exit code 105"]),
    ],
    ids=["Ctrl-C", "SIGTERM", "a closed terminal", "nohup has that ignored", "a forked worker reports nothing"],
)
def test_a_signal_while_the_run_starts_ends_it_with_a_report(name: str, how: str, code: int, said: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", LISTENING, name, how], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.splitlines()) == (code, said), ended.stderr


FORKING = """
import signal, sys, time
import gevent
from pika_locust.runtime import startup
startup.INSIST_S = 0.3
startup.ForkedWorkers(lambda: float(sys.argv[2]), lambda: False).watch()
pid = gevent.fork()
if not pid:
    if sys.argv[1] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("there", flush=True)
    time.sleep(0.2 if sys.argv[1] == "about to end" else 60)
    print("ended by itself", flush=True)
    sys.exit(0)
time.sleep(0.1)
print(pid, flush=True)
"""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("worker", "grace_s", "by_itself"),
    [("waiting", 0.0, False), ("deaf", 0.0, False), ("about to end", 5.0, True)],
)
def test_no_forked_worker_outlives_its_master(worker: str, grace_s: float, by_itself: bool) -> None:
    began_s = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", FORKING, worker, str(grace_s)], capture_output=True, text=True, timeout=50
    )
    assert time.monotonic() - began_s < 10
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert ("ended by itself" in said) is by_itself
    pid = next(int(line) for line in said if line.isdigit())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


ORPHANED = """
import os, signal, sys
import gevent
from pika_locust.runtime import startup
startup.ORPHAN_POLL_S = 0.05
startup.ForkedWorkers(lambda: 0.0, lambda: sys.argv[1] == "joined").watch()
if not gevent.fork():
    # As Locust does it: it waits for an answer, and tries again.
    gevent.sleep(float(sys.argv[2]))
    print("goes on", flush=True)
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "tries_s", "said"), [("joining", "20", ""), ("joined", "0.3", "goes on\n")])
def test_a_worker_whose_master_is_killed_before_it_has_joined_ends(how: str, tries_s: str, said: str) -> None:
    # Its output comes to an end when the worker, too, has ended.
    ended = subprocess.run([sys.executable, "-c", ORPHANED, how, tries_s], capture_output=True, text=True, timeout=50)
    assert ended.returncode == -9
    assert ended.stdout == said
    assert ("The master has ended before this worker could join it" in ended.stderr) is (how == "joining")


STARTED = """
import os, signal, subprocess, sys
import gevent
from pika_locust.process import PARENT, parent_of
from pika_locust.runtime import startup
if sys.argv[2:] != ["child"]:
    environ = {**os.environ, PARENT: str(os.getpid())}
    subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[1], "child"], env=environ)
    sys.exit(0)

def told():
    print("told by SIGTERM", flush=True)
    sys.exit(0)

gevent.signal_handler(signal.SIGTERM, told)
startup.end_with_parent(parent_of(os.environ), lambda: print("alone", flush=True))
gevent.sleep(1.5 * startup.ORPHAN_POLL_S)
print("runs", flush=True)
gevent.sleep(20)
print("goes on", flush=True)
"""


def test_a_run_whose_parent_is_killed_is_told_to_end() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTED, STARTED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        # It has looked for its parent by then, which was there.
        assert parent.stdout.readline() == "runs\n"
        parent.kill()
        # Its output comes to an end when the run, too, has ended.
        assert parent.stdout.read() == "alone\ntold by SIGTERM\n"

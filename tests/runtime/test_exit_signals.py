from __future__ import annotations

import subprocess
import sys

import pytest

PROCESS = """
import os, signal, sys
number = signal.Signals[sys.argv[1]]
if sys.argv[3] == "ignored":
    signal.signal(number, signal.SIG_IGN)
import gevent
from pika_locust.runtime.exit import handle_signals
def heard(name):
    print("heard", name)
    return sys.argv[2] == "goes on"
handle_signals(heard)
if sys.argv[4]:
    def handler():
        print("another's")
    handler.__module__ = sys.argv[4]
    gevent.signal_handler(number, handler)
gevent.spawn_later(0.01, os.kill, os.getpid(), number)
try:
    gevent.sleep(0.3)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("name", "goes", "before", "after", "said"),
    [
        ("SIGINT", "goes on", "", "", ["heard SIGINT", "interrupted"]),
        ("SIGHUP", "goes on", "", "", ["heard SIGHUP", "interrupted"]),
        ("SIGHUP", "goes on", "ignored", "", []),
        ("SIGTERM", "goes on", "", "", ["heard SIGTERM", "interrupted"]),
        ("SIGTERM", "goes on", "", "locust.main", ["heard SIGTERM", "another's"]),
        ("SIGTERM", "goes on", "", "locustfile", ["heard SIGTERM", "another's", "interrupted"]),
        ("SIGINT", "stays", "", "", ["heard SIGINT"]),
    ],
    ids=[
        "Ctrl-C interrupts",
        "so does a closed terminal",
        "nohup has that ignored",
        "SIGTERM interrupts where Locust does not listen",
        "else Locust sees to it",
        "what a locustfile listens to ends the run as well",
        "nothing goes on that is not wanted",
    ],
)
def test_a_signal_is_heard_and_goes_on_to_locust(
    name: str, goes: str, before: str, after: str, said: list[str]
) -> None:
    ended = subprocess.run([sys.executable, "-c", PROCESS, name, goes, before, after], capture_output=True, text=True)
    assert (ended.returncode, sorted(ended.stdout.splitlines())) == (0, sorted(said)), ended.stderr

"""Workers come and go; whoever is running stays where they are. In a process of its own, for Locust patches its own."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json
from locust import User
from locust.runners import WorkerNode
from pika_locust.runtime.pacing import SteadyDispatcher

class Dj(User):
    fixed_count = 1

class Dancer(User):
    weight = 1

def settle(dispatcher, total):
    dispatcher.new_dispatch(total, 100.0)
    return [users for users in dispatcher][-1]

one, two, three = (WorkerNode(name) for name in ("host_b", "host_c", "host_a"))
dispatcher = SteadyDispatcher([one, two], [Dj, Dancer])
before = settle(dispatcher, 11)
dispatcher.add_worker(three)
joined = settle(dispatcher, 11)
more = settle(dispatcher, 23)
dispatcher.remove_worker(one if before["host_b"]["Dj"] else two)
after = settle(dispatcher, 23)
print(json.dumps([before, joined, more, after]))
"""


def test_nobody_moves_when_a_worker_joins_and_a_lost_dj_comes_back_first() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    before, joined, more, after = json.loads(done.stdout.splitlines()[-1])
    assert sum(users["Dj"] for users in before.values()) == 1
    assert {worker: joined[worker] for worker in before} == before
    assert joined["host_a"] == {"Dancer": 0, "Dj": 0}
    for worker, users in before.items():
        assert more[worker]["Dj"] == users["Dj"]
        assert more[worker]["Dancer"] >= users["Dancer"]
    assert more["host_a"]["Dancer"] > 0
    assert sum(users["Dancer"] for users in more.values()) == 22
    assert sum(users["Dj"] for users in after.values()) == 1
    assert sum(users["Dancer"] for users in after.values()) == 22
    for worker in after:
        assert after[worker]["Dancer"] >= more[worker]["Dancer"]

from __future__ import annotations

import os
import subprocess
import sys

from pika_locust.process import PARENT, RESERVED_FILES, parent_of, too_few_files
from tests.open_files import files_at_most

CODE = """
import gc
from pika_locust.process import tune_gc

class Node:
    pass

node = Node()
node.itself = node
tune_gc()
print(gc.get_threshold(), gc.get_freeze_count() > 1000, gc.isenabled())
# What is lost in a circle afterwards is still found, in the end.
for _ in range(60_000):
    node = Node()
    node.itself = node
print(sum(generation["collected"] for generation in gc.get_stats()) > 40_000)
"""


def test_it_is_rare_but_not_off() -> None:
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert told.stdout.split("\n")[:2] == ["(50000, 50, 50) True True", "True"], told.stderr


def test_sockets_must_fit_into_the_limit_of_open_files() -> None:
    with files_at_most(200):
        own = len(os.listdir("/proc/self/fd")) - 1 + RESERVED_FILES
        assert too_few_files(200 - own - 5) is None
        why = too_few_files(200)
    assert why is not None
    assert why.startswith("200 sockets at once are too many for one process: it may open 200 files (`ulimit -n`)")
    assert too_few_files(0) is None


def test_a_process_ends_with_its_parent_and_not_with_one_that_it_has_only_heard_of() -> None:
    parent = os.getppid()
    assert parent_of({PARENT: str(parent)}) == parent
    assert parent_of({PARENT: str(parent + 1)}) is None
    assert parent_of({}) is None

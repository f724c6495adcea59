from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from pika_locust.process import PARENT, RESERVED_FILES, parent_of, raise_open_file_limit, too_few_files
from tests.open_files import files_at_most

CODE = """
import gc
import pytest

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


LIMIT = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
import pytest

from pika_locust.process import raise_open_file_limit
raise_open_file_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
"""


def test_the_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", LIMIT], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_where_the_system_has_no_limit_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, which refuses to have none."""

    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_open_file_limit()


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

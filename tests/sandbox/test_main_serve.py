"""Serving: the limit of descriptors, and a port that is taken."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pika_locust.sandbox.__main__ import serve
from tests.sandbox.echo_world import echo_platform

ROOT = Path(__file__).parents[2]


def test_the_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    script = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
from pika_locust.sandbox.__main__ import raise_descriptor_limit
raise_descriptor_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "True\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 64


def test_a_taken_port_is_an_os_error_and_nothing_is_announced() -> None:
    announced: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve([echo_platform()], [], {}, taken.getsockname()[1], announced.append)
    assert announced == []

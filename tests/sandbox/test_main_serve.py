"""Serving on a port that is taken."""

from __future__ import annotations

import socket

import pytest

from pika_locust.sandbox.__main__ import serve
from tests.sandbox.echo_world import echo_platform


def test_a_taken_port_is_an_os_error_and_nothing_is_announced() -> None:
    announced: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve([echo_platform()], [], {}, taken.getsockname()[1], announced.append)
    assert announced == []

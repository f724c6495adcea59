"""The faults leak and crash-after, in a process."""

from __future__ import annotations

import time
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pika_locust.sandbox import start_sandbox
from pika_locust.sandbox.fault_effects import CRASH_EXIT_CODE

MEGABYTE = 1024 * 1024


def test_a_leak_really_grows_the_process_and_ends_with_the_fault() -> None:
    with start_sandbox(["pika"]) as process:
        before = process.state()["rss_bytes"]
        process.set_faults({"leak": 2400})
        time.sleep(0.9)
        during = process.state()["rss_bytes"]
        assert 25 * MEGABYTE <= during - before <= 60 * MEGABYTE
        process.clear_faults()
        time.sleep(0.3)
        assert process.state()["rss_bytes"] < during - 20 * MEGABYTE


@pytest.mark.alone
def test_a_crash_comes_so_long_after_the_first_client_and_health_checks_are_none() -> None:
    with start_sandbox(["pika"], faults=["crash-after=0.3"]) as process:
        urllib.request.urlopen(f"{process.url}/health").close()
        time.sleep(0.45)
        assert process.exit_code is None
        started = time.monotonic()
        with connect(f"ws://127.0.0.1:{process.port}/ws") as client, pytest.raises(ConnectionClosed) as ended:
            client.recv(3)
        assert ended.value.rcvd is None
        while process.exit_code is None and time.monotonic() - started < 3:
            time.sleep(0.01)
        assert 0.3 <= time.monotonic() - started < 1
        assert process.exit_code == CRASH_EXIT_CODE

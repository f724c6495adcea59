"""Locust's own example files with FastUser in the place of its users: nothing is changed but the import."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e import test_any_locustfile
from tests.e2e.shop_server.server import Target
from tests.e2e.support import run

pytestmark = pytest.mark.e2e


def example(name: str, directory: Path, replaced: str) -> list[str]:
    """One of Locust's own, with this class imported from here, on the same line so that line numbers stay."""
    arguments = test_any_locustfile.example(name, directory)
    path = Path(arguments[-1])
    text, count = re.subn(
        rf"^from locust import (.*\b){replaced}, (.*)$",
        rf"from locust import \1\2; from pika_locust import FastUser as {replaced}",
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert count == 1, path.read_text()
    path.write_text(text)
    return arguments


@pytest.mark.parametrize(
    ("name", "replaced", "exit_code"),
    [
        ("fast_http_locust.py", "FastHttpUser", 0),
        ("basic.py", "HttpUser", 99),
        ("dynamic_user_credentials.py", "HttpUser", 0),
        ("events.py", "HttpUser", 0),
        ("semaphore_wait.py", "HttpUser", 0),
    ],
)
def test_an_example(name: str, replaced: str, exit_code: int, server: Target, tmp_path: Path) -> None:
    # Each of the one that fails asks for a page that is not there every third time.
    users = 8 if exit_code == 0 else 32
    arguments = [*example(name, tmp_path, replaced), "-H", server.url, "-u", f"{users}", "-r", f"{users}", "-t", "2s"]
    finished = run(arguments, tmp_path)
    assert finished.exit_code == exit_code, finished.output
    assert finished.reasons == ([("threshold", "http_req_failed")] if exit_code else [])
    assert finished.metric("http_reqs")["count"] >= users / 2
    assert 0 <= sum(server.answered.values()) - finished.metric("http_reqs")["count"] <= users
    # What is in flight when users are stopped was answered, and nobody was there any more to count it.
    assert 0 <= server.answered[404] - finished.metric("http_req_failed")["passes"] <= users


def test_an_example_with_worker_processes(server: Target, tmp_path: Path) -> None:
    arguments = [*example("fast_http_locust.py", tmp_path, "FastHttpUser"), "-H", server.url, "-u", "8", "-r", "8"]
    finished = run([*arguments, "-t", "2s", "--processes", "2"], tmp_path)
    assert finished.exit_code == 0, finished.output
    assert finished.summary is not None
    assert finished.summary["load"]["workers"] == 2
    assert 0 <= sum(server.answered.values()) - finished.metric("http_reqs")["count"] <= 8
    assert finished.metric("http_reqs")["count"] >= 8


def test_rest(server: Target, tmp_path: Path) -> None:
    # Its last two requests go to hosts of the internet, answered or not.
    arguments = [*example("rest.py", tmp_path, "FastHttpUser"), "-H", server.url, "-u", "2", "-r", "2", "-t", "4s"]
    finished = run(arguments, tmp_path)
    assert finished.summary is not None, finished.output
    failed_and_passed = {
        name.removeprefix("http_req_failed"): (metric["passes"], metric["fails"])
        for name, metric in finished.summary["metrics"].items()
        if name.startswith("http_req_failed{") and "example.com" not in name
    }
    # The target answers everything with {"ok": true}: what the example asserts of an echo's answer fails.
    assert failed_and_passed == {
        "{method:GET,name:/get}": (1, 0),
        "{method:POST,name:/post}": (5, 0),
        '{method:"",name:/post}': (1, 0),
        "{method:GET,name:/}": (1, 2),
    }
    errors = [str(error["error"]) for error in finished.summary["errors"]]
    assert any(error.startswith("KeyError: 'args' at ") for error in errors), errors

"""Targets that are out of order in every way: a run against one is never green, says why, and does not hammer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import broken_targets
from tests.e2e.broken_targets import Wrong, Wrongdoer
from tests.e2e.support import DANCERS, Finished, Run, sandbox, socket_url

pytestmark = [pytest.mark.e2e, pytest.mark.long]

USERS, SECONDS = 5, 11
MOST_ATTEMPTS = 5.0
"""For each user and second."""


@dataclass
class Target:
    """One run against one target; `meanwhile` is done while it plays."""

    url: str
    env: dict[str, str]
    meanwhile: Callable[[Run], None] = lambda run: None


@contextmanager
def wrong_path() -> Iterator[Target]:
    with sandbox() as target:
        yield Target(f"ws://127.0.0.1:{target.port}/socket", {})


@contextmanager
def tls_refused() -> Iterator[Target]:
    with sandbox() as target:
        yield Target(f"wss://127.0.0.1:{target.port}/ws", {})


@contextmanager
def dies() -> Iterator[Target]:
    def die(run: Run) -> None:
        run.wait_for(lambda output: target.state()["tracks_held"] >= 2, "two tracks")
        target.stop()

    with sandbox() as target:
        yield Target(socket_url(target), {}, die)


@contextmanager
def nobody_plays() -> Iterator[Target]:
    with sandbox() as target:
        yield Target(socket_url(target), {"PIKA_DJ": "external", "SESSION_WAIT": "2s"})


def wrongdoing(wrong: Wrong) -> Callable[[], Any]:
    @contextmanager
    def target() -> Iterator[Target]:
        with Wrongdoer(wrong) as target:
            yield Target(f"ws://127.0.0.1:{target.port}/ws", {})
            assert target.upgrades > 0

    return target


@dataclass
class Case:
    """What a run in it must show: which thresholds fail, and an error in words, by its name."""

    target: Callable[[], Any]
    fails: set[str]
    error: tuple[str, str]
    connects: bool = False
    says: str = ""
    """What the reason says of it."""


CASES = {
    "wrong path": Case(wrong_path, {"ws_connection_success"}, ("connect", "answered 404")),
    "429": Case(
        wrongdoing(broken_targets.refuses),
        {"ws_connection_success"},
        ("connect", "answered 429: Rate limit exceeded"),
        says="answered 429 (SOURCE_ADDRESSES gives each user an address of its own)",
    ),
    "TLS refused": Case(tls_refused, {"ws_connection_success"}, ("connect", "TLS")),
    "silence": Case(
        wrongdoing(broken_targets.says_nothing),
        {"ws_connection_success", "ws_connection_kept", "ack_success"},
        ("connection", "SUBSCRIBE was not answered"),
    ),
    "rubbish": Case(
        wrongdoing(broken_targets.talks_rubbish),
        {"ws_connection_success", "ack_success"},
        ("receive", "a message that is not a JSON object"),
    ),
    "no frames": Case(
        wrongdoing(broken_targets.breaks_the_protocol),
        {"ws_connection_success", "ws_connection_kept"},
        ("connection", "the server sent"),
    ),
    "death": Case(
        dies,
        {"ws_connection_success", "ws_connection_kept"},
        ("connection", "the server ended the connection"),
        connects=True,
    ),
    "nobody plays": Case(nobody_plays, {"ws_session_live"}, ("session", "the session is not live"), connects=True),
}
PAIRS = [("wrong path", "429"), ("TLS refused", "silence"), ("rubbish", "death"), ("no frames", "nobody plays")]


def start(target: Target, directory: Path) -> Run:
    directory.mkdir()
    arguments = ["--headless", "-f", DANCERS, "-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS}s"]
    return Run(arguments, directory, {"WS_URL": target.url, **target.env})


@pytest.mark.parametrize("names", PAIRS, ids=[" and ".join(pair) for pair in PAIRS])
def test_a_run_against_a_broken_target_is_never_green_and_says_why(names: tuple[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        targets = [stack.enter_context(CASES[name].target()) for name in names]
        runs = [
            stack.enter_context(start(target, tmp_path / name)) for name, target in zip(names, targets, strict=True)
        ]
        for target, run in zip(targets, runs, strict=True):
            target.meanwhile(run)
        for name, run in zip(names, runs, strict=True):
            check(CASES[name], run.finish())


def check(case: Case, finished: Finished) -> None:
    assert finished.exit_code == 99, finished.output
    summary = finished.summary
    assert summary is not None, finished.output
    assert summary["verdict"] == "fail"
    assert summary["load"]["complete"] is True
    assert not [reason for reason in summary["reasons"] if reason["code"] in ("internal", "stopped", "setup")]

    failed = {reason["subject"]: reason["text"] for reason in summary["reasons"] if reason["code"] == "threshold"}
    assert set(failed) >= case.fails, failed
    for subject in case.fails:
        assert subject in failed[subject]
        assert subject in finished.output
    assert any(case.says in text for text in failed.values()), failed

    where, text = case.error
    said = [error["error"] for error in summary["errors"] if error["name"] == where]
    assert any(text in error for error in said), summary["errors"]

    attempts = finished.metric("ws_connection_success")
    count = attempts["passes"] + attempts["fails"]
    assert count >= USERS
    assert count / summary["duration_s"] / USERS < MOST_ATTEMPTS
    assert (attempts["passes"] > 0) is case.connects
    assert finished.metric("iterations_cut")["count"] == 0
    assert not [audit for audit in summary["audits"] if audit["status"] == "pass"], summary["audits"]

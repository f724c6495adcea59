"""What is looked at before the load, on real sockets: whose session is live, and for how long another's is waited."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from websockets.sync.client import connect

from pika_locust.errors import SetupError
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.platforms.pika.setup import look_for_session
from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.scenario import SetupContext, SetupResult
from pika_locust.testing.worker import settings_of
from tests.platforms.pika.test_audits import Recaps, poll, recap, track

FRIDAY = "friday-social"
WITHOUT_LIKES = SetupResult(public={"session_id": FRIDAY}, private={"before": {"likes": 0, "poll votes": None}})


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with start_sandbox(["pika"]) as process:
        yield process


@pytest.fixture
def elsewhere() -> Iterator[Recaps]:
    """A server that is no sandbox."""
    with_pages = Recaps()
    yield with_pages
    with_pages.close()


def socket_url(sandbox: SandboxProcess) -> str:
    return f"ws://127.0.0.1:{sandbox.port}/ws"


def look(target: str, **environ: str) -> SetupResult:
    return look_for_session(SetupContext(target, settings_of(DANCERS, environ), seed=7))


@contextmanager
def live(sandbox: SandboxProcess, session: str = FRIDAY) -> Iterator[None]:
    """A session that is live meanwhile."""
    register = {"type": "REGISTER_SESSION", "sessionId": session, "djName": "DJ Mila", "messageId": "m"}
    with connect(socket_url(sandbox)) as socket:
        socket.send(json.dumps(register))
        assert "SESSION_REGISTERED" in str(socket.recv(5))
        yield


def test_a_session_that_nobody_holds_is_ours(sandbox: SandboxProcess) -> None:
    assert look(socket_url(sandbox), SESSION_ID=FRIDAY) == SetupResult(public={"session_id": FRIDAY})


def test_a_session_that_another_dj_holds_ends_the_run_before_its_load(sandbox: SandboxProcess) -> None:
    with live(sandbox), pytest.raises(SetupError) as error:
        look(socket_url(sandbox), SESSION_ID=FRIDAY)
    assert str(error.value) == (
        "the session friday-social is live already, with the DJ 'DJ Mila': another run or somebody else plays there. "
        "PIKA_DJ=external dances to them, another SESSION_ID opens a session of its own"
    )


def test_another_session_beside_ours_is_no_obstacle(sandbox: SandboxProcess) -> None:
    with live(sandbox):
        assert look(socket_url(sandbox), SESSION_ID="saturday-social").public == {"session_id": "saturday-social"}


def test_against_a_sandbox_the_default_session_is_another_in_each_run(sandbox: SandboxProcess) -> None:
    names = [look(socket_url(sandbox)).public["session_id"] for _ in range(2)]
    assert len(set(names)) == 2
    assert all(name.startswith("load-test-session-") and len(name) <= 64 for name in names)


def test_against_any_other_server_the_default_session_is_what_it_says(elsewhere: Recaps) -> None:
    elsewhere.answers = [(200, {"live": False, "sessions": []})]
    assert look(elsewhere.target).public == {"session_id": "load-test-session"}


def test_the_default_session_of_any_other_server_can_be_taken(elsewhere: Recaps) -> None:
    session = {"sessionId": "load-test-session", "djName": "DJ Locust"}
    elsewhere.answers = [(200, {"live": True, "sessions": [session]})]
    with pytest.raises(SetupError, match="PIKA_DJ=external"):
        look(elsewhere.target)


UNSEEN = {
    "an error": (500, "no"),
    "not found": (404, "404 Not Found"),
    "another document": (200, [1]),
    "odd sessions": (200, {"sessions": [7]}),
    "no sessions": (200, {"sessions": None}),
}


@pytest.mark.parametrize("answer", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_cannot_be_seen_is_no_obstacle(answer: tuple[int, Any], elsewhere: Recaps) -> None:
    elsewhere.answers = [answer]
    assert look(elsewhere.target, SESSION_ID=FRIDAY).public == {"session_id": FRIDAY}


def test_nor_is_a_server_that_is_not_there() -> None:
    assert look("ws://127.0.0.1:1/ws").public == {"session_id": "load-test-session"}


@pytest.mark.alone
def test_another_djs_session_is_waited_for(sandbox: SandboxProcess) -> None:
    with ExitStack() as session:
        timer = threading.Timer(1.2, lambda: session.enter_context(live(sandbox)))
        timer.start()
        began_s = time.monotonic()
        found = look(socket_url(sandbox), PIKA_DJ="external", SESSION_ID=FRIDAY, SESSION_WAIT="20s")
        took_s = time.monotonic() - began_s
        timer.join()
    assert found == WITHOUT_LIKES
    assert 1.2 <= took_s < 6.0


@pytest.mark.alone
def test_a_session_that_does_not_come_is_not_waited_for_any_longer_and_the_report_says_so(
    sandbox: SandboxProcess,
) -> None:
    began_s = time.monotonic()
    found = look(socket_url(sandbox), PIKA_DJ="external", SESSION_ID=FRIDAY, SESSION_WAIT="1.5s")
    assert 1.5 <= time.monotonic() - began_s < 5.0
    assert found.notes == ("the session friday-social was not live within 1.5s (SESSION_WAIT)",)
    assert look(socket_url(sandbox), PIKA_DJ="external", SESSION_ID=FRIDAY, SESSION_WAIT="0s").notes


def test_a_session_that_is_live_is_joined_at_once(sandbox: SandboxProcess) -> None:
    with live(sandbox):
        found = look(socket_url(sandbox), PIKA_DJ="external", SESSION_ID=FRIDAY)
    assert found == WITHOUT_LIKES


def test_what_another_djs_session_holds_already_is_noted(elsewhere: Recaps) -> None:
    live_now = {"live": True, "sessions": [{"sessionId": FRIDAY, "djName": "DJ Mila"}]}
    elsewhere.answers = [(200, live_now), (200, recap(track(1, 300), track(2, 200), polls=[poll(1, [7, 2])]))]
    found = look(elsewhere.target, PIKA_DJ="external", SESSION_ID=FRIDAY, PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert found.private == {"before": {"likes": 500, "poll votes": 9}}
    assert elsewhere.asked[-1] == (f"/api/session/{FRIDAY}/recap", "Bearer pk_dj_0123456789")


def test_a_recap_that_cannot_be_read_is_noted_as_such(elsewhere: Recaps) -> None:
    live_now = {"live": True, "sessions": [{"sessionId": FRIDAY, "djName": "DJ Mila"}]}
    elsewhere.answers = [(200, live_now), (500, "no")]
    found = look(elsewhere.target, PIKA_DJ="external", SESSION_ID=FRIDAY)
    assert found.private == {}
    assert [note.split(":")[0] for note in found.notes] == [
        "the recap of the session friday-social could not be read before the load"
    ]

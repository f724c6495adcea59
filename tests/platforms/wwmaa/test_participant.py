"""A training session against the sandbox on real sockets: every message is owed to everybody, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest

from pika_locust.platforms.wwmaa.participant import Participant
from pika_locust.platforms.wwmaa.scenarios import RTC
from pika_locust.testing.worker import live, make_user, wait_until
from tests.platforms.wwmaa.served import Served, serving

PEOPLE, MESSAGES = 3, 10
FRAMES = PEOPLE * PEOPLE * MESSAGES


@contextmanager
def session(monkeypatch: pytest.MonkeyPatch, **faults: str) -> Iterator[Served]:
    """Three participants who have said ten things each, all of them being there, and have left."""
    with serving(RTC, "suite", CHAT_EVERY="0.05", SESSION_LENGTH="60s") as run:
        run.worker.hears_itself = True
        run.plant(**faults)
        users = [make_user(Participant, run.worker) for _ in range(PEOPLE)]
        say = Participant._say

        def say_ten(self: Participant) -> None:
            if self._sequence < MESSAGES and all(user.confirmed for user in users):
                say(self)

        monkeypatch.setattr(Participant, "_say", say_ten)
        lives = [gevent.spawn(live, user) for user in users]
        wait_until(lambda: all(getattr(user, "_sequence", 0) == MESSAGES for user in users), 20.0)
        gevent.sleep(0.2)
        run.worker.end()
        for user in users:
            user.release()
        gevent.joinall(lives, timeout=10.0)
        yield run


def test_everybody_hears_everything_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    with session(monkeypatch) as run:
        assert run.worker.rate_of("message_delivery_success") == (FRAMES, 0)
        assert run.worker.count_of("message_duplicates") == 0
        assert run.worker.rate_of("chat_in_order") == (FRAMES, 0)
        assert run.worker.trend_of("chat_message_latency").count == FRAMES
        assert run.worker.rate_of("ws_connection_success") == (PEOPLE, 0)
        assert run.worker.rate_of("ws_connection_drops") == (0, PEOPLE)
        assert run.worker.trend_of("session_join_latency").count == PEOPLE
        assert run.worker.rate_of("video_health_check_success")[1] == 0
        assert run.state()["sessions"] == {"test_session_001": 0}


def test_one_message_that_one_of_them_does_not_get_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with session(monkeypatch, lose_fanout="0.011") as run:
        assert run.worker.rate_of("message_delivery_success") == (FRAMES - 1, 1)


def test_one_message_that_comes_twice_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with session(monkeypatch, double="0.034") as run:
        assert run.worker.count_of("message_duplicates") == PEOPLE
        assert run.worker.rate_of("message_delivery_success") == (FRAMES, 0)


def test_video_that_is_not_well_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with session(monkeypatch, video_down="1") as run:
        passed, failed = run.worker.rate_of("video_health_check_success")
        # The tokens are fine.
        assert passed == PEOPLE
        assert failed > 0

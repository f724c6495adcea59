"""Locust monkey-patches the process that imports it, and the other tests use real threads and a real event loop. So the
actors are imported here without that; what needs it runs in processes of its own (`tests/e2e`)."""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

import locust  # noqa: F401

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]

import pytest

from pika_locust.platforms.pika import dancer
from tests.platforms.pika.evening import Evening


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Evening]:
    """Actors whose time is virtual. At the end, nothing may have gone wrong in them."""
    with monkeypatch.context() as patches:
        night = Evening(patches)
        yield night
        assert night.share.faults == []
        assert all(actor.unanswered >= 0 for actor in night.actors)


CHANCES = ("LIKE_CHANCE", "TEMPO_CHANCE", "VOTE_CHANCE", "THANKS_CHANCE")


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dancers who do whatever they can."""
    for chance in CHANCES:
        monkeypatch.setattr(dancer, chance, 1.0)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dancers who only listen."""
    for chance in CHANCES:
        monkeypatch.setattr(dancer, chance, 0.0)

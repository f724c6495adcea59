from __future__ import annotations

from collections.abc import Iterator

import pytest

import tests.quiet_locust  # noqa: F401
from pika_locust.platforms.pika import dancer as habits
from tests.platforms.pika.evening import Evening


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Evening]:
    """Actors whose time is virtual. At the end, nothing may have gone wrong in them."""
    with monkeypatch.context() as patches:
        night = Evening(patches)
        yield night
        assert night.worker.internal_errors == []
        assert all(actor.line.unanswered >= 0 for actor in night.actors)


CHANCES = ("LIKE_CHANCE", "TEMPO_CHANCE", "VOTE_CHANCE", "THANKS_CHANCE")


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dancers who do whatever they can."""
    for chance in CHANCES:
        monkeypatch.setattr(habits, chance, 1.0)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dancers who only listen."""
    for chance in CHANCES:
        monkeypatch.setattr(habits, chance, 0.0)

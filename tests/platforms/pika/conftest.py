from __future__ import annotations

from collections.abc import Iterator

import pytest

import tests.quiet_locust  # noqa: F401
from pika_locust.platforms.pika import dancer
from tests.platforms.pika.harness import Harness


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """Actors whose time is virtual. At the end, nothing may have gone wrong in them."""
    with monkeypatch.context() as patches:
        made = Harness(patches)
        yield made
        assert made.worker.internal_errors == []
        assert all(user.unanswered >= 0 for user in made.users)


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

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pika_locust.platforms.pika import dancer
from tests.platforms.pika.harness import Harness, virtual_run


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Users whose time is virtual."""
    with virtual_run() as made:
        yield made


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

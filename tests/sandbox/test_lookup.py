from __future__ import annotations

import pytest

from pika_locust.catalogue import find_platform, known_platforms
from pika_locust.errors import ConfigurationError


def test_the_package_offers_its_own_platforms() -> None:
    assert "pika" in known_platforms()
    assert find_platform("pika").name == "pika"


def test_an_unknown_platform_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refused:
        find_platform("nope")
    assert str(refused.value) == f"platform 'nope' has no sandbox; known are {', '.join(known_platforms())}"


@pytest.mark.parametrize("name", known_platforms())
def test_every_platform_declares_what_it_can_show(name: str) -> None:
    platform = find_platform(name)
    assert platform.name == name
    assert platform.about
    assert all(cover.planted.startswith(cover.fault) and cover.scenario and cover.subject for cover in platform.covers)

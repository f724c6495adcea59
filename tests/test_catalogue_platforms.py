"""Platforms of the sandbox: by name and by reference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pika_locust.catalogue import find_platform, known_platforms
from pika_locust.errors import ConfigurationError
from pika_locust.sandbox import start_sandbox


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


WORLD = """
from pika_locust.sandbox.app import App

class Tiny(App):
    name = "tiny"

PLATFORM = Tiny.platform()
"""


def test_a_world_is_found_by_reference_in_a_folder_of_the_user_s(tmp_path: Path) -> None:
    (tmp_path / "tiny_world_here.py").write_text(WORLD)
    before = list(sys.path)
    assert find_platform("tiny_world_here:PLATFORM", [str(tmp_path)]).name == "tiny"
    assert sys.path == before


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("no_such_module:PLATFORM", "there is no world 'no_such_module:PLATFORM': No module named 'no_such_module'"),
        ("json:PLATFORM", "there is no world 'json:PLATFORM': module 'json' has no attribute 'PLATFORM'"),
        (":PLATFORM", "there is no world ':PLATFORM': Empty module name"),
        ("json:dumps", r"json:dumps is no sandbox.world.Platform; an App's is made by its `platform\(\)`"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(reference: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        find_platform(reference)


def test_a_sandbox_serves_a_world_by_reference_and_a_file_beside_it_hides_no_library(tmp_path: Path) -> None:
    (tmp_path / "tiny_world.py").write_text(WORLD)
    # loaded after the folder is on the path
    (tmp_path / "uvloop.py").write_text("raise RuntimeError('this is not the library')")
    with start_sandbox(["tiny_world:PLATFORM"], path=[str(tmp_path)]) as process:
        assert process.state()["platform"] == "tiny"
    with pytest.raises(ConfigurationError, match="there is no world 'tiny_world:PLATFORM'"):
        start_sandbox(["tiny_world:PLATFORM"])

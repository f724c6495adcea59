from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pika_locust import catalogue
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.scenario import Scenario

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("gevent", "locust", "requests", "websocket", "httptools")


def elsewhere(monkeypatch: pytest.MonkeyPatch, name: str, *scenarios: Scenario) -> EntryPoint:
    """A platform of another package: loadable, and offered by an entry point."""
    package, module = ModuleType(name), ModuleType(f"{name}.scenarios")
    module.SCENARIOS = scenarios  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, f"{name}.scenarios", module)
    return EntryPoint(name, name, catalogue.GROUP)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points of the group, instead of those that happen to be installed."""
    points: list[EntryPoint] = []

    def entry_points(*, group: str) -> list[Any]:
        return points if group == catalogue.GROUP else []

    monkeypatch.setattr(catalogue, "entry_points", entry_points)
    return points


def test_every_platform_of_the_package_is_found_by_itself(offered: list[EntryPoint]) -> None:
    folders = {path.parent.name for path in (ROOT / "pika_locust/platforms").glob("*/scenarios.py")}
    assert set(catalogue.platforms_with_scenarios()) == folders
    assert catalogue.platforms_with_scenarios()["pika"] == "pika_locust.platforms.pika"


def test_every_scenario_is_found_by_its_name(offered: list[EntryPoint]) -> None:
    found = catalogue.scenarios()
    assert list(found) == sorted(found)
    assert found["dancers"] is DANCERS
    assert all(scenario.name == name for name, scenario in found.items())


def test_what_is_installed_says_the_same(offered: list[EntryPoint]) -> None:
    offered.append(EntryPoint("pika", "pika_locust.platforms.pika", catalogue.GROUP))
    assert catalogue.find_scenario("dancers") is DANCERS


def test_another_package_s_platform_stands_beside_them(
    monkeypatch: pytest.MonkeyPatch, offered: list[EntryPoint]
) -> None:
    crowd = replace(DANCERS, name="crowd", platform="acme")
    offered.append(elsewhere(monkeypatch, "acme", crowd))
    assert catalogue.find_scenario("crowd") is crowd
    assert catalogue.find_scenario("dancers") is DANCERS
    assert catalogue.platforms_with_scenarios()["acme"] == "acme"


def test_two_scenarios_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch, offered: list[EntryPoint]) -> None:
    offered.append(elsewhere(monkeypatch, "acme", replace(DANCERS, platform="acme")))
    with pytest.raises(ConfigurationError, match=r"acme and pika|pika and acme") as caught:
        catalogue.scenarios()
    assert "both have a scenario dancers" in str(caught.value)


def test_a_platform_that_cannot_be_loaded_is_named(offered: list[EntryPoint]) -> None:
    offered.append(EntryPoint("ruin", "ruin_of_a_package", catalogue.GROUP))
    with pytest.raises(ConfigurationError, match="the platform ruin has no ruin_of_a_package"):
        catalogue.scenarios()


UNKNOWN = {
    "nearly right": ("dancer", "there is no scenario 'dancer'; did you mean dancers?"),
    "nothing like it": ("zzz", "there is no scenario 'zzz'; there are "),
}


@pytest.mark.parametrize(("name", "problem"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_scenario_is_a_mistake_that_names_the_known_ones(name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        catalogue.find_scenario(name)
    assert caught.value.exit_code == ExitCode.CONFIG
    assert str(caught.value).startswith(problem)
    assert "dancers" in str(caught.value)


LOOKS = {
    "the catalogue": "from pika_locust.catalogue import scenarios; assert scenarios()",
    "one platform's": "import pika_locust.platforms.pika.scenarios",
    "another's": "import pika_locust.platforms.verity.scenarios",
    "the command": "from pika_locust.cli.main import main; assert main(['list']) == 0",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_at_the_scenarios_loads_nothing_that_talks(look: str) -> None:
    """Actors, audits and set-ups are named by reference for that."""
    code = f"import sys; {look}; print([name for name in {LIBRARIES!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.splitlines()[-1] == "[]"


def test_what_an_actor_needs_would_be_seen() -> None:
    code = "import sys, pika_locust.platforms.pika.dancer; print('gevent' in sys.modules, 'locust' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "True True"

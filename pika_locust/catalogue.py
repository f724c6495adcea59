"""Finds platforms, scenarios and sandbox worlds by name, in this package and in others (entry points)."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import entry_points
from importlib.util import find_spec

from pika_locust import platforms
from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.world import Platform
from pika_locust.scenario import Scenario, load_reference

GROUP = "pika_locust.platforms"
"""The package with our platforms, and the entry-point group of other people's."""


def packages() -> dict[str, str]:
    """Name of every platform -> the package that holds it, in alphabetical order; none of them is imported."""
    found = {
        module.name: f"{GROUP}.{module.name}" for module in pkgutil.iter_modules(platforms.__path__) if module.ispkg
    }
    found.update({entry.name: entry.value.partition(":")[0] for entry in entry_points(group=GROUP)})
    return dict(sorted(found.items()))


def platforms_with_scenarios() -> dict[str, str]:
    """Name of every platform that has scenarios -> the package that holds it, in alphabetical order.

    A folder of ours may have only a world so far; what another package offers is taken at its word.
    """
    return {
        name: package
        for name, package in packages().items()
        if not package.startswith(f"{GROUP}.") or find_spec(f"{package}.scenarios") is not None
    }


def scenarios() -> dict[str, Scenario]:
    """Every scenario by name.

    Raises ConfigurationError when a platform cannot be loaded, or two have a scenario of the same name.
    """
    found: dict[str, Scenario] = {}
    for name, package in platforms_with_scenarios().items():
        for scenario in _scenarios_of(name, package):
            other = found.setdefault(scenario.name, scenario)
            if other is not scenario:
                raise ConfigurationError(
                    f"the platforms {other.platform} and {scenario.platform} both have a scenario {scenario.name}"
                )
    return dict(sorted(found.items()))


def scenarios_of(platform: str) -> tuple[Scenario, ...]:
    """The scenarios of one platform, in its own order. Raises ConfigurationError, which names the platforms."""
    known = platforms_with_scenarios()
    if platform not in known:
        raise ConfigurationError(f"there is no platform {platform!r} with scenarios; there are {', '.join(known)}")
    return tuple(_scenarios_of(platform, known[platform]))


def _scenarios_of(platform: str, package: str) -> Iterable[Scenario]:
    try:
        scenarios: Iterable[Scenario] = importlib.import_module(f"{package}.scenarios").SCENARIOS
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the platform {platform} has no {package}.scenarios.SCENARIOS: {error}") from error
    return scenarios


def find_scenario(name: str) -> Scenario:
    """The scenario of that name. Raises ConfigurationError, which names the ones there are."""
    known = scenarios()
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    raise ConfigurationError(f"there is no scenario {name!r}; {hint}")


def known_platforms() -> tuple[str, ...]:
    """Names of all platforms that have a world to serve, of this package and of others, in alphabetical order."""
    return tuple(name for name, package in packages().items() if find_spec(f"{package}.world") is not None)


def find_platform(name: str, path: Sequence[str] = ()) -> Platform:
    """The platform of that name, or the one at a reference such as `orders_world:PLATFORM`.

    Arguments:
        name: a known platform's, or `package.module:NAME`.
        path: folders where the module of a reference is looked for, after those of this process.

    Raises `ConfigurationError`, which names the known platforms or says what is wrong with the reference.
    """
    if ":" in name:
        return _platform_at(name, path)
    package = packages().get(name)
    if package is None or find_spec(f"{package}.world") is None:
        raise ConfigurationError(f"platform {name!r} has no sandbox; known are {', '.join(known_platforms())}")
    platform = importlib.import_module(f"{package}.world").PLATFORM
    if not isinstance(platform, Platform):
        raise ConfigurationError(f"{package}.world.PLATFORM is no sandbox.world.Platform")
    return platform


def _platform_at(reference: str, path: Sequence[str]) -> Platform:
    try:
        with _importable(path):
            platform = load_reference(reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"there is no world {reference!r}: {error}") from error
    if not isinstance(platform, Platform):
        raise ConfigurationError(f"{reference} is no sandbox.world.Platform; an App's is made by its `platform()`")
    return platform


@contextmanager
def _importable(path: Sequence[str]) -> Iterator[None]:
    """Behind all others: a file of the user's called `queue.py` must not stand in for the standard library's."""
    before = list(sys.path)
    sys.path += [folder for folder in path if folder not in sys.path]
    try:
        yield
    finally:
        sys.path[:] = before

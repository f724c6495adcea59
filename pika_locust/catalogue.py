"""Which platforms and scenarios there are: looked up when asked, in this package and in other people's.

A platform is a package with a module `scenarios` that holds SCENARIOS and, where it has a sandbox, a module `world`.
A folder in `pika_locust/platforms` is found by itself; other packages offer theirs in the entry-point group
`pika_locust.platforms`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import entry_points
from importlib.util import find_spec

from pika_locust.errors import ConfigurationError
from pika_locust.scenario import Scenario

GROUP = "pika_locust.platforms"


def platforms() -> dict[str, str]:
    """Name of every platform -> the package that holds it, in alphabetical order."""
    own = importlib.import_module(GROUP)
    folders = {module.name: f"{GROUP}.{module.name}" for module in pkgutil.iter_modules(own.__path__) if module.ispkg}
    packages = {name: package for name, package in folders.items() if find_spec(f"{package}.scenarios") is not None}
    packages.update({entry.name: entry.value.partition(":")[0] for entry in entry_points(group=GROUP)})
    return dict(sorted(packages.items()))


def scenarios() -> dict[str, Scenario]:
    """Every scenario by name.

    Raises ConfigurationError when a platform cannot be loaded, or two have a scenario of the same name.
    """
    found: dict[str, Scenario] = {}
    for name, package in platforms().items():
        for scenario in _scenarios_of(name, package):
            other = found.setdefault(scenario.name, scenario)
            if other is not scenario:
                raise ConfigurationError(
                    f"the platforms {other.platform} and {scenario.platform} both have a scenario {scenario.name}"
                )
    return dict(sorted(found.items()))


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

"""Which scenarios there are: looked up when asked, in this package's platforms and in other people's."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec

from pika_locust.errors import ConfigurationError
from pika_locust.platforms import GROUP, packages
from pika_locust.scenario import Scenario


def platforms() -> dict[str, str]:
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

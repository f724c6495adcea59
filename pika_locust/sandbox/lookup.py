"""Finds the worlds that can be served: those of this package, and those of packages that offer a platform."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from importlib.util import find_spec

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.world import Platform

GROUP = "pika_locust.platforms"
"""Entry-point group: name of a platform -> the package that holds it; its module `world` holds `PLATFORM`."""


def known_platforms() -> tuple[str, ...]:
    """Names of all platforms that have a world, in alphabetical order."""
    return tuple(sorted(name for name, package in _packages().items() if find_spec(f"{package}.world") is not None))


def find_platform(name: str) -> Platform:
    """The platform of that name; raises `ConfigurationError` naming the known ones."""
    package = _packages().get(name)
    if package is None or find_spec(f"{package}.world") is None:
        raise ConfigurationError(f"platform {name!r} has no sandbox; known are {', '.join(known_platforms())}")
    platform = importlib.import_module(f"{package}.world").PLATFORM
    if not isinstance(platform, Platform):
        raise ConfigurationError(f"{package}.world.PLATFORM is no sandbox.world.Platform")
    return platform


def _packages() -> dict[str, str]:
    own = importlib.import_module(GROUP)
    packages = {module.name: f"{GROUP}.{module.name}" for module in pkgutil.iter_modules(own.__path__) if module.ispkg}
    packages.update({entry.name: entry.value.partition(":")[0] for entry in entry_points(group=GROUP)})
    return packages
